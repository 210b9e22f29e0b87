"""An MLflow tracking server that goes on when the program that started it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from scanproof.errors import ScanproofError
from scanproof.owner import is_alive, process
from scanproof.services.cluster import HOST
from scanproof.tracking.client import NO_TELEMETRY
from scanproof.tracking.server import PORT

#: seconds in which a server answers: the first time it makes its tables
PATIENCE: Final = 180.0


@dataclass(frozen=True)
class TrackingServer:
    """An MLflow tracking server.

    Args:
        folder: of artifacts, log and the file that tells its process.
        database: its URL, without a password.
        port: to listen on.
    """

    folder: Path
    database: str
    port: int = PORT

    @property
    def address(self) -> str:
        """What ``MLFLOW_TRACKING_URI`` is set to.

        Example:
            >>> TrackingServer(Path("services"), "postgresql://127.0.0.1/mlflow").address
            'http://127.0.0.1:5000'
        """
        return f"http://{HOST}:{self.port}"

    def is_running(self) -> bool:
        """Whether its process lives."""
        try:
            owner = json.loads(self._pidfile.read_text())
        except (OSError, ValueError):
            return False
        return is_alive(owner, seen=0.0)

    def start(self, *, passfile: Path) -> None:
        """Start it and wait until it answers.

        Args:
            passfile: password file of the database.

        Raises:
            ScanproofError: it does not answer; its log says why.
        """
        if self.is_running():
            return
        log = self.folder / "mlflow.log"
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.database, "--host", HOST]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--artifacts-destination", (self.folder / "artifacts").absolute().as_uri()]
        quiet = {**NO_TELEMETRY, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PGPASSFILE": str(passfile)}
        # not a child of this program that anybody waits for, as it goes on without it
        output = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        pid = os.posix_spawn(
            command[0],
            command,
            os.environ | quiet,
            file_actions=[nothing, output, (os.POSIX_SPAWN_DUP2, 1, 2)],
            setsid=True,
        )
        self._pidfile.write_text(json.dumps(process(pid)))
        end = time.monotonic() + PATIENCE
        while not self.answers():
            if not self.is_running() or time.monotonic() > end:
                self.stop()
                lines = log.read_text(errors="replace").strip().splitlines()
                raise ScanproofError("MLflow's server must answer", file=log, hint=" ".join(lines[-1:])[:300])
            time.sleep(0.2)

    def stop(self) -> bool:
        """Stop it; False if it did not run."""
        running = self.is_running()
        if running:
            pid = int(json.loads(self._pidfile.read_text())["pid"])
            for number, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
                # the server and its workers, which are in a session of their own
                os.killpg(pid, number)
                end = time.monotonic() + seconds
                while self.is_running() and time.monotonic() < end:
                    time.sleep(0.05)
                if not self.is_running():
                    break
            with suppress(ChildProcessError):  # it is not ours
                os.waitpid(pid, os.WNOHANG)
        self._pidfile.unlink(missing_ok=True)
        return running

    def answers(self) -> bool:
        """Whether it has made its tables and finds them; it says that it is well before."""
        query = Request(  # noqa: S310 (an address of this machine)
            f"{self.address}/api/2.0/mlflow/experiments/search",
            data=b'{"max_results": 5}',
            headers={"Content-Type": "application/json"},
        )
        try:
            with urlopen(query, timeout=30) as reply:  # noqa: S310 (likewise)
                return b"Default" in reply.read()
        except (URLError, OSError):
            return False

    @property
    def _pidfile(self) -> Path:
        return self.folder / "mlflow.json"
