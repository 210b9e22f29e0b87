"""How strong the noise of acquired k-space is, read off the k-space itself."""

from __future__ import annotations

import math

import torch

from scanproof.errors import ScanproofError

#: median magnitude of circular complex Gaussian noise whose real part has a standard deviation of one (Rayleigh)
_MEDIAN_MAGNITUDE = math.sqrt(2 * math.log(2))


def noise_level(kspace: torch.Tensor, mask: torch.Tensor, *, share: float = 0.1) -> torch.Tensor:
    r"""Standard deviation of the noise, from the samples farthest from the k-space centre.

    Energy of an image falls off towards high spatial frequencies and white noise does not, so the outermost samples
    are noise above all. The median of their magnitudes is the Rayleigh distribution's, :math:`\sigma\sqrt{2 \ln 2}`,
    and a few strong samples (spikes, edges) hardly move it. Zeros are left out, since scanners fill the corners of
    k-space with them. Distance is elliptical, the edge of every axis being equally far from the centre.

    Measured on synthetic k-space of the demo cohort (96 x 80 and 160 x 144, accelerations 1 to 8), the estimate is
    within 3 % at signal-to-noise ratios of 12 to 50 and up to 30 % too high at 200, where what remains of the object
    at the edge of k-space counts as noise.

    Limits: k-space that was filtered or interpolated has less noise at its edge than elsewhere, coils of unequal
    noise give a value between theirs, and correlation between coils is not seen.

    Args:
        kspace: complex ``(..., coil, H, W)``, centred.
        mask: bool, broadcastable to ``kspace``, True where a sample was acquired.
        share: of the acquired samples that count as outermost, in (0, 1].

    Returns:
        Real, ``(..., 1, 1, 1)``: standard deviation of the real part and of the imaginary part, each, in units of
        ``kspace``; zero for a slice without any sample that is not zero.

    Raises:
        ScanproofError: k-space that is not complex, or a share outside (0, 1].

    Example:
        >>> from scanproof.physics.noise import complex_gaussian
        >>> noise = complex_gaussian((4, 64, 64), std=2.0, generator=torch.Generator().manual_seed(1))
        >>> round(noise_level(noise, torch.ones(1, 1, 64, dtype=torch.bool)).item(), 1)
        2.0
    """
    if kspace.ndim < 3 or not kspace.is_complex():
        raise ScanproofError(
            "must be complex (..., coil, H, W)", key="kspace", value=f"{kspace.dtype} {tuple(kspace.shape)}"
        )
    if not 0 < share <= 1:
        raise ScanproofError("must be in (0, 1]", key="share", value=share)
    magnitude = (kspace * mask).abs()
    acquired = (magnitude > 0).any(dim=-3, keepdim=True)
    radius = torch.where(acquired, _radius(kspace), torch.nan)
    outermost = radius >= _quantile(radius, 1 - share)
    noise = torch.where(outermost & (magnitude > 0), magnitude, torch.nan).flatten(-3)
    median: torch.Tensor = noise.nanmedian(dim=-1).values.nan_to_num(0)
    return (median / _MEDIAN_MAGNITUDE)[..., None, None, None]


def _radius(kspace: torch.Tensor) -> torch.Tensor:
    """Distance of every sample from the centre, (H, W), one at the edge of each axis."""
    rows, columns = ((torch.arange(n) - n // 2) / max(n / 2, 1) for n in kspace.shape[-2:])
    return torch.hypot(rows[:, None], columns).to(kspace.real)


def _quantile(radius: torch.Tensor, level: float) -> torch.Tensor:
    """Of the numbers of each slice (..., 1, H, W) that are not NaN; unlike torch's own it knows no largest size."""
    ordered = radius.flatten(-3).sort(dim=-1).values  # NaN comes last
    count = (~ordered.isnan()).sum(dim=-1, keepdim=True)
    index = (level * (count - 1)).long().clamp(min=0)
    return ordered.gather(-1, index)[..., None, None]
