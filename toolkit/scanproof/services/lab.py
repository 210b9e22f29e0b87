"""The services of a lab together: started, stopped, and how programs find them."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scanproof.errors import ScanproofError
from scanproof.services.cluster import Cluster
from scanproof.services.server import TrackingServer
from scanproof.tracking.server import PORT

#: databases of runs and of trials
RUNS: Final = "mlflow"
TRIALS: Final = "optuna"


@dataclass(frozen=True)
class Services:
    """A PostgreSQL with databases for runs and trials, and an MLflow server on the first.

    Args:
        folder: of everything; services of another folder are other services.
        port: of MLflow.
        postgresql_port: of PostgreSQL.
    """

    folder: Path
    port: int = PORT
    postgresql_port: int = 5433

    @classmethod
    def find(cls, folder: Path) -> Services:
        """The services of a folder with the ports with which they were started last."""
        try:
            ports = json.loads((folder / "ports.json").read_text())
            return cls(folder, ports["mlflow"], ports["postgresql"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls(folder)

    @property
    def cluster(self) -> Cluster:
        """The PostgreSQL."""
        return Cluster(self.folder, self.postgresql_port)

    @property
    def server(self) -> TrackingServer:
        """The MLflow server."""
        return TrackingServer(self.folder, self.cluster.url(RUNS), self.port)

    def start(self) -> Services:
        """Start what does not run; returns the services as they run, which may be on earlier ports.

        Raises:
            ScanproofError: something cannot be started.
        """
        with self._alone():
            before = self.find(self.folder)
            if before.cluster.is_running() or before.server.is_running():
                return before._start()
            return self._start()

    def stop(self) -> list[str]:
        """Stop what runs; returns the names of what did."""
        with self._alone():
            found = self.find(self.folder)
            stopped = {"MLflow": found.server.stop(), "PostgreSQL": found.cluster.stop()}
        return [name for name, was in stopped.items() if was]

    def variables(self) -> dict[str, str]:
        """Environment variables by which scanproof and MLflow find the services; none holds a password."""
        return {
            "MLFLOW_TRACKING_URI": self.server.address,
            "SCANPROOF_STORAGE": self.cluster.url(TRIALS),
            "PGPASSFILE": str(self.cluster.passfile),
        }

    def _start(self) -> Services:
        ports = {"mlflow": self.port, "postgresql": self.postgresql_port}
        (self.folder / "ports.json").write_text(json.dumps(ports))
        self.cluster.start()
        for name in (RUNS, TRIALS):
            self.cluster.make_database(name)
        self.server.start(passfile=self.cluster.passfile)
        return self

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once wait for each other."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise ScanproofError(f"folder must be writable: {error.strerror or error}", file=self.folder) from error
