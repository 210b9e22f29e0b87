"""Programs of the tests: processes of their own, without the seconds that Python takes to import torch and MONAI.

A server that has imported them, one a test session, forks for each. What it gives is a process as any other: with its
own number, signals, environment, files and exit code. Nothing of the test's own process is in it.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path

#: what almost every program imports
_PRELOADED = ["torch", "monai.networks.nets", "mlflow.store.tracking.sqlalchemy_store", "pandera.pandas"]
_PRELOADED += ["scanproof.study.run", "scanproof.study.tasks.readings", "scanproof.tracking.study_log"]
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(_PRELOADED)


def serve() -> None:
    """Start the server, before a pool of workers starts the one that a process can have, with less."""
    forkserver.ensure_running()


class Program:
    """A running program, with those of ``subprocess.Popen``'s methods that tests need.

    Args:
        arguments: as Python's own: ``-m`` and a module, ``-c`` and code, or a script, and what they are given.
        cwd: folder that it runs in.
        env: environment; that of the test by default.
    """

    def __init__(self, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        self.args = [str(one) for one in arguments]
        folder = Path(tempfile.mkdtemp(prefix="program-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._said = [folder / name for name in ("stdout", "stderr")]
        for path in self._said:
            path.touch()
        given = (self.args, str(cwd or Path.cwd()), dict(os.environ if env is None else env), *map(str, self._said))
        self._process = _SERVER.Process(target=_become, args=given)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """That of the program, or minus the signal that ended it; none while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote to stdout and stderr until its end; it is killed when the time is over."""
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        stdout, stderr = (path.read_text(encoding="utf-8") for path in self._said)
        return stdout, stderr


def run(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; arguments as of :class:`Program`."""
    program = Program(*arguments, cwd=cwd, env=env)
    stdout, stderr = program.communicate(timeout)
    return subprocess.CompletedProcess(program.args, program.wait(), stdout, stderr)


def scanproof(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return run("-m", "scanproof", *arguments, cwd=cwd, env=env, timeout=timeout)


def _become(arguments: list[str], cwd: str, env: dict[str, str], stdout: str, stderr: str) -> None:
    """Do in the forked process what Python does with its arguments."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for number, path in ((1, stdout), (2, stderr)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.path.insert(0, cwd)
    kind, *rest = arguments
    sys.argv = rest if kind == "-m" else [kind, *rest[1:]] if kind == "-c" else arguments
    if kind == "-m":
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
    else:
        runpy.run_path(kind, run_name="__main__")
