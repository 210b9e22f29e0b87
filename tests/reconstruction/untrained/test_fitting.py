from __future__ import annotations

import warnings
from functools import partial

import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.untrained.conv_decoder import ConvDecoderNetwork
from scanproof.reconstruction.untrained.deep_image_prior import DeepImagePriorNetwork
from scanproof.reconstruction.untrained.fitting import fit
from scanproof.reconstruction.untrained.measurements import Measurements
from scanproof.reconstruction.untrained.optimisers import make_optimiser
from scanproof.reconstruction.untrained.options import FitOptions
from scanproof.reconstruction.untrained.precision import compute_dtype, has_bfloat16


def measure(problem, **options) -> Measurements:
    return Measurements(problem["kspace"], problem["mask"], problem["sensitivities"], **options)


def builder(shape=(32, 28), **options):
    chosen = {"channels": 8, "layers": 4, **options}

    def build(members: int) -> ConvDecoderNetwork:
        return ConvDecoderNetwork(output_channels=2, output_size=shape, members=members, **chosen)

    return build


def true_error(data: Measurements, image: torch.Tensor, reference: torch.Tensor) -> float:
    found = data.finish(image[None], consistency=0).abs()[0]
    return float((found - reference).norm() / reference.norm())


def exact(**options) -> FitOptions:
    return FitOptions(**{"precision": "float32", "warmup": 0, **options})


@pytest.mark.parametrize("loss", ["mse", "l1", "log_mse"])
def test_fits_a_small_image(problem, loss: str) -> None:
    p = problem(noise=0.0, shape=(24, 24))
    p["mask"] = torch.ones(1, 1, 24, dtype=torch.bool)
    p["kspace"] = SenseOperator(p["sensitivities"], p["mask"]).forward(p["reference"][None] + 0j)
    data = measure(p, held_out=0, loss=loss, amplitude=3.0)
    options = exact(iterations=300, held_out=0, loss=loss, averaging=0.9, learning_rate=0.01)
    [found] = fit(builder((24, 24), channels=24, layers=3), data, options=options)
    assert true_error(data, found.image, p["reference"]) < 0.05


def test_stops_before_a_noisy_fit_degrades(problem) -> None:
    """The true error, which the rule does not see, is the judge."""
    p = problem(noise=0.25)
    data = measure(p, loss="l1", amplitude=10.0)
    options = exact(iterations=500, window=30, patience=50, warmup=30)
    wide = builder(channels=24)
    [stopped] = fit(wide, data, options=options)
    [overfitted] = fit(wide, measure(p, loss="l1", held_out=0, amplitude=10.0), options=exact(iterations=500))
    assert stopped.steps < 500
    assert stopped.best_step < stopped.steps
    assert true_error(data, stopped.image, p["reference"]) < 0.8 * true_error(data, overfitted.image, p["reference"])


def test_best_weights_make_the_best_image(problem) -> None:
    data = measure(problem(noise=0.2))
    build = builder()
    [found] = fit(build, data, options=exact(iterations=120, averaging=0.0, window=10, patience=20))
    network = build(1)
    network.load_state_dict(found.weights)
    images = data.images(network())
    torch.testing.assert_close(images[0], found.image, atol=1e-4, rtol=1e-4)
    assert float(data.errors(images)[1]) == pytest.approx(found.held_out, rel=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_seed_same_bits(problem, precision: str) -> None:
    data = measure(problem())
    options = FitOptions(iterations=25, input_noise=0.05, precision=precision)
    torch.manual_seed(1)
    [first] = fit(builder(), data, options=options, seeds=(7,))
    torch.manual_seed(2)
    [again] = fit(builder(), data, options=options, seeds=(7,))
    [other] = fit(builder(), data, options=options, seeds=(8,))
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "nadam", "radam", "rmsprop", "sgd"])
def test_batching_changes_rounding_only(problem, optimiser: str) -> None:
    """Six networks side by side against one by one, a few steps; later, Adam amplifies rounding like any change.

    The images' root-mean-square is one, so 2e-3 of it is what a few steps may differ by.
    """
    data = measure(problem(slices=3), loss="mse")
    options = exact(iterations=8, optimiser=optimiser, input_noise=0.02, averaging=0.5, learning_rate=2e-4)
    together, apart = (
        fit(
            builder(),
            data,
            options=exact(**{**vars(options), "batch": batch}),
            seeds=(1, 2),
        )
        for batch in (6, 1)
    )
    assert [(m.slice, m.seed) for m in together] == [(n, seed) for n in range(3) for seed in (1, 2)]
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one.image, other.image, atol=2e-3, rtol=1e-3)


