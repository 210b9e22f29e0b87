"""What a check-up finds about one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from scanproof.errors import ScanproofError


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    #: only to know
    INFO = "info"
    #: nothing is lost, but something should be done
    WARNING = "warning"
    #: results are damaged, or the next run will fail
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of a check-up.

    Args:
        topic: what was looked at, e.g. ``store``.
        state: how it is, after repairs.
        text: what was found, and what was repaired.
        advice: what to do.
    """

    topic: str
    state: State
    text: str
    advice: str = ""

    @property
    def line(self) -> str:
        """Text and advice in one line.

        Example:
            >>> Finding("disk", State.WARNING, "9 GB free", "make room").line
            '9 GB free: make room'
        """
        return " ".join((f"{self.text}: {self.advice}" if self.advice else self.text).split())


def guarded(topic: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Findings of a check; one that cannot go on is a problem itself.

    Example:
        >>> def refuse():
        ...     raise ScanproofError("must be readable", file="site.key", hint="ask its owner")
        >>> guarded("site key", refuse)[0].line
        'site.key: must be readable (ask its owner)'
    """
    found: list[Finding] = []
    try:
        found.extend(check())
    except ScanproofError as error:
        found.append(Finding(topic, State.PROBLEM, str(error)))
    except Exception as error:  # what nobody thought of is what a check-up is for; the other checks go on
        found.append(Finding(topic, State.PROBLEM, f"cannot be checked: {type(error).__name__}: {error}"))
    return found


def some(names: Iterable[object], *, most: int = 3) -> str:
    """The first names of a list, and how many more there are.

    Example:
        >>> some("abcde"), some("ab")
        ('a, b, c and 2 more', 'a, b')
    """
    texts = [str(name) for name in names]
    rest = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {rest} more" if rest > 0 else "")
