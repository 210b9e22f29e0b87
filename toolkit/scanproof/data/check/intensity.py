"""How a file's values are distributed, in numbers that can be compared between files."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import torch

from scanproof.physics.foreground import foreground

#: of more values, evenly spaced ones are taken
MOST: Final = 2**22
#: bins of the histogram, from the least value to the greatest
BINS: Final = 48
#: median of |x| for a normal distribution of standard deviation 1
_MEDIAN_OF_NORMAL: Final = 0.6744897501960817
#: fewer differences inside the object than this tell nothing of noise
_FEWEST: Final = 64


class Intensity(NamedTuple):
    """How values are distributed.

    Args:
        minimum: least value.
        low: 1st percentile.
        median: 50th.
        high: 99th.
        maximum: greatest value.
        zeros: share of values that are exactly 0.
        saturated: share of the values that are not 0 which equal the greatest, of which a continuous signal has hardly
            any: more were clipped.
        snr: see :func:`signal_to_noise`.
        histogram: counts in :data:`BINS` equal bins from least to greatest.
    """

    minimum: float
    low: float
    median: float
    high: float
    maximum: float
    zeros: float
    saturated: float
    snr: float | None
    histogram: tuple[int, ...]


def measure_intensity(voxels: np.ndarray) -> Intensity:
    """Measure how the values of a volume are distributed.

    Least and greatest value are exact; the rest is measured on at most :data:`MOST` evenly spaced values.

    Args:
        voxels: (X, Y, Z), finite.

    Example:
        >>> found = measure_intensity(np.arange(8, dtype=np.float32).reshape(2, 2, 2))
        >>> found.minimum, found.maximum, found.zeros, found.snr
        (0.0, 7.0, 0.125, None)
    """
    step = math.ceil(voxels.size / MOST)
    sample = voxels.reshape(-1)[::step].astype(np.float64)
    low, median, high = (float(value) for value in np.percentile(sample, (1, 50, 99)))
    minimum, maximum = float(voxels.min()), float(voxels.max())
    positive = sample != 0
    histogram, _ = np.histogram(sample, bins=BINS, range=(minimum, maximum if maximum > minimum else minimum + 1))
    return Intensity(
        minimum=minimum,
        low=low,
        median=median,
        high=high,
        maximum=maximum,
        zeros=float(1 - positive.mean()),
        saturated=float((sample[positive] == maximum).mean()) if positive.any() else 0.0,
        snr=signal_to_noise(voxels[:, :, voxels.shape[2] // 2]),
        histogram=tuple(int(count) for count in histogram),
    )


def signal_to_noise(plane: np.ndarray) -> float | None:
    r"""Something like the signal-to-noise ratio of a slice: good to compare files, not to report.

    The signal is the mean over the object. The noise is :math:`\mathrm{median}|d| / 0.6745` of the diagonal details
    :math:`d` of a Haar wavelet inside the object (Donoho and Johnstone, Biometrika 81, 1994, section 4). Fine detail
    counts as noise, and what was smoothed or interpolated has less of it than it was measured with.

    Args:
        plane: (X, Y), real.

    Returns:
        The ratio; None where the object is too small, or without any noise.

    Example:
        >>> noise = np.random.default_rng(1).normal(0, 2, (128, 128))
        >>> round(signal_to_noise(100 + noise))
        50
    """
    size = [n // 2 * 2 for n in plane.shape]
    image = np.clip(plane[: size[0], : size[1]], 0, None).astype(np.float64)
    if min(size) < 2 or not image.any():
        return None
    inside = foreground(torch.from_numpy(image), spatial_dims=2).numpy()
    corners = [image[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    whole = inside[::2, ::2] & inside[1::2, ::2] & inside[::2, 1::2] & inside[1::2, 1::2]
    details = np.abs(corners[0] - corners[1] - corners[2] + corners[3])[whole] / 2
    noise = float(np.median(details)) / _MEDIAN_OF_NORMAL if details.size >= _FEWEST else 0.0
    return float(image[inside].mean()) / noise if noise > 0 else None
