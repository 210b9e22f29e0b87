"""Where anatomies come from: the demo subjects, the MNI152 template, or an image file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from scanproof.atlas.anatomy import Anatomy, Slice, Volume, evenly
from scanproof.data.demo.anatomy import SPACING_MM
from scanproof.data.demo.generator import demo_cohort
from scanproof.data.demo.scanner import SCANNERS
from scanproof.data.volumes import read_volume
from scanproof.errors import ScanproofError
from scanproof.evaluation.image_metrics import SSIM_WINDOW

#: of subjects, phases and patterns
SEED = 1
#: demo subjects a site, slices a subject and planes of a volume
SUBJECTS, SLICES, PLANES = 2, 2, 5
#: size of demo images, pixels of 2 mm
MATRIX = (112, 96)
#: receive coils of images that come without
COILS = 8


@dataclass(frozen=True, kw_only=True)
class Anatomies:
    """What one table or gallery is made of.

    Args:
        slices: for shifts that work in two dimensions.
        volumes: for those that work in volumes alone.
        text: one sentence about them, for the reader.
    """

    slices: tuple[Slice, ...]
    volumes: tuple[Volume, ...]
    text: str

    def fitting(self, dimensions: tuple[int, ...]) -> tuple[Anatomy, ...]:
        """Those on which a shift of these dimensions works; slices where both do."""
        return self.slices if Slice.dimensions in dimensions else self.volumes


def measured(path: Path | None = None) -> Anatomies:
    """Anatomies for the severity table: several subjects and slices.

    Args:
        path: a file or folder of a volume; by default the demo subjects of all sites and the MNI152 template.

    Raises:
        ScanproofError: unreadable file, or images too small to measure.
    """
    if path is None:
        slices = tuple(anatomy for site in SCANNERS for anatomy in _demo_slices(site))
        text = (
            f"{len(slices)} simulated FLAIR slices ({SUBJECTS} demo subjects of each of the sites "
            f"{', '.join(SCANNERS)}, {SLICES} slices a subject, {SPACING_MM:g} mm); shifts of volumes on {PLANES} "
            f"sagittal planes of the MNI152 template ({SPACING_MM:g} mm)"
        )
        return Anatomies(slices=slices, volumes=(_template(PLANES),), text=text)
    data, zooms = _read(path)
    indices = evenly(data.shape[2], 2 * SLICES + 1)
    slices = tuple(_axial(data, zooms, index, path=path) for index in indices)
    volume, place = _volume(data, zooms, count=PLANES)
    text = f"{len(slices)} axial slices of the given image; shifts of volumes on {place}"
    return Anatomies(slices=slices, volumes=(volume,), text=text)


def shown(path: Path | None = None, *, index: int | None = None) -> Anatomies:
    """Anatomies for the gallery: one slice, and one plane of a volume.

    Args:
        path: a file or folder of a volume; by default a demo subject with a lesion and the MNI152 template.
        index: axial slice of the file, from 0 at the bottom; by default the middle one.

    Raises:
        ScanproofError: unreadable file, no such slice, images too small, or a slice without a file.
    """
    if path is None:
        if index is not None:
            raise ScanproofError("a slice can be chosen only of an image that is given", key="slice", value=index)
        text = f"Simulated FLAIR slice of a demo subject, {SPACING_MM:g} mm; shifts of volumes on the MNI152 template."
        return Anatomies(slices=(_lesion_slice(),), volumes=(_template(1),), text=text)
    data, zooms = _read(path)
    depth = data.shape[2]
    chosen = depth // 2 if index is None else index
    if not 0 <= chosen < depth:
        raise ScanproofError(f"slice must be in [0, {depth - 1}]", file=path, key="slice", value=index)
    volume, place = _volume(data, zooms, count=1)
    size = " × ".join(f"{zoom:.3g}" for zoom in zooms)
    text = f"Axial slice {chosen} of the given image, voxels of {size} mm; shifts of volumes on {place}."
    return Anatomies(slices=(_axial(data, zooms, chosen, path=path),), volumes=(volume,), text=text)


def _demo_slices(site: str) -> list[Slice]:
    cohort = demo_cohort(site, subjects={"test": SUBJECTS}, slices=SLICES, matrix=MATRIX, seed=SEED)
    found = cohort.acquisition
    return [
        Slice(torch.from_numpy(image), name=str(case), spacing=found.spacing, coils=found.coils, seed=SEED)
        for image, case in zip(cohort.images, cohort.cases["case"], strict=True)
    ]


def _lesion_slice() -> Slice:
    """The demo slice of the first site that shows most lesion."""
    site = next(iter(SCANNERS))
    cohort = demo_cohort(site, subjects={"test": 3}, slices=3, matrix=MATRIX, seed=SEED)
    areas = np.zeros(len(cohort.images)) if cohort.findings is None else cohort.findings.sum(axis=(1, 2, 3))
    image, found = cohort.images[int(np.argmax(areas))], cohort.acquisition
    return Slice(torch.from_numpy(image), name="demo", spacing=found.spacing, coils=found.coils, seed=SEED)


def _template(count: int) -> Volume:
    from nilearn.datasets import load_mni152_template

    data = load_mni152_template(resolution=int(SPACING_MM)).get_fdata(dtype="float32").clip(min=0)
    spacing = (SPACING_MM,) * 3
    return Volume(torch.from_numpy(data), name="MNI152", spacing=spacing, count=count)


def _read(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Volume (X, Y, Z), right-anterior-superior, not negative, its 99th percentile at one."""
    found = read_volume(path)
    data = found.voxels
    if min(data.shape[:2]) < SSIM_WINDOW:
        raise ScanproofError(
            f"slices must have at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels", file=path, value=data.shape
        )
    return np.clip(data / np.percentile(data[data > 0], 99), 0, None), found.spacing


def _axial(data: np.ndarray, zooms: tuple[float, float, float], index: int, *, path: Path) -> Slice:
    """A slice as radiological films lie: rows from anterior to posterior."""
    plane = np.ascontiguousarray(data[:, ::-1, index].T)
    if not plane.max() > 0:
        raise ScanproofError("slice must have positive voxels", file=path, key="slice", value=index)
    spacing = (zooms[1], zooms[0])
    return Slice(torch.from_numpy(plane)[None], name=f"slice-{index}", spacing=spacing, coils=COILS, seed=SEED)


def _volume(data: np.ndarray, zooms: tuple[float, float, float], *, count: int) -> tuple[Volume, str]:
    """The file's own volume where it is one, else the template; and what planes these are."""
    if min(data.shape) < SSIM_WINDOW:
        return _template(count), "sagittal planes of the MNI152 template, as the image has too few slices"
    volume = Volume(torch.from_numpy(data), name="volume", spacing=zooms, count=count)
    return volume, f"{volume.view} planes of its volume"
