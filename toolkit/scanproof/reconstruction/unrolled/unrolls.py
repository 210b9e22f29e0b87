"""One unroll: a step towards the data and a learned step towards what images look like; and both undone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.reconstruction.conjugate_gradients import conjugate_gradients, least_squares
from scanproof.reconstruction.unrolled.problem import Problem
from scanproof.reconstruction.unrolled.regularisers import PlainNetwork, Regulariser, ResidualNetwork

#: most iterations of a fixed point that undoes a regulariser, and the relative error at which it has arrived
FIXED_POINT, ARRIVED = 60, 1e-6
#: share of its change by which a correction may change an image, so that the fixed point is reached in time
CONTRACTION = 0.75
#: of the conjugate gradients that undo a step towards the data
SOLVE, SOLVED = 60, 1e-7


class Unroll(nn.Module, ABC):
    """From an image to a better one, complex ``(batch, 1, *spatial)``, or whatever else stands for an image."""

    @staticmethod
    def begin(problem: Problem) -> Tensor:
        """What the first unroll is given."""
        return problem.zero_filled

    @staticmethod
    def image(state: Tensor, problem: Problem) -> Tensor:
        """The image for which an unroll's result stands, complex ``(batch, 1, *spatial)``."""
        return state

    @abstractmethod
    def forward(self, image: Tensor, problem: Problem) -> Tensor:
        """The better image."""

    def undo(self, image: Tensor, problem: Problem) -> Tensor:
        """The image that :meth:`forward` was given; without gradients.

        Raises:
            ScanproofError: the unroll cannot be undone.
        """
        raise ScanproofError("unroll must be one that can be undone", value=type(self).__name__)

    def contract(self) -> None:
        """Keep weights to what :meth:`undo` can undo, by scaling them down where it takes that."""
        for part in self.modules():
            if isinstance(part, Regulariser):
                part.contract(CONTRACTION)

    def make_invertible(self) -> None:
        """Keep to what :meth:`undo` can undo, as far as the form of the unroll decides it.

        Raises:
            ScanproofError: it cannot be undone, whatever its weights.
        """
        raise ScanproofError(
            "unroll must be one that can be undone", value=type(self).__name__, hint="train it with checkpointing"
        )


class ProximalStep(Unroll):
    r"""A gradient step, then the regulariser: :math:`x \leftarrow R(x - \mu (A^H A x - A^H y))`.

    Source: the proximal gradient network of GLEAM, arXiv 2207.08393; its released code fixes :math:`\mu = 2`, which is
    at the edge of stability where A has norm one. Here, :math:`\mu` is learned, within (0, 2).

    Args:
        features, blocks: see :class:`ResidualNetwork`.
        spatial_dims: 2 or 3.
    """

    def __init__(self, *, features: int = 100, blocks: int = 2, spatial_dims: int = 2) -> None:
        super().__init__()
        self.regulariser = ResidualNetwork(features=features, blocks=blocks, spatial_dims=spatial_dims)
        self.logit = nn.Parameter(torch.zeros(()))
        self.longest = 2.0

    @property
    def step(self) -> Tensor:
        """μ."""
        return self.longest * torch.sigmoid(self.logit)

    def make_invertible(self) -> None:
        """With steps below 0.95, I − μAᴴA stays positive definite."""
        self.longest = 0.95

    def forward(self, image: Tensor, problem: Problem) -> Tensor:
        """See :meth:`Unroll.forward`."""
        better: Tensor = self.regulariser(image - self.step * problem.gradient(image))
        return better

    @torch.no_grad()
    def undo(self, image: Tensor, problem: Problem) -> Tensor:
        """See :meth:`Unroll.undo`."""
        stepped = undo_regulariser(self.regulariser, image)
        step = self.step
        return conjugate_gradients(
            lambda x: x - step * problem.operator.normal(x),
            stepped - step * problem.zero_filled,
            iterations=SOLVE,
            tolerance=SOLVED,
            spatial_dims=problem.operator.spatial_dims,
        )


class ModlStep(Unroll):
    r"""The regulariser, then the image next to it that fits the data.

    .. math:: z = R(x), \qquad x \leftarrow \arg\min_x \|A x - y\|^2 + \lambda \|x - z\|^2

    by conjugate gradients that start from x. Source: MoDL, Aggarwal et al., IEEE TMI 2019, as in GLEAM, arXiv
    2207.08393. :math:`\lambda` is learned.

    Args:
        features, layers: see :class:`PlainNetwork`.
        weight: λ at first.
        iterations: of conjugate gradients.
        implicit: see :func:`~scanproof.reconstruction.conjugate_gradients.least_squares`.
        spatial_dims: 2 or 3.

    Raises:
        ScanproofError: a weight that is not positive, or no iteration.
    """

    def __init__(
        self,
        *,
        features: int = 70,
        layers: int = 5,
        weight: float = 0.05,
        iterations: int = 10,
        implicit: bool = False,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        if not 0 < weight < math.inf:
            raise ScanproofError("weight must be positive", value=weight)
        if iterations < 1:
            raise ScanproofError("iterations must be at least 1", value=iterations)
        self.regulariser = PlainNetwork(features=features, layers=layers, spatial_dims=spatial_dims)
        self.logarithm = nn.Parameter(torch.tensor(math.log(weight)))
        self.iterations, self.tolerance, self.implicit = iterations, 0.0, implicit

    @property
    def weight(self) -> Tensor:
        """λ."""
        return self.logarithm.exp()

    def make_invertible(self) -> None:
        """Only an exact solution tells what it came from."""
        self.iterations, self.tolerance, self.implicit = SOLVE, SOLVED, True

    def forward(self, image: Tensor, problem: Problem) -> Tensor:
        """See :meth:`Unroll.forward`."""
        return least_squares(
            problem.operator,
            problem.zero_filled,
            self.regulariser(image),
            self.weight,
            iterations=self.iterations,
            start=image,
            tolerance=self.tolerance,
            implicit=self.implicit,
        )

    @torch.no_grad()
    def undo(self, image: Tensor, problem: Problem) -> Tensor:
        """See :meth:`Unroll.undo`; an error of the image is multiplied by up to 1 + 1/λ."""
        prior = image + problem.gradient(image) / self.weight
        return undo_regulariser(self.regulariser, prior)


@torch.no_grad()
def undo_regulariser(regulariser: Regulariser, image: Tensor) -> Tensor:
    """Undo x + F(x): the fixed point of x = image − F(x), which is reached where F is a contraction.

    Raises:
        ScanproofError: it is not reached.
    """
    found = image
    limit = ARRIVED * float(image.norm())
    for _ in range(FIXED_POINT):
        before, found = found, image - regulariser.correction(found)
        if float((found - before).norm()) <= limit:
            return found
    raise ScanproofError(
        f"regulariser must be a contraction to be undone: the last of {FIXED_POINT} fixed-point iterations must change "
        f"the image by less than {ARRIVED:g} of its norm",
        value=float((found - before).norm() / image.norm()),
        hint="train it with checkpointing, or with a lower learning rate",
    )