def test_on_a_cpu_slices_do_not_depend_on_their_neighbours_at_all(problem) -> None:
    p = problem(slices=3)
    options = exact(iterations=15)
    together = fit(builder(), measure(p), options=options)
    for n, found in enumerate(together):
        [alone] = fit(
            builder(),
            measure({**p, "kspace": p["kspace"][n : n + 1], "sensitivities": p["sensitivities"][n : n + 1]}),
            options=options,
        )
        assert torch.equal(found.image, alone.image)


def test_networks_that_are_done_leave_the_others_as_they_would_be(problem) -> None:
    """Slices of different noise stop at different steps, in company as alone."""
    quiet, loud = problem(noise=0.02), problem(noise=0.4)
    p = {key: torch.cat([loud[key], quiet[key]]) for key in ("kspace", "sensitivities")}
    p["mask"] = quiet["mask"]
    options = {"iterations": 150, "window": 10, "patience": 20, "learning_rate": 0.01}
    together = fit(builder(), measure(p), options=exact(**options, batch=2))
    apart = fit(builder(), measure(p), options=exact(**options, batch=1))
    assert together[0].steps < together[1].steps
    for one, other in zip(together, apart, strict=True):
        # a step count may differ by a look or two, since rounding grows over a hundred steps
        assert abs(one.steps - other.steps) <= 30
        assert float((one.image - other.image).norm() / other.image.norm()) < 0.2


def test_bfloat16_keeps_the_quality(problem) -> None:
    p = problem(noise=0.05)
    data = measure(p, loss="l1", amplitude=10.0)
    errors = {}
    for precision in ("float32", "bfloat16"):
        options = FitOptions(iterations=200, precision=precision)
        [found] = fit(builder(channels=16), data, options=options)
        errors[precision] = true_error(data, found.image, p["reference"])
    assert errors["bfloat16"] == pytest.approx(errors["float32"], rel=0.15)


def test_precision_is_chosen_by_what_the_processor_can() -> None:
    cpu = torch.device("cpu")
    assert compute_dtype("float32", cpu) == torch.float32
    assert compute_dtype("bfloat16", cpu) == torch.bfloat16
    assert compute_dtype("auto", cpu) == (torch.bfloat16 if has_bfloat16(cpu) else torch.float32)
    assert not has_bfloat16(torch.device("meta"))


def test_warm_start_begins_where_another_fit_ended(problem) -> None:
    p = problem(slices=2, noise=0.02)
    # neighbours in a volume: the same anatomy and phase, noise of its own
    p["kspace"][1] = p["kspace"][0] + 0.02 * torch.randn_like(p["kspace"][0]) * p["mask"]
    first, second = (measure(p).select([n]) for n in (0, 1))
    build = builder(channels=16)
    [donor] = fit(build, first, options=exact(iterations=300))
    few = exact(iterations=5, averaging=0.0)
    [cold] = fit(build, second, options=few)
    [warm] = fit(build, second, options=few, initial=donor.weights)
    errors = [true_error(second, one.image, p["reference"]) for one in (warm, cold)]
    assert errors[0] < 0.8 * errors[1]
    chained = fit(build, measure(p), options=few, one_by_one=True)
    [by_hand] = fit(build, second, options=few, initial=chained[0].weights)
    assert torch.equal(chained[1].image, by_hand.image)


def test_weights_of_another_network_are_refused(problem) -> None:
    with pytest.raises(ScanproofError, match=r"initial weights must fit the network: .*\.weight must have the shape"):
        fit(
            builder(),
            measure(problem()),
            options=exact(iterations=5),
            initial=builder(channels=9)(1).state_dict(),
        )


def test_refit_uses_the_held_out_samples(problem) -> None:
    data = measure(problem(noise=0.02), held_out=0.2, amplitude=10.0)
    options = {"iterations": 100, "averaging": 0.9}
    [before] = fit(builder(), data, options=exact(**options))
    [after] = fit(builder(), data, options=exact(**options, refit=60))
    held_out = [float(data.errors(found.image[None])[1]) for found in (before, after)]
    assert held_out[1] < held_out[0]
    assert after.steps == before.steps + 60
    # what is reported is still an error on samples that the fit had not seen
    assert after.held_out == before.held_out


def test_empty_slices_are_left_out(problem) -> None:
    p = problem(slices=3)
    p["kspace"][1] = 0
    data = measure(p)
    found = fit(builder(), data, options=exact(iterations=5))
    assert [member.slice for member in found] == [0, 2]
    image = data.finish(torch.randn(3, 1, 32, 28) + 0j, consistency=1)
    assert image[1].abs().max() == 0
    assert image[0].abs().max() > 0


