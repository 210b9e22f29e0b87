"""Which process works on something, and whether it still does."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

#: a trial of another machine without a sign of life for so many seconds is over
SILENCE = 1800.0
#: a trial that no process has signed for so many seconds lost its process before that could sign
UNSIGNED = 10.0
#: seconds between two signs of life
PULSE = 60.0


class Owner(TypedDict):
    """A process.

    Args:
        host: name of its machine.
        pid: its number.
        started: tells it from later processes of the same number; empty where the system does not say.
    """

    host: str
    pid: int
    started: str


def this_process() -> Owner:
    """The process that asks."""
    return process(os.getpid())


def process(pid: int) -> Owner:
    """A process of this machine."""
    return Owner(host=socket.gethostname(), pid=pid, started=_started(pid))


def is_alive(owner: object, *, seen: float) -> bool:
    """Whether a process still works on its trial.

    Args:
        owner: a stored :class:`Owner`; None where none is.
        seen: when it gave its last sign of life, in seconds since 1970. It decides for processes of other machines.

    Example:
        >>> is_alive(this_process(), seen=0.0)
        True
        >>> is_alive({**this_process(), "started": "long ago"}, seen=time.time())
        False
    """
    if not isinstance(owner, Mapping):
        return time.time() - seen < UNSIGNED
    # on Windows, asking for a process would end it
    if owner.get("host") != socket.gethostname() or os.name == "nt":
        return time.time() - seen < SILENCE
    pid = int(owner["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as another user
    return bool(owner["started"] == _started(pid))


def _started(pid: int) -> str:
    """Boot and time since then at which a process began, on Linux."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # the name of the program, in parentheses, may hold spaces; the rest begins with the third field
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # a process that has ended but whose parent has not asked for its result yet
    return "" if fields[0] == "Z" else f"{boot} {fields[19]}"
