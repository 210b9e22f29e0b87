"""One power law."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def fit_single(x: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least squares of ``y = level + exponent·x``, the power law ``e^y = e^level · N^exponent`` with ``x = ln N``.

    Args:
        x: logarithms of sizes, shape ``(n,)``, two of them different.
        y: logarithms of values, a curve a row, shape ``(curves, n)``.
        weights: of the sizes, shape ``(n,)``.

    Returns:
        Level and exponent, ``(curves, 2)``, and the weighted sums of squared residuals, ``(curves,)``.

    Example:
        >>> x = np.log([10.0, 20.0, 40.0])
        >>> parameters, squares = fit_single(x, np.log([[4.0, 2.0, 1.0]]), np.ones(3))
        >>> round(float(parameters[0, 1]), 6), round(float(squares[0]), 6)
        (-1.0, 0.0)
    """
    return linear_fit(np.stack([np.ones_like(x), x], axis=1), y, weights)


def linear_fit(design: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted least squares of many curves on one design ``(n, p)``: ``(curves, p)`` and ``(curves,)``."""
    root = np.sqrt(weights)
    solution = np.linalg.lstsq(design * root[:, None], (y * root).T, rcond=None)[0].T
    squares = ((y - solution @ design.T) ** 2) @ weights
    return np.asarray(solution, np.float64), np.asarray(squares, np.float64)
