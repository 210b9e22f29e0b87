from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, strategies as st
from monai.data import Dataset
from torch import Tensor, nn
from torch.utils.data import BatchSampler, RandomSampler

from scanproof.training.batches import ShapeBatches, cut, shapes_of
from scanproof.training.engine import TrainingOptions, train
from scanproof.training.learner import Backpropagation, plain
from scanproof.training.scores import ValidationLoss

SHAPES = st.lists(st.sampled_from(["wide", "tall", "square"]), min_size=1, max_size=40)


def shuffled(shapes: list[str], *, size: int, seed: int) -> ShapeBatches:
    order = RandomSampler(shapes, generator=torch.Generator().manual_seed(seed))
    return ShapeBatches(order, shapes, size=size)


@given(SHAPES, st.integers(1, 9), st.integers(0, 99))
def test_every_item_comes_once_among_its_like(shapes: list[str], size: int, seed: int) -> None:
    batches = shuffled(shapes, size=size, seed=seed)
    first = list(batches)
    assert sorted(index for batch in first for index in batch) == list(range(len(shapes)))
    assert all(len({shapes[index] for index in batch}) == 1 for batch in first)
    assert all(1 <= len(batch) <= size for batch in first)
    assert len(first) == len(batches)
    # no shape has more than one batch that is not full
    assert all(n == 1 for n in Counter(shapes[batch[0]] for batch in first if len(batch) < size).values())
    again = shuffled(shapes, size=size, seed=seed)
    assert list(again) == first
    assert list(again) == list(batches)  # the second epochs, too


@given(SHAPES, st.integers(1, 9), st.randoms(use_true_random=False))
def test_batches_keep_the_order_of_items(shapes: list[str], size: int, random) -> None:
    order = list(range(len(shapes)))
    random.shuffle(order)
    place = {index: number for number, index in enumerate(order)}
    batches = cut(order, shapes, size=size)
    assert [place[batch[0]] for batch in batches] == sorted(place[batch[0]] for batch in batches)
    for shape in set(shapes):
        assert [i for batch in batches for i in batch if shapes[i] == shape] == [i for i in order if shapes[i] == shape]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 99))
def test_one_shape_gives_the_batches_of_pytorch(count: int, size: int, seed: int) -> None:
    order = RandomSampler(range(count), generator=torch.Generator().manual_seed(seed))
    ours, theirs = shuffled(["one"] * count, size=size, seed=seed), BatchSampler(order, size, drop_last=False)
    assert [list(ours), list(ours)] == [list(theirs), list(theirs)]
    assert len(ours) == len(theirs)


def images(*sizes: tuple[int, int, int], seed: int = 1) -> list[dict[str, Tensor]]:
    """Images ``(1, H, W)`` of given ``(count, H, W)`` with their double, mixed."""
    draw = torch.Generator().manual_seed(seed)
    items = [torch.rand(1, *size, generator=draw) for count, *size in sizes for _ in range(count)]
    return [{"image": x, "label": 2 * x} for x in items[::2] + items[1::2]]


class Spy:
    """A learner that notes what it is given."""

    def __init__(self, learner: Backpropagation) -> None:
        self.learner, self.optimisers = learner, learner.optimisers
        self.batches: list[Tensor] = []

    def step(self, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        self.batches.append(inputs.clone())
        return self.learner.step(inputs, target)

    def complete(self, losses: list[float]) -> list[float]:
        return self.learner.complete(losses)


def convolution() -> nn.Conv2d:
    network = nn.Conv2d(1, 1, 3, padding=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.linspace(-0.2, 0.3, parameter.numel()).reshape(parameter.shape))
    return network


def test_several_shapes_learn_as_written_out_by_hand() -> None:
    network, twin, loss = convolution(), convolution(), nn.L1Loss()
    data, checks = images((5, 8, 6), (4, 4, 12)), images((70, 8, 6), (3, 4, 12), seed=2)
    options = TrainingOptions(epochs=2, batch_size=3, learning_rate=1e-2)
    spy = Spy(Backpropagation(network, plain(network, loss), options))
    result = train(
        network,
        training=Dataset(data),
        validation=Dataset(checks),
        loss=loss,
        score={"val_loss": ValidationLoss(loss)},
        options=options,
        seed=3,
        smaller_is_better=True,
        learner=spy,
    )
    # 2 + 2 batches an epoch, and every item once, as it is
    assert len(spy.batches) == 8
    for epoch in (spy.batches[:4], spy.batches[4:]):
        seen = [item for batch in epoch for item in batch]
        assert len(seen) == len(data)
        for item in data:
            assert sum(torch.equal(item["image"], one) for one in seen) == 1
    optimiser = options.optimiser(twin.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=2)
    for number, row in result.history.iterrows():
        losses = []
        for batch in spy.batches[4 * number : 4 * number + 4]:
            optimiser.zero_grad()
            error = loss(twin(batch), 2 * batch)
            error.backward()
            optimiser.step()
            losses += [error.item()] * len(batch)
        schedule.step()
        assert row["train_loss"] == pytest.approx(sum(losses) / 9, rel=1e-6)
        with torch.no_grad():
            found = [loss(twin(one["image"][None]), one["label"][None]).item() for one in checks]
        # of items, though the batches are of 64, 6 and 3
        assert row["val_loss"] == pytest.approx(sum(found) / 73, rel=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), twin.parameters(), strict=True))


def test_shapes_that_a_data_set_knows_are_not_looked_up() -> None:
    class Slow(Dataset):
        shapes = ("a", "b")

        def __getitem__(self, index: int) -> None:
            raise AssertionError

    assert shapes_of(Slow([0, 0])) == ["a", "b"]
    assert shapes_of(Dataset(images((1, 2, 3)))) == [((1, 2, 3), (1, 2, 3))]


def test_a_validation_loss_that_is_no_number_is_not_hidden() -> None:
    metric = ValidationLoss(nn.L1Loss())
    metric.reset()
    for value in (1.0, float("nan")):
        metric.update((torch.tensor([value]), torch.zeros(1), 1))
    assert metric.compute().isnan()
