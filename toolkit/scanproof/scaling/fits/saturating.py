"""A power law towards an asymptote: an error floor, or a metric that no number of examples lifts further."""

from __future__ import annotations

import numpy as np

from scanproof.scaling.fits.single import FloatArray

#: exponents that are looked through; a steeper or a flatter law is none that a sweep can tell from a step or a line
EXPONENTS = (-5.0, -0.01)
#: least floor, and largest limit, as multiples of the value at the smallest size
LEAST, LARGEST = 1e-8, 20.0
_STEPS = 60


def fit_saturating(x: FloatArray, y: FloatArray, weights: FloatArray, *, falls: bool) -> tuple[FloatArray, FloatArray]:
    """Least squares, in logarithms, of ``e^y = asymptote + amplitude·N^exponent`` with a negative exponent.

    An error falls to an asymptote of 0 or more, another metric rises to one. Written as
    ``y = level + ln(s + (1−s)·(N/N₀)^exponent)``, with ``N₀`` the smallest size and ``s`` the asymptote over the value
    there, the level follows from the other two; these start from the best of a grid, curve by curve, and are refined by
    the Levenberg-Marquardt method within bounds (Golub and Pereyra, Inverse Problems 19, 2003). With ``s`` at its
    least, the form is a power law.

    Args:
        x: logarithms of sizes, rising, shape ``(n,)``, at least 3.
        y: logarithms of values, a curve a row, shape ``(curves, n)``.
        weights: of the sizes, shape ``(n,)``.
        falls: whether the asymptote is below the values.

    Returns:
        Logarithm of the value at the smallest size, exponent, and logarithm of the asymptote, ``(curves, 3)``; the
        weighted sums of squared residuals, ``(curves,)``.

    Example:
        >>> x = np.log([10.0, 20.0, 40.0, 80.0])
        >>> parameters, _ = fit_saturating(x, np.log([[9.0, 5.0, 3.0, 2.0]]), np.ones(4), falls=True)
        >>> round(float(parameters[0, 1]), 4), round(float(np.exp(parameters[0, 2])), 4)
        (-1.0, 1.0)
    """
    steps, share = x - x[0], weights / weights.sum()
    limits = (np.log(LEAST), 0.0) if falls else (0.0, np.log(LARGEST))
    low, high = np.array([EXPONENTS[0], limits[0]]), np.array([EXPONENTS[1], limits[1]])
    theta = _start(steps, y, share, falls=falls)
    centred = y - (y @ share)[:, None]
    damping = np.full(len(y), 1e-3)
    squares, residual, jacobian = _linearised(theta, steps, centred, share)
    for _ in range(_STEPS):
        weighted = jacobian * share
        normal = weighted @ jacobian.transpose(0, 2, 1)
        gradient = (weighted @ residual[:, :, None])[..., 0]
        diagonal = np.einsum("bii->bi", normal)
        # a parameter held at its bound does not take part in the step
        held = ((theta <= low) & (gradient < 0)) | ((theta >= high) & (gradient > 0))
        gradient = np.where(held, 0, gradient)
        free = ~held[:, :, None] & ~held[:, None, :]
        system = np.where(free, normal, 0) + np.eye(2) * (damping[:, None] * diagonal + 1e-14)[:, :, None]
        step = np.linalg.solve(system, gradient[..., None])[..., 0]
        trial = np.clip(theta + step, low, high)
        found, trial_residual, trial_jacobian = _linearised(trial, steps, centred, share)
        better = found < squares
        theta[better], squares[better] = trial[better], found[better]
        residual[better], jacobian[better] = trial_residual[better], trial_jacobian[better]
        damping = np.clip(np.where(better, damping / 3, damping * 4), 1e-12, 1e12)
    level = (y - _shape(theta, steps)) @ share
    return np.stack([level, theta[:, 0], level + theta[:, 1]], axis=1), squares * weights.sum()


def _shape(theta: FloatArray, steps: FloatArray) -> FloatArray:
    """``ln(s + (1−s)·v)`` of parameters ``(m, 2)``: exponent and ``ln s``."""
    share = np.exp(theta[:, 1:])
    shape: FloatArray = np.log(share + (1 - share) * np.exp(theta[:, :1] * steps))
    return shape


def _linearised(
    theta: FloatArray, steps: FloatArray, centred: FloatArray, share: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean squares, residuals ``(m, n)`` and derivatives of the curve ``(m, 2, n)``, all less their weighted means."""
    at = np.exp(theta[:, 1:])
    fallen = np.exp(theta[:, :1] * steps)
    whole = at + (1 - at) * fallen
    shape = np.log(whole)
    residual = centred - (shape - (shape @ share)[:, None])
    jacobian = np.stack([(1 - at) * fallen * steps / whole, at * (1 - fallen) / whole], axis=1)
    jacobian -= (jacobian @ share)[..., None]
    return (residual**2) @ share, residual, jacobian


def _start(steps: FloatArray, y: FloatArray, share: FloatArray, *, falls: bool) -> FloatArray:
    """The best parameters of a grid, curve by curve."""
    exponents = -np.geomspace(-EXPONENTS[1], -EXPONENTS[0], 40)
    ratios = np.log(np.geomspace(1e-5, 0.999, 40)) if falls else np.geomspace(1e-4, np.log(LARGEST), 40)
    grid = np.stack(np.meshgrid(exponents, ratios, indexing="ij"), axis=-1).reshape(-1, 2)
    shape = _shape(grid, steps)
    shape -= (shape @ share)[:, None]
    # the squares of a curve itself are the same for the whole grid
    squares = (shape**2) @ share - 2 * (y - (y @ share)[:, None]) * share @ shape.T
    return np.asarray(grid[squares.argmin(axis=1)], np.float64)
