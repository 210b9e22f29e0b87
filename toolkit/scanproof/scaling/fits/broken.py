"""Two power laws that meet at a break, which is found from the data."""

from __future__ import annotations

import numpy as np

from scanproof.scaling.fits.single import FloatArray, linear_fit


def fit_broken(x: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least squares of two lines that meet at a break: exact, no search and no starting value.

    With the points split in two, the best lines of the two parts are the best fit of all if they meet between the
    parts. If no split is of that kind, the best break is at a point (Hudson, J. Am. Stat. Assoc. 61, 1966). All
    splits with two points or more on each side are tried, and all points but the first and the last.

    Args:
        x: logarithms of sizes, rising, shape ``(n,)``, at least 4.
        y: logarithms of values, a curve a row, shape ``(curves, n)``.
        weights: of the sizes, shape ``(n,)``.

    Returns:
        Level (of the first line at ``x = 0``), exponent before, exponent after and the logarithm of the break,
        ``(curves, 4)``; the weighted sums of squared residuals, ``(curves,)``.

    Example:
        >>> x = np.log([10.0, 20.0, 40.0, 80.0, 160.0])
        >>> parameters, _ = fit_broken(x, np.log([[8.0, 4.0, 2.0, 2.0, 2.0]]), np.ones(5))
        >>> level, before, after, at = parameters[0]
        >>> round(float(before), 6), abs(round(float(after), 6)), round(float(np.exp(at)), 6)
        (-1.0, 0.0, 40.0)
    """
    count = len(x)
    best = np.full((len(y), 4), np.nan)
    least = np.full(len(y), np.inf)

    def keep(parameters: FloatArray, squares: FloatArray) -> None:
        better = squares < least
        best[better], least[better] = parameters[better], squares[better]

    for knot in range(1, count - 1):
        at = np.full(len(y), x[knot])
        design = np.stack([np.ones_like(x), x, np.maximum(x - x[knot], 0)], axis=1)
        lines, squares = linear_fit(design, y, weights)
        keep(np.stack([lines[:, 0], lines[:, 1], lines[:, 1] + lines[:, 2], at], axis=1), squares)
    design = np.stack([np.ones_like(x), x], axis=1)
    for split in range(2, count - 1):
        left, before = linear_fit(design[:split], y[:, :split], weights[:split])
        right, after = linear_fit(design[split:], y[:, split:], weights[split:])
        with np.errstate(divide="ignore", invalid="ignore"):
            meet = (left[:, 0] - right[:, 0]) / (right[:, 1] - left[:, 1])
        between = (meet > x[split - 1]) & (meet < x[split])
        squares = np.where(between, before + after, np.inf)
        keep(np.stack([left[:, 0], left[:, 1], right[:, 1], meet], axis=1), squares)
    return best, least
