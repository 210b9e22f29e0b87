"""Sums over cases for many resamples at once, in bounded memory and the same to the bit however they are computed.

Weights that count how often a case stands in a resample are small whole numbers. Sums of whole numbers are exact in
floating point, whatever their order, so they may come from a BLAS product in any number of threads, from blocks of
resamples of any size, and from cases in any order. Real values are split into two whole parts for it.

Weights of other kinds, e.g. fractions, are summed case after case: slower, and as exact as floating point is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
#: one number a case and resample; whole ones are best kept as ``uint8``
Weights = npt.NDArray[np.generic]
#: weights of one case in each resample
Row = npt.NDArray[np.number]

#: memory that a block of resamples may take
BLOCK_BYTES = 2**27
#: sums are exact up to a total weight of so many times the number of cases
HEADROOM = 16


def are_counts(weights: Weights) -> bool:
    """Whether all weights are whole and so few that sums of them are exact.

    Args:
        weights: 0 or more, shape ``(resamples, n)``.

    Example:
        >>> are_counts(np.array([[1, 0, 2]])), are_counts(np.array([[0.5, 1.0, 1.5]]))
        (True, False)
    """
    return bool(_largest_total(weights) <= HEADROOM * weights.shape[1])


def weighted_sums(values: FloatArray, weights: Weights) -> FloatArray:
    """Sums over cases, each case as often as its weight says.

    Where the weights are counts, each value is split into two whole numbers, a coarse and a fine one, and both sums
    are exact; the result is off by no more than its own rounding.

    Args:
        values: finite, shape ``(rows, n)``.
        weights: 0 or more, shape ``(resamples, n)``.

    Returns:
        Shape ``(rows, resamples)``.

    Example:
        >>> weighted_sums(np.array([[0.25, 0.5]]), np.array([[1, 1], [0, 2]], np.uint8))
        array([[0.75, 1.  ]])
    """
    total = np.empty((len(values), len(weights)))
    if not are_counts(weights):
        for block in _blocks(weights, np.float64):
            columns = np.ascontiguousarray(weights[block].T, np.float64)
            total[:, block] = np.einsum("cn,nr->cr", values, columns)  # not a BLAS product: its order is not fixed
        return total
    bits = 53 - int(HEADROOM * values.shape[1] - 1).bit_length()
    exponent = np.frexp(np.abs(values).max(axis=1, keepdims=True))[1]
    scale = np.ldexp(1.0, bits - np.maximum(exponent, -256))
    coarse = np.rint(values * scale)
    fine = np.rint((values * scale - coarse) * 2.0**bits)
    for block in _blocks(weights, np.float64):
        counts = weights[block].astype(np.float64)
        total[:, block] = coarse @ counts.T
        if fine.any():
            total[:, block] += (fine @ counts.T) * 2.0**-bits
    return np.asarray(total / scale, np.float64)


def case_rows(weights: Weights) -> Iterator[tuple[slice, list[Row]]]:
    """The weights of each case in one block of resamples after the other, as rows to add up in any order of cases.

    Args:
        weights: 0 or more, shape ``(resamples, n)``.

    Yields:
        Which resamples, and n arrays of their weights: ``uint16`` where that holds the sum of all of them, else
        ``float64``.

    Example:
        >>> for block, rows in case_rows(np.array([[1, 0], [2, 1], [0, 3]], np.uint8)):
        ...     print(block, rows)
        slice(0, 3, None) [array([1, 2, 0], dtype=uint16), array([0, 1, 3], dtype=uint16)]
    """
    dtype: type[np.number] = np.uint16 if _largest_total(weights) < 2**16 else np.float64
    for block in _blocks(weights, dtype):
        yield block, list(np.ascontiguousarray(weights[block].T, dtype))


def _largest_total(weights: Weights) -> float:
    """Largest total weight of a resample; infinite where weights are not whole."""
    largest, whole = 0.0, np.issubdtype(weights.dtype, np.integer)
    for part in (weights[block] for block in _blocks(weights, np.float64)):
        if not whole and not (part == np.rint(part)).all():
            return np.inf
        largest = max(largest, float(part.sum(axis=1, dtype=np.int64 if whole else np.float64).max()))
    return largest


def _blocks(weights: Weights, dtype: type[np.number]) -> Iterator[slice]:
    resamples, n = weights.shape
    size = max(BLOCK_BYTES // (n * np.dtype(dtype).itemsize), 1)
    for start in range(0, resamples, size):
        yield slice(start, min(start + size, resamples))
