from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.physics.masks import cartesian_mask
from scanproof.reconstruction.cg_sense import CgSense
from scanproof.reconstruction.untrained.presets import CONV_DECODER, DEEP_DECODER, DEEP_IMAGE_PRIOR
from scanproof.reconstruction.untrained.reconstructors import (
    ConvDecoder,
    DeepDecoder,
    DeepImagePrior,
    UntrainedReconstructor,
)
from scanproof.reconstruction.untrained.space import Choices, Range
from scanproof.registry import Registry

METHODS = {
    "conv_decoder": (ConvDecoder, {"channels": 8, "layers": 4}),
    "deep_decoder": (DeepDecoder, {"channels": 16, "layers": 3}),
    "deep_image_prior": (DeepImagePrior, {"channels": 8, "scales": 2}),
}
methods = pytest.mark.parametrize("name", METHODS)


def make(name: str, **options) -> UntrainedReconstructor:
    kind, small = METHODS[name]
    return kind(**{**small, "iterations": 12, "warmup": 0, "precision": "float32", **options})


def call(method, p) -> torch.Tensor:
    return method(p["kspace"], p["mask"], p["sensitivities"])


@methods
def test_ensembles_and_batches_are_their_parts(problem, name: str) -> None:
    p = problem(slices=2)
    method = make(name, ensemble=2, consistency=0.0)
    batch = call(method, p)
    assert batch.shape == (2, 1, 32, 28)
    report = method.fit_report
    assert report["slice"].tolist() == [0, 0, 1, 1]
    assert report["seed"].nunique() == 2
    assert (report["held_out"] > 0).all()
    assert (report["steps"] == 12).all()
    for n in range(2):
        single = method(p["kspace"][n], p["mask"], p["sensitivities"][n])
        assert torch.equal(single, batch[n])
        complex_mean = sum(one.image for one in method.fits) / 2
        ratio = single.abs().sum() / complex_mean.abs().sum()
        torch.testing.assert_close(single, ratio * complex_mean.abs(), atol=1e-4, rtol=1e-3)


@methods
def test_any_batch_axes(problem, name: str) -> None:
    p = problem(slices=4)
    shaped = {k: v.reshape(2, 2, *v.shape[1:]) for k, v in p.items() if k in ("kspace", "sensitivities")}
    image = make(name)(shaped["kspace"], p["mask"], shaped["sensitivities"])
    assert image.shape == (2, 2, 1, 32, 28)
    torch.testing.assert_close(image.flatten(0, 1), call(make(name), p))


@methods
def test_an_image_for_each_coil(problem, name: str) -> None:
    method = make(name, output="coils", iterations=150)
    p = problem(noise=0.02)
    image = call(method, p)
    assert method.fits[0].image.shape == (4, 32, 28)
    assert float((image - p["reference"]).norm() / p["reference"].norm()) < 0.6


def test_default_is_better_than_least_squares_on_noisy_data(problem) -> None:
    p = problem(noise=0.25)
    errors = [
        float((call(method, p)[0] - p["reference"]).norm() / p["reference"].norm())
        for method in (ConvDecoder(channels=16, layers=4), CgSense())
    ]
    assert errors[0] < 0.8 * errors[1]


def test_warm_start_follows_the_order_of_slices(problem) -> None:
    p = problem(slices=2)
    p["kspace"][1] = p["kspace"][0]
    cold, warm = (make("conv_decoder", warm_start=value, iterations=40) for value in ("none", "previous_slice"))
    call(cold, p)
    call(warm, p)
    assert warm.fits[0].held_out == cold.fits[0].held_out
    assert warm.fits[1].held_out < cold.fits[1].held_out


def test_initial_weights_are_used(problem) -> None:
    p = problem()
    method = make("conv_decoder", iterations=60)
    call(method, p)
    first = method.fits[0]
    method.initial = first.weights
    call(method, p)
    assert method.fits[0].held_out < first.held_out


def test_progress_is_passed_on(problem) -> None:
    told = []
    method = make("conv_decoder")
    method.progress = told.append
    call(method, problem())
    assert [step.step for step in told] == [10, 12]


def test_works_under_no_grad(problem) -> None:
    p = problem()
    with torch.no_grad():
        quiet = call(make("conv_decoder"), p)
    assert torch.equal(quiet, call(make("conv_decoder"), p))


def test_published_presets_are_the_published_procedure() -> None:
    method = ConvDecoder(preset="published")
    assert method.output == "coils"
    assert (method.options.iterations, method.options.learning_rate, method.options.loss) == (20_000, 0.008, "mse")
    assert (method.options.held_out, method.options.averaging, method.options.consistency) == (0, 0, 1)
    brain = ConvDecoder(preset="published_brain")
    assert brain.output == "image"
    assert brain.network_options == {"channels": 64, "layers": 5, "input_size": (10, 5), "bias": True}
    for kind, presets in ((ConvDecoder, CONV_DECODER), (DeepDecoder, DEEP_DECODER), (DeepImagePrior, DEEP_IMAGE_PRIOR)):
        for name in presets:
            kind(preset=name)


