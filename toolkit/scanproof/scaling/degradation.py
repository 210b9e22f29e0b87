"""What networks learn to undo: noise, undersampling, low resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from scanproof.errors import ScanproofError, unknown_name
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.physics.foreground import foreground, foreground_mean
from scanproof.physics.masks import MaskKind, cartesian_mask
from scanproof.physics.simulate import smooth_phase
from scanproof.scaling.networks import TASKS

#: changes what a scanner sees of one object: its magnitude image (1, H, W), or its k-space (coil, H, W)
Disturb = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Objects:
    """What is examined.

    Args:
        images: (N, 1, H, W): float32 magnitudes, or complex64 with the phase that the object has in the scanner.
        noise: float32 (N,), standard deviation of the noise of each.
    """

    images: Tensor
    noise: Tensor

    def __getitem__(self, rows: Sequence[int]) -> Objects:
        return Objects(self.images[rows], self.noise[rows])


class Degradation(Protocol):
    """From objects to what a network is given; noise is drawn anew in every call."""

    def objects(self, images: Tensor, *, seeds: Sequence[int]) -> Objects:
        """Objects with these magnitudes.

        Args:
            images: float32 (N, 1, H, W), the maximum of each is one.
            seeds: of what belongs to an object and never changes, one each.
        """

    def inputs(
        self, objects: Objects, *, generator: torch.Generator, disturb: Sequence[Disturb] | None = None
    ) -> Tensor:
        """Degraded images.

        Args:
            objects: a batch.
            generator: CPU generator of noise and masks.
            disturb: an artifact for each object; it acts before noise and undersampling.

        Returns:
            float32 (N, 1, H, W).
        """


@dataclass(frozen=True, kw_only=True)
class GaussianNoise:
    """White Gaussian noise on magnitude images (Klug and Heckel, arXiv 2209.13435: sigma = 25/255 of the range).

    Args:
        sigma: its standard deviation, positive, in units of the image's maximum.

    Example:
        >>> noise = GaussianNoise(sigma=0.1)
        >>> objects = noise.objects(torch.ones(2, 1, 32, 32), seeds=[1, 2])
        >>> noise.inputs(objects, generator=torch.Generator().manual_seed(1)).std() < 0.11
        tensor(True)
    """

    sigma: float = 25 / 255

    def __post_init__(self) -> None:
        _check_positive("sigma", self.sigma)

    def objects(self, images: Tensor, *, seeds: Sequence[int]) -> Objects:
        """See :meth:`Degradation.objects`."""
        return Objects(images, torch.full((len(images),), self.sigma))

    def inputs(
        self, objects: Objects, *, generator: torch.Generator, disturb: Sequence[Disturb] | None = None
    ) -> Tensor:
        """See :meth:`Degradation.inputs`."""
        images = _disturbed(objects.images, disturb)
        return images + _white(images.shape, objects.noise, generator)


@dataclass(frozen=True, kw_only=True)
class LowResolution:
    """The centre of k-space alone: an image of fewer pixels, interpolated to the grid of the reference.

    Ours: the published study released neither code nor details of its super-resolution. K-space is cropped to
    ``1 / factor`` of either axis, noise is added to the small image, and k-space is padded with zeros again, which is
    what scanners do. K-space is that of the magnitude image, which has no phase.

    Args:
        factor: by which both axes have fewer pixels, above one.
        sigma: standard deviation of the small image's noise, not negative, in units of the reference's maximum.

    Example:
        >>> low = LowResolution(factor=2, sigma=0)
        >>> objects = low.objects(torch.ones(1, 1, 8, 8), seeds=[1])
        >>> torch.allclose(low.inputs(objects, generator=torch.Generator()), torch.ones(1, 1, 8, 8))
        True
    """

    factor: float = 2.0
    sigma: float = 0.02

    def __post_init__(self) -> None:
        if not 1 < self.factor < math.inf:
            raise ScanproofError("must be above 1", key="factor", value=self.factor)
        if not 0 <= self.sigma < math.inf:
            raise ScanproofError("must be finite and at least 0", key="sigma", value=self.sigma)

    def objects(self, images: Tensor, *, seeds: Sequence[int]) -> Objects:
        """See :meth:`Degradation.objects`."""
        return Objects(images, torch.full((len(images),), self.sigma))

    def inputs(
        self, objects: Objects, *, generator: torch.Generator, disturb: Sequence[Disturb] | None = None
    ) -> Tensor:
        """See :meth:`Degradation.inputs`."""
        kspace = image_to_kspace(_disturbed(objects.images, disturb))
        rows, columns = (_centre(size, self.factor) for size in kspace.shape[-2:])
        # an orthonormal transform of fewer pixels: brightness is kept
        scale = math.sqrt(len(rows) * len(columns) / kspace[0, 0].numel())
        small = kspace_to_image(kspace[..., rows, :][..., columns] * scale).real
        small = small + _white(small.shape, objects.noise, generator)
        padded = torch.zeros_like(kspace)
        padded[..., rows.start : rows.stop, columns.start : columns.stop] = image_to_kspace(small) / scale
        return kspace_to_image(padded).real.contiguous()


@dataclass(frozen=True, kw_only=True)
class Undersampling:
    """Zero-filled root-sum-of-squares images of undersampled multi-coil k-space (Zbontar et al., arXiv 1811.08839).

    K-space is synthetic: the magnitude image gets a smooth phase of its own and is seen by birdcage coils. Receiver
    noise and the offset of the mask are new in every call. The published data were measured once, with their noise.

    Args:
        acceleration, center_fraction, mask: see :func:`~scanproof.physics.masks.cartesian_mask`.
        coils: receive coils.
        snr: signal-to-noise ratio of the fully sampled, combined image; see
            :class:`~scanproof.data.cohort.Acquisition`.
    """

    acceleration: float = 4.0
    center_fraction: float = 0.08
    mask: MaskKind = "equispaced"
    coils: int = 8
    snr: float = 30.0

    def __post_init__(self) -> None:
        _check_positive("snr", self.snr)

    def objects(self, images: Tensor, *, seeds: Sequence[int]) -> Objects:
        """See :meth:`Degradation.objects`."""
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        phases = [smooth_phase(tuple(images.shape[-2:]), generator=draw) for draw in draws]
        signal = [float(foreground_mean(image, foreground(image, spatial_dims=2), spatial_dims=2)) for image in images]
        return Objects(torch.polar(images, torch.stack(phases)[:, None]), torch.tensor(signal) / self.snr)

    def inputs(
        self, objects: Objects, *, generator: torch.Generator, disturb: Sequence[Disturb] | None = None
    ) -> Tensor:
        """See :meth:`Degradation.inputs`."""
        shape = tuple(objects.images.shape[-2:])
        kspace = image_to_kspace(birdcage_sensitivities(self.coils, shape) * objects.images)
        kspace = _disturbed(kspace, disturb)
        real, imaginary = (_white(kspace.shape, objects.noise, generator) for _ in range(2))
        kspace = kspace + torch.complex(real, imaginary)
        masks = [self._mask(shape[-1], generator) for _ in range(len(kspace))]
        images = kspace_to_image(kspace * torch.stack(masks))
        return root_sum_of_squares(images, dim=1, keepdim=True)

    def _mask(self, lines: int, generator: torch.Generator) -> Tensor:
        seed = int(torch.randint(2**31, (), generator=generator))
        return cartesian_mask(
            lines, kind=self.mask, acceleration=self.acceleration, center_fraction=self.center_fraction, seed=seed
        )


def make_degradation(task: str, options: Mapping[str, Any]) -> Degradation:
    """The degradation of a task.

    Args:
        task: one of :data:`~scanproof.scaling.networks.TASKS`.
        options: of its class.

    Raises:
        ScanproofError: unknown task, an option out of range.
    """
    if task == "denoising":
        return GaussianNoise(**options)
    if task == "mri":
        return Undersampling(**options)
    if task == "super_resolution":
        return LowResolution(**options)
    raise unknown_name("scaling task", task, TASKS)


def _disturbed(batch: Tensor, disturb: Sequence[Disturb] | None) -> Tensor:
    if disturb is None:
        return batch
    return torch.stack([change(one) for change, one in zip(disturb, batch, strict=True)])


def _white(shape: Sequence[int], std: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(tuple(shape), generator=generator) * std.reshape(-1, *(1,) * (len(shape) - 1))


def _centre(size: int, factor: float) -> range:
    """Samples of k-space that a coarser image of the same field of view has; both centres are the same sample."""
    kept = max(1, round(size / factor))
    start = size // 2 - kept // 2
    return range(start, start + kept)


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ScanproofError("must be positive and finite", key=name, value=value)
