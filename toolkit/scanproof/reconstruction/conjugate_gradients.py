"""Conjugate gradients on images, plainly or with gradients that need no memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from scanproof.physics.sense import SenseOperator

#: a Hermitian, positive definite map of images
Map = Callable[[Tensor], Tensor]


def conjugate_gradients(
    apply: Map,
    right: Tensor,
    *,
    iterations: int,
    start: Tensor | None = None,
    tolerance: float = 0.0,
    spatial_dims: int = 2,
) -> Tensor:
    """Solve ``apply(x) = right``; gradients flow through all steps.

    Args:
        apply: Hermitian, positive definite, image by image.
        right: complex ``(..., 1, *spatial)``.
        iterations: most steps.
        start: first guess; without it, zero.
        tolerance: stop where every residual is below this share of its right side; 0 takes all steps.
        spatial_dims: 2 or 3.

    Returns:
        The solutions, of the shape of ``right``.

    Example:
        >>> scale = torch.tensor([1.0, 3.0]).reshape(1, 1, 2)
        >>> found = conjugate_gradients(lambda x: scale * x, torch.tensor([[[2.0 + 0j, 6.0]]]), iterations=2)
        >>> found.real.round(decimals=4)
        tensor([[[2., 2.]]])
    """
    dims = tuple(range(-spatial_dims - 1, 0))
    image = torch.zeros_like(right) if start is None else start
    residual = right if start is None else right - apply(start)
    direction, energy = residual, _energy(residual, dims)
    limit = tolerance**2 * _energy(right.detach(), dims)
    for _ in range(iterations):
        if tolerance and bool((energy.detach() <= limit).all()):
            break
        forward = apply(direction)
        step = _ratio(energy, (direction.conj() * forward).real.sum(dim=dims, keepdim=True))
        image = image + step * direction
        residual = residual - step * forward
        previous, energy = energy, _energy(residual, dims)
        direction = residual + _ratio(energy, previous) * direction
    return image


def least_squares(
    operator: SenseOperator,
    zero_filled: Tensor,
    prior: Tensor,
    weight: Tensor,
    *,
    iterations: int,
    start: Tensor | None = None,
    tolerance: float = 0.0,
    implicit: bool = False,
) -> Tensor:
    r"""Minimise :math:`\|Ax - y\|^2 + \lambda\|x - z\|^2`, the data consistency of MoDL (Aggarwal et al., 2019).

    Args:
        operator: A.
        zero_filled: Aᴴy, complex ``(..., 1, *spatial)``.
        prior: z, of the same shape.
        weight: λ, positive, without axes.
        iterations: most steps of conjugate gradients.
        start: first guess.
        tolerance: see :func:`conjugate_gradients`.
        implicit: gradients follow from the solution's equation, by a second solution in the backward pass; nothing in
            between is stored. They are exact where the first has converged. Otherwise they flow through the steps.

    Returns:
        x, of the shape of ``prior``. Without ``implicit``, ``start`` has a gradient, too.
    """
    if implicit:
        found: Tensor = _ImplicitLeastSquares.apply(  # type: ignore[no-untyped-call]
            operator, zero_filled, prior, weight, None if start is None else start.detach(), iterations, tolerance
        )
        return found
    return conjugate_gradients(
        lambda x: operator.normal(x) + weight * x,
        zero_filled + weight * prior,
        iterations=iterations,
        start=start,
        tolerance=tolerance,
        spatial_dims=operator.spatial_dims,
    )


class _ImplicitLeastSquares(torch.autograd.Function):
    """:func:`least_squares` whose gradients solve (AᴴA + λ) v = g: v for Aᴴy, λv for z, Re⟨v, z − x⟩ for λ."""

    @staticmethod
    def forward(
        context: Any,
        operator: SenseOperator,
        zero_filled: Tensor,
        prior: Tensor,
        weight: Tensor,
        start: Tensor | None,
        iterations: int,
        tolerance: float,
    ) -> Tensor:
        found = least_squares(
            operator, zero_filled, prior, weight, iterations=iterations, start=start, tolerance=tolerance
        )
        context.save_for_backward(found, prior, weight)
        context.operator, context.iterations, context.tolerance = operator, iterations, tolerance
        return found

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found, prior, weight = context.saved_tensors
        solved = conjugate_gradients(
            lambda x: context.operator.normal(x) + weight * x,
            gradient,
            iterations=context.iterations,
            tolerance=context.tolerance,
            spatial_dims=context.operator.spatial_dims,
        )
        towards = (solved.conj() * (prior - found)).real.sum().reshape(weight.shape)
        return None, solved, weight * solved, towards, None, None, None


def _energy(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Squared norm of each image."""
    return (x.real**2 + x.imag**2).sum(dim=dims, keepdim=True)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient; zero where the denominator is: an image that has converged, or is empty, stays as it is."""
    positive = denominator > 0
    # a denominator of zero must not reach the quotient, whose gradient it would make NaN
    return torch.where(positive, numerator / torch.where(positive, denominator, 1), torch.zeros_like(numerator))
