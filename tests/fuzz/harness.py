"""One input after the other in a process with bounded memory, and what became of each."""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Literal, Protocol

#: address space that a process may take besides what it has when its imports are done
ROOM = 3 * 2**30
#: seconds after which an input counts as endless
PATIENCE = 60.0
#: seconds that a process may take to import what it needs, on a machine that does other things, too
STARTUP = 600.0

State = Literal["accepted", "refused", "unclear", "traceback", "died", "endless"]


class Kind(Protocol):
    """Inputs of one kind. Made once a process, with a folder for valid files that inputs are derived from."""

    def make(self, rng: Random, folder: Path) -> Path:
        """Write an input below an empty folder."""
        ...

    def read(self, path: Path) -> None:
        """What a user would call on it."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of an input.

    Args:
        number: of the input, which with kind and seed makes it again.
        state: ``unclear`` is an error of the right type that names no file, has several lines or is endless.
        seconds: of the processor that it took.
        peak: bytes of memory that it needed at most, besides what was there before.
        said: the error, its last lines for another type than ours.
    """

    number: int
    state: State
    seconds: float = 0.0
    peak: int = 0
    said: str = ""


def kind_of(name: str, base: Path) -> Kind:
    from fuzz.kinds import KINDS

    module, _, attribute = KINDS[name].partition(":")
    found: Kind = getattr(importlib.import_module(module), attribute)(base)
    return found


def attempt(kind: Kind, name: str, number: int, *, seed: int, keep: Path | None = None) -> Outcome:
    """Make an input and read it."""
    from scanproof.errors import ScanproofError

    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as temporary:
        folder = keep or Path(temporary)
        path = _made(kind, f"{seed}/{name}/{number}", folder)
        before = _reset_peak()
        began = time.process_time()
        state: State = "accepted"
        said = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kind.read(path)
        except ScanproofError as error:
            said = str(error)
            clear = (error.file or error.key) is not None and "\n" not in said and len(said) < 3000
            state = "refused" if clear else "unclear"
        except BaseException as error:
            state = "traceback"
            said = "".join(traceback.format_exception(error, limit=-6))
        seconds = time.process_time() - began
        return Outcome(number, state, round(seconds, 4), max(0, _peak() - before), said[-3000:])


def _made(kind: Kind, key: str, folder: Path) -> Path:
    """An input; where a library refuses to write what was drawn, another one is drawn."""
    for turn in range(20):
        try:
            return kind.make(Random(f"{key}/{turn}"), folder)
        except Exception:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    raise RuntimeError(f"{key}: nothing can be made")


def run(name: str, numbers: range, *, seed: int, room: int = ROOM) -> Iterator[Outcome]:
    """Attempt inputs of a kind in a process of their own; where one ends the process, another goes on behind it."""
    start = numbers.start
    while start < numbers.stop:
        with tempfile.TemporaryDirectory(prefix="fuzz-base-", ignore_cleanup_errors=True) as base:
            command = [sys.executable, "-m", "fuzz.harness", name, str(start), str(numbers.stop), str(seed), base]
            process = subprocess.Popen(
                [*command, str(room)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=base,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
            for line in _lines(process):
                found = Outcome(**json.loads(line))
                start = found.number + 1
                yield found
            code = process.wait()
            assert process.stderr is not None
            said = process.stderr.read()
            process.stdout and process.stdout.close()
            process.stderr.close()
            if start < numbers.stop:
                state: State = "endless" if code == -9 else "died"
                yield Outcome(start, state, PATIENCE if code == -9 else 0.0, 0, f"exit {code}: {said[-2000:]}")
                start += 1


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """Lines of a process, which is killed where it says nothing for too long; the first says that it is ready."""
    assert process.stdout is not None
    patience = STARTUP
    while True:
        timer = threading.Timer(patience, process.kill)
        timer.start()
        line = process.stdout.readline()
        timer.cancel()
        patience = PATIENCE
        if not line:
            return
        if line.startswith("{"):
            yield line


def _reset_peak() -> int:
    """Make the kernel forget the most memory that was in use, where it can; returns what is in use."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def main(arguments: list[str]) -> None:
    name, start, stop, seed, base, room = arguments
    out = os.fdopen(os.dup(1), "w")  # what libraries print is not what was found
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)
    place = Path(base)
    kind = kind_of(name, place)
    attempt(kind, name, -1, seed=int(seed))  # imports what it needs
    limit = (_status("VmSize") or 2**33) + int(room)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print("ready", file=out, flush=True)
    for number in range(int(start), int(stop)):
        print(json.dumps(asdict(attempt(kind, name, number, seed=int(seed)))), file=out, flush=True)
    out.close()
    shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
