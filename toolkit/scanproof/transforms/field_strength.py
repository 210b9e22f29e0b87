"""A scanner of lower field strength."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.foreground import OBJECT_SHARE, foreground, foreground_mean
from scanproof.physics.noise import complex_gaussian
from scanproof.transforms.base import Shift, require_positive
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

#: repetition time in longitudinal relaxation times of tissue, e.g. 500 ms and 1000 ms
_REPETITION = 0.5


class FieldStrength(Shift):
    r"""Field strength, by proxy: the image as a scanner of lower field would take it, with less signal and contrast.

    Cause: nuclear magnetisation and the voltage that it induces grow with the field. Where the subject makes the
    noise, the signal-to-noise ratio is proportional to the field (Hoult and Lauterbur, J Magn Reson 1979;34:425).
    Longitudinal relaxation times grow with about its cube root (Bottomley et al., Med Phys 1984;11:425), so that at
    low field tissues recover further between excitations and differ less in a T1-weighted image.

    Model: with the field at a share :math:`\rho` of the original,

    - contrast: coil images are multiplied by :math:`\kappa\, \max(|x| / \max|x|, 0.1)^{\gamma - 1}` of the
      root-sum-of-squares :math:`|x|`, so the signal becomes its power :math:`\gamma` within the object, and
      :math:`\kappa` keeps the mean of the object. For a signal :math:`1 - e^{-u}` with :math:`u = T_R / T_1`, a
      relative change of :math:`T_1` changes it by :math:`-g(u) = -u / (e^u - 1)`; as :math:`u` becomes
      :math:`u \rho^{-1/3}`, logarithmic contrasts shrink by :math:`\gamma = g(u \rho^{-1/3}) / g(u)`, here with
      :math:`u = 0.5`;
    - noise: white complex noise of the standard deviation :math:`\sigma_0 \sqrt{\rho^{-2} - 1}` a channel is added to
      every coil, where :math:`\sigma_0` is the mean of the object over ``snr``. If the image had that noise to begin
      with, the signal-to-noise ratio falls to :math:`\rho` times ``snr``. Object is what exceeds a tenth of the
      maximum.

    Severity: 0.5, 0.33, 0.2, 0.14, 0.1 of the field, e.g. from 3 T to 1.5, 1, 0.6, 0.42 and 0.3 T.

    Limits: **a proxy, not a simulation.** T1 weighting is assumed, T2 and proton density contrast, susceptibility,
    chemical shift, transmit field and coil geometry stay as they are, voxels and scan time too, while low-field
    scanners trade them for signal. The contrast of fluid and fat is compressed like any other.

    Differs from MONAI and TorchIO: they have no counterpart.

    Args:
        severity: 0 to 5.
        ratio: field strength as a share of the original, in (0, 1).
        snr: assumed of the data: mean of the object over the noise standard deviation a channel, above 0.
        seed: of the noise.

    Raises:
        ScanproofError: both or neither of severity and ratio, or a value out of range.

    Example:
        >>> FieldStrength(ratio=0.5, seed=1)(torch.rand(1, 32, 32)).shape
        torch.Size([1, 32, 32])
    """

    name: ClassVar[str] = "field_strength"
    acts_on: ClassVar[Literal["image"]] = "image"
    note: ClassVar[str] = "A proxy: noise and T1 contrast alone follow the field strength."

    def __init__(
        self, *, severity: int | None = None, ratio: float | None = None, snr: float = 40.0, seed: int = 0
    ) -> None:
        super().__init__(severity, seed=seed, ratio=ratio)
        if ratio is not None and not 0 < ratio < 1:
            raise ScanproofError(
                "ratio must be in (0, 1)", key=self.name, value=ratio, hint="severity=0 is the identity"
            )
        require_positive(self.name, snr=snr)
        self.snr = snr

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Compress the contrast of coil images ``(image, coil, *spatial)`` and add noise."""
        dims, ratio = len(spacing), self.parameters["ratio"]
        noise = complex_gaussian(data.shape, std=1.0, generator=generator).to(data.device)
        magnitude = root_sum_of_squares(data, dim=1) if data.is_complex() else data[:, 0]
        mask = foreground(magnitude, spatial_dims=dims, share=OBJECT_SHARE)
        signal = foreground_mean(magnitude, mask, spatial_dims=dims)
        gain = _contrast_gain(magnitude, contrast_exponent(ratio), spatial_dims=dims)
        mean = foreground_mean(magnitude * gain, mask, spatial_dims=dims)
        kept = signal / torch.where(mean > 0, mean, torch.ones_like(mean))
        std = signal * (math.sqrt(ratio**-2 - 1) / self.snr)
        return torch.addcmul(
            data * (gain * kept)[:, None], noise.to(torch.promote_types(data.dtype, noise.dtype)), std[:, None]
        )


def contrast_exponent(ratio: float) -> float:
    """Power of the signal that shrinks T1 contrast as a lower field does.

    Args:
        ratio: of the fields, in (0, 1].

    Returns:
        In (0, 1].

    Example:
        >>> [round(contrast_exponent(ratio), 2) for ratio in (1, 0.5, 0.2, 0.07)]
        [1.0, 0.93, 0.82, 0.67]
    """

    def sensitivity(repetition: float) -> float:
        return repetition / math.expm1(repetition)

    return sensitivity(_REPETITION * ratio ** (-1 / 3)) / sensitivity(_REPETITION)


def _contrast_gain(magnitude: torch.Tensor, gamma: float, *, spatial_dims: int) -> torch.Tensor:
    """Gain of every pixel; constant over the background, whose noise is no tissue and whose gain would be infinite."""
    peak = magnitude.amax(dim=tuple(range(-spatial_dims, 0)), keepdim=True)
    share = magnitude / torch.where(peak > 0, peak, torch.ones_like(peak))
    # not pow, whose last bits depend on the number of threads
    return torch.exp((gamma - 1) * torch.log(share.clamp_min(OBJECT_SHARE)))


class FieldStrengthd(Shiftd):
    """Dictionary version of :class:`FieldStrength`.

    Example:
        >>> FieldStrengthd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = FieldStrength


class RandFieldStrength(RandShift):
    """Random version of :class:`FieldStrength`, for augmentation."""

    shift = FieldStrength


class RandFieldStrengthd(RandShiftd):
    """Dictionary version of :class:`RandFieldStrength`."""

    transform_class = RandFieldStrength
