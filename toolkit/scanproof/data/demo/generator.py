"""The demo cohort of one site: subjects with real anatomy, shaped, scanned and labelled at random but seeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from scanproof.data.cohort import Acquisition, Cohort, case_table
from scanproof.data.demo.anatomy import SPACING_MM, mni152, sample
from scanproof.data.demo.findings import LESION, check_findings, read_findings
from scanproof.data.demo.lesions import VISIBLE_SHARE, LesionLoad, draw_lesions, lesion_share, positive_slices
from scanproof.data.demo.scanner import TISSUES, Scanner, scanner
from scanproof.data.demo.shape import USUAL, HeadShape
from scanproof.data.demo.warp import displace, random_diffeomorphism, smooth_noise
from scanproof.data.labels import label_values
from scanproof.errors import ScanproofError
from scanproof.seeds import generator

#: axial slices are drawn between these heights of the template (voxels of 2 mm; lateral ventricles to vertex)
LOWEST_SLICE, HIGHEST_SLICE = 40.0, 64.0
#: voxels of the template along its axes
GRID = (99, 117, 95)


def demo_cohort(
    site: str,
    *,
    subjects: Mapping[str, int],
    slices: int,
    matrix: Sequence[int],
    seed: int,
    adjacent: bool = False,
    labels: Sequence[str] = (LESION,),
    shape: HeadShape = USUAL,
    te: float = 1.0,
    ti: float = 1.0,
) -> Cohort:
    """Make the cohort of one demo site.

    Anatomy is the MNI152 template, warped by a random diffeomorphism and seen through the site's pulse sequence;
    a part of the subjects carries white-matter lesions. The labels of a slice say what shows in it: lesion at all, or
    another finding of :data:`~scanproof.data.demo.findings.FINDINGS`. They change no image.

    Another head shape or sequence timing renders *the same* subjects, slices, lesions and labels again, so that a
    comparison is paired by case. A label always says what the subject has, seen in the usual shape.

    Args:
        site: a name of :data:`~scanproof.data.demo.scanner.SCANNERS`.
        subjects: number of subjects of each split, e.g. ``{"train": 80, "val": 20, "test": 24}``.
        slices: axial slices a subject.
        matrix: (H, W) of the images, voxels of 2 mm; rows run from anterior to posterior.
        seed: the study's seed; a subject depends on it, the site and the subject's number only, so that a larger
            cohort holds the smaller one.
        adjacent: slices of a subject lie next to each other, 2 mm apart, as those of a volume do; without it they are
            spread over the brain.
        labels: findings that are the targets, in this order.
        shape: of the heads.
        te: echo time, in that of the site's protocol.
        ti: inversion time, in that of the site's protocol.

    Returns:
        The cohort, with lesion maps as ``findings``.

    Raises:
        ScanproofError: unknown site or finding, a time that is not positive, more adjacent slices than there are.

    Example:
        >>> cohort = demo_cohort("north", subjects={"test": 2}, slices=3, matrix=(112, 96), seed=1)
        >>> cohort.images.shape
        (6, 1, 112, 96)
    """
    machine = scanner(site).drifted(te=te, ti=ti)
    check_findings(labels)
    if adjacent and slices > HIGHEST_SLICE - LOWEST_SLICE:
        rule = f"adjacent slices must be at most {HIGHEST_SLICE - LOWEST_SLICE:.0f}"
        raise ScanproofError(rule, key="slices", value=slices)
    rows: list[dict[str, object]] = []
    images, findings = [], []
    for split, count in subjects.items():
        for number in range(count):
            subject = f"{site}-{split}-{number:03d}"
            stack, share, found = _subject(
                machine, slices=slices, adjacent=adjacent, matrix=matrix, seed=seed, name=subject, shape=shape
            )
            images.append(stack)
            findings.append(share >= VISIBLE_SHARE)
            rows += [
                {
                    "subject": subject,
                    "case": f"{subject}-{k}",
                    "split": split,
                    **label_values(labels, [int(found[name][k]) for name in labels]),
                }
                for k in range(slices)
            ]
    empty = torch.zeros(0, *matrix)
    return Cohort(
        site=site,
        images=torch.cat([empty, *images]).unsqueeze(1).numpy(),
        findings=torch.cat([empty.bool(), *findings]).unsqueeze(1).numpy(),
        cases=case_table(rows, targets=labels),
        targets=tuple(labels),
        acquisition=Acquisition(
            coils=machine.coils,
            snr=machine.snr,
            spacing=(SPACING_MM, SPACING_MM),
            slice_distance=SPACING_MM if adjacent else None,
            facts=machine.facts(),
        ),
    )


def _subject(
    machine: Scanner,
    *,
    slices: int,
    adjacent: bool,
    matrix: Sequence[int],
    seed: int,
    name: str,
    shape: HeadShape,
) -> tuple[torch.Tensor, torch.Tensor, Mapping[str, np.ndarray]]:
    """Images and lesion shares, float32 (slices, H, W), and findings, bool (slices,), of one subject."""
    rng = generator(seed, "demo", name)
    pose = _Pose.draw(slices=slices, adjacent=adjacent, generator=rng)
    points = pose.points(matrix)
    white, grey, fluid, texture = sample(mni152().maps, points)
    lesions = draw_lesions(points, white, load=LesionLoad(), generator=rng)
    lesion = lesion_share(points, white, lesions)
    shown = positive_slices(lesion)[:, None, None]
    found = read_findings(lesion * shown, points)
    if shape != USUAL:
        points = pose.points(matrix, shape=shape)
        white, grey, fluid, texture = sample(mni152().maps, points)
        lesions = [replace(lesion, rough=_reshaped(lesion.rough, shape)) for lesion in lesions]
        lesion = lesion_share(points, white, lesions)
    lesion = lesion * shown
    shares = dict(zip(TISSUES, (white - lesion, grey, fluid, lesion), strict=True))
    image = torch.zeros_like(white)
    for tissue, share in shares.items():
        # people differ in relaxation times: a few per cent of signal each
        image += machine.signal(tissue) * (1 + 0.04 * float(torch.randn((), generator=rng))) * share
    image *= 1 + (texture - 1) * float(torch.rand((), generator=rng))
    image *= 1 + 0.03 * smooth_noise((slices, *matrix), width=3.0, generator=rng)
    image *= torch.exp(machine.shading * smooth_noise((1, *matrix), width=min(matrix) / 4, generator=rng))
    image = _blur(image, width=machine.blur_mm / SPACING_MM).clamp(min=0)
    return image / torch.quantile(image[image > 0], 0.99), lesion, found


@dataclass(frozen=True, kw_only=True)
class _Pose:
    """How a subject lies in the scanner and differs from the template.

    Args:
        heights: of the slices, template voxels.
        angle: turn of the head in the plane, radians: a few degrees.
        scale: of rows and columns: a few per cent larger or smaller than the template.
        warp: displacement field of the subject's shape.
    """

    heights: torch.Tensor
    angle: torch.Tensor
    scale: torch.Tensor
    warp: torch.Tensor

    @classmethod
    def draw(cls, *, slices: int, adjacent: bool, generator: torch.Generator) -> _Pose:
        extent = HIGHEST_SLICE - LOWEST_SLICE
        if adjacent:
            heights = (extent - slices) * torch.rand((), generator=generator) + torch.arange(slices)
        else:
            heights = extent / slices * (torch.arange(slices) + torch.rand(slices, generator=generator))
        return cls(
            heights=LOWEST_SLICE + heights,
            angle=0.05 * torch.randn((), generator=generator),
            scale=1 + 0.04 * torch.randn(2, generator=generator),
            warp=random_diffeomorphism(GRID, amplitude_mm=3.5, width_mm=20.0, generator=generator),
        )

    def points(self, matrix: Sequence[int], *, shape: HeadShape = USUAL) -> torch.Tensor:
        """Template coordinates (slices, H, W, 3) of the pixels of the axial slices."""
        rows, columns = shape.pixels(*(_centred(n) for n in matrix))
        y, x = torch.meshgrid(-rows * self.scale[0], columns * self.scale[1], indexing="ij")
        turn = torch.cos(self.angle), torch.sin(self.angle)
        x, y = x * turn[0] - y * turn[1], x * turn[1] + y * turn[0]
        plane = torch.stack([x + (GRID[0] - 1) / 2, y + (GRID[1] - 1) / 2], dim=-1)
        slices = len(self.heights)
        heights = self.heights[:, None, None, None].expand(-1, *matrix, 1)
        points = torch.cat([plane.expand(slices, *plane.shape), heights], dim=-1)
        return shape.template(displace(points, self.warp))


def _centred(size: int) -> torch.Tensor:
    """Offsets of pixels from the middle of an axis."""
    return torch.arange(size, dtype=torch.float32) - (size - 1) / 2


def _reshaped(field: torch.Tensor, shape: HeadShape) -> torch.Tensor:
    """What belongs to the tissue, (slices, H, W), where the head of another shape has that tissue."""
    rows, columns = (_centred(n) for n in field.shape[-2:])
    there = shape.pixels(rows, columns)
    y, x = torch.meshgrid(there[0] / rows[-1], there[1] / columns[-1], indexing="ij")
    grid = torch.stack([x, y], dim=-1)[None]
    return F.grid_sample(field[None], grid, mode="bilinear", padding_mode="border", align_corners=True)[0]


def _blur(images: torch.Tensor, *, width: float) -> torch.Tensor:
    """Gaussian blur in the plane; width is its standard deviation in pixels, zero for none."""
    if width == 0:
        return images
    taps = torch.exp(-0.5 * (torch.arange(-3, 4) / width) ** 2)
    taps = taps / taps.sum()
    images = F.conv2d(images.unsqueeze(1), taps.reshape(1, 1, 7, 1), padding=(3, 0))
    return F.conv2d(images, taps.reshape(1, 1, 1, 7), padding=(0, 3)).squeeze(1)
