"""Image quality of a reconstruction against its reference: metrics that a study names, one value an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.finding import finding_error, norm
from scanproof.evaluation.multiscale import MS_SSIM_SIDES, VIF_SIDE, ms_ssim, vif

if TYPE_CHECKING:
    import torch

#: PSNR of identical images in dB: an error of one float32 resolution step of the reference's maximum
PSNR_CEILING = -20 * math.log10(float(np.finfo(np.float32).eps))
#: side of the Gaussian SSIM window in pixels; images must be at least as large
SSIM_WINDOW = 11


@dataclass(frozen=True, kw_only=True)
class ImageMetric:
    """A metric of images.

    Args:
        measure: gives the values, shape ``(N,)``, of images, references (both in units of the reference's maximum)
            and maps of findings, each ``(N, 1, H, W)``.
        side: shortest side of an image in pixels.
        needs_findings: only images with a finding have a value.
        higher_is_better: the good direction.
    """

    measure: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    side: int = 1
    needs_findings: bool = False
    higher_is_better: bool = True


def _psnr(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    from monai.metrics.regression import PSNRMetric

    values = PSNRMetric(max_val=1.0, reduction="none")(image, reference)
    return cast("torch.Tensor", values).clamp(max=PSNR_CEILING)


def _ssim(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    from monai.metrics.regression import SSIMMetric

    metric = SSIMMetric(spatial_dims=2, data_range=1.0, win_size=SSIM_WINDOW, kernel_sigma=1.5, reduction="none")
    return cast("torch.Tensor", metric(image, reference)).clamp(max=1.0)  # rounding of identical images exceeds it


def _nrmse(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    return norm(image - reference) / norm(reference)


#: every metric that a study can name
IMAGE_METRICS = {
    "psnr": ImageMetric(measure=lambda x, r, _: _psnr(x, r)),
    "ssim": ImageMetric(measure=lambda x, r, _: _ssim(x, r), side=SSIM_WINDOW),
    "nrmse": ImageMetric(measure=lambda x, r, _: _nrmse(x, r), higher_is_better=False),
    "ms_ssim": ImageMetric(measure=lambda x, r, _: ms_ssim(x, r), side=MS_SSIM_SIDES[0]),
    "vif": ImageMetric(measure=lambda x, r, _: vif(x, r), side=VIF_SIDE),
    "finding_error": ImageMetric(measure=finding_error, needs_findings=True, higher_is_better=False),
}
#: what is measured where a study names none
DEFAULT_METRICS = ("psnr", "ssim", "nrmse")
#: metrics that only cases with a finding have
FINDING_METRICS = tuple(name for name, metric in IMAGE_METRICS.items() if metric.needs_findings)


def image_metrics(
    image: torch.Tensor,
    reference: torch.Tensor,
    *,
    metrics: Iterable[str] = DEFAULT_METRICS,
    findings: torch.Tensor | None = None,
) -> dict[str, npt.NDArray[np.float64]]:
    r"""Metrics of every image of a batch.

    One convention holds for all. Images are compared as they are: nothing is cropped, masked, registered or
    rescaled to fit the reference, so a wrong intensity scale counts as an error. The data range of an image is the
    maximum :math:`M` of its own reference. With the error :math:`e = x - r` over :math:`P` pixels:

    - ``psnr`` :math:`= 20 \log_{10} (M \sqrt{P} / \lVert e \rVert)` in dB, at most :data:`PSNR_CEILING` (138.5 dB),
      so that identical images do not turn a mean over cases into infinity;
    - ``ssim``, the mean over all windows that lie wholly inside the image, Gaussian window of 11 x 11 pixels and
      sigma 1.5, :math:`K_1 = 0.01`, :math:`K_2 = 0.03` (Wang et al., IEEE TIP 13(4), 2004, eq. 13; local moments
      without Bessel's correction, as there), in [-1, 1];
    - ``nrmse`` :math:`= \lVert e \rVert / \lVert r \rVert`, Euclidean norms over the image, 0 or more;
    - ``ms_ssim``, see :func:`~scanproof.evaluation.multiscale.ms_ssim`, in [0, 1];
    - ``vif``, see :func:`~scanproof.evaluation.multiscale.vif`, 0 or more;
    - ``finding_error``, see :func:`~scanproof.evaluation.finding.finding_error`, 0 or more.

    PSNR, SSIM and MS-SSIM are MONAI's, on images divided by :math:`M`, which changes none of them and gives every
    image of a batch its own data range.

    Args:
        image: reconstructed images, real, shape ``(N, 1, H, W)``, N at least 1, H and W at least the ``side`` of
            every metric (:data:`IMAGE_METRICS`).
        reference: what they should be, same shape, the maximum of each above zero.
        metrics: names of :data:`IMAGE_METRICS`.
        findings: bool, same shape, where the finding is; for metrics that need it.

    Returns:
        Name to values, float64 of shape ``(N,)``, in the order of the names. Values are finite, but for images without
        a finding, whose :data:`FINDING_METRICS` are NaN.

    Raises:
        ScanproofError: an unknown metric, other shapes, images too small for a metric, complex or non-finite values,
            or a reference without a value above zero.

    Example:
        >>> import torch
        >>> reference = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
        >>> {name: round(float(values[0]), 2) for name, values in image_metrics(reference + 0.1, reference).items()}
        {'psnr': 20.0, 'ssim': 0.98, 'nrmse': 0.17}
    """
    import torch

    names = list(metrics)
    _check(image, reference)
    check_metrics(names, matrix=image.shape[2:], has_findings=findings is not None)
    # MONAI's MetaTensor tracks metadata through every operation; plain tensors are much quicker
    x, r = (t.detach().as_subclass(torch.Tensor).to("cpu", torch.float64) for t in (image, reference))
    peak = r.amax((1, 2, 3), keepdim=True)
    x, r = x / peak, r / peak
    where = torch.zeros_like(r, dtype=torch.bool) if findings is None else findings.as_subclass(torch.Tensor).cpu()
    return {name: np.asarray(IMAGE_METRICS[name].measure(x, r, where), np.float64).reshape(-1) for name in names}


def check_metrics(names: Iterable[str], *, matrix: Sequence[int], has_findings: bool, key: str | None = None) -> None:
    """Check that images allow metrics.

    Args:
        names: of the metrics.
        matrix: rows and columns of the images.
        has_findings: whether it is known where the findings of the images lie.
        key: of the names in a study file, for errors.

    Raises:
        ScanproofError: a metric that is unknown, needs larger images, or needs findings that are not known.

    Example:
        >>> check_metrics(["psnr", "vif"], matrix=(112, 96), has_findings=False)
    """
    for name in names:
        if name not in IMAGE_METRICS:
            raise unknown_name("image metric", name, IMAGE_METRICS, key=key)
        metric = IMAGE_METRICS[name]
        if min(matrix) < metric.side:
            rule = f"metric {name} needs images of at least {metric.side} x {metric.side} pixels"
            raise ScanproofError(rule, key=key, value=" x ".join(map(str, matrix)))
        if metric.needs_findings and not has_findings:
            raise ScanproofError(
                "needs data that say where the finding lies, as those of the demo cohort do",
                key=key,
                value=name,
                hint="leave this metric out",
            )


def _check(image: torch.Tensor, reference: torch.Tensor) -> None:
    import torch

    if image.shape != reference.shape:
        rule = f"image must have the shape of the reference, {tuple(reference.shape)}"
        raise ScanproofError(rule, value=tuple(image.shape))
    if image.ndim != 4 or len(image) < 1 or image.shape[1] != 1:
        raise ScanproofError("image must have shape (N, 1, H, W) with N at least 1", value=tuple(image.shape))
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
