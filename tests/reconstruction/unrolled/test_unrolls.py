from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.reconstruction.conjugate_gradients import conjugate_gradients, least_squares
from scanproof.reconstruction.unrolled.memory import run
from scanproof.reconstruction.unrolled.network import UnrolledNetwork, magnitude_loss
from scanproof.reconstruction.unrolled.problem import Problem
from scanproof.reconstruction.unrolled.regularisers import PlainNetwork, ResidualNetwork, convolution_norm
from scanproof.reconstruction.unrolled.unrolls import ModlStep, ProximalStep, undo_regulariser
from scanproof.reconstruction.unrolled.variational import VariationalStep

from .conftest import UNROLLS, acquire, collate, made


def dense(operator: SenseOperator, shape: tuple[int, ...]) -> np.ndarray:
    """AᴴA as a matrix."""
    count = int(np.prod(shape))
    images = torch.eye(count, dtype=torch.complex64).reshape(count, 1, *shape)
    return operator.normal(images).reshape(count, count).numpy().T


def small_problem(dtype: torch.dtype = torch.complex64, shape: tuple[int, ...] = (6, 5)) -> Problem:
    maps = birdcage_sensitivities(2, shape[-2:]).to(dtype)
    if len(shape) == 3:
        maps = maps[:, None].expand(-1, shape[0], -1, -1) / 1
    mask = torch.rand(shape[-1], generator=torch.Generator().manual_seed(2)) > 0.4
    mask = mask.reshape(1, *(1,) * (len(shape) - 1), -1)
    kspace = torch.randn(1, 2, *shape, dtype=dtype, generator=torch.Generator().manual_seed(1)) * mask
    return Problem.of(kspace, mask, maps, spatial_dims=len(shape))


def test_before_learning_the_proximal_network_is_gradient_descent():
    problem = small_problem()
    image = problem.zero_filled
    for _ in range(3):
        image = image - 1.0 * (problem.operator.normal(image) - problem.zero_filled)
    network = UnrolledNetwork(lambda: ProximalStep(features=4), unrolls=3)
    found = run(network.stage_unrolls(0), problem.zero_filled, problem)
    torch.testing.assert_close(found, image)


def test_before_learning_modl_solves_least_squares():
    problem = small_problem()
    unroll = ModlStep(features=4, weight=0.3, iterations=60)
    found = unroll(problem.zero_filled, problem)
    matrix = dense(problem.operator, (6, 5)) + 0.3 * np.eye(30)
    right = (problem.zero_filled * 1.3).flatten().numpy()
    np.testing.assert_allclose(found.detach().flatten().numpy(), np.linalg.solve(matrix, right), atol=2e-5)


