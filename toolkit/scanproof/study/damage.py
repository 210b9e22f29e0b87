"""Going on when stored results turn out to be damaged: they are computed anew, within the same run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from scanproof.study.store import DamagedEntryError, Store

if TYPE_CHECKING:
    from scanproof.study.plan import Task

#: times that one result may be found damaged before a run gives up: what stores it cannot be relied on
PATIENCE = 3

Read = TypeVar("Read")


class Damage:
    """What a run has found damaged so far.

    An entry is removed when it is found damaged, so it is missing afterwards. A power cut damages many at once: after
    the first, all that tasks are going to read is checked before they start.
    """

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()
        self._intact: set[str] = set()

    @property
    def keys(self) -> list[str]:
        """Of the entries, each once, in the order in which they were found."""
        return list(self._found)

    def note(self, error: DamagedEntryError) -> None:
        """Count a damaged entry.

        Raises:
            DamagedEntryError: it was damaged before, so often that computing it anew does not help.
        """
        self._found[error.entry] += 1
        self._intact.discard(error.entry)
        if self._found[error.entry] >= PATIENCE:
            raise error

    def pending(self, tasks: Sequence[Task], store: Store, *, wanted: Sequence[Task] = ()) -> list[Task]:
        """The tasks that must run, as :func:`~scanproof.study.executor.missing_tasks` says.

        Args:
            tasks: a plan's tasks, inputs first.
            store: finished tasks are found there.
            wanted: those whose results will be read; the last one without.

        Raises:
            DamagedEntryError: see :meth:`note`.
        """
        from scanproof.study.executor import missing_tasks

        while True:
            pending = missing_tasks(tasks, store, wanted=wanted)
            if not self._found or not self._removed(pending, store):
                return pending

    def _removed(self, pending: Sequence[Task], store: Store) -> bool:
        """Whether something that tasks read was damaged and is missing now."""
        own = {task.key for task in pending}
        read = dict.fromkeys(child.key for task in pending for children in task.inputs.values() for child in children)
        before = self._found.total()
        for key in read:
            if key in own or key in self._intact:
                continue
            try:
                store.get(key)
                self._intact.add(key)
            except DamagedEntryError as error:
                self.note(error)
        return self._found.total() > before


def read_whole(read: Callable[[], Read], compute: Callable[[Sequence[str]], None]) -> Read:
    """Read results, and compute anew what is damaged until all of them are whole.

    Args:
        read: reads what is wanted; it may be called several times.
        compute: brings what is missing into the store; it is given the keys of results that were damaged, which may
            be further ones than it computes usually.

    Raises:
        DamagedEntryError: a result is damaged again and again.

    Example:
        >>> read_whole(lambda: "results", lambda keys: print("computed", keys))
        computed []
        'results'
    """
    damage = Damage()
    while True:
        compute(damage.keys)
        try:
            return read()
        except DamagedEntryError as error:
            damage.note(error)
