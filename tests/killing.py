"""Real commands that are killed at chosen moments and started again, and what must survive that."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: tag that names the process which fills a run
PROCESS = "scanproof.process"
#: seconds that processes of a killed run may take to notice it
GRACE = 60.0
Whom = Literal["main", "all", "worker"]


@dataclass(frozen=True)
class Moment:
    """When a run is killed.

    Args:
        stage: a text that it must have printed, or a number of results that must be in the store.
        seconds: that pass afterwards.
        whom: the process that was started, it and its workers, or one worker alone.
    """

    stage: str | int
    seconds: float
    whom: Whom = "main"


class Running:
    """A command that runs, and what it has printed so far."""

    def __init__(self, arguments: Sequence[object], folder: Path) -> None:
        self.began = time.monotonic()
        self.told: list[tuple[float, str]] = []
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scanproof", *map(str, arguments)],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.told.append((time.monotonic() - self.began, line.rstrip()))

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.told)

    def finish(self) -> int:
        """Wait for its end; returns the exit code."""
        code = self.process.wait(timeout=1800)
        self._close()
        return code

    def _close(self) -> None:
        self._reader.join(timeout=GRACE)
        if self.process.stderr is not None and not self._reader.is_alive():
            self.process.stderr.close()

    def when(self, stage: str) -> float:
        """Seconds after the start at which a line with this text came."""
        return next(seconds for seconds, line in self.told if stage in line)

    def reach(self, moment: Moment, store: Path) -> bool:
        """Wait for a moment; False if the run ended before."""
        until: float | None = None
        while self.process.poll() is None:
            if until is None and (
                moment.stage in self.text if isinstance(moment.stage, str) else len(entries(store)) >= moment.stage
            ):
                until = time.monotonic() + moment.seconds
            if until is not None and time.monotonic() >= until:
                return True
            time.sleep(0.01)
        return False

    def kill(self, whom: Whom) -> float | None:
        """SIGKILL; returns the seconds after which none of its processes was left, None if one stayed."""
        family = descendants(self.process.pid)
        workers = [pid for pid in family if any(name in command_line(pid) for name in ("spawn_main", "forkserver"))]
        workers = [pid for pid in workers if not descendants(pid)]  # not the server that they are forked from
        targets = {"main": [self.process.pid], "all": [self.process.pid, *family], "worker": workers[:1]}[whom]
        for pid in targets or [self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        began = time.monotonic()
        self.process.wait(timeout=600)
        while any(is_running(pid) for pid in family):
            if time.monotonic() - began > GRACE:
                return None
            time.sleep(0.02)
        self._close()
        return time.monotonic() - began


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, stack = [], [pid]
    while stack:
        below = parents.get(stack.pop(), [])
        found += below
        stack += below
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def entries(store: Path) -> dict[str, tuple[int, int]]:
    """Key of each stored result to what changes if it is written again."""
    found = {}
    for path in store.glob("??/*/entry.json"):
        stat = path.stat()
        found[path.parent.name] = (stat.st_ino, stat.st_mtime_ns)
    return found


def inventory(database: Path) -> list[str]:
    """What an MLflow database holds, one line a run or version, without ids and times."""
    lines = []
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        names = dict(connection.execute("SELECT run_uuid, name FROM runs"))
        rows = connection.execute("SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active'").fetchall()
        for run, name, status in rows:
            tags = dict(connection.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)))
            params = sorted(connection.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)))
            metrics = sorted(
                connection.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ?", (run,)), key=repr
            )
            shown = {key: value for key, value in tags.items() if not key.startswith("mlflow.") and key != PROCESS}
            parent = names.get(tags.get("mlflow.parentRunId", ""))
            kept = [one for one in metrics if "seconds" not in one[0]]
            lines.append(f"run {name!r} in {parent!r}: {status}, {sorted(shown.items())}, {params}, {kept}")
        for name, version in connection.execute("SELECT name, version FROM model_versions"):
            tags = dict(
                connection.execute(
                    "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?", (name, version)
                )
            )
            lines.append(f"version {name!r} {sorted(tags.items())}")
        models = connection.execute("SELECT name, status FROM logged_models WHERE lifecycle_stage = 'active'")
        lines += [f"model {name!r}: {status}" for name, status in models]
    return sorted(lines)
