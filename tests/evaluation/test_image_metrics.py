from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from scanproof.errors import ScanproofError
from scanproof.evaluation.image_metrics import (
    DEFAULT_METRICS,
    FINDING_METRICS,
    IMAGE_METRICS,
    PSNR_CEILING,
    check_metrics,
    image_metrics,
)

FULL_SCALE = 1234.5


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth positive images of very different intensity, and noisy ones."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:1:40j, 0:1:33j]
    waves = [1 + np.sin(9 * k * x + 5 * y) * np.cos(7 * y) for k in (1, 2, 3)]
    reference = np.stack([scale * w for scale, w in zip((1.0, 0.01, FULL_SCALE), waves, strict=True)])[:, None]
    noise = rng.normal(size=reference.shape) * reference.max((1, 2, 3), keepdims=True)
    image = reference + noise * np.array([0.02, 0.1, 0.3])[:, None, None, None]
    return torch.from_numpy(image).float(), torch.from_numpy(reference).float()


def ssim_by_scipy(image: np.ndarray, reference: np.ndarray) -> float:
    """Wang et al. 2004, eq. 13, from scratch: separable window, windows wholly inside the image."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def local_mean(a: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(a, taps, axis=0), taps, axis=1)[5:-5, 5:-5]

    x, y = image.astype(float), reference.astype(float)
    c1, c2 = (0.01 * y.max()) ** 2, (0.03 * y.max()) ** 2
    mx, my = local_mean(x), local_mean(y)
    vx, vy, cov = local_mean(x * x) - mx**2, local_mean(y * y) - my**2, local_mean(x * y) - mx * my
    return float(np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))))


def test_agrees_with_formulas_in_numpy_and_scipy(batch):
    found = image_metrics(*batch)
    assert tuple(found) == DEFAULT_METRICS
    for i, (image, reference) in enumerate(zip(*(t[:, 0].numpy().astype(float) for t in batch), strict=True)):
        error = image - reference
        assert found["psnr"][i] == pytest.approx(10 * np.log10(reference.max() ** 2 / np.mean(error**2)), abs=1e-9)
        assert found["nrmse"][i] == pytest.approx(np.sqrt((error**2).sum() / (reference**2).sum()), rel=1e-12)
        assert found["ssim"][i] == pytest.approx(ssim_by_scipy(image, reference), abs=1e-5)


def test_agrees_with_sewar(batch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of sewar's own imports
        from sewar.full_ref import psnr, ssim
        from sewar.utils import Filter
    found = image_metrics(*batch)
    window = {"fltr": Filter.GAUSSIAN, "ws": 11, "sigma": 1.5}
    for i, (image, reference) in enumerate(zip(*(t[:, 0].numpy().astype(float) for t in batch), strict=True)):
        peak = reference.max()
        assert found["psnr"][i] == pytest.approx(psnr(reference, image, MAX=peak), abs=1e-9)
        assert found["ssim"][i] == pytest.approx(ssim(reference, image, MAX=peak, fltr_specs=window)[0], abs=1e-5)


def test_each_image_is_judged_by_itself(batch):
    image, reference = (torch.nn.functional.pad(t, (0, 8, 0, 8)) for t in batch)  # large enough for all
    findings = reference > 0.9 * reference.amax((2, 3), True)
    together = image_metrics(image, reference, metrics=IMAGE_METRICS, findings=findings)
    for i in range(len(image)):
        one = slice(i, i + 1)
        alone = image_metrics(image[one], reference[one], metrics=IMAGE_METRICS, findings=findings[one])
        for name in IMAGE_METRICS:
            assert together[name].shape == (3,)
            assert together[name].dtype == np.float64
            assert alone[name][0] == pytest.approx(together[name][i], abs=1e-6)


def test_common_scale_of_both_does_not_matter_but_a_wrong_scale_does(batch):
    image, reference = batch
    found, scaled = image_metrics(image, reference), image_metrics(image * 8, reference * 8)
    for name in DEFAULT_METRICS:
        np.testing.assert_allclose(scaled[name], found[name], rtol=1e-6)
    np.testing.assert_allclose(image_metrics(reference * 1.5, reference)["nrmse"], 0.5, rtol=1e-6)
    assert (image_metrics(reference * 1.5, reference)["ssim"] < 0.99).all()


def test_identical_images_are_finite(batch):
    found = image_metrics(batch[1], batch[1])
    assert pytest.approx(138.47, abs=0.01) == PSNR_CEILING
    np.testing.assert_array_equal(found["psnr"], PSNR_CEILING)
    np.testing.assert_allclose(found["ssim"], 1, atol=1e-6)
    np.testing.assert_array_equal(found["nrmse"], 0)


def test_more_noise_is_worse(batch):
    _, reference = batch
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(1)) * reference.amax((2, 3), True)
    levels = [image_metrics(reference + level * noise, reference) for level in (0.01, 0.05, 0.2, 0.8)]
    for name, sign in (("psnr", -1), ("ssim", -1), ("nrmse", 1)):
        assert (np.diff([level[name] for level in levels], axis=0) * sign > 0).all(), name


def test_takes_meta_tensors_and_leaves_inputs_alone(batch):
    from monai.data import MetaTensor

    image, reference = batch[0].clone().requires_grad_(), MetaTensor(batch[1].clone())
    found = image_metrics(image, reference)
    np.testing.assert_array_equal(found["ssim"], image_metrics(*batch)["ssim"])
    assert torch.equal(reference.as_tensor(), batch[1])


ones = torch.ones(2, 1, 16, 16)


@pytest.mark.parametrize(
    ("image", "reference", "message"),
    [
        (ones, torch.ones(2, 1, 16, 17), r"image must have the shape of the reference, \(2, 1, 16, 17\), got \(2, 1"),
        (ones[0], ones[0], r"shape \(N, 1, H, W\) with N at least 1, got \(1, 16, 16\)"),
        (ones[:0], ones[:0], r"N at least 1, got \(0, 1, 16, 16\)"),
        (ones.expand(2, 2, 16, 16), ones.expand(2, 2, 16, 16), r"shape \(N, 1, H, W\)"),
        (ones[..., :10], ones[..., :10], r"metric ssim needs images of at least 11 x 11 pixels, got '16 x 10'"),
        (ones * 1j, ones, "image must be real, got 'torch.complex64'"),
        (torch.stack([ones[0], ones[1] * torch.nan]), ones, "image must be finite in every pixel, image 1 of"),
        (ones, torch.stack([ones[0] * torch.inf, ones[1]]), "reference must be finite in every pixel, image 0 of"),
        (ones, torch.stack([ones[0], ones[1] * 0]), "maximum above zero, image 1 of the batch does not, got 0.0"),
    ],
)
def test_bad_input_says_what_is_wrong(image, reference, message):
    with pytest.raises(ScanproofError, match=message):
        image_metrics(image, reference)


def test_only_what_is_asked_for_is_measured(batch):
    assert tuple(image_metrics(*batch, metrics=["nrmse", "psnr"])) == ("nrmse", "psnr")
    assert image_metrics(*batch, metrics=[]) == {}
    found = image_metrics(*batch, metrics=["finding_error"], findings=torch.zeros(batch[1].shape, dtype=torch.bool))
    assert np.isnan(found["finding_error"]).all()
    assert FINDING_METRICS == ("finding_error",)


@pytest.mark.parametrize(
    ("names", "matrix", "message"),
    [
        (
            ["ssmi"],
            (64, 64),
            r"unknown image metric, got 'ssmi' \(did you mean 'ssim'\? known: finding_error, ms_ssim, ",
        ),
        (["psnr", "vif"], (64, 40), "metric vif needs images of at least 41 x 41 pixels, got '64 x 40'"),
        (["ms_ssim"], (21, 64), "metric ms_ssim needs images of at least 22 x 22 pixels, got '21 x 64'"),
        (["finding_error"], (64, 64), "needs data that say where the finding lies, .*, got 'finding_error' .leave"),
    ],
)
def test_images_that_do_not_allow_a_metric_are_named(names, matrix, message):
    with pytest.raises(ScanproofError, match=message):
        check_metrics(names, matrix=matrix, has_findings=False)
    with pytest.raises(ScanproofError, match=message):
        image_metrics(torch.rand(1, 1, *matrix), torch.rand(1, 1, *matrix), metrics=names)


@pytest.mark.parametrize("name", [name for name, metric in IMAGE_METRICS.items() if metric.side > 1])
def test_the_smallest_allowed_image_is_measured(name):
    reference = torch.rand(1, 1, IMAGE_METRICS[name].side, 50, generator=torch.Generator().manual_seed(1))
    assert image_metrics(reference, reference, metrics=[name])[name] == pytest.approx(1, abs=1e-6)
