from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Events
from ignite.metrics import Loss
from monai.data import Dataset
from torch import nn

from scanproof.errors import ScanproofError
from scanproof.training.engine import TrainingOptions, train


def line_data(count: int, *, seed: int, noise: float = 0.0) -> Dataset:
    """y = 3 x − 1, with noise."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, generator=rng)
    y = 3 * x - 1 + noise * torch.randn(count, 1, generator=rng)
    return Dataset([{"image": a, "label": b} for a, b in zip(x, y, strict=True)])


def fit(
    *,
    epochs: int = 30,
    seed: int = 1,
    learning_rate: float = 0.1,
    handlers=(),
    patience: int = 30,
    clip: float | None = None,
    checkpoint: Path | None = None,
    dropout: float = 0.0,
    **data,
):
    with torch.random.fork_rng():
        line = nn.Linear(1, 1)
    nn.init.zeros_(line.weight)
    nn.init.zeros_(line.bias)
    network = nn.Sequential(nn.Dropout(dropout), line) if dropout else line
    loss = nn.MSELoss()
    result = train(
        network,
        training=data.get("training", line_data(64, seed=1)),
        validation=data.get("validation", line_data(32, seed=2)),
        loss=loss,
        score={"val_loss": Loss(loss, output_transform=lambda o: (o["pred"], o["label"]))},
        options=TrainingOptions(epochs=epochs, batch_size=8, learning_rate=learning_rate, patience=patience, clip=clip),
        seed=seed,
        smaller_is_better=True,
        handlers=handlers,
        checkpoint=checkpoint,
    )
    return network, result


def test_learns_what_least_squares_gives() -> None:
    network, result = fit()
    assert network.weight.item() == pytest.approx(3, abs=0.05)
    assert network.bias.item() == pytest.approx(-1, abs=0.05)
    assert result.history["epoch"].tolist() == list(range(1, 31))
    assert set(result.history.columns) == {"epoch", "train_loss", "val_loss"}


def test_network_ends_with_the_weights_of_the_best_epoch() -> None:
    network, result = fit(training=line_data(16, seed=1, noise=2.0), learning_rate=0.5)
    best = result.history["val_loss"].to_numpy().argmin()
    assert result.best_epoch == best + 1
    data = line_data(32, seed=2)
    x, y = (torch.stack([data[i][key] for i in range(32)]) for key in ("image", "label"))
    with torch.no_grad():
        assert nn.functional.mse_loss(network(x), y).item() == pytest.approx(result.history["val_loss"][best], rel=1e-5)
    assert torch.equal(result.weights["weight"], network.weight)


def test_same_seed_same_weights_and_other_order_otherwise() -> None:
    noisy = line_data(64, seed=1, noise=1.0)
    first, again, other = (fit(epochs=3, seed=s, training=noisy)[0].weight for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    fit(epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_stops_when_validation_no_longer_improves() -> None:
    # validation data that contradict training data: every epoch is worse than the one before
    contrary = Dataset([{"image": torch.ones(1), "label": -torch.ones(1) * 50}] * 4)
    _, result = fit(validation=contrary, patience=3, training=line_data(64, seed=1))
    assert len(result.history) == result.best_epoch + 3


def test_handlers_see_validation_metrics() -> None:
    seen: list[dict[str, float]] = []

    class Watch:
        def attach(self, engine) -> None:
            engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: seen.append(dict(e.state.metrics)))

    _, result = fit(epochs=4, handlers=[Watch()])
    np.testing.assert_allclose([row["val_loss"] for row in seen], result.history["val_loss"])


def test_divergence_is_named_with_its_epoch() -> None:
    with pytest.raises(ScanproofError, match=r"epoch \d+: (train|val)_loss must stay finite, got (nan|inf)"):
        fit(learning_rate=1e30)


def test_empty_data_is_named() -> None:
    with pytest.raises(ScanproofError, match="training data must not be empty"):
        fit(training=Dataset([]))


@pytest.mark.parametrize(
    ("option", "value"),
    [("epochs", 0), ("batch_size", 0), ("patience", 0), ("learning_rate", 0.0), ("weight_decay", -1)],
)
def test_wrong_options_are_named(option: str, value: float) -> None:
    with pytest.raises(ScanproofError, match=rf"training.{option}: must .*got {value}"):
        TrainingOptions(**{option: value})


class KillAfter:
    """Ends a training in the middle of an epoch, as a signal would."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def attach(self, engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=self.iteration), self.end)

    def end(self, engine) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("iteration", [3, 8, 20, 39, 79])
@pytest.mark.parametrize("items", [64, 61])
def test_an_interrupted_training_goes_on_to_the_same_result(tmp_path: Path, iteration: int, items: int) -> None:
    options = {"epochs": 10, "dropout": 0.3, "training": line_data(items, seed=1, noise=1.0)}
    whole, expected = fit(**options)
    file = tmp_path / "deep" / "last.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(**options, checkpoint=file, handlers=[KillAfter(iteration)])
    assert file.exists() == (iteration > 8)  # the first epoch has eight iterations
    resumed, found = fit(**options, checkpoint=file)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    pd.testing.assert_frame_equal(found.history, expected.history, check_exact=True)
    assert found.best_epoch == expected.best_epoch
    assert not file.exists()


def test_a_training_that_had_stopped_is_not_trained_further(tmp_path: Path) -> None:
    contrary = Dataset([{"image": torch.ones(1), "label": -torch.ones(1) * 50}] * 4)
    options = {"validation": contrary, "patience": 3, "epochs": 30}
    _, expected = fit(**options)
    file = tmp_path / "last.pt"

    class KillAtTheEnd:
        def attach(self, engine) -> None:
            engine.add_event_handler(Events.COMPLETED, KillAfter(0).end)

    with pytest.raises(KeyboardInterrupt):
        fit(**options, checkpoint=file, handlers=[KillAtTheEnd()])
    _, found = fit(**options, checkpoint=file)
    pd.testing.assert_frame_equal(found.history, expected.history, check_exact=True)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "last.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=file, handlers=[KillAfter(20)])
    with pytest.raises(ScanproofError, match=r"last.pt: seed: checkpoint must be of this training, with seed 2, got 1"):
        fit(checkpoint=file, seed=2)


@pytest.mark.parametrize("damage", ["cut", "empty", "flip"])
def test_a_damaged_checkpoint_starts_the_training_anew(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "last.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=file, handlers=[KillAfter(20)])
    data = bytearray(file.read_bytes())
    # a bit of a weight, which PyTorch reads without a word
    place = data.index(torch.load(file, weights_only=True)["states"]["network"]["weight"].numpy().tobytes())
    data[place] ^= 1
    file.write_bytes({"cut": data[:100], "empty": b"", "flip": data}[damage])
    with pytest.warns(RuntimeWarning, match=r"last.pt: checkpoint cannot be read, training starts anew"):
        network, _ = fit(checkpoint=file)
    assert torch.equal(network.weight, fit()[0].weight)


def test_gradients_are_clipped() -> None:
    steep = Dataset([{"image": torch.full((1,), 100.0), "label": torch.full((1,), 1e4)}] * 8)
    seen = []

    class Watch:
        def attach(self, engine) -> None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.look)

        def look(self, engine) -> None:
            parameters = engine.network.parameters()
            seen.append(float(torch.cat([p.grad.flatten() for p in parameters]).norm()))

    fit(epochs=2, training=steep, clip=0.5, handlers=[Watch()])
    assert seen == pytest.approx([0.5] * len(seen), rel=1e-3)
