"""White-matter lesions of varied size, shape and contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from scanproof.data.demo.anatomy import SPACING_MM
from scanproof.data.demo.warp import smooth_noise

#: a slice counts as positive when at least this area of it (mm²) holds lesion of at least the visible share
MIN_AREA_MM2 = 48.0
VISIBLE_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class LesionLoad:
    """How many lesions a patient has and how they look.

    Args:
        mean_count: mean number of lesions beyond the first (Poisson).
        radius_mm: smallest and largest mean radius.
        share: smallest and largest share of white matter that the lesion replaces at its core.
        patients: share of subjects who have lesions at all.
    """

    mean_count: float = 2.0
    radius_mm: tuple[float, float] = (4.5, 10.0)
    share: tuple[float, float] = (0.6, 1.0)
    patients: float = 0.85


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One lesion: an ellipsoid with a rough surface.

    Args:
        centre: float32 (3,), template voxel coordinates.
        axes: float32 (3,), its half axes in mm.
        rotation: float32 (3, 3), their directions.
        rough: float32 (slices, H, W), what is added to the distance from the surface, in half axes.
        core: share of white matter that it replaces at its core.
    """

    centre: torch.Tensor
    axes: torch.Tensor
    rotation: torch.Tensor
    rough: torch.Tensor
    core: torch.Tensor


def draw_lesions(
    points: torch.Tensor, white: torch.Tensor, *, load: LesionLoad, generator: torch.Generator
) -> list[Lesion]:
    """Lesions of one subject, none for one who is no patient.

    Centres are drawn among points of nearly pure white matter.

    Args:
        points: float32 (slices, H, W, 3), template voxel coordinates of every pixel.
        white: float32 (slices, H, W), white-matter share of every pixel.
        load: the distribution of lesions.
        generator: source of randomness.
    """
    patient = torch.rand((), generator=generator) < load.patients
    count = 1 + int(torch.poisson(torch.tensor(load.mean_count), generator=generator))
    eligible = (white > 0.9).nonzero()
    if not patient or len(eligible) == 0:
        return []
    lesions = []
    for _ in range(count):
        centre = points[tuple(eligible[torch.randint(len(eligible), (), generator=generator)])]
        low, high = load.radius_mm
        radius = low + (high - low) * torch.rand((), generator=generator)
        axes = radius * (0.7 + 0.6 * torch.rand(3, generator=generator))
        rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator))
        rough = 0.15 * smooth_noise(tuple(white.shape), width=2.0, generator=generator)
        low, high = load.share
        core = low + (high - low) * torch.rand((), generator=generator)
        lesions.append(Lesion(centre=centre, axes=axes, rotation=rotation, rough=rough, core=core))
    return lesions


def lesion_share(points: torch.Tensor, white: torch.Tensor, lesions: Sequence[Lesion]) -> torch.Tensor:
    """Share of lesion tissue at the points of some slices of one subject; it replaces white matter only.

    Args:
        points: float32 (slices, H, W, 3), template voxel coordinates of every pixel.
        white: float32 (slices, H, W), white-matter share of every pixel.
        lesions: with ``rough`` at these pixels.

    Returns:
        float32 (slices, H, W) in [0, 1].
    """
    share = torch.zeros_like(white)
    for lesion in lesions:
        offset = (points - lesion.centre) * SPACING_MM @ lesion.rotation / lesion.axes
        inside = torch.sigmoid((1 - offset.norm(dim=-1) + lesion.rough) / 0.12)
        share = torch.maximum(share, lesion.core * inside * white)
    return share


def positive_slices(share: torch.Tensor) -> torch.Tensor:
    """In which slices (slices, H, W) enough lesion shows to call them positive, bool (slices,).

    Elsewhere the generator shows no lesion at all, so that labels carry no ambiguity.
    """
    area = (share >= VISIBLE_SHARE).sum(dim=(1, 2)) * SPACING_MM**2
    return area >= MIN_AREA_MM2
