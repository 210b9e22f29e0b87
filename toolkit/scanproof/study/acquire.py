"""Acquisition: from a cohort's images, or the k-space measured of them, to what a reconstruction gets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, overload

import numpy as np
import torch
from torch import Tensor

from scanproof.data.cohort import Cohort
from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
from scanproof.data.scans import Scans
from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.physics.foreground import foreground, foreground_mean
from scanproof.physics.masks import cartesian_mask, plane_mask
from scanproof.physics.noise import complex_gaussian
from scanproof.physics.noise_level import noise_level
from scanproof.physics.simulate import synthetic_kspace
from scanproof.seeds import derive_seed, generator
from scanproof.transforms import SHIFTS


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How k-space is sampled.

    Args:
        mask, acceleration, center_fraction: see :func:`~scanproof.physics.masks.cartesian_mask` (slices) and
            :func:`~scanproof.physics.masks.plane_mask` (volumes).
        dimensions: 2, every slice by itself; or 3, the slices of a volume together.
    """

    mask: Literal["full", "random", "equispaced"]
    acceleration: float
    center_fraction: float
    dimensions: Literal[2, 3] = 2

    def draw(self, shape: Sequence[int], *, seed: int) -> Tensor:
        """Which lines of k-space ``(*spatial)`` are acquired: bool, broadcastable to ``(coil, *spatial)``."""
        options = {"kind": self.mask, "acceleration": self.acceleration, "center_fraction": self.center_fraction}
        if self.dimensions == 3:
            return plane_mask((shape[0], shape[-1]), seed=seed, **options)  # type: ignore[arg-type]
        return cartesian_mask(shape[-1], seed=seed, **options)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How an examination differs from the site's protocol.

    Args:
        artifacts: names of :data:`scanproof.transforms.SHIFTS` and severities, in the order in which they act.
        coils: share of the receive coils that work, in (0, 1]; at least one does.
        snr: what the signal-to-noise ratio is divided by, positive.
    """

    artifacts: tuple[tuple[str, int], ...] = ()
    coils: float = 1.0
    snr: float = 1.0


#: options of artifacts that must know how volumes lie here: slices are stacked along the first axis
VOLUME_OPTIONS: dict[str, dict[str, object]] = {"slice_thickness": {"slice_axis": 0}}
#: joint sensitivity of the coils that are left, in that of all, below which measured images are not brightened further
LEAST_SENSITIVITY = 0.1
#: no change
PROTOCOL = Changes()


class ScanMemory:
    """Scans that were simulated last, so that the next reconstruction method need not simulate them again.

    Args:
        most_bytes: what it may hold; the oldest go first.
    """

    def __init__(self, most_bytes: int = 256 * 2**20) -> None:
        self.most_bytes = most_bytes
        self._scans: dict[tuple[object, ...], Tensor] = {}
        self.held_bytes = 0

    def get(self, key: tuple[object, ...]) -> Tensor | None:
        """The scan of this key, if it is still held."""
        return self._scans.get(key)

    def put(self, key: tuple[object, ...], scan: Tensor) -> None:
        """Hold a scan."""
        self._scans[key] = scan
        self.held_bytes += scan.nbytes
        while self.held_bytes > self.most_bytes:
            self.held_bytes -= self._scans.pop(next(iter(self._scans))).nbytes


class AcquiredCohort(Sequence[dict[str, Tensor]]):
    """A cohort as its scanner acquires it, one sample a slice (or volume), made when asked for.

    The order of events is the scanner's: the object, seen by the coils, with the artifacts; then receiver noise; then
    the sampling mask. Phase, noise, mask and artifacts of a case are drawn from seeds that depend on the case (and on
    the artifact's name) alone: the same case meets the same noise under every severity, an artifact has the same
    pattern alone and in company, and reconstructions are paired. Coils that work keep their noise, too.

    K-space is synthetic, made from magnitude images, unless the cohort has scans: then it is what was measured, with
    its own phase and noise, and noise is added only where the signal-to-noise ratio changes, as much as divides it,
    from the level that each coil's own noise is estimated to have (:func:`~scanproof.physics.noise_level.noise_level`).
    Where coils fail, the image is not shaded: what the others see is divided by their joint sensitivity, down to
    :data:`LEAST_SENSITIVITY`, and its noise with it.

    Attributes:
        rows: of the cohort's cases, for each sample.

    Args:
        cohort: the images.
        sampling: how k-space is sampled.
        seed: the study's seed.
        changes: how the examination differs from the site's protocol.
        memory: where scans are kept for the next method.
        identity: tells this cohort's data from others in the memory.
    """

    def __init__(
        self,
        cohort: Cohort,
        *,
        sampling: Sampling,
        seed: int,
        changes: Changes = PROTOCOL,
        memory: ScanMemory | None = None,
        identity: str = "",
    ) -> None:
        self.cohort = cohort
        self.memory = memory or ScanMemory(most_bytes=0)
        self.identity = identity
        self.sampling = sampling
        self.seed = seed
        self.changes = changes
        self.artifacts = [
            SHIFTS.create(name, {"severity": severity, **VOLUME_OPTIONS.get(name, {})})
            for name, severity in changes.artifacts
        ]
        self.coils = working_coils(cohort.acquisition.coils, share=changes.coils)
        if sampling.dimensions == 3:
            if cohort.acquisition.slice_distance is None:
                raise ScanproofError("slices must be adjacent to be acquired as volumes", key=cohort.site)
            self.rows = cohort.volumes()
            self._spacing: tuple[float, ...] = (cohort.acquisition.slice_distance, *cohort.acquisition.spacing)
            if cohort.scans is not None:
                raise ScanproofError("measured k-space must be acquired in slices", key=cohort.site, value=3)
        else:
            self.rows = [slice(row, row + 1) for row in range(len(cohort.cases))]
            self._spacing = cohort.acquisition.spacing

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Tensor]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Tensor]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Acquire a slice or volume: ``kspace``, ``mask``, ``sensitivities``, ``reference`` (magnitude)."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        row = range(len(self))[index]
        image = torch.from_numpy(self.cohort.images[self.rows[row]])  # (slice, 1, H, W)
        image = image.movedim(0, 1) if self.sampling.dimensions == 3 else image[0]
        name = (self.cohort.site, self.name(row))
        if self.cohort.scans is None:
            kspace, sensitivities = self._simulated(image, name)
        else:
            kspace, sensitivities = self._measured(self.cohort.scans, row, name)
        mask = self.sampling.draw(kspace.shape[1:], seed=derive_seed(self.seed, "mask", *name))
        return {KSPACE: kspace * mask, MASK: mask, SENSITIVITIES: sensitivities, REFERENCE: image}

    def name(self, index: int) -> str:
        """Name of a sample: that of its case, or of its volume."""
        case = str(self.cohort.cases["case"].iloc[self.rows[index].start])
        return case.rpartition("-")[0] if self.sampling.dimensions == 3 else case

    def _simulated(self, image: Tensor, name: tuple[str, str]) -> tuple[Tensor, Tensor]:
        """Fully sampled k-space of one sample, made from its image, and sensitivities."""
        coils = self.cohort.acquisition.coils
        sensitivities = _sensitivities(coils, tuple(image.shape[1:]), working=tuple(self.coils))
        key = (self.identity, self.seed, *name, self.changes)
        if (known := self.memory.get(key)) is not None:
            return known, sensitivities
        kspace = synthetic_kspace(image, sensitivities, generator=generator(self.seed, "phase", *name))
        kspace = self._disturbed(kspace, name, spacing=self._spacing)
        kspace = kspace + self._noise(kspace.shape[1:], name, std=self._noise_std(image))
        self.memory.put(key, kspace)
        return kspace, sensitivities

    def _measured(self, scans: Scans, row: int, name: tuple[str, str]) -> tuple[Tensor, Tensor]:
        """Fully sampled k-space of one sample as its scanner measured it, and sensitivities."""
        kspace, sensitivities = scans[row]
        key = (self.identity, self.seed, *name, self.changes)
        own = kspace[self.coils]
        if len(self.coils) < len(kspace):
            kspace, sensitivities = without_lost_coils(kspace, sensitivities, working=self.coils)
        if (known := self.memory.get(key)) is not None:
            return known, sensitivities
        kspace = self._disturbed(kspace, name, spacing=scans.spacing_of(row))
        if self.changes.snr > 1:
            everything = torch.ones(1, 1, 1, dtype=torch.bool)
            level = noise_level(own[:, None], everything)[:, 0]
            more = math.sqrt(self.changes.snr**2 - 1) * self._weaker
            kspace = kspace + self._noise(kspace.shape[1:], name, std=1.0) * (more * level)
        self.memory.put(key, kspace)
        return kspace, sensitivities

    def _disturbed(self, kspace: Tensor, name: tuple[str, str], *, spacing: tuple[float, ...]) -> Tensor:
        """k-space with the artifacts."""
        before: Counter[str] = Counter()
        for (artifact, _), shift in zip(self.changes.artifacts, self.artifacts, strict=True):
            # an artifact that comes twice has another pattern the second time
            again = [before[artifact]] if before[artifact] else []
            before[artifact] += 1
            pattern = derive_seed(self.seed, "shift", artifact, *name, *again)
            kspace = shift(kspace, spacing=spacing, seed=pattern)
        return kspace

    def _noise(self, shape: Sequence[int], name: tuple[str, str], *, std: float) -> Tensor:
        """Receiver noise of the coils that work; it does not depend on which others do."""
        everywhere = (self.cohort.acquisition.coils, *shape)
        noise = complex_gaussian(everywhere, std=std, generator=generator(self.seed, "noise", *name))
        return noise[self.coils]

    @property
    def _weaker(self) -> float:
        """Sensitivities are normalised anew over the coils that work: what signal the others saw is lost."""
        return math.sqrt(self.cohort.acquisition.coils / len(self.coils))

    def _noise_std(self, image: Tensor) -> float:
        dims = self.sampling.dimensions
        signal = float(foreground_mean(image, foreground(image, spatial_dims=dims), spatial_dims=dims))
        return signal / self.cohort.acquisition.snr * self.changes.snr * self._weaker


def working_coils(coils: int, *, share: float) -> list[int]:
    """Which elements of an array work: some of them, as evenly around it as can be.

    Args:
        coils: number of elements.
        share: of them that work, in (0, 1]; rounded, and at least one.

    Raises:
        ScanproofError: a share out of range.

    Example:
        >>> working_coils(8, share=0.375)
        [0, 2, 5]
    """
    if not 0 < share <= 1:
        raise ScanproofError("share of the coils that work must be in (0, 1]", value=share)
    count = max(1, math.floor(coils * share + 0.5))
    return [number * coils // count for number in range(count)]


def without_lost_coils(kspace: Tensor, sensitivities: Tensor, *, working: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What is left of measured k-space where some coils fail.

    The image keeps its intensity: it is divided by the joint sensitivity of the coils that are left, at most by
    :data:`LEAST_SENSITIVITY`, so that noise grows where they see little.

    Args:
        kspace: complex64 ``(coil, H, W)``.
        sensitivities: complex64 of the same shape.
        working: indices of the coils that work.

    Returns:
        k-space and sensitivities, complex64 ``(working, H, W)``; these have a root-sum-of-squares of one again.
    """
    left = sensitivities[list(working)]
    joint = root_sum_of_squares(left, dim=0, keepdim=True)
    outside = joint == 0
    images = kspace_to_image(kspace[list(working)]) / joint.clamp_min(LEAST_SENSITIVITY).masked_fill(outside, 1)
    return image_to_kspace(images), left / joint.masked_fill(outside, 1)


def collate(samples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack samples of one cohort; sensitivities that they share are kept once."""
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in (KSPACE, MASK, REFERENCE)}
    maps = [sample[SENSITIVITIES] for sample in samples]
    shared = all(one is maps[0] for one in maps)
    return {**batch, SENSITIVITIES: maps[0] if shared else torch.stack(maps)}


def quantise(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Store images as hospitals do: unsigned 16-bit integers with a slope for each image.

    Args:
        images: float32 (N, 1, H, W), not negative.

    Returns:
        uint16 of the same shape and float32 slopes (N,).
    """
    slopes = images.max(axis=(1, 2, 3)) / 65_535
    safe = np.where(slopes > 0, slopes, 1.0).astype(np.float32)
    return np.rint(images / safe[:, None, None, None]).astype(np.uint16), safe


def restore(integers: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Undo :func:`quantise`, float32, to within half a slope."""
    return integers.astype(np.float32) * slopes[:, None, None, None].astype(np.float32)


@lru_cache(maxsize=8)
def _sensitivities(coils: int, shape: tuple[int, ...], *, working: tuple[int, ...]) -> Tensor:
    maps = birdcage_sensitivities(coils, shape)
    if len(working) == coils:
        return maps
    left = maps[list(working)]
    return left / root_sum_of_squares(left, dim=0, keepdim=True)
