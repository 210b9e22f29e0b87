"""Unrolled networks: their unrolls, split into modules that may learn one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.reconstruction.unrolled.memory import Keep, run
from scanproof.reconstruction.unrolled.problem import Problem
from scanproof.reconstruction.unrolled.unrolls import Unroll

#: k-space, mask and coil sensitivities of a batch
Acquired = tuple[Tensor, Tensor, Tensor]


class UnrolledNetwork(nn.Module):
    """Unrolls in a row, from the zero-filled image on.

    Args:
        make: makes one unroll.
        unrolls: how many.
        shared: all unrolls have the same weights.
        modules: consecutive unrolls are split into so many modules, which :meth:`stage` applies one by one.
        keep: what is kept for the backward pass; see :data:`~scanproof.reconstruction.unrolled.memory.Keep`.
        spatial_dims: 2 or 3.
        encoded_dims: how many of them are encoded in k-space; 2 of 3 for images in time, ``(T, H, W)``.

    Raises:
        ScanproofError: modules that do not divide the unrolls, or that would share weights.

    Example:
        >>> from scanproof.reconstruction.unrolled.unrolls import ProximalStep
        >>> network = UnrolledNetwork(lambda: ProximalStep(features=4), unrolls=4, modules=2)
        >>> [len(network.stage_unrolls(number)) for number in range(2)]
        [2, 2]
    """

    def __init__(
        self,
        make: Callable[[], Unroll],
        *,
        unrolls: int,
        shared: bool = False,
        modules: int = 1,
        keep: Keep = "everything",
        spatial_dims: int = 2,
        encoded_dims: int | None = None,
    ) -> None:
        super().__init__()
        if unrolls < 1:
            raise ScanproofError("unrolls must be at least 1", value=unrolls)
        if modules < 1 or unrolls % modules:
            raise ScanproofError(f"modules must divide the unrolls ({unrolls})", value=modules)
        if shared and modules > 1:
            raise ScanproofError("modules that learn by themselves must not share weights", key="shared", value=shared)
        self.own = nn.ModuleList(make() for _ in range(1 if shared else unrolls))
        self.unrolls, self.modules_count, self.keep = unrolls, modules, keep
        self.spatial_dims, self.encoded_dims = spatial_dims, encoded_dims
        if keep == "nothing":
            for unroll in self._all():
                unroll.make_invertible()

    def forward(self, acquired: Acquired) -> Tensor:
        """Magnitude, float32 ``(batch, 1, *spatial)``, of k-space, mask and sensitivities."""
        return self.estimate(*acquired).abs()

    def estimate(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """The complex image, complex64 ``(batch, 1, *spatial)``."""
        problem = self.problem(kspace, mask, sensitivities)
        return self._solve(problem) * problem.scale

    def problem(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Problem:
        """An acquisition as the network sees it."""
        return Problem.of(kspace, mask, sensitivities, spatial_dims=self.spatial_dims, encoded_dims=self.encoded_dims)

    def measure(self, acquired: Acquired, reference: Tensor) -> tuple[Tensor, Tensor]:
        """The magnitude, as :meth:`forward` gives it, and its error in the unit of the network."""
        problem = self.problem(*acquired)
        image = self._solve(problem)
        return (image * problem.scale).abs(), magnitude_loss(image, reference, problem)

    def contract(self) -> None:
        """Keep weights to what can be undone; see :meth:`Unroll.contract`."""
        for unroll in self.own:
            if isinstance(unroll, Unroll):
                unroll.contract()

    def begin(self, problem: Problem) -> Tensor:
        """What the first unroll is given."""
        return self._all()[0].begin(problem)

    def image(self, state: Tensor, problem: Problem) -> Tensor:
        """The image for which an unroll's result stands, complex ``(batch, 1, *spatial)``, in the network's unit."""
        return self._all()[0].image(state, problem)

    def stage_unrolls(self, number: int) -> Sequence[Unroll]:
        """The unrolls of a module."""
        size = self.unrolls // self.modules_count
        return self._all()[number * size : (number + 1) * size]

    def stage(self, number: int, state: Tensor, problem: Problem) -> Tensor:
        """Apply a module."""
        return run(self.stage_unrolls(number), state, problem, keep=self.keep)

    def stage_parameters(self, number: int) -> list[nn.Parameter]:
        """What a module learns."""
        return list(dict.fromkeys(p for unroll in self.stage_unrolls(number) for p in unroll.parameters()))

    def _solve(self, problem: Problem) -> Tensor:
        """All unrolls, from the first one's input to the image, in the network's unit."""
        return self.image(run(self._all(), self.begin(problem), problem, keep=self.keep), problem)

    def _all(self) -> list[Unroll]:
        own = [unroll for unroll in self.own if isinstance(unroll, Unroll)]
        return own * (self.unrolls // len(own))


def magnitude_loss(image: Tensor, reference: Tensor, problem: Problem) -> Tensor:
    """Mean absolute error of the magnitude, in the unit of the network."""
    return (image.abs() - reference / problem.scale).abs().mean()
