"""Errors that a user can act on.

Every error that wrong input can cause is a :class:`ScanproofError`. The command line prints its text as one
line and exits with code 2; library users catch it like any other exception.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

#: longest part of an error, in characters
LONGEST: Final = 1000


class ScanproofError(ValueError):
    """Wrong input, said in one line: where it is, which rule it breaks and what was found.

    Args:
        rule: what must hold, e.g. ``"severity must be in [0, 5]"``.
        file: the file in which the value stands.
        key: the key, column, field or argument that holds it.
        value: what was found. Left out of the text when not given.
        hint: the next step for the user.

    Example:
        >>> print(ScanproofError("acceleration must be at least 1", file="a.yaml", key="acquisition", value=0.5))
        a.yaml: acquisition: acceleration must be at least 1, got 0.5
    """

    _MISSING = object()

    def __init__(
        self,
        rule: str,
        *,
        file: Path | str | None = None,
        key: str | None = None,
        value: object = _MISSING,
        hint: str | None = None,
    ) -> None:
        self.rule, self.file, self.key, self.hint = rule, file, key, hint
        self.value = None if value is self._MISSING else value
        place = "".join(f"{cut(str(part))}: " for part in (file, key) if part is not None)
        found = "" if value is self._MISSING else f", got {shown(value)}"
        advice = "" if hint is None else f" ({cut(hint)})"
        super().__init__(" ".join(f"{place}{cut(rule)}{found}{advice}".split()))

    def __reduce__(self) -> tuple[object, ...]:
        # the default would call __init__ with the finished text and lose the parts on the way between processes
        return _restore, (type(self), self.args, self.__dict__)


def cut(text: str) -> str:
    """A text, or the beginning of one that is too long for a line that people read."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def shown(value: object) -> str:
    """A value as an error shows it: cut where it is long.

    Example:
        >>> shown(10**5000)
        'int too long to be shown'
    """
    try:
        return cut(repr(value))
    except (ValueError, RecursionError):  # Python writes no whole number of more than 4300 digits
        return f"{type(value).__name__} too long to be shown"


def _restore(kind: type[ScanproofError], args: tuple[object, ...], state: dict[str, object]) -> ScanproofError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


#: what a disk says that takes nothing more: full, over its quota, or read-only
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def disk_error(error: OSError, *, file: Path | str | None = None) -> ScanproofError | None:
    """The error for a disk that is full, over its quota or read-only; None for any other error of the system.

    Args:
        error: of the system.
        file: what could not be written, where the error itself does not say it.

    Example:
        >>> print(disk_error(OSError(errno.ENOSPC, "No space left on device", "results.parquet")))
        results.parquet: disk must take what is written: No space left on device (finished work is kept: mend this ...
        >>> disk_error(FileNotFoundError(errno.ENOENT, "No such file")) is None
        True
    """
    if error.errno not in _DISK:
        return None
    return ScanproofError(
        f"disk must take what is written: {error.strerror}",
        file=error.filename or file,
        hint="finished work is kept: mend this and run again",
    )


def unknown_name(
    what: str, name: str, known: Iterable[str], *, file: Path | str | None = None, key: str | None = None
) -> ScanproofError:
    """The error for a name that no registry holds: it lists all that exist and the nearest one.

    Example:
        >>> print(unknown_name("reconstruction", "unett", ["unet", "cg_sense"]))
        unknown reconstruction, got 'unett' (did you mean 'unet'? known: cg_sense, unet)
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return ScanproofError(f"unknown {what}", file=file, key=key, value=name, hint=f"{guess}known: {', '.join(names)}")
