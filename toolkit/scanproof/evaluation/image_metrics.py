"""Image quality of a reconstruction against its reference: PSNR, SSIM and NRMSE, one value an image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    import torch

#: metrics of an image, in the order in which they are returned
IMAGE_METRICS = ("psnr", "ssim", "nrmse")
#: PSNR of identical images in dB: an error of one float32 resolution step of the reference's maximum
PSNR_CEILING = -20 * math.log10(float(np.finfo(np.float32).eps))
#: side of the Gaussian SSIM window in pixels; images must be at least as large
SSIM_WINDOW = 11


def image_metrics(image: torch.Tensor, reference: torch.Tensor) -> dict[str, npt.NDArray[np.float64]]:
    r"""PSNR, SSIM and NRMSE of every image of a batch.

    One convention holds for all three. Images are compared as they are: nothing is cropped, masked, registered or
    rescaled to fit the reference, so a wrong intensity scale counts as an error. The data range of an image is the
    maximum :math:`M` of its own reference. With the error :math:`e = x - r` over :math:`P` pixels:

    - ``psnr`` :math:`= 20 \log_{10} (M \sqrt{P} / \lVert e \rVert)` in dB, at most :data:`PSNR_CEILING` (138.5 dB),
      so that identical images do not turn a mean over cases into infinity;
    - ``ssim``, the mean over all windows that lie wholly inside the image, Gaussian window of 11 x 11 pixels and
      sigma 1.5, :math:`K_1 = 0.01`, :math:`K_2 = 0.03` (Wang et al., IEEE TIP 13(4), 2004, eq. 13; local moments
      without Bessel's correction, as there), in [-1, 1];
    - ``nrmse`` :math:`= \lVert e \rVert / \lVert r \rVert`, Euclidean norms over the image, 0 or more.

    PSNR and SSIM are MONAI's, on images divided by :math:`M`, which changes neither value and gives every image of
    a batch its own data range.

    Args:
        image: reconstructed images, real, shape ``(N, 1, H, W)``, N at least 1, H and W at least 11.
        reference: what they should be, same shape, the maximum of each above zero.

    Returns:
        ``psnr``, ``ssim`` and ``nrmse``, each float64 of shape ``(N,)``.

    Raises:
        ScanproofError: other shapes, complex or non-finite values, or a reference without a value above zero.

    Example:
        >>> import torch
        >>> reference = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
        >>> {name: round(float(values[0]), 2) for name, values in image_metrics(reference + 0.1, reference).items()}
        {'psnr': 20.0, 'ssim': 0.98, 'nrmse': 0.17}
    """
    import torch
    from monai.metrics.regression import PSNRMetric, SSIMMetric

    _check(image, reference)
    # MONAI's MetaTensor tracks metadata through every operation; plain tensors are much quicker
    x, r = (t.detach().as_subclass(torch.Tensor).to("cpu", torch.float64) for t in (image, reference))
    peak = r.amax((1, 2, 3), keepdim=True)
    x, r = x / peak, r / peak

    psnr = PSNRMetric(max_val=1.0, reduction="none")(x, r)
    ssim = SSIMMetric(spatial_dims=2, data_range=1.0, win_size=SSIM_WINDOW, kernel_sigma=1.5, reduction="none")(x, r)
    nrmse = torch.linalg.vector_norm(x - r, dim=(1, 2, 3)) / torch.linalg.vector_norm(r, dim=(1, 2, 3))
    values = (np.asarray(v, np.float64).reshape(-1) for v in (psnr, ssim, nrmse))
    found = dict(zip(IMAGE_METRICS, values, strict=True))
    return found | {"psnr": np.minimum(found["psnr"], PSNR_CEILING)}


def _check(image: torch.Tensor, reference: torch.Tensor) -> None:
    import torch

    if image.shape != reference.shape:
        rule = f"image must have the shape of the reference, {tuple(reference.shape)}"
        raise ScanproofError(rule, value=tuple(image.shape))
    if image.ndim != 4 or len(image) < 1 or image.shape[1] != 1 or min(image.shape[2:]) < SSIM_WINDOW:
        rule = f"image must have shape (N, 1, H, W) with N at least 1, H and W at least {SSIM_WINDOW}"
        raise ScanproofError(rule, value=tuple(image.shape))
    for key, tensor in (("image", image), ("reference", reference)):
        if tensor.is_complex():
            raise ScanproofError(f"{key} must be real", value=str(tensor.dtype), hint="take the magnitude first")
        broken = ~torch.isfinite(tensor).flatten(1).all(1)
        if broken.any():
            index = int(broken.nonzero()[0, 0])
            raise ScanproofError(f"{key} must be finite in every pixel, image {index} of the batch is not")
    empty = reference.flatten(1).amax(1) <= 0
    if empty.any():
        index = int(empty.nonzero()[0, 0])
        rule = f"reference must have a maximum above zero, image {index} of the batch does not"
        raise ScanproofError(rule, value=float(reference[index].max()))
