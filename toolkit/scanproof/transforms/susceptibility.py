"""Distortion by an inhomogeneous main field."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.distortion import displace_signal
from scanproof.physics.off_resonance import off_resonance
from scanproof.transforms.base import Shift, require_positive, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

#: rise of the displacement, pixels per pixel, up to which the order of the signal is safely kept
_STEEPEST = 0.9


class Susceptibility(Shift):
    r"""Susceptibility artifact: signal displaced along the phase-encode axis, stretched and piled up.

    Cause: air and tissue magnetise differently, so that the main field is off by :math:`\Delta f` (in Hz) around
    sinuses and ear canals, and imperfect shimming leaves a smooth rest everywhere. Slow phase encoding, as of
    echo-planar imaging, takes the off-resonance for position: signal moves by :math:`\Delta f / b` pixels, with
    the bandwidth :math:`b` per pixel.

    Model: with the displacement :math:`d(u)` in pixels at the place :math:`u` of arrival,
    :math:`x'_c(u) = x_c(u - d(u))\,(1 - \partial d / \partial u)` (Jezzard and Balaban, Magn Reson Med
    1995;34:65), in a form that keeps the amount of signal (:func:`~scanproof.physics.distortion.displace_signal`).
    The random field has a smooth part and a cavity near the edge of the object
    (:func:`~scanproof.physics.off_resonance.off_resonance`), the same for a seed at every resolution, and is scaled
    to a largest displacement of ``displacement``. As it is given at the place of arrival, nothing has to be inverted.

    Severity: displacements up to 1, 2, 4, 6, 8 pixels.

    Limits: where the displacement rises by more than 0.9 pixels per pixel, the image would fold back: all of it is
    then reduced to that, which happens with small matrices. No dephasing within voxels, so signal is moved but never
    lost; no through-plane distortion. Signal that leaves the field of view is lost. All coils see the same field,
    and their sensitivities are moved along with the signal.

    Differs from the elastic deformations of MONAI and TorchIO, which move anatomy in all directions and keep its
    brightness.

    Args:
        severity: 0 to 5.
        displacement: largest displacement along the phase-encode axis, pixels, above 0.
        field: measured field instead of a random one, real and finite, of the images' spatial shape, in any unit, as
            it is scaled to a largest magnitude of one; for a map in Hz, give ``displacement`` as its largest
            magnitude by the bandwidth per pixel. Positive moves towards higher indices.
        axis: spatial axis along which lines are phase-encoded.
        seed: of the random field.

    Raises:
        ScanproofError: both or neither of severity and displacement, a displacement that is not positive, or a field
            that is complex, not finite or zero everywhere, or does not fit the images.

    Example:
        >>> image = torch.zeros(1, 48, 48)
        >>> image[..., 10:38, 12:36] = 1
        >>> distorted = Susceptibility(severity=3, seed=1)(image)
        >>> abs(float(distorted.sum() / image.sum()) - 1) < 0.02
        True
    """

    name: ClassVar[str] = "susceptibility"
    acts_on: ClassVar[Literal["image"]] = "image"

    def __init__(
        self,
        *,
        severity: int | None = None,
        displacement: float | None = None,
        field: torch.Tensor | None = None,
        axis: int = -1,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, displacement=displacement)
        require_positive(self.name, **self.parameters)
        self.field = None if field is None else _checked(torch.as_tensor(field))
        self.axis = axis

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Displace the signal of coil images ``(image, coil, *spatial)``."""
        dims = len(spacing)
        axis = spatial_axis(self.axis, dims, shift=self.name)
        if self.field is None:
            field = off_resonance(data, axis=axis, generator=generator)
        elif self.field.shape != data.shape[2:]:
            expected = f"field must have the spatial shape {tuple(data.shape[2:])}"
            raise ScanproofError(expected, key=self.name, value=tuple(self.field.shape))
        else:
            field = self.field.to(data.device, data.real.dtype)[None, None]
        each = tuple(range(1, field.ndim))
        largest = torch.maximum(field.amax(dim=each, keepdim=True), -field.amin(dim=each, keepdim=True))
        # there is no rise along an axis of one pixel
        rise = field.diff(dim=axis).amax(dim=each, keepdim=True) if field.shape[axis] > 1 else torch.zeros_like(largest)
        pixels = torch.where(rise > 0, _STEEPEST * largest / rise, torch.inf).clamp_max(self.parameters["displacement"])
        displaced = displace_signal(data, field * (pixels / largest), axis=axis)
        # cubic interpolation undershoots beside sharp edges
        return displaced if data.is_complex() else displaced.abs()


def _checked(field: torch.Tensor) -> torch.Tensor:
    """The field in double precision, its largest magnitude 1."""
    plain = field.detach().as_subclass(torch.Tensor)
    if plain.is_complex() or not bool(torch.isfinite(plain).all()) or not bool(plain.any()):
        raise ScanproofError(
            "field must be real, finite and not zero everywhere", key=Susceptibility.name, value=tuple(plain.shape)
        )
    # scaled here, as a field in tesla may be too small for the precision of the images
    return plain.double() / plain.double().abs().max()


class Susceptibilityd(Shiftd):
    """Dictionary version of :class:`Susceptibility`.

    Example:
        >>> Susceptibilityd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = Susceptibility


class RandSusceptibility(RandShift):
    """Random version of :class:`Susceptibility`, for augmentation."""

    shift = Susceptibility


class RandSusceptibilityd(RandShiftd):
    """Dictionary version of :class:`RandSusceptibility`."""

    transform_class = RandSusceptibility
