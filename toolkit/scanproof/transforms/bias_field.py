"""Smooth intensity modulation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.polynomial import legendre

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.transforms.base import Shift, require_positive
from scanproof.transforms.dictionary import Shiftd


class BiasField(Shift):
    r"""Bias field: brightness that drifts over the field of view.

    Cause: a receive coil that is nearer to one side than to the other, and a transmit field that the body bends,
    the more the higher the field strength.

    Model: coil images are multiplied by :math:`b(r) = \exp\big(\sum_k a_k \prod_i P_{k_i}(r_i)\big) / \bar b` with
    Legendre polynomials :math:`P` on coordinates from -1 to 1, total order :math:`1 \le \sum_i k_i \le
    \mathrm{order}` and :math:`a_k = \mathrm{coefficient} \cdot u_k`, :math:`u_k \sim U(-1, 1)` (polynomial fields:
    Van Leemput et al., IEEE TMI 1999;18:885). There is no constant term, and :math:`\bar b` is the mean of the field
    weighted by the image magnitude: the field has mean one over the object and the mean intensity of the image
    stays, so that the shift is not an intensity scale in disguise.

    Severity: coefficients 0.3, 0.6, 0.9, 1.2, 1.5.

    Limits: a multiplicative field. The flip angle error that a transmit field brings with it, hence its change of
    contrast, is not in it. All coils share the field, so sensitivities that were estimated before stay valid.

    Differs from MONAI's ``RandBiasField`` and TorchIO's ``RandomBiasField`` in the missing constant term and the
    normalisation; from MONAI also in limiting the total order, alike for all axes (MONAI takes the orders along the
    second axis that do not exceed that along the first); from TorchIO in Legendre polynomials instead of monomials.

    Args:
        severity: 0 to 5.
        coefficient: largest magnitude of a coefficient, above 0.
        order: highest total order of the polynomials, at least 1.

    Raises:
        ScanproofError: both or neither of severity and coefficient, or a value out of range.

    Example:
        >>> image = torch.rand(1, 32, 40)
        >>> biased = BiasField(severity=3).set_random_state(seed=1)(image)
        >>> torch.allclose(biased.mean(), image.mean(), rtol=1e-4)
        True
    """

    name: ClassVar[str] = "bias_field"
    acts_on: ClassVar[Literal["kspace", "image"]] = "image"

    def __init__(self, *, severity: int | None = None, coefficient: float | None = None, order: int = 3) -> None:
        super().__init__(severity, coefficient=coefficient)
        require_positive(self.name, **self.parameters)
        if order < 1:
            raise ScanproofError("order must be at least 1", key=self.name, value=order)
        self.order = order

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Multiply coil images ``(image, coil, *spatial)`` by the field."""
        shape = data.shape[2:]
        terms = len(_orders(len(shape), self.order))
        unit = 2 * torch.rand(terms, generator=generator, dtype=torch.float64) - 1
        field = torch.exp(legendre_field(shape, self.parameters["coefficient"] * unit, order=self.order)).to(
            data.device
        )
        # in double precision, as the order of a parallel sum, hence its rounding, depends on the number of threads
        weight = root_sum_of_squares(data, dim=1).double().flatten(1)
        # an empty image has no object; then the mean is over the field of view
        weight = torch.where(weight.sum(dim=1, keepdim=True) > 0, weight, torch.ones_like(weight))
        mean = (weight * field.flatten()).sum(dim=1) / weight.sum(dim=1)
        return data * (field / mean.reshape(-1, *[1] * (data.ndim - 1))).to(data.real)


def legendre_field(shape: Sequence[int], coefficients: torch.Tensor, *, order: int) -> torch.Tensor:
    """Sum of products of Legendre polynomials over the field of view, without the constant term.

    Args:
        shape: spatial shape; the first and last pixel of an axis have the coordinates -1 and 1.
        coefficients: float64 ``(terms,)``, one for every combination of orders along the axes whose sum is in
            [1, order], the order along the last axis running fastest.
        order: highest total order.

    Returns:
        float64 of the given shape.

    Example:
        >>> legendre_field((2, 3), torch.tensor([1.0, 0.5], dtype=torch.float64), order=1)[1].tolist()
        [-0.5, 0.5, 1.5]
    """
    cube = np.zeros([order + 1] * len(shape))
    for orders, coefficient in zip(_orders(len(shape), order), coefficients.tolist(), strict=True):
        cube[orders] = coefficient
    for size in shape:
        # contracts the leading axis of orders and appends the axis of pixels: after all axes, the image remains
        values = legendre.legvander(np.linspace(-1, 1, size) if size > 1 else np.zeros(1), order)
        cube = np.tensordot(cube, values, axes=(0, 1))
    return torch.from_numpy(cube)


def _orders(dims: int, order: int) -> list[tuple[int, ...]]:
    return [orders for orders in itertools.product(range(order + 1), repeat=dims) if 1 <= sum(orders) <= order]


class BiasFieldd(Shiftd):
    """Dictionary version of :class:`BiasField`; all entries get the same field but for the normalisation.

    Example:
        >>> BiasFieldd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = BiasField
