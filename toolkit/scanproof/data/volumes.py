"""Volumes of any format to slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from scanproof.data.cohort import Acquisition, Cohort
from scanproof.data.file_cohort import SIMULATED, file_cohort
from scanproof.data.manifest import LabelledFile
from scanproof.data.readers import volume_reader_of
from scanproof.data.readers.base import Volume
from scanproof.errors import ScanproofError


def read_slices(
    path: Path,
    *,
    slices: int,
    extent: tuple[float, float],
    matrix: Sequence[int],
    spacing: tuple[float, float],
    adjacent: bool = False,
) -> tuple[np.ndarray, float]:
    """Axial slices of a volume on the study's matrix.

    The volume is turned to the closest right-anterior-superior orientation; slices are taken at even distances
    within ``extent`` of its height (or next to each other, about its middle), resampled in the plane (anti-aliased),
    and cropped or padded about the centre.

    Args:
        path: a file or folder that holds one 3D volume (or one 2D image), see
            :func:`~scanproof.data.readers.reader_of`.
        slices: number of slices; a volume with fewer gives all of them.
        extent: lowest and highest slice as shares of the volume's height, e.g. ``(0.4, 0.7)``.
        matrix: (H, W); rows run from anterior to posterior.
        spacing: voxel size in mm after resampling, (row, column).
        adjacent: take slices that lie next to each other.

    Returns:
        float32 (slices, H, W), not negative, the volume's 99th percentile at one; and the distance in mm of the
        volume's own slices.

    Raises:
        ScanproofError: from :func:`read_volume`.
    """
    found = read_volume(path)
    volume, zooms = found.voxels, found.spacing
    depth = volume.shape[2]
    low, high = extent
    if adjacent:
        heights = (low + high) / 2 * depth - min(slices, depth) / 2 + np.arange(min(slices, depth))
        heights -= max(0.0, heights[-1] - (depth - 1)) + min(0.0, heights[0])
    else:
        heights = (low + (high - low) * (np.arange(slices) + 0.5) / slices) * depth
    chosen = np.unique(np.clip(np.floor(heights), 0, depth - 1).astype(int))
    # rows from anterior to posterior, columns from left to right
    planes = np.ascontiguousarray(volume[:, ::-1, chosen].transpose(2, 1, 0))
    resampled = _resample(planes, native=(zooms[1], zooms[0]), spacing=spacing, matrix=matrix)
    scale = float(np.percentile(volume[volume > 0], 99))
    return np.clip(resampled / scale, 0, None), zooms[2]


def read_volume(path: Path) -> Volume:
    """A volume of whatever format.

    Raises:
        ScanproofError: an unknown format, or what the format's reader says is wrong.
    """
    return volume_reader_of(path).read(path)


def _resample(
    planes: np.ndarray, *, native: tuple[float, float], spacing: tuple[float, float], matrix: Sequence[int]
) -> np.ndarray:
    from monai.transforms import Resize, ResizeWithPadOrCrop

    size = [max(1, round(n * a / b)) for n, a, b in zip(planes.shape[1:], native, spacing, strict=True)]
    shrinks = any(new < old for new, old in zip(size, planes.shape[1:], strict=True))
    resized = Resize(size, mode="bilinear", anti_aliasing=shrinks)(torch.from_numpy(planes))
    return np.asarray(ResizeWithPadOrCrop(list(matrix))(resized), dtype=np.float32)


def volume_cohort(
    site: str,
    volumes: Sequence[LabelledFile],
    *,
    targets: Sequence[str] = (),
    exclusive: bool = False,
    slices: int,
    extent: tuple[float, float],
    matrix: Sequence[int],
    spacing: tuple[float, float],
    coils: int,
    snr: float,
    adjacent: bool = False,
) -> Cohort:
    """The cohort of one site from its volumes.

    Args:
        site: the site's name.
        volumes: one file (or folder of a series) a volume; a slice takes its volume's labels.
        targets: what the labels are about.
        exclusive: they are classes, of which each volume has one.
        slices: see :func:`read_slices`.
        extent: likewise.
        matrix: likewise.
        spacing: likewise.
        coils: receive coils of the acquisition that is simulated from the magnitude images.
        snr: its signal-to-noise ratio.
        adjacent: see :func:`read_slices`; the volumes must then have the same distance of slices, to within 2 %.

    Raises:
        ScanproofError: from :func:`read_slices`; distances that differ.
    """
    distances: list[float] = []

    def read(path: Path) -> np.ndarray:
        planes, distance = read_slices(
            path, slices=slices, extent=extent, matrix=matrix, spacing=spacing, adjacent=adjacent
        )
        distances.append(distance)
        if adjacent and abs(distance / distances[0] - 1) > 0.02:
            rule = f"slices of a site's volumes must be equally far apart ({distances[0]:g} mm)"
            raise ScanproofError(rule, file=path, key="distance in mm", value=distance)
        return planes

    cohort = file_cohort(
        site,
        volumes,
        read,
        targets=targets,
        exclusive=exclusive,
        matrix=matrix,
        acquisition=Acquisition(coils=coils, snr=snr, spacing=spacing, facts=dict(SIMULATED)),
    )
    if not adjacent or not distances:
        return cohort
    return replace(cohort, acquisition=replace(cohort.acquisition, slice_distance=distances[0]))
