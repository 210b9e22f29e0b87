from __future__ import annotations

import numpy as np
import pytest
import sigpy
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.untrained.measurements import Measurements, held_out_positions


def random_images(slices: int, channels: int, shape) -> torch.Tensor:
    return torch.randn(slices, channels, *shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("output", ["image", "coils"])
@pytest.mark.parametrize("loss", ["mse", "l1", "log_mse"])
def test_loss_is_that_of_sigpys_operator(problem, output: str, loss: str) -> None:
    p = problem(slices=2, shape=(15, 18))
    data = Measurements(**without_reference(p), output=output, loss=loss, held_out=0, amplitude=2.0)
    images = random_images(2, 1 if output == "image" else 4, (15, 18))
    losses, held_out = data.errors(images)
    assert held_out.isnan().all()
    for n in range(2):
        maps = p["sensitivities"][n].numpy()
        mask = np.broadcast_to(p["mask"].numpy(), maps.shape)
        generated = images[n].numpy() * (maps if output == "image" else 1)
        predicted = sigpy.fft(generated, axes=(-2, -1)) * mask
        measured = p["kspace"][n].numpy() / float(data.scale[n])
        zero_filled = np.sum(maps.conj() * sigpy.ifft(measured, axes=(-2, -1)), axis=0)
        assert np.sqrt(np.mean(np.abs(zero_filled) ** 2)) == pytest.approx(2.0, rel=1e-4)
        error, size = (np.linalg.norm(values, axis=0) for values in (predicted - measured, measured))
        expected = error.sum() / size.sum() if loss == "l1" else (error**2).sum() / (size**2).sum()
        expected = np.log(expected) if loss == "log_mse" else expected
        assert float(losses[n]) == pytest.approx(expected, rel=2e-3)


def test_three_dimensions_against_sigpy() -> None:
    rng = torch.Generator().manual_seed(1)
    kspace = torch.randn(1, 2, 6, 8, 7, dtype=torch.complex64, generator=rng)
    maps = torch.randn(1, 2, 6, 8, 7, dtype=torch.complex64, generator=rng)
    mask = torch.rand(1, 1, 1, 8, 7, generator=rng) < 0.5
    data = Measurements(kspace * mask, mask, maps, held_out=0)
    image = random_images(1, 1, (6, 8, 7))
    predicted = sigpy.fft((maps * image)[0].numpy(), axes=(-3, -2, -1)) * mask[0].numpy()
    measured = (kspace * mask)[0].numpy() / float(data.scale)
    expected = np.sum(np.abs(predicted - measured) ** 2) / np.sum(np.abs(measured) ** 2)
    assert float(data.errors(image)[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", ["mse", "l1", "log_mse"])
@pytest.mark.parametrize("amplitude", [0.5, 30.0])
def test_an_empty_image_misses_all_that_is_held_out(problem, loss: str, amplitude: float) -> None:
    data = Measurements(**without_reference(problem(slices=1)), loss=loss, amplitude=amplitude)
    assert float(data.errors(torch.zeros(1, 1, 32, 28) + 0j)[1]) == pytest.approx(1.0, rel=1e-4)


def test_held_out_samples_do_not_enter_the_loss(problem) -> None:
    p = problem(slices=1)
    data = Measurements(**without_reference(p), held_out=0.2)
    images = random_images(1, 1, (32, 28)).requires_grad_()
    loss, _ = data.errors(images)
    [gradient] = torch.autograd.grad(loss.sum(), images)
    held = held_out_positions(p["mask"].expand(1, 1, 32, 28), share=0.2, seed=0)
    moved = images.detach()
    everything, _ = data.errors(moved, everything=True)
    fitted, held_out = data.errors(moved)
    operator = SenseOperator(p["sensitivities"][0], p["mask"])
    residual = (operator.forward(moved[0]) - p["kspace"][0] / data.scale[0]).abs().square()
    measured = (p["kspace"][0] / data.scale[0]).abs().square()
    kept = p["mask"] & ~held[0]
    assert float(fitted) == pytest.approx(float((residual * kept).sum() / (measured * kept).sum()), rel=1e-4)
    # whatever the loss, norms over the coils add up in the held-out error
    over_coils = [x.sum(dim=0, keepdim=True).sqrt() * held[0] for x in (residual, measured)]
    assert float(held_out) == pytest.approx(float(over_coils[0].sum() / over_coils[1].sum()), rel=1e-4)
    assert float(everything) == pytest.approx(float(residual.sum() / measured.sum()), rel=1e-4)
    expected = operator.adjoint((operator.forward(moved[0]) - p["kspace"][0] / data.scale[0]) * kept)
    cosine = (gradient[0] * expected.conj()).sum().real / (gradient.norm() * expected.norm())
    assert float(cosine) == pytest.approx(1, abs=1e-5)


def test_nothing_unsampled_enters(problem) -> None:
    """K-space of lines outside the mask, which some data sets hold, must change neither scale nor loss."""
    p = problem(slices=1)
    filled = p["kspace"] + 100 * ~p["mask"]
    honest = Measurements(**without_reference(p))
    other = Measurements(filled, p["mask"], p["sensitivities"])
    images = random_images(1, 1, (32, 28))
    assert torch.equal(honest.scale, other.scale)
    torch.testing.assert_close(honest.errors(images), other.errors(images))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    share=st.floats(0.01, 0.5),
    shape=st.tuples(st.integers(16, 60), st.integers(24, 60)),
)
def test_held_out_positions_are_sampled_and_outside_the_centre(seed: int, share: float, shape) -> None:
    height, width = shape
    mask = torch.rand(2, 1, 1, width, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[..., width // 2] = True
    mask[..., 0] = ~mask[..., -1]
    sampled = mask.expand(2, 1, height, width)
    held = held_out_positions(sampled, share=share, seed=seed)
    assert not (held & ~sampled).any()
    assert not held[..., width // 2 - 1 : width // 2 + 2].any()
    # slices that sample a position agree on whether it is held out
    both = sampled[0] & sampled[1]
    assert torch.equal(held[0] & both, held[1] & both)
    eligible = int(sampled.sum()) - int(sampled[..., width // 2 - 2 : width // 2 + 3].sum())
    assert int(held.sum()) <= share * sampled.sum() + 6 * (share * int(sampled.sum())) ** 0.5 + 6
    assert eligible <= 0 or held.sum() <= sampled.sum()


def test_overwriting_puts_the_measured_samples_back(problem) -> None:
    p = problem(slices=1, coils=1, noise=0.1)
    phase = p["sensitivities"] / p["sensitivities"].abs()
    data = Measurements(p["kspace"], p["mask"], phase)
    operator = SenseOperator(phase, p["mask"])
    images = random_images(1, 1, (32, 28))
    # with one coil, k-space of the result is k-space of its only coil image
    torch.testing.assert_close(operator.forward(data.finish(images, consistency=1)), p["kspace"], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(data.finish(images, consistency=0), images * data.scale, atol=1e-4, rtol=1e-3)
    halfway = (data.finish(images, consistency=1) + data.finish(images, consistency=0)) / 2
    torch.testing.assert_close(data.finish(images, consistency=0.5), halfway, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "phase"}, "unknown output, got 'phase'"),
        ({"loss": "l2"}, "unknown loss, got 'l2'"),
        ({"held_out": 1.0}, r"held_out must be in \[0, 1\), got 1.0"),
    ],
)
def test_wrong_options_are_named(problem, options, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        Measurements(**without_reference(problem()), **options)


def test_masks_that_cannot_be_used_are_named(problem) -> None:
    p = problem(slices=2)
    empty = p["mask"].repeat(2, 1, 1, 1)
    empty[1] = False
    with pytest.raises(ScanproofError, match="mask must sample at least one line of every slice"):
        Measurements(p["kspace"], empty, p["sensitivities"])
    uneven = p["mask"].expand(2, 4, 1, 28).clone()
    uneven[:, 0] = ~uneven[:, 0]
    with pytest.raises(ScanproofError, match="mask must be the same for all coils"):
        Measurements(p["kspace"], uneven, p["sensitivities"])


def without_reference(problem) -> dict[str, torch.Tensor]:
    return {key: value for key, value in problem.items() if key != "reference"}
