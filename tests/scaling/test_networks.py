"""The U-Nets of the published scaling laws."""

from __future__ import annotations

import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.scaling.networks import ScalingUnet, build_network, count_parameters


def parameters(width: int, *, poolings: int, channels: int) -> int:
    with torch.device("meta"):  # the widest have half a billion
        return count_parameters(ScalingUnet(width, poolings=poolings, channels=channels))


@pytest.mark.parametrize(("width", "published"), [(16, 116_707), (32, 465_859)])
def test_denoising_has_the_published_parameters(width: int, published: int) -> None:
    assert parameters(width, poolings=2, channels=3) == published


@pytest.mark.parametrize(
    ("width", "millions"),
    [(64, 1.86), (128, 7.44), (192, 16.7), (256, 29.8), (320, 46.5)],
    ids=lambda value: f"{value}",
)
def test_wider_ones_have_the_published_parameters_as_rounded(width: int, millions: float) -> None:
    assert float(f"{parameters(width, poolings=2, channels=3) / 1e6:.3g}") == millions


@pytest.mark.parametrize(("width", "millions"), [(64, 31), (128, 124)])
def test_mri_has_the_published_parameters_as_rounded(width: int, millions: int) -> None:
    assert round(parameters(width, poolings=4, channels=1) / 1e6) == millions


@pytest.mark.parametrize("task", ["denoising", "mri", "super_resolution"])
def test_any_size_goes_in_and_comes_out(task) -> None:
    image = torch.rand(2, 1, 37, 42, generator=torch.Generator().manual_seed(1))
    assert build_network(task, 2, seed=1)(image).shape == image.shape


def test_normalised_network_does_not_depend_on_the_scale_of_images() -> None:
    network = build_network("mri", 2, seed=1)
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(3 * image + 1), 3 * network(image) + 1, rtol=1e-4, atol=1e-4)


def test_weights_follow_the_seed_and_leave_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build_network("denoising", 2, seed=seed).last.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ScanproofError, match=r"^width: must be at least 1, got 0"):
        ScalingUnet(0, poolings=2)
    with pytest.raises(ScanproofError, match=r"unknown scaling task, got 'denoise' .did you mean 'denoising'"):
        build_network("denoise", 2, seed=1)  # type: ignore[arg-type]
