"""The training loop: fresh noise, a rate that falls, a stop, and going on after a kill."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st
from ignite.engine import Engine, Events

from scanproof.scaling.degradation import GaussianNoise
from scanproof.scaling.networks import build_network
from scanproof.scaling.training import (
    Data,
    DivergedError,
    Protocol,
    Trained,
    batch_rows,
    loss_function,
    predict,
    train_network,
)

NOISE = GaussianNoise(sigma=0.2)
PROTOCOL = Protocol(
    optimiser="adam",
    loss="mse",
    batch_size=4,
    clip=None,
    every=3,
    decay=0.5,
    patience=2,
    lowest=0.01,
    stop=3,
    steps=24,
)


@pytest.fixture(scope="module")
def data() -> Data:
    drawn = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    images = F.interpolate(drawn, size=(16, 16), mode="bilinear")
    inputs = NOISE.inputs(NOISE.objects(images[6:], seeds=[6, 7]), generator=torch.Generator().manual_seed(2))
    return Data(NOISE.objects(images[:6], seeds=range(6)), images[:6], inputs, images[6:])


def trained(data: Data, **changes) -> Trained:
    options = {"rate": 0.01, "seed": 1, "checkpoint": None} | {
        name: changes.pop(name) for name in ("rate", "checkpoint", "handlers") if name in changes
    }
    protocol = dataclasses.replace(PROTOCOL, **changes)
    return train_network(build_network("denoising", 2, seed=1), data, NOISE, protocol, **options)


def test_it_learns_and_keeps_the_best_round(data: Data) -> None:
    found = trained(data)
    losses = found.history["val_loss"]
    assert found.history["step"].tolist() == list(range(3, 25, 3))
    assert losses.min() < 0.7 * losses.iloc[0]
    assert found.best_round == losses.idxmin() + 1
    network = build_network("denoising", 2, seed=9)
    network.load_state_dict(found.weights)
    assert float(F.mse_loss(predict(network, data.inputs), data.targets)) == pytest.approx(losses.min(), rel=1e-5)


def test_it_repeats_to_the_bit(data: Data) -> None:
    first, second = trained(data), trained(data)
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    drop = ["seconds"]
    assert first.history.drop(columns=drop).equals(second.history.drop(columns=drop))


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
def test_a_killed_training_goes_on_to_the_same_result(data: Data, tmp_path: Path, monkeypatch, optimiser: str) -> None:
    path = tmp_path / "unfinished" / "one.pt"
    whole = trained(data, optimiser=optimiser, clip=1.0)
    calls = iter(range(10))
    real = GaussianNoise.inputs

    def kill(self, objects, **options):
        if next(calls) == 8:  # in the middle of the third round
            raise KeyboardInterrupt
        return real(self, objects, **options)

    with monkeypatch.context() as patch:
        patch.setattr(GaussianNoise, "inputs", kill)
        with pytest.raises(KeyboardInterrupt):
            trained(data, optimiser=optimiser, clip=1.0, checkpoint=path)
    assert path.is_file()
    resumed = trained(data, optimiser=optimiser, clip=1.0, checkpoint=path)
    assert all(torch.equal(whole.weights[name], resumed.weights[name]) for name in whole.weights)
    assert whole.history.drop(columns="seconds").equals(resumed.history.drop(columns="seconds"))
    assert resumed.history["seconds"].is_monotonic_increasing
    assert not path.exists()


def test_handlers_are_told_of_every_round(data: Data, tmp_path: Path) -> None:
    class Watch:
        def __init__(self) -> None:
            self.rows: list[dict[str, float]] = []
            self.before: list[dict[str, float]] = []

        def attach(self, engine: Engine) -> None:
            engine.add_event_handler(Events.STARTED, lambda one: self.before.extend(one.state.history))
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.note)

        def note(self, engine: Engine) -> None:
            self.rows.append({"epoch": engine.state.epoch, **engine.state.metrics})
            if len(self.rows) == 3 and not self.before:
                raise KeyboardInterrupt

    whole = trained(data).history.drop(columns="seconds")
    first, then = Watch(), Watch()
    with pytest.raises(KeyboardInterrupt):
        trained(data, checkpoint=tmp_path / "one.pt", handlers=[first])
    trained(data, checkpoint=tmp_path / "one.pt", handlers=[then])
    assert then.before == first.rows
    told = pd.DataFrame([*first.rows, *then.rows]).drop(columns="seconds").astype(whole.dtypes)
    pd.testing.assert_frame_equal(told, whole)


def test_the_rate_falls_on_plateaus_and_training_stops_at_its_lowest(data: Data) -> None:
    """A rate that changes nothing: validation does not improve after the first round."""
    found = trained(data, rate=1e-12, patience=1, decay=0.5, lowest=0.25, stop=3, steps=None).history
    shares = (found["learning_rate"] / 1e-12).round(3).tolist()
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert set(shares) == {1.0, 0.5, 0.25}
    assert shares.count(0.25) == 3


def test_divergence_is_said(data: Data) -> None:
    with pytest.raises(DivergedError, match=r"step \d+: (train|val)_loss must stay finite, got (nan|inf)"):
        trained(data, rate=1e30, steps=None)


def test_a_round_is_a_pass_unless_said_otherwise(data: Data) -> None:
    assert trained(data, every=None, steps=5).history["step"].tolist() == [2, 4, 5]


@given(size=st.integers(1, 5), count=st.integers(1, 7), seed=st.integers(0, 2**32 - 1))
def test_every_pass_has_every_example_once(size: int, count: int, seed: int) -> None:
    rows = [row for step in range(count) for row in batch_rows(step, size=size, count=count, seed=seed)]
    assert len(rows) == size * count
    for turn in range(size):
        assert sorted(rows[turn * count : (turn + 1) * count]) == list(range(count))


def test_ssim_is_a_loss() -> None:
    image = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    assert float(loss_function("ssim")(image, image)) == pytest.approx(0, abs=1e-5)
    assert float(loss_function("ssim")(image, 1 - image)) > 0.9
