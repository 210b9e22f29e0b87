from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.ndimage import distance_transform_edt

from scanproof.errors import ScanproofError
from scanproof.evaluation.finding import MARGIN, dilated, finding_error
from scanproof.evaluation.image_metrics import image_metrics


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three images: of one finding, of two findings, of none."""
    rng = np.random.default_rng(3)
    reference = rng.uniform(0.5, 1.5, size=(3, 1, 24, 30))
    findings = np.zeros(reference.shape, bool)
    findings[0, 0, 5:8, 10:14] = True
    findings[1, 0, 0:2, 0:2] = findings[1, 0, 20, 25] = True
    image = reference + 0.1 * rng.normal(size=reference.shape)
    return torch.from_numpy(image), torch.from_numpy(reference), torch.from_numpy(findings)


def test_is_the_nrmse_of_all_pixels_within_two_of_the_finding(case):
    found = finding_error(*case)
    image, reference, findings = (t[:, 0].numpy() for t in case)
    for i in (0, 1):
        region = distance_transform_edt(~findings[i]) <= 2
        error = np.linalg.norm((image[i] - reference[i])[region]) / np.linalg.norm(reference[i][region])
        assert found[i].item() == pytest.approx(error, rel=1e-12)
    assert torch.isnan(found[2])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 8)), min_size=1, max_size=5))
def test_two_steps_of_dilation_give_a_disc_of_radius_two(pixels):
    maps = np.zeros((1, 1, 12, 9), bool)
    maps[0, 0, *np.transpose(pixels)] = True
    expected = distance_transform_edt(~maps[0, 0]) <= MARGIN
    np.testing.assert_array_equal(dilated(torch.from_numpy(maps), pixels=MARGIN)[0, 0], expected)


def test_only_errors_near_the_finding_count(case):
    _, reference, findings = case
    near = dilated(findings, pixels=MARGIN)
    elsewhere = reference + 5.0 * ~near
    np.testing.assert_array_equal(finding_error(elsewhere, reference, findings)[:2], 0)
    np.testing.assert_allclose(finding_error(0.7 * reference, reference, findings)[:2], 0.3)
    # over an image that is finding throughout it is the NRMSE
    whole = torch.ones_like(findings)
    found = image_metrics(elsewhere, reference, metrics=["nrmse", "finding_error"], findings=whole)
    np.testing.assert_allclose(found["finding_error"], found["nrmse"], rtol=1e-12)


def test_a_blurred_edge_counts(case):
    """The margin sees what leaks out of a bright finding, which the finding alone does not."""
    _, _, findings = case
    reference = 1.0 + findings[:1]
    leaked = reference + 0.5 * (dilated(findings[:1], pixels=1) & ~findings[:1])
    assert finding_error(leaked, reference, findings[:1]) > 0.1


def test_a_finding_that_is_lost_has_its_contrast_as_error():
    """In a region where the finding fills nearly all: (2 - 1) / 2, diluted by the margin around it."""
    findings = torch.zeros(1, 1, 200, 200, dtype=torch.bool)
    findings[..., 20:180, 20:180] = True
    reference = 1.0 + findings
    lost = finding_error(torch.ones_like(reference), reference, findings)
    assert lost.item() == pytest.approx(0.5, abs=0.01)


def test_bad_input_says_what_is_wrong(case):
    image, reference, findings = case
    with pytest.raises(ScanproofError, match=r"findings must be bool and have the shape .* got 'torch.float64 \(3, 1"):
        finding_error(image, reference, findings.double())
    with pytest.raises(ScanproofError, match=r"shape of the reference, \(3, 1, 24, 30\), got 'torch.bool \(2, 1"):
        finding_error(image, reference, findings[:2])
    reference[1] = 0
    with pytest.raises(ScanproofError, match="must not be zero throughout a finding, image 1 of the batch is"):
        finding_error(image, reference, findings)
