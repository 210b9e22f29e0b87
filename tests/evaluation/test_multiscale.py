from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.ndimage import correlate1d

from scanproof.errors import ScanproofError
from scanproof.evaluation.image_metrics import image_metrics
from scanproof.evaluation.multiscale import MS_SSIM_WEIGHTS, ms_ssim, ms_ssim_scales, vif


def pair(height: int, width: int, *, noise: float, images: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Images between 0 and 1 with edges, smooth parts and a dark background, and noisy ones."""
    rng = np.random.default_rng(height + width)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    reference = np.stack([(x**2 + y**2 < 0.8) * (1.5 + np.sin(9 * k * x + 5 * y)) for k in range(1, images + 1)])
    reference /= reference.max((1, 2), keepdims=True)
    image = np.abs(reference + noise * rng.normal(size=reference.shape))
    return torch.from_numpy(image)[:, None], torch.from_numpy(reference)[:, None]


def ms_ssim_by_numpy(x: np.ndarray, y: np.ndarray, weights: tuple[float, ...]) -> float:
    """Wang et al. 2003, eq. 7, from scratch, for a data range of one."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def local_mean(a: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(a, taps, axis=0), taps, axis=1)[5:-5, 5:-5]

    def halved(a: np.ndarray) -> np.ndarray:
        a = a[: a.shape[0] // 2 * 2, : a.shape[1] // 2 * 2]
        return (a[::2, ::2] + a[1::2, ::2] + a[::2, 1::2] + a[1::2, 1::2]) / 4

    value = 1.0
    for scale, weight in enumerate(weights, start=1):
        mx, my = local_mean(x), local_mean(y)
        vx, vy, cov = local_mean(x * x) - mx**2, local_mean(y * y) - my**2, local_mean(x * y) - mx * my
        factor = (2 * cov + 0.03**2) / (vx + vy + 0.03**2)
        if scale == len(weights):
            factor = factor * (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2)
        value *= max(factor.mean(), 0) ** weight
        x, y = halved(x), halved(y)
    return float(value)


@pytest.mark.parametrize(
    ("matrix", "scales"), [((22, 30), 2), ((43, 60), 2), ((44, 44), 3), ((96, 80), 3), ((99, 120), 4), ((180, 177), 5)]
)
@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_ms_ssim_agrees_with_numpy_on_every_number_of_scales(matrix, scales, noise):
    image, reference = pair(*matrix, noise=noise)
    assert ms_ssim_scales(*matrix) == scales
    used = np.array(MS_SSIM_WEIGHTS[:scales])
    expected = ms_ssim_by_numpy(image[0, 0].numpy(), reference[0, 0].numpy(), tuple(used / used.sum()))
    assert ms_ssim(image, reference).item() == pytest.approx(expected, abs=2e-5)


def test_ms_ssim_of_five_scales_agrees_with_torchmetrics():
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    image, reference = (t.float() for t in pair(180, 177, noise=0.1, images=2))
    expected = multiscale_structural_similarity_index_measure(image, reference, reduction="none", data_range=1.0)
    # at the coarsest scale it mirrors the image at its border, where we leave out windows that reach beyond
    np.testing.assert_allclose(ms_ssim(image, reference), expected, atol=3e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(22, 5000), st.integers(22, 5000))
def test_every_scale_holds_a_window_and_weights_sum_to_one(height, width):
    scales = ms_ssim_scales(height, width)
    assert min(height, width) // 2 ** (scales - 1) >= 11
    assert ms_ssim_scales(width, height) == scales
    assert sum(MS_SSIM_WEIGHTS) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("least", [22, 44, 99, 176])
def test_monai_takes_the_smallest_images_of_each_number_of_scales(least):
    _, reference = pair(least, least, noise=0)
    np.testing.assert_allclose(ms_ssim(reference, reference), 1, atol=1e-6)
    if least > 22:
        assert ms_ssim_scales(least - 1, least) == ms_ssim_scales(least, least) - 1


@pytest.mark.parametrize("noise", [0.0, 0.005, 0.05, 0.3])
@pytest.mark.parametrize("matrix", [(41, 41), (60, 47)])
def test_vif_agrees_with_sewar(matrix, noise):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of sewar's own imports
        from sewar.full_ref import vifp
    image, reference = pair(*matrix, noise=noise, images=2)
    expected = [vifp(255 * r[0].numpy(), 255 * x[0].numpy()) for x, r in zip(image, reference, strict=True)]
    np.testing.assert_allclose(vif(image, reference), expected, atol=5e-4)


def test_vif_rises_above_one_with_contrast_and_is_zero_without_information():
    _, reference = pair(60, 47, noise=0)
    assert vif(1.5 * reference, reference).item() > 1.01
    assert vif(0 * reference, reference).item() == pytest.approx(0, abs=1e-6)


def test_scale_of_the_images_does_not_matter():
    image, reference = pair(60, 47, noise=0.1)
    names = ["ms_ssim", "vif"]
    found, scaled = (image_metrics(k * image, k * reference, metrics=names) for k in (1, 4000))
    for name in names:
        np.testing.assert_allclose(scaled[name], found[name], rtol=1e-6)


@pytest.mark.parametrize("metric", [ms_ssim, vif])
def test_more_noise_is_worse(metric):
    values = [metric(*pair(60, 47, noise=noise)).item() for noise in (0, 0.02, 0.1, 0.5)]
    assert values[0] == pytest.approx(1, abs=1e-6)
    assert (np.diff(values) < 0).all()


def test_bad_input_says_what_is_wrong():
    with pytest.raises(ScanproofError, match="at least 22 pixels for MS-SSIM, got 21"):
        ms_ssim(*pair(21, 40, noise=0))
    with pytest.raises(ScanproofError, match="at least 41 pixels for VIF, got 40"):
        vif(*pair(60, 40, noise=0))
    image, reference = pair(41, 41, noise=0, images=2)
    reference[1] = 1
    with pytest.raises(ScanproofError, match="reference must not be constant for VIF, image 1 of the batch is"):
        vif(image, reference)
