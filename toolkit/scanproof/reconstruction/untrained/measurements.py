"""What a fit is judged by: sampled k-space of several slices, a part of it held out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Literal, get_args

import torch
from torch import Tensor

from scanproof.errors import ScanproofError, unknown_name
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.seeds import generator

Loss = Literal["mse", "l1", "log_mse"]
#: what a network generates: one image, or the image of each coil
Output = Literal["image", "coils"]
#: share of each undersampled axis, around its centre, from which nothing is held out
CENTRE = 0.08


class Measurements:
    """Sampled k-space of several slices, scaled, and how far generated images are from it.

    Held out are single positions of k-space, in all coils at once, since coils see the same object.

    Data are scaled so that the zero-filled image has a root-mean-square of ``amplitude``; only what was sampled enters.

    Args:
        kspace: complex64 ``(N, coil, *spatial)``; what the mask does not sample is ignored.
        mask: bool, broadcastable to ``kspace``, the same for all coils.
        sensitivities: complex64 ``(N, coil, *spatial)``.
        output: what the networks generate, see :data:`Output`.
        loss: ``"mse"``: squared error; ``"l1"``: sum over positions of the error's norm over the coils; both
            relative to those of the data; ``"log_mse"``: logarithm of the first.
        held_out: share of the samples outside the centre that is held out, in [0, 1).
        amplitude: see above.
        seed: of what is held out; every slice draws the same positions.

    Raises:
        ScanproofError: values out of range; a slice whose mask samples nothing, or coils that differ in it.

    Example:
        >>> kspace = torch.ones(3, 2, 16, 16) + 0j
        >>> data = Measurements(kspace, torch.ones(1, 1, 1, 16).bool(), torch.ones(3, 2, 16, 16) + 0j)
        >>> loss, held_out = data.errors(torch.zeros(3, 1, 16, 16) + 0j)
        >>> loss
        tensor([1., 1., 1.])
    """

    def __init__(
        self,
        kspace: Tensor,
        mask: Tensor,
        sensitivities: Tensor,
        *,
        output: Output = "image",
        loss: Loss = "mse",
        held_out: float = 0.05,
        amplitude: float = 1.0,
        seed: int = 0,
    ) -> None:
        if output not in get_args(Output):
            raise unknown_name("output", output, get_args(Output), key="output")
        if loss not in get_args(Loss):
            raise unknown_name("loss", loss, get_args(Loss), key="loss")
        if not 0 <= held_out < 1:
            raise ScanproofError("held_out must be in [0, 1)", value=held_out)
        self.output: Output = output
        self.loss: Loss = loss
        self._dims = len(kspace.shape) - 2
        self._axes = tuple(range(-self._dims, 0))
        sampled = _one_mask(mask, kspace)
        self._sensitivities = sensitivities
        self._sampled = sampled

        images = kspace_to_image(kspace * sampled, spatial_dims=self._dims)
        size = self._combine(images).abs().square().flatten(1).mean(dim=1).sqrt().reshape(-1, *(1,) * (self._dims + 1))
        self.empty = (size == 0).flatten()
        self.scale = torch.where(size > 0, size / amplitude, torch.ones_like(size))
        self._kspace = kspace / self.scale
        # the transform without centring: its shifts are moved from every step to the data
        self._data = torch.fft.fftn(images / self.scale, dim=self._axes, norm="ortho")
        held = held_out_positions(sampled, share=held_out, seed=seed)
        self.holds_out = bool(held.flatten(1).any(dim=1).all())
        self._fit_at, self._held_at = (
            torch.fft.ifftshift(part, dim=self._axes).float() for part in (sampled & ~held, held)
        )
        norms, sizes = self._sizes(self._data)
        self._fit_total = _total(sizes * self._fit_at).clamp_min(1e-20)
        self._all_total = _total(sizes * (self._fit_at + self._held_at)).clamp_min(1e-20)
        self._held_total = _total(norms * self._held_at).clamp_min(1e-20)

    def __len__(self) -> int:
        return len(self._data)

    @property
    def device(self) -> torch.device:
        """Where the data are."""
        device: torch.device = self._data.device
        return device

    @property
    def channels(self) -> int:
        """Channels that a network must generate for a slice."""
        return 2 * (self._data.shape[1] if self.output == "coils" else 1)

    def select(self, slices: Sequence[int]) -> Measurements:
        """The measurements of these slices, in this order; a slice may come several times."""
        chosen = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(chosen, name, value[list(slices)])
        return chosen

    def images(self, generated: Tensor) -> Tensor:
        """Complex images, ``(N, 1 or coil, *spatial)``, from channels, float ``(N, 2 · (1 or coil), *spatial)``."""
        pairs = generated.float().reshape(len(generated), -1, 2, *generated.shape[2:])
        return torch.complex(pairs[:, :, 0], pairs[:, :, 1])

    def errors(self, images: Tensor, *, everything: bool = False) -> tuple[Tensor, Tensor]:
        """How far images are from the data.

        Args:
            images: complex ``(N, 1 or coil, *spatial)``, scaled like the data.
            everything: held-out samples count among the fitted ones.

        Returns:
            The loss and the held-out error, each ``(N,)``. The held-out error is the sum over held-out positions of
            the error's norm over the coils, relative to that of the data, whatever the loss; NaN where nothing is held
            out.
        """
        coils = images if self.output == "coils" else self._sensitivities * images
        error = torch.fft.fftn(coils, dim=self._axes, norm="ortho") - self._data
        norms, sizes = self._sizes(error)
        if everything:
            loss = _total(sizes * (self._fit_at + self._held_at)) / self._all_total
        else:
            loss = _total(sizes * self._fit_at) / self._fit_total
        if self.loss == "log_mse":
            loss = loss.clamp_min(1e-20).log()
        if not self.holds_out:
            return loss, torch.full_like(loss, torch.nan)
        return loss, _total(norms.detach() * self._held_at) / self._held_total

    def finish(self, images: Tensor, *, consistency: float) -> Tensor:
        """From a generated image of every slice to the reconstruction.

        Args:
            images: complex ``(N, 1 or coil, *spatial)``, scaled like the data.
            consistency: weight of the measured samples in the mean of measured and generated ones that replaces
                them, in [0, 1].

        Returns:
            complex64 ``(N, 1, *spatial)``, in units of the k-space; zero for a slice whose k-space is.
        """
        coils = images if self.output == "coils" else self._sensitivities * images
        if consistency > 0:
            generated = image_to_kspace(coils, spatial_dims=self._dims)
            mixed = consistency * self._kspace + (1 - consistency) * generated
            coils = kspace_to_image(torch.where(self._sampled, mixed, generated), spatial_dims=self._dims)
        image = self._combine(coils) * self.scale
        return torch.where(self.empty.reshape(self.scale.shape), torch.zeros_like(image), image)

    def _combine(self, coils: Tensor) -> Tensor:
        return (self._sensitivities.conj() * coils).sum(dim=1, keepdim=True)

    def _sizes(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Norm of each position over the coils, (N, 1, *spatial), and what of it the loss adds up."""
        squared = torch.view_as_real(values).square().sum(dim=(1, -1)).unsqueeze(1)
        # the root of zero has no gradient
        norms = (squared + 1e-12).sqrt()
        return norms, norms if self.loss == "l1" else squared


