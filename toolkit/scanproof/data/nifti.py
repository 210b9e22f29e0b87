"""NIfTI volumes to slices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scanproof.data.cohort import Acquisition, Cohort, case_table
from scanproof.data.labels import label_values
from scanproof.data.manifest import LabelledFile
from scanproof.errors import ScanproofError

#: volumes with more voxels than this are refused before they are read
MAX_VOXELS = 2**31


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
        path: a NIfTI file that holds one 3D volume (or one 2D image).
        slices: number of slices; a volume with fewer gives all of them.
        extent: lowest and highest slice as shares of the volume's height, e.g. ``(0.4, 0.7)``.
        matrix: (H, W); rows run from anterior to posterior.
        spacing: voxel size in mm after resampling, (row, column).
        adjacent: take slices that lie next to each other.

    Returns:
        float32 (slices, H, W), not negative, the volume's 99th percentile at one; and the distance in mm of the
        volume's own slices.

    Raises:
        ScanproofError: unreadable or truncated file, more than one volume, NaN or infinite voxels, empty volume,
            no voxel size.
    """
    volume, zooms = read_volume(path)
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


def read_volume(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Volume (X, Y, Z) in right-anterior-superior order and its voxel size in mm."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    try:
        # nibabel's annotations stop at the base class of all file formats
        image: Any = nib.load(path)
        shape = tuple(int(n) for n in image.shape)
        if len(shape) not in (2, 3) and any(n != 1 for n in shape[3:]):
            raise ScanproofError("file must hold one 2D or 3D volume", file=path, key="shape", value=shape)
        if min(shape, default=0) < 1 or np.prod(shape, dtype=float) > MAX_VOXELS:
            raise ScanproofError(
                f"volume must have between 1 and {MAX_VOXELS} voxels", file=path, key="shape", value=shape
            )
        image = image.slicer[..., *([0] * (len(shape) - 3))] if len(shape) > 3 else image
        if len(shape) == 2:
            image = nib.Nifti1Image(np.asanyarray(image.dataobj)[..., None], image.affine)  # type: ignore[no-untyped-call]
        image = nib.as_closest_canonical(image)  # type: ignore[no-untyped-call]
        data = np.asarray(image.dataobj, dtype=np.float32)
    except ScanproofError:
        raise
    except (ImageFileError, OSError, EOFError, ValueError, MemoryError, nib.spatialimages.HeaderDataError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ScanproofError(f"file must be a readable NIfTI volume: {reason}", file=path) from error
    broken = int((~np.isfinite(data)).sum())
    if broken:
        raise ScanproofError("voxels must be finite", file=path, key="voxels", value=f"{broken} NaN or infinite")
    if not (data > 0).any():
        raise ScanproofError(
            "volume must have positive voxels", file=path, key="voxels", value=f"maximum {data.max():g}"
        )
    zooms = tuple(float(z) for z in image.header.get_zooms()[:3])
    if not all(np.isfinite(zooms)) or min(zooms) <= 0:
        raise ScanproofError("voxel size must be positive", file=path, key="pixdim", value=zooms)
    return data, (zooms[0], zooms[1], zooms[2])


def _resample(
    planes: np.ndarray, *, native: tuple[float, float], spacing: tuple[float, float], matrix: Sequence[int]
) -> np.ndarray:
    from monai.transforms import Resize, ResizeWithPadOrCrop

    size = [max(1, round(n * a / b)) for n, a, b in zip(planes.shape[1:], native, spacing, strict=True)]
    shrinks = any(new < old for new, old in zip(size, planes.shape[1:], strict=True))
    resized = Resize(size, mode="bilinear", anti_aliasing=shrinks)(torch.from_numpy(planes))
    return np.asarray(ResizeWithPadOrCrop(list(matrix))(resized), dtype=np.float32)


def nifti_cohort(
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
    """The cohort of one site from its NIfTI volumes.

    Args:
        site: the site's name.
        volumes: one file a volume; a slice takes its volume's labels.
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
    images: list[np.ndarray] = [np.zeros((0, *matrix), np.float32)]
    rows: list[dict[str, object]] = []
    volumes_of: dict[str, int] = {}
    distances: list[float] = []
    for subject, path, labels, split in volumes:
        planes, distance = read_slices(
            Path(path), slices=slices, extent=extent, matrix=matrix, spacing=spacing, adjacent=adjacent
        )
        distances.append(distance)
        if adjacent and abs(distance / distances[0] - 1) > 0.02:
            raise ScanproofError(
                f"slices of a site's volumes must be equally far apart ({distances[0]:g} mm)",
                file=path,
                key="pixdim",
                value=distance,
            )
        number = volumes_of[subject] = volumes_of.get(subject, -1) + 1
        images.append(planes)
        rows += [
            {"subject": subject, "case": f"{subject}-{number}-{k}", "split": split, **label_values(targets, labels)}
            for k in range(len(planes))
        ]
    facts = {"coils and noise": "simulated from magnitude images"}
    return Cohort(
        site=site,
        images=np.concatenate(images)[:, None],
        cases=case_table(rows, targets=targets),
        targets=tuple(targets),
        exclusive=exclusive,
        acquisition=Acquisition(
            coils=coils,
            snr=snr,
            spacing=spacing,
            slice_distance=distances[0] if adjacent and distances else None,
            facts=facts,
        ),
    )