def test_a_diverged_fit_starts_again_with_half_the_rate(problem) -> None:
    """The rate is doubled until a fit diverges: half of it, which has just worked, must work again."""
    data = measure(problem())
    build = builder(norm="none")
    rate = 0.01
    while True:
        options = exact(iterations=20, optimiser="sgd", learning_rate=rate, averaging=0.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            [found] = fit(build, data, options=options)
        if caught:
            break
        reached = found
        rate *= 2
    assert [str(w.message) for w in caught] == [
        f"fit of slice 0 diverged and starts again with a learning rate of {rate / 2:g}"
    ]
    assert found.learning_rate == rate / 2
    assert torch.equal(found.image, reached.image)


def test_a_fit_that_always_diverges_is_an_error(problem) -> None:
    options = exact(iterations=20, optimiser="sgd", learning_rate=1e12, averaging=0.0)
    with (
        pytest.warns(RuntimeWarning, match="diverged and starts again with a learning rate of") as caught,
        pytest.raises(ScanproofError, match=r"slice 0: fit must stay finite, also with a learning rate of 2\.5e"),
    ):
        fit(builder(norm="none"), measure(problem()), options=options)
    assert len(caught) == 2


def test_progress_is_told_at_every_check(problem) -> None:
    told = []
    fit(builder(), measure(problem(slices=2)), options=exact(iterations=25, check=10, batch=2), progress=told.append)
    assert [step.step for step in told] == [10, 20, 25]
    assert all(step.slices == (0, 1) and step.steps == 25 for step in told)
    assert told[-1].held_out[0] < told[0].held_out[0]
    assert told[-1].images.shape == (2, 1, 32, 28)


def test_volumes(problem) -> None:
    rng = torch.Generator().manual_seed(1)
    image = torch.zeros(1, 1, 8, 10, 12)
    image[..., 2:6, 3:8, 3:9] = 1
    maps = torch.ones(1, 2, 8, 10, 12) + 0.2j * torch.rand(1, 2, 8, 10, 12, generator=rng)
    mask = torch.ones(1, 1, 1, 12, dtype=torch.bool)
    kspace = SenseOperator(maps[0], mask, spatial_dims=3).forward(image[0] + 0j)[None]
    data = Measurements(kspace, mask[None], maps)
    for network, options in (
        (ConvDecoderNetwork, {"channels": 8, "layers": 3}),
        (DeepImagePriorNetwork, {"channels": 8, "scales": 2}),
    ):
        build = partial(network, output_channels=2, output_size=(8, 10, 12), spatial_dims=3, **options)
        [few], [many] = (
            fit(lambda members, build=build: build(members=members), data, options=exact(iterations=n, amplitude=1.0))
            for n in (5, 60)
        )
        assert many.image.shape == (1, 8, 10, 12)
        assert many.loss < 0.5 * few.loss


def test_weight_decay_and_learned_input_take_part(problem) -> None:
    data = measure(problem())
    build = builder(learn_input=True)
    [plain], [decayed] = (fit(build, data, options=exact(iterations=20, weight_decay=decay)) for decay in (0.0, 0.5))
    start = build(1)
    start.initialise([0])
    assert not torch.equal(plain.weights["input"], start.state_dict()["input"])
    assert not torch.equal(plain.image, decayed.image)


def test_cosine_schedule_ends_still(problem) -> None:
    data = measure(problem())
    options = {"held_out": 0.0, "averaging": 0.0, "check": 1}
    losses = {}
    for schedule in ("constant", "cosine"):
        told = []
        fit(builder(), data, options=exact(iterations=60, schedule=schedule, **options), progress=told.append)
        late = torch.tensor([step.loss[0] for step in told[-5:]])
        losses[schedule] = float(late.diff().abs().max())
    assert losses["cosine"] < 0.2 * losses["constant"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0.0"),
        ({"amplitude": -1.0}, "amplitude must be positive, got -1.0"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative, got -1.0"),
        ({"averaging": 1.0}, r"averaging must be in \[0, 1\), got 1.0"),
        ({"consistency": 2.0}, r"consistency must be in \[0, 1\], got 2.0"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"optimiser": "lbfgs"}, "unknown optimiser, got 'lbfgs'.*adam, adamw"),
        ({"precision": "half"}, "unknown precision, got 'half'"),
    ],
)
def test_wrong_options_are_named(options, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        FitOptions(**options)


def test_seeds_must_differ(problem) -> None:
    with pytest.raises(ScanproofError, match=r"seeds must be different, and at least one, got \[1, 1\]"):
        fit(builder(), measure(problem()), options=exact(), seeds=(1, 1))


def test_every_optimiser_takes_the_rate() -> None:
    for name in ("adam", "adamw", "nadam", "radam", "rmsprop", "sgd"):
        weight = torch.nn.Parameter(torch.ones(2))
        weight.grad = torch.ones(2)
        make_optimiser([weight], FitOptions(optimiser=name, learning_rate=0.1)).step()
        assert bool((weight < 1).all())
