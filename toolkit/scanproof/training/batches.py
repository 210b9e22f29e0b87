"""Batches of items of one shape, from data of several: nothing is cropped or padded to fit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset, Sampler

from scanproof.data.keys import IMAGE, LABEL

#: the shapes of all arrays of an item, inputs first
Shape = tuple[tuple[int, ...], ...]


def shape_of(item: Mapping[str, Any]) -> Shape:
    """The shapes of an item's inputs and label.

    Example:
        >>> import torch
        >>> shape_of({"image": (torch.zeros(8, 4, 6), torch.ones(6)), "label": torch.zeros(1, 4, 6)})
        ((8, 4, 6), (6,), (1, 4, 6))
    """
    inputs = item[IMAGE]
    arrays = [*inputs, item[LABEL]] if isinstance(inputs, tuple | list) else [inputs, item[LABEL]]
    return tuple(tuple(getattr(array, "shape", ())) for array in arrays)


def shapes_of(data: Dataset[Mapping[str, Any]]) -> list[Shape]:
    """The shape of every item.

    A data set that reads its items from somewhere slow may know their shapes in an attribute ``shapes``; of another,
    each item is looked at once.
    """
    known: Sequence[Shape] | None = getattr(data, "shapes", None)
    return [shape_of(data[i]) for i in range(len(data))] if known is None else list(known)  # type: ignore[arg-type]


def cut(order: Iterable[int], shapes: Sequence[Hashable], *, size: int) -> list[list[int]]:
    """Cut items into batches of one shape.

    Items of a shape keep their order. Batches come in the order of their first items, so that shapes are mixed as the
    items are; with one shape, they are consecutive pieces of the order.

    Args:
        order: indices of items.
        shapes: one an item.
        size: most items of a batch; a shape's last batch may have fewer.

    Example:
        >>> cut([3, 0, 2, 1, 4], ["wide", "tall", "wide", "tall", "tall"], size=2)
        [[3, 1], [0, 2], [4]]
    """
    batches: list[list[int]] = []
    unfilled: dict[Hashable, list[int]] = {}
    for index in order:
        batch = unfilled.get(shapes[index])
        if batch is None or len(batch) == size:
            batch = unfilled[shapes[index]] = []
            batches.append(batch)
        batch.append(index)
    return batches


class ShapeBatches(Sampler[list[int]]):
    """Batches of an epoch, each of one shape.

    All that is random in an epoch is drawn when its first batch is asked for.

    Args:
        order: gives the order of items anew in every epoch.
        shapes: one an item.
        size: see :func:`cut`.

    Example:
        >>> list(ShapeBatches(range(4), ["wide", "tall", "wide", "wide"], size=2))
        [[0, 2], [1], [3]]
    """

    def __init__(self, order: Iterable[int], shapes: Sequence[Hashable], *, size: int) -> None:
        self.order, self.shapes, self.size = order, shapes, size
        counts = Counter(shapes)
        self.several = len(counts) > 1
        self._length = sum(math.ceil(count / size) for count in counts.values())

    def __iter__(self) -> Iterator[list[int]]:
        yield from cut(list(self.order), self.shapes, size=self.size)

    def __len__(self) -> int:
        return self._length

    def weight(self, items: int) -> int:
        """What a batch counts in a mean over batches.

        Where there are several shapes, small batches are many, and each counts by its items. Where there is one, only
        the last can be small, and all count the same.
        """
        return items if self.several else 1
