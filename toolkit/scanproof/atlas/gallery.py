"""The pictures of a gallery: every severity of a shift on one image, with what it sets and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scanproof.atlas.anatomy import Anatomy
from scanproof.atlas.families import entry
from scanproof.atlas.measure import pattern_seed, quality
from scanproof.atlas.sources import Anatomies
from scanproof.reporting.pictures import WHITE_PERCENTILE
from scanproof.transforms import SHIFTS
from scanproof.transforms.severity import GRADINGS, SEVERITIES

#: errors at the top of the colour scale, as a share of the brightest tissue
ERROR_TOP = 0.5


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image at one severity.

    Args:
        severity: 0 to 5.
        image: ``(H, W)`` as a share of the brightest tissue of the clean image, 0 or more.
        error: absolute difference to the clean image, likewise.
        parameters: physical parameters, empty at severity 0.
        nrmse: against the clean image.
        ssim: likewise.
    """

    severity: int
    image: NDArray[np.float64]
    error: NDArray[np.float64]
    parameters: Mapping[str, float]
    nrmse: float
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A shift at all severities.

    Args:
        shift: its name.
        family: where it belongs.
        cause: one line.
        note: what a reader must know, may be empty.
        units: of the physical parameters.
        pixel: size of a pixel in mm, (row, column).
        pictures: by severity, from 0.
    """

    shift: str
    family: str
    cause: str
    note: str
    units: Mapping[str, str]
    pixel: tuple[float, float]
    pictures: tuple[Picture, ...]


def gallery_row(name: str, anatomies: Anatomies) -> Row:
    """Apply all severities of a shift to the first fitting anatomy, with one pattern.

    Args:
        name: of the shift.
        anatomies: see :func:`scanproof.atlas.sources.shown`.

    Raises:
        ScanproofError: unknown shift.

    Example:
        >>> from scanproof.atlas.anatomy import Slice
        >>> image = Slice(torch.rand(1, 32, 32), name="a", spacing=(1.0, 1.0), coils=2, seed=1)
        >>> row = gallery_row("ghosting", Anatomies(slices=(image,), volumes=(), text=""))
        >>> [picture.severity for picture in row.pictures], row.pictures[3].parameters
        ([0, 1, 2, 3, 4, 5], {'ghosts': 5, 'intensity': 0.6})
    """
    anatomy = anatomies.fitting(SHIFTS.create(name, {"severity": 0}).dimensions)[0]
    found = entry(name)
    return Row(
        shift=name,
        family=found.family,
        cause=found.cause,
        note=SHIFTS.create(name, {"severity": 0}).note,
        units=GRADINGS[name].units if name in GRADINGS else {},
        pixel=anatomy.pixel,
        pictures=tuple(_picture(name, severity, anatomy) for severity in SEVERITIES),
    )


def _picture(name: str, severity: int, anatomy: Anatomy) -> Picture:
    shift = SHIFTS.create(name, {"severity": severity})
    clean = anatomy.reference[:1]
    image = anatomy.shifted(shift, seed=pattern_seed(name, anatomy))[:1] if severity else clean
    values = quality([image], [clean])
    white = float(np.percentile(clean, WHITE_PERCENTILE)) or 1.0
    return Picture(
        severity=severity,
        image=_share(image, white),
        error=_share((image - clean).abs(), white),
        parameters=shift.parameters,
        nrmse=float(values["nrmse"][0]),
        ssim=float(values["ssim"][0]),
    )


def _share(image: torch.Tensor, white: float) -> NDArray[np.float64]:
    share: NDArray[np.float64] = image[0, 0].numpy().astype(np.float64) / white
    return share