def test_conjugate_gradients_agree_with_scipy_and_stop_when_told():
    from scipy.sparse.linalg import cg

    problem = small_problem()
    matrix = dense(problem.operator, (6, 5)).astype(np.complex128) + 0.1 * np.eye(30)
    right = problem.zero_filled.to(torch.complex128)
    count = 0

    def apply(x: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        return (torch.from_numpy(matrix) @ x.flatten()).reshape(x.shape)

    few = conjugate_gradients(apply, right, iterations=4)
    expected, _ = cg(matrix, right.flatten().numpy(), maxiter=4, rtol=0)
    np.testing.assert_allclose(few.flatten().numpy(), expected, atol=1e-10)
    count = 0
    loose = conjugate_gradients(apply, right, iterations=100, tolerance=1e-2)
    assert count < 30
    residual = apply(loose) - right
    assert residual.norm() <= 1e-2 * right.norm()


@pytest.mark.parametrize("start", [False, True])
def test_implicit_gradients_are_those_of_the_converged_steps(start: bool):
    problem = small_problem(torch.complex128)
    found = []
    for implicit in (False, True):
        zero_filled = problem.zero_filled.clone().requires_grad_()
        prior = (0.5 * problem.zero_filled + 0.1).requires_grad_()
        weight = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
        image = least_squares(
            problem.operator, zero_filled, prior, weight, iterations=60, tolerance=1e-12, implicit=implicit,
            start=problem.zero_filled if start else None,
        )  # fmt: skip
        (image.abs() ** 1.5).sum().backward()
        found.append((image.detach(), zero_filled.grad, prior.grad, weight.grad))
    for plain, implicit in zip(*found, strict=True):
        torch.testing.assert_close(implicit, plain, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("make", [lambda: ProximalStep(features=3, blocks=1), lambda: ModlStep(features=3, layers=2)])
def test_gradients_agree_with_finite_differences(make):
    problem = small_problem(torch.complex128)
    torch.manual_seed(3)
    unroll = make().double()
    for parameter in unroll.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
    image = (problem.zero_filled + 0.1j).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: torch.view_as_real(unroll(x, problem)), image, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("keep", ["inputs", "nothing"])
@pytest.mark.parametrize("shared", [False, True])
def test_gradients_do_not_depend_on_what_is_kept(kind: str, shared: bool, keep: str):
    acquired, reference = collate(range(2))
    network = made(kind, unrolls=3, shared=shared, keep="nothing")  # with the unrolls that can be undone
    found = {}
    for way in ("everything", keep):
        network.keep = way
        network.zero_grad()
        image = network(acquired)
        (image - reference).abs().mean().backward()
        found[way] = image.detach(), torch.cat([p.grad.flatten() for p in network.parameters()])
    torch.testing.assert_close(found[keep][0], found["everything"][0])
    error = (found[keep][1] - found["everything"][1]).norm() / found["everything"][1].norm()
    assert error == 0 if keep == "inputs" else error < 1e-5


def test_undoing_gives_what_came_in(kind: str):
    acquired, _ = collate(range(2))
    problem = Problem.of(*acquired)
    [unroll] = made(kind, unrolls=1, keep="nothing").stage_unrolls(0)
    with torch.no_grad():
        after = unroll(problem.zero_filled, problem)
    assert (after - problem.zero_filled).norm() > 0.02 * after.norm()
    torch.testing.assert_close(unroll.undo(after, problem), problem.zero_filled, atol=2e-5, rtol=1e-4)


def test_what_is_no_contraction_is_refused(kind: str):
    acquired, reference = collate(range(1))
    network = made(kind, unrolls=2, keep="nothing", std=1.0)
    loss = (network(acquired) - reference).abs().mean()
    with pytest.raises(ScanproofError, match="regulariser must be a contraction to be undone"):
        loss.backward()
    with pytest.raises(ScanproofError, match="train it with checkpointing"):
        undo_regulariser(network.stage_unrolls(0)[0].regulariser, Problem.of(*acquired).zero_filled)


def test_volumes(kind: str):
    problem = small_problem(shape=(4, 6, 5))
    make = {
        "proximal": lambda: ProximalStep(features=3, spatial_dims=3),
        "modl": lambda: ModlStep(features=3, spatial_dims=3),
    }[kind]
    network = UnrolledNetwork(make, unrolls=2, spatial_dims=3, keep="nothing")
    image = run(network.stage_unrolls(0), problem.zero_filled, problem, keep="nothing")
    assert image.shape == (1, 1, 4, 6, 5)
    magnitude_loss(image, torch.ones(1, 1, 4, 6, 5), problem).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_parameters_by_hand():
    count = sum(p.numel() for p in ResidualNetwork(features=100).parameters())
    assert count == 9 * (2 * 100 + 4 * 100 * 100 + 100 * 2)
    count = sum(p.numel() for p in PlainNetwork(features=70).parameters())
    assert count == 9 * (2 * 70 + 3 * 70 * 70 + 70 * 2)
    shared, own = (UnrolledNetwork(UNROLLS["proximal"], unrolls=5, shared=s) for s in (True, False))
    one, five = (sum(p.numel() for p in network.parameters()) for network in (shared, own))
    assert five == 5 * one


def test_variational_unrolls_are_those_of_monais_model():
    from monai.apps.reconstruction.networks.nets.complex_unet import ComplexUnet
    from monai.apps.reconstruction.networks.nets.varnet import VariationalNetworkModel

    features = (4, 4, 4, 4, 4, 4)
    (kspace, mask, maps), _ = collate(range(1))
    problem = Problem.of(kspace, mask, maps)

    class Given(nn.Module):
        def forward(self, kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return torch.view_as_real(maps)

    torch.manual_seed(1)
    theirs = VariationalNetworkModel(Given(), ComplexUnet(features=features), num_cascades=3)
    ours = UnrolledNetwork(lambda: VariationalStep(features=features), unrolls=3)
    for unroll, cascade in zip(ours.own, theirs.cascades, strict=True):
        unroll.block.load_state_dict(cascade.state_dict())
    with torch.no_grad():
        expected = theirs(torch.view_as_real(problem.kspace), mask[..., None])
        state = run(ours.stage_unrolls(0), ours.begin(problem), problem)
        found = kspace_to_image(state).abs().square().sum(dim=1).sqrt()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ScanproofError, match=r"unroll must be one that can be undone, got 'VariationalStep'"):
        UnrolledNetwork(lambda: VariationalStep(features=features), unrolls=2, keep="nothing")


def test_variational_unrolls_take_volumes():
    problem = small_problem(shape=(32, 16, 16))
    unroll = VariationalStep(features=(2, 2, 2, 2, 2, 2), spatial_dims=3)
    state = unroll(unroll.begin(problem), problem)
    assert state.shape == (1, 2, 32, 16, 16)
    assert unroll.image(state, problem).shape == (1, 1, 32, 16, 16)


def test_scale_is_taken_out_and_put_back(kind: str):
    (kspace, mask, maps), _ = collate(range(2))
    network = made(kind, unrolls=2)
    with torch.no_grad():
        one, thousand = network((kspace, mask, maps)), network((1000 * kspace, mask, maps))
        nothing = network((torch.zeros_like(kspace), mask, maps))
    torch.testing.assert_close(thousand, 1000 * one, rtol=1e-4, atol=1e-2)
    assert (nothing == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unrolls": 0}, "unrolls must be at least 1, got 0"),
        ({"unrolls": 4, "modules": 3}, r"modules must divide the unrolls \(4\), got 3"),
        ({"unrolls": 4, "modules": 2, "shared": True}, "must not share weights"),
    ],
)
def test_wrong_networks(options: dict, message: str):
    with pytest.raises(ScanproofError, match=message):
        UnrolledNetwork(UNROLLS["modl"], **options)


def test_wrong_parts():
    for make, message in [
        (lambda: ResidualNetwork(features=0), "features must be larger"),
        (lambda: PlainNetwork(layers=1), "layers must be larger"),
        (lambda: ResidualNetwork(spatial_dims=4), "spatial_dims must be 2 or 3"),
        (lambda: ModlStep(weight=0.0), "weight must be positive"),
        (lambda: ModlStep(iterations=0), "iterations must be at least 1"),
    ]:
        with pytest.raises(ScanproofError, match=message):
            make()


def cine(frames: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Frames of a slice in time, each with lines of its own, seen by the same coils."""
    kspace, mask, maps = (
        torch.stack(parts, dim=1) for parts in zip(*(collate(range(n, n + 1))[0] for n in range(frames)), strict=True)
    )
    return kspace.movedim(1, 2), mask.movedim(1, 2), maps.movedim(1, 2)


@pytest.mark.parametrize("make", [ProximalStep, ModlStep])
def test_before_learning_images_in_time_are_reconstructed_frame_by_frame(make):
    kspace, mask, maps = cine()
    together = UnrolledNetwork(lambda: make(features=3, spatial_dims=3), unrolls=3, spatial_dims=3, encoded_dims=2)
    alone = UnrolledNetwork(lambda: make(features=3), unrolls=3)
    if make is ModlStep:  # conjugate gradients of a problem of several frames take steps of their own
        for unroll in [*together.own, *alone.own]:
            unroll.iterations = 80
    found = together.estimate(kspace, mask, maps)
    assert found.shape == (1, 1, 4, 20, 16)
    for frame in range(4):
        expected = alone.estimate(kspace[:, :, frame], mask[:, :, frame], maps[:, :, frame])
        torch.testing.assert_close(found[:, :, frame], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("keep", ["inputs", "nothing"])
def test_images_in_time_have_the_same_gradients_whatever_is_kept(keep: str):
    acquired = cine()
    torch.manual_seed(1)
    network = UnrolledNetwork(
        lambda: ProximalStep(features=4, spatial_dims=3), unrolls=2, keep="nothing", spatial_dims=3, encoded_dims=2
    )
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.03)
    found = {}
    for way in ("everything", keep):
        network.keep = way
        network.zero_grad()
        network(acquired).square().sum().backward()
        found[way] = torch.cat([p.grad.flatten() for p in network.parameters()])
    assert (found[keep] - found["everything"]).norm() < 1e-4 * found["everything"].norm()


def test_variational_networks_of_images_in_time_are_refused():
    make = lambda: VariationalStep(features=(2,) * 6, spatial_dims=3)  # noqa: E731
    network = UnrolledNetwork(make, unrolls=1, spatial_dims=3, encoded_dims=2)
    with pytest.raises(ScanproofError, match="variational network must encode all axes, got 2"):
        network(cine())


@pytest.mark.parametrize("shape", [(3, 2, 3, 3), (2, 4, 3, 3, 3)])
def test_norm_of_a_convolution_is_that_of_its_matrix(shape: tuple[int, ...]):
    """On images of the grid's size that go round, the convolution is a matrix whose norm NumPy knows."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    dims = len(shape) - 2
    size = (6,) * dims
    basis = torch.eye(shape[1] * 6**dims).reshape(-1, shape[1], *size)
    padded = nn.functional.pad(basis, (1, 1) * dims, mode="circular")
    columns = (nn.functional.conv2d, nn.functional.conv3d)[dims - 2](padded, weight).flatten(1)
    assert convolution_norm(weight, grid=6) == pytest.approx(np.linalg.norm(columns.numpy(), 2), rel=1e-5)


@pytest.mark.parametrize("make", [ResidualNetwork, PlainNetwork])
@pytest.mark.parametrize("dims", [2, 3])
def test_contracted_regularisers_are_contractions(make, dims: int):
    torch.manual_seed(2)
    regulariser = make(features=6, spatial_dims=dims)
    for parameter in regulariser.parameters():
        nn.init.normal_(parameter, std=0.5)
    shape = (2, 1, *(12,) * dims)
    first, second = (torch.randn(shape, dtype=torch.complex64) for _ in range(2))

    def stretch() -> float:
        pairs = [(first, second), (first, first + 1e-3 * second), (10 * first, second)]
        changes = [(regulariser.correction(a) - regulariser.correction(b)).norm() / (a - b).norm() for a, b in pairs]
        return float(max(changes))

    with torch.no_grad():
        assert stretch() > 1
        regulariser.contract(0.75)
        assert 0 < stretch() < 0.75
        torch.testing.assert_close(undo_regulariser(regulariser, regulariser(first)), first, atol=1e-4, rtol=1e-4)
        kept = [p.clone() for p in regulariser.parameters()]
        regulariser.contract(0.75)  # what is one already stays
    for before, after in zip(kept, regulariser.parameters(), strict=True):
        torch.testing.assert_close(after, before)


@pytest.mark.parametrize("name", ["proximal_gradient", "modl"])
def test_invertible_training_stays_invertible(name: str):
    options = {"features": 6, "unrolls": 2, "epochs": 6, "batch_size": 2, "learning_rate": 0.03, "patience": 6}
    method = RECONSTRUCTORS.create(name, {**options, "training": "invertible"})
    history = method.fit([acquire(n) for n in range(6)], [acquire(n) for n in range(6, 8)], seed=1).history
    assert len(history) == 6
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
