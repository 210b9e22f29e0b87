"""The demo cohort of one site: subjects with real anatomy, shaped, scanned and labelled at random but seeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from scanproof.data.cohort import Acquisition, Cohort, case_table
from scanproof.data.demo.anatomy import SPACING_MM, mni152, sample
from scanproof.data.demo.lesions import VISIBLE_SHARE, LesionLoad, lesion_share
from scanproof.data.demo.scanner import TISSUES, Scanner, scanner
from scanproof.data.demo.warp import displace, random_diffeomorphism, smooth_noise
from scanproof.seeds import generator

#: axial slices are drawn between these heights of the template (voxels of 2 mm; lateral ventricles to vertex)
LOWEST_SLICE, HIGHEST_SLICE = 40.0, 64.0


def demo_cohort(site: str, *, subjects: Mapping[str, int], slices: int, matrix: Sequence[int], seed: int) -> Cohort:
    """Make the cohort of one demo site.

    Anatomy is the MNI152 template, warped by a random diffeomorphism and seen through the site's pulse sequence;
    a part of the subjects carries white-matter lesions. The label of a slice is whether lesion shows in it.

    Args:
        site: a name of :data:`~scanproof.data.demo.scanner.SCANNERS`.
        subjects: number of subjects of each split, e.g. ``{"train": 80, "val": 20, "test": 24}``.
        slices: axial slices a subject.
        matrix: (H, W) of the images, voxels of 2 mm; rows run from anterior to posterior.
        seed: the study's seed; a subject depends on it, the site and the subject's number only, so that a larger
            cohort holds the smaller one.

    Returns:
        The cohort, with lesion maps as ``findings``.

    Raises:
        ScanproofError: unknown site.

    Example:
        >>> cohort = demo_cohort("north", subjects={"test": 2}, slices=3, matrix=(112, 96), seed=1)
        >>> cohort.images.shape
        (6, 1, 112, 96)
    """
    machine = scanner(site)
    rows: list[dict[str, object]] = []
    images, findings = [], []
    for split, count in subjects.items():
        for number in range(count):
            subject = f"{site}-{split}-{number:03d}"
            stack, share = _subject(machine, slices=slices, matrix=matrix, seed=seed, name=subject)
            images.append(stack)
            findings.append(share >= VISIBLE_SHARE)
            rows += [
                {"subject": subject, "case": f"{subject}-{k}", "split": split, "label": int(share[k].any())}
                for k in range(slices)
            ]
    empty = torch.zeros(0, *matrix)
    return Cohort(
        site=site,
        images=torch.cat([empty, *images]).unsqueeze(1).numpy(),
        findings=torch.cat([empty.bool(), *findings]).unsqueeze(1).numpy(),
        cases=case_table(rows),
        acquisition=Acquisition(
            coils=machine.coils, snr=machine.snr, spacing=(SPACING_MM, SPACING_MM), facts=machine.facts()
        ),
    )


def _subject(
    machine: Scanner, *, slices: int, matrix: Sequence[int], seed: int, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and lesion shares, float32 (slices, H, W), of one subject."""
    rng = generator(seed, "demo", name)
    points = _slice_points(slices=slices, matrix=matrix, rng=rng)
    white, grey, fluid, texture = sample(mni152().maps, points)
    lesion = lesion_share(points, white, load=LesionLoad(), generator=rng)
    shares = dict(zip(TISSUES, (white - lesion, grey, fluid, lesion), strict=True))
    image = torch.zeros_like(white)
    for tissue, share in shares.items():
        # people differ in relaxation times: a few per cent of signal each
        image += machine.signal(tissue) * (1 + 0.04 * float(torch.randn((), generator=rng))) * share
    image *= 1 + (texture - 1) * float(torch.rand((), generator=rng))
    image *= 1 + 0.03 * smooth_noise((slices, *matrix), width=3.0, generator=rng)
    image *= torch.exp(machine.shading * smooth_noise((1, *matrix), width=min(matrix) / 4, generator=rng))
    image = _blur(image, width=machine.blur_mm / SPACING_MM).clamp(min=0)
    return image / torch.quantile(image[image > 0], 0.99), lesion


def _slice_points(*, slices: int, matrix: Sequence[int], rng: torch.Generator) -> torch.Tensor:
    """Template coordinates (slices, H, W, 3) of the pixels of a subject's axial slices."""
    grid = (99, 117, 95)
    rows, columns = (torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in matrix)
    step = (HIGHEST_SLICE - LOWEST_SLICE) / slices
    heights = LOWEST_SLICE + step * (torch.arange(slices) + torch.rand(slices, generator=rng))
    # a turn of the head of a few degrees and a head a few per cent larger or smaller than the template
    angle = 0.05 * torch.randn((), generator=rng)
    scale = 1 + 0.04 * torch.randn(2, generator=rng)
    y, x = torch.meshgrid(-rows * scale[0], columns * scale[1], indexing="ij")
    x, y = x * torch.cos(angle) - y * torch.sin(angle), x * torch.sin(angle) + y * torch.cos(angle)
    plane = torch.stack([x + (grid[0] - 1) / 2, y + (grid[1] - 1) / 2], dim=-1)
    points = torch.cat(
        [plane.expand(slices, *plane.shape), heights[:, None, None, None].expand(-1, *matrix, 1)], dim=-1
    )
    warp = random_diffeomorphism(grid, amplitude_mm=3.5, width_mm=20.0, generator=rng)
    return displace(points, warp)


def _blur(images: torch.Tensor, *, width: float) -> torch.Tensor:
    """Gaussian blur in the plane; width is its standard deviation in pixels, zero for none."""
    if width == 0:
        return images
    taps = torch.exp(-0.5 * (torch.arange(-3, 4) / width) ** 2)
    taps = taps / taps.sum()
    images = F.conv2d(images.unsqueeze(1), taps.reshape(1, 1, 7, 1), padding=(3, 0))
    return F.conv2d(images, taps.reshape(1, 1, 1, 7), padding=(0, 3)).squeeze(1)