@methods
def test_published_procedure_runs(problem, name: str) -> None:
    """With fewer channels and steps: it scales data to what the network generates, and keeps the lowest loss."""
    options = {"channels": 8, "iterations": 15} | ({"scales": 3} if name == "deep_image_prior" else {"layers": 4})
    method = METHODS[name][0](preset="published", **options)
    call(method, problem())
    [one] = method.fits
    assert one.steps == 15
    assert one.held_out != one.held_out  # nothing was held out
    size = float(one.image.abs().square().sum(dim=0).mean().sqrt())
    assert 0.05 < size < 20


def test_preset_files(tmp_path, problem) -> None:
    found = tmp_path / "tuned.yaml"
    found.write_text("channels: 8\nlayers: 3\niterations: 10\ninput_size: [4, 4]\noutput: coils\n")
    method = ConvDecoder(preset=found, layers=4)
    assert method.network_options == {"channels": 8, "layers": 4, "input_size": [4, 4]}
    assert (method.options.iterations, method.output) == (10, "coils")
    call(method, problem())
    found.write_text("chanels: 8\n")
    with pytest.raises(
        ScanproofError, match=r"tuned\.yaml: chanels: unknown option, got 'chanels' \(did you mean 'channels'"
    ):
        ConvDecoder(preset=str(found))
    found.write_text("- 8\n")
    with pytest.raises(ScanproofError, match=r"tuned\.yaml: preset must map options to values, got 'list'"):
        ConvDecoder(preset=found)
    found.write_text("a: [")
    with pytest.raises(ScanproofError, match=r"tuned\.yaml: line 1, column 5: must be valid YAML"):
        ConvDecoder(preset=found)
    with pytest.raises(ScanproofError, match=r"none\.yaml: preset must exist"):
        ConvDecoder(preset=tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "publised"}, "unknown preset, got 'publised'.*did you mean 'published'"),
        ({"chanels": 3}, "ConvDecoder: unknown option, got 'chanels'.*did you mean 'channels'"),
        ({"ensemble": 0}, "ensemble must be at least 1, got 0"),
        ({"output": "phase"}, "unknown output, got 'phase'"),
        ({"warm_start": "next"}, "unknown warm_start, got 'next'"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"norm": "spectral"}, "unknown norm, got 'spectral'"),
        ({"kernel": 2}, "kernel must be odd and positive, got 2"),
    ],
)
def test_wrong_options_are_named_at_once(options, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        ConvDecoder(**options)


@methods
def test_the_registry_can_check_options_without_building(name: str) -> None:
    kind = METHODS[name][0]
    registry = Registry("reconstruction", {name: f"{kind.__module__}:{kind.__name__}"})
    registry.check_options(name, {"channels": 8, "learning_rate": 0.1, "preset": "published", "ensemble": 2})
    with pytest.raises(ScanproofError, match=f"unknown option of reconstruction {name!r}, got 'chanels'"):
        registry.check_options(name, {"chanels": 8})
    with pytest.raises(ScanproofError, match="unknown option of reconstruction"):
        registry.check_options(name, {"members": 2})


@methods
def test_search_space_holds_values_that_can_be_built(name: str) -> None:
    kind = METHODS[name][0]
    assert set(kind.search_space) <= set(kind.__signature__.parameters)
    for option, values in kind.search_space.items():
        tried = values.values if isinstance(values, Choices) else (values.low, values.high)
        for value in tried:
            whole = isinstance(values, Range) and values.kind == "int"
            kind(**{option: int(value) if whole else value})


def test_measured_phantom(shared_data: Path) -> None:
    """Real two-coil k-space of a phantom, undersampled: what was not measured is explained better than by zeros."""
    kspace = torch.from_numpy(np.load(shared_data / "kspace" / "phantom_2coil_gre_full.npy"))
    window = torch.outer(torch.hann_window(160, periodic=False) ** 8, torch.hann_window(160, periodic=False) ** 8)
    smooth = kspace_to_image(kspace * window)
    maps = smooth / smooth.abs().square().sum(dim=0, keepdim=True).sqrt().clamp(min=1e-12)
    mask = cartesian_mask(160, kind="random", acceleration=2, center_fraction=0.15, seed=1)
    method = ConvDecoder(channels=16, iterations=150, consistency=0.0)
    method(kspace * mask, mask, maps)
    [one] = method.fits
    predicted = image_to_kspace(maps * one.image)
    unseen = (~mask).expand_as(kspace)
    # the image's scale is that of the data
    scale = (predicted[~unseen].conj() * kspace[~unseen]).sum() / predicted[~unseen].abs().square().sum()
    error = (scale * predicted - kspace)[unseen].norm() / kspace[unseen].norm()
    # the combination of all that was measured explains these lines to 0.47; least squares (CG-SENSE) is off by 2.4
    assert float(error) < 0.85
