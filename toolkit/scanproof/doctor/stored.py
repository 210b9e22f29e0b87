"""The store: every entry against its hashes, and what killed processes have left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from scanproof.doctor.finding import Finding, State, some
from scanproof.intake.console import in_bytes
from scanproof.reporting.vocabulary import counted
from scanproof.study.store import DamagedEntryError, Store


def check_store(
    store: Store, keys: Sequence[str], *, repair: bool = False, on_done: Callable[[], None] = lambda: None
) -> Iterator[Finding]:
    """Read every entry, a piece at a time.

    Args:
        store: which.
        keys: of its entries.
        repair: remove damaged entries, which the next run computes again, and what nobody will go on with.
        on_done: told of every entry.
    """
    size, damaged = 0, {}
    for key in keys:
        try:
            size += store.check(key)
        except DamagedEntryError as error:
            damaged[key] = f"{key[:12]} ({error.value})"
        on_done()
    # a study that runs may have removed or replaced one meanwhile
    there = {*store.keys()} if damaged else set()
    damaged = {key: text for key, text in damaged.items() if key in there and _is_damaged(store, key)}
    strangers = store.strangers()
    # with an entry, what others have put into its folder would go
    shared = {path.parent.name for path in strangers} & damaged.keys() if repair else set()
    if shared:
        text = f"damaged, and not removed because they hold other files: {some(key[:12] for key in sorted(shared))}"
        yield Finding("store", State.PROBLEM, text, "move these files to another place")
    damaged = {key: text for key, text in damaged.items() if key not in shared}
    entries = "1 entry" if len(keys) == 1 else f"{len(keys)} entries"
    if not damaged and not shared:
        text = f"{entries}, {in_bytes(size)}, all as they were stored" if keys else "no entries yet"
        yield Finding("store", State.OK, text)
    elif damaged and repair:
        for key in damaged:
            store.remove(key)
        done = f"removed {len(damaged)} damaged of {entries}, which the next run computes again: "
        yield Finding("store", State.OK, done + some(damaged.values()))
    elif damaged:
        text = f"{len(damaged)} damaged of {entries}: {some(damaged.values())}"
        yield Finding("store", State.PROBLEM, text, "--repair removes them, and the next run computes them again")
    yield from _leftovers(store, repair=repair)
    if strangers:
        yield Finding("store", State.WARNING, f"not the store's own: {some(strangers)}", "move it to another place")


def _is_damaged(store: Store, key: str) -> bool:
    try:
        store.check(key)
    except DamagedEntryError:
        return True
    return False


def _leftovers(store: Store, *, repair: bool) -> Iterator[Finding]:
    removed = store.sweep() if repair else 0
    checkpoints = store.checkpoints()
    finished = [key for key in checkpoints if key in store]
    if repair:
        for key in finished:
            store.unfinished(key).unlink(missing_ok=True)
        removed += len(finished)
    if removed:
        yield Finding("leftovers", State.OK, f"removed {removed} that killed processes left")
    if partial := store.partial():
        size = in_bytes(sum(partial.values()))
        text = f"{counted(len(partial), 'unfinished write')}, {size}, of processes that run or were killed"
        yield Finding("leftovers", State.INFO, text, "runs and --repair remove them after a day")
    if finished and not repair:
        text = f"{counted(len(finished), 'checkpoint')} of trainings that are finished"
        yield Finding("leftovers", State.INFO, text, "--repair removes them")
    if waiting := len(checkpoints) - len(finished):
        text = f"{counted(waiting, 'training')} can go on"
        yield Finding("trainings", State.INFO, text, "run their studies again")
