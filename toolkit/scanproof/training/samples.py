"""Sequences that make their items when they are asked for, so that a training set need not fit into memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar, overload

T = TypeVar("T")
S = TypeVar("S")


class Joined(Sequence[T], Generic[T]):
    """Sequences one after the other.

    Example:
        >>> joined = Joined([[1, 2], [], [3]])
        >>> len(joined), joined[2], joined[-1], joined[:2]
        (3, 3, 3, [1, 2])
    """

    def __init__(self, parts: Sequence[Sequence[T]]) -> None:
        self.parts = parts
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        """Of the part that holds it."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        part = bisect_right(self._ends, place)
        return self.parts[part][place - (self._ends[part - 1] if part else 0)]


class Mapped(Sequence[S], Generic[T, S]):
    """What a function makes of the items of a sequence.

    Example:
        >>> list(Mapped(abs, [-1, 2])), Mapped(abs, [-1, 2])[1:]
        ([1, 2], [2])
    """

    def __init__(self, function: Callable[[T], S], items: Sequence[T]) -> None:
        self.function, self.items = function, items

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> S: ...

    @overload
    def __getitem__(self, index: slice) -> list[S]: ...

    def __getitem__(self, index: int | slice) -> S | list[S]:
        """Made anew."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.function(self.items[index])
