"""Image metrics that compare images at several resolutions: MS-SSIM and VIF."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    import torch

#: exponents of the scales, finest first (Wang et al. 2003, section 3.2)
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: shorter side in pixels from which MS-SSIM has two, three, four and five scales
MS_SSIM_SIDES = (22, 44, 99, 176)
#: shortest side in pixels at which VIF's fourth scale still has a window inside the image
VIF_SIDE = 41
#: grey level that the reference's maximum gets, for which VIF's visual noise was chosen
VIF_WHITE = 255.0
#: variance of the visual noise, squared grey levels (Sheikh and Bovik 2006)
VIF_NOISE = 2.0


def ms_ssim_scales(height: int, width: int) -> int:
    """How many scales MS-SSIM has on images of this size.

    ===================== =================
    shorter side (pixels)  scales
    ===================== =================
    22 to 43               2
    44 to 98               3
    99 to 175              4
    176 and more           5
    ===================== =================

    A scale is half the size of the one before, and the coarsest must hold a whole window of 11 x 11 pixels. Four
    scales would fit from 88 pixels on; MONAI asks for 99.

    Raises:
        ScanproofError: a side below 22, where MS-SSIM would be plain SSIM.

    Example:
        >>> ms_ssim_scales(320, 320), ms_ssim_scales(112, 96)
        (5, 3)
    """
    side = min(height, width)
    if side < MS_SSIM_SIDES[0]:
        raise ScanproofError(f"side of an image must be at least {MS_SSIM_SIDES[0]} pixels for MS-SSIM", value=side)
    return 1 + sum(side >= least for least in MS_SSIM_SIDES)


def ms_ssim(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    r"""Multi-scale structural similarity, :math:`l_M^{w_M} \prod_{j=1}^M (c_j s_j)^{w_j}`.

    Wang, Simoncelli and Bovik, Asilomar Conference 2003, eq. 7, computed by MONAI: contrast and structure at every
    scale :math:`j`, luminance at the coarsest, window and constants those of SSIM, each scale the mean of 2 x 2 pixels
    of the one before. A negative factor counts as zero.

    The weights are those of the paper where the image is large enough for its five scales. On smaller images
    (:func:`ms_ssim_scales`) the coarsest scales are left out and the other weights divided by their sum, so that
    values of images of different numbers of scales should not be compared.

    Args:
        image: real, shape ``(N, 1, H, W)``, H and W at least 22, in units of the reference's maximum.
        reference: same shape, each with a maximum of one.

    Returns:
        float32, shape ``(N,)``, in [0, 1].

    Raises:
        ScanproofError: images that are too small.

    Example:
        >>> import torch
        >>> reference = torch.linspace(0, 1, 48 * 48).reshape(1, 1, 48, 48)
        >>> round(float(ms_ssim(reference / 2, reference)), 2)
        0.74
    """
    from monai.metrics.regression import MultiScaleSSIMMetric

    weights = MS_SSIM_WEIGHTS[: ms_ssim_scales(*image.shape[-2:])]
    shares = [weight / sum(weights) for weight in weights]
    values = MultiScaleSSIMMetric(2, data_range=1.0, weights=shares, reduction="none")(image, reference)
    return cast("torch.Tensor", values).reshape(-1).clamp(max=1.0)  # rounding of identical images exceeds it


def vif(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    r"""Visual information fidelity in the pixel domain: how much of the reference's information the image still holds.

    Sheikh and Bovik, IEEE TIP 15(2), 2006, eq. 24, in its pixel-domain form of four scales with Gaussian windows of
    17, 9, 5 and 3 pixels, computed by torchmetrics. The model's visual noise has the variance
    :math:`\sigma_n^2 = 2` in squared grey levels of 8-bit pictures, which is why the maximum of the reference becomes
    255 here; with another scale the values are others.

    It is computed in float32, which changes it by less than 1e-3, and by less than 1e-4 in images with visible noise.

    Args:
        image: real, shape ``(N, 1, H, W)``, H and W at least 41, in units of the reference's maximum.
        reference: same shape, each with a maximum of one and not constant.

    Returns:
        float32, shape ``(N,)``, 0 or more: 1 for identical images, above 1 where contrast was raised.

    Raises:
        ScanproofError: images that are too small, or a constant reference, which holds no information.

    Example:
        >>> import torch
        >>> reference = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(1))
        >>> [round(float(vif(share * reference, reference)), 2) for share in (0.1, 1, 1.1)]
        [0.4, 1.0, 1.03]
    """
    import torch
    from torchmetrics.functional.image import visual_information_fidelity

    side = min(image.shape[-2:])
    if side < VIF_SIDE:
        raise ScanproofError(f"side of an image must be at least {VIF_SIDE} pixels for VIF", value=side)
    constant = reference.amin((1, 2, 3)) == reference.amax((1, 2, 3))
    if constant.any():
        index = int(constant.nonzero()[0, 0])
        raise ScanproofError(f"reference must not be constant for VIF, image {index} of the batch is")
    # float64 convolutions are thirty times as slow
    pairs = zip((image * VIF_WHITE).float(), (reference * VIF_WHITE).float(), strict=True)
    return torch.stack([visual_information_fidelity(x[None], r[None], sigma_n_sq=VIF_NOISE) for x, r in pairs])