def held_out_positions(sampled: Tensor, *, share: float, seed: int) -> Tensor:
    """Which sampled positions are held out of a fit.

    None lie in the central :data:`CENTRE` of the axes that are undersampled, where the image's contrast is; if none
    is undersampled, of all axes.

    Args:
        sampled: bool ``(N, 1, *spatial)``, k-space centre in the middle.
        share: of the sampled positions outside the centre, in [0, 1).
        seed: of the positions; the same for every slice, so that a slice's do not depend on its neighbours.

    Returns:
        bool of the same shape.

    Example:
        >>> held = held_out_positions(torch.ones(1, 1, 64, 50, dtype=torch.bool), share=0.1, seed=1)
        >>> bool(0.08 < held.float().mean() < 0.12), bool(held[..., 30:34, 23:27].any())
        (True, False)
    """
    axes = range(2 - sampled.ndim, 0)
    varying = [a for a in axes if not (sampled == sampled.narrow(a, 0, 1)).all()]
    central = torch.ones((), dtype=torch.bool, device=sampled.device)
    for axis in varying or axes:
        size = sampled.shape[axis]
        near = (torch.arange(size, device=sampled.device) - size // 2).abs() <= max(1, CENTRE * size / 2)
        central = central & near.reshape(-1, *(1,) * (-axis - 1))
    drawn = torch.rand(sampled.shape[1:], generator=generator(seed, "held out")).to(sampled.device) < share
    return sampled & drawn & ~central


def _one_mask(mask: Tensor, kspace: Tensor) -> Tensor:
    """The mask of each slice, (N, 1, *spatial)."""
    everywhere = mask.expand_as(kspace)
    sampled = everywhere.any(dim=1, keepdim=True)
    if not sampled.flatten(1).any(dim=1).all():
        raise ScanproofError("mask must sample at least one line of every slice", value=0)
    if not (everywhere == sampled).all():
        raise ScanproofError("mask must be the same for all coils", value=tuple(mask.shape))
    return sampled


def _total(values: Tensor) -> Tensor:
    return values.flatten(1).sum(dim=1)
