from __future__ import annotations

import numpy as np
import pytest
import torch

from scanproof.data.keys import KSPACE, MASK, SENSITIVITIES
from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.measurements import held_out_positions
from scanproof.reconstruction.untrained.reconstructors import ConvDecoder
from scanproof.tuning.held_out import check_can_be_held_out, held_out_error
from scanproof.tuning.search import read_samples
from scanproof.tuning.settings import read_assignments

from .conftest import TINY


def fitted(sample, **options) -> ConvDecoder:
    method = ConvDecoder(**{**read_assignments(TINY), **options})
    method(sample[KSPACE], sample[MASK], sample[SENSITIVITIES])
    return method


def centred_fft(image: np.ndarray) -> np.ndarray:
    shifted = np.fft.ifftshift(image, axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1))


@pytest.fixture
def sample(lab):
    return read_samples(lab.search(), lab.store)[0]


@pytest.mark.parametrize("output", ["image", "coils"])
@pytest.mark.parametrize("loss", ["mse", "l1", "log_mse"])
def test_agrees_with_a_computation_by_hand(sample, output: str, loss: str) -> None:
    method = fitted(sample, output=output, loss=loss)
    kspace, maps = sample[KSPACE].numpy(), sample[SENSITIVITIES].numpy()
    coils = method.fits[0].image.numpy() * (maps if output == "image" else 1)
    # the fit's scale: the zero-filled image has the root-mean-square "amplitude"
    unshifted = np.fft.ifftshift(kspace, axes=(-2, -1))
    images = np.fft.fftshift(np.fft.ifft2(unshifted, norm="ortho"), axes=(-2, -1))
    combined = (maps.conj() * images).sum(axis=0)
    data = kspace * method.options.amplitude / np.sqrt((abs(combined) ** 2).mean())
    held = held_out_positions(sample[MASK].expand(1, 1, *kspace.shape[-2:]), share=0.05, seed=0)[0, 0].numpy()
    assert held.any()
    error = np.sqrt((abs(centred_fft(coils) - data) ** 2).sum(axis=0))[held].sum()
    expected = error / np.sqrt((abs(data) ** 2).sum(axis=0))[held].sum()
    assert held_out_error(method) == pytest.approx(expected, rel=1e-4)


def test_nothing_to_hold_out(sample) -> None:
    centre = {**sample, MASK: torch.zeros_like(sample[MASK])}
    centre[MASK][..., 13:16] = True
    centre[KSPACE] = sample[KSPACE] * centre[MASK]
    with pytest.raises(ScanproofError, match="held_out: every slice must have samples to hold out"):
        held_out_error(fitted(centre))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"held_out": 0.0}, "held_out: must be positive for the objective held_out, got 0.0 .--set held_out=0.05"),
        ({"refit": 50}, "refit: must be 0 for the objective held_out, which a refit would fit, got 50"),
    ],
)
def test_settings_without_a_held_out_error(options: dict[str, object], text: str) -> None:
    check_can_be_held_out({"held_out": 0.05, "amplitude": 30.0, "refit": 0})
    with pytest.raises(ScanproofError, match=text):
        check_can_be_held_out({"held_out": 0.05, **options})


def test_objective_with_a_reference_allows_them(lab) -> None:
    with pytest.raises(ScanproofError, match="held_out: must be positive"):
        lab.search(fixed=[*TINY, "held_out=0"])
    assert lab.search(fixed=[*TINY, "held_out=0"], objectives=["psnr"]).settings.settled["held_out"] == 0
