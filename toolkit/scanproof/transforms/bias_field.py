"""Smooth intensity modulation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.polynomial import legendre

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.lines import part_length
from scanproof.physics.lowpass import along_axis
from scanproof.physics.steady import steady_sum
from scanproof.transforms.base import Shift, require_positive
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


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

    Severity: coefficients 0.15, 0.3, 0.45, 0.6, 0.8: from a drift that is just visible to the shading of a surface coil
    at 7 T. In a slice of a head, the brightest tenth of it is then 1.2 to 3 times as much enhanced as the darkest.

    Limits: a multiplicative field. The flip angle error that a transmit field brings with it, hence its change of
    contrast, is not in it. All coils share the field, so sensitivities that were estimated before stay valid.

    Differs from MONAI's ``RandBiasField`` and TorchIO's ``RandomBiasField`` in the missing constant term and the
    normalisation; from MONAI also in limiting the total order, alike for all axes (MONAI takes the orders along the
    second axis that do not exceed that along the first); from TorchIO in Legendre polynomials instead of monomials.

    Args:
        severity: 0 to 5.
        coefficient: largest magnitude of a coefficient, above 0.
        order: highest total order of the polynomials, at least 1.
        seed: of the field.

    Raises:
        ScanproofError: both or neither of severity and coefficient, or a value out of range.

    Example:
        >>> image = torch.rand(1, 32, 40)
        >>> biased = BiasField(severity=3, seed=1)(image)
        >>> torch.allclose(biased.mean(), image.mean(), rtol=1e-4)
        True
    """

    name: ClassVar[str] = "bias_field"
    acts_on: ClassVar[Literal["image"]] = "image"

    def __init__(
        self, *, severity: int | None = None, coefficient: float | None = None, order: int = 3, seed: int = 0
    ) -> None:
        super().__init__(severity, seed=seed, coefficient=coefficient)
        require_positive(self.name, **self.parameters)
        if order < 1:
            raise ScanproofError("order must be at least 1", key=self.name, value=order)
        self.order = order

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Multiply coil images ``(image, coil, *spatial)`` by the field."""
        shape = tuple(data.shape[2:])
        unit = 2 * torch.rand(len(_orders(len(shape), self.order)), generator=generator, dtype=torch.float64) - 1
        coefficients = self.parameters["coefficient"] * unit
        single = not data.is_complex() and data.shape[1] == 1
        result, before, after, start = torch.empty_like(data), [], [], 0
        for logarithm in legendre_parts(
            shape, coefficients, order=self.order, length=part_length(data, 2), dtype=data.real.dtype
        ):
            part = data.narrow(2, start, len(logarithm))
            field = logarithm.exp().to(data.device)
            modulated = part * field
            weight = part if single else root_sum_of_squares(part, dim=1, keepdim=True)
            before.append(steady_sum(weight, spatial_dims=len(shape)))
            after.append(steady_sum(modulated if single else weight * field, spatial_dims=len(shape)))
            result.narrow(2, start, len(logarithm)).copy_(modulated)
            start += len(logarithm)
        total = torch.stack(before).sum(dim=0)
        # an empty image has no object, and whatever the field it stays empty
        mean = torch.where(total > 0, torch.stack(after).sum(dim=0) / torch.where(total > 0, total, 1.0), 1.0)
        return result.mul_(mean.reciprocal().to(data.real.dtype))


def legendre_parts(
    shape: Sequence[int], coefficients: torch.Tensor, *, order: int, length: int, dtype: torch.dtype = torch.float64
) -> Iterator[torch.Tensor]:
    """Sum of products of Legendre polynomials over the field of view, without the constant term, part by part.

    Args:
        shape: spatial shape; the first and last pixel of an axis have the coordinates -1 and 1.
        coefficients: float64 ``(terms,)``, one for every combination of orders along the axes whose sum is in
            [1, order], the order along the last axis running fastest.
        order: highest total order.
        length: of the parts along the first axis.
        dtype: of the result; what is the same for a whole line is in double precision whatever it is.

    Yields:
        Real ``(length, *shape[1:])``, first to last, the last one shorter where it does not come out even.

    Example:
        >>> coefficients = torch.tensor([1.0, 0.5], dtype=torch.float64)
        >>> [part.tolist() for part in legendre_parts((2, 3), coefficients, order=1, length=1)]
        [[[-1.5, -0.5, 0.5]], [[-0.5, 0.5, 1.5]]]
    """
    cube = np.zeros([order + 1] * len(shape))
    for orders, coefficient in zip(_orders(len(shape), order), coefficients.tolist(), strict=True):
        cube[orders] = coefficient
    first, *others = (
        legendre.legvander(np.linspace(-1, 1, size) if size > 1 else np.zeros(1), order) for size in shape
    )
    for values in others[:-1]:
        # contracts the second axis, one of orders, and appends the axis of pixels
        cube = np.tensordot(cube, values, axes=(1, 1))
    # the orders of the last axis, which now stand second, come last
    lines = torch.from_numpy(np.moveaxis(cube, 1, -1).copy())
    last = torch.from_numpy(others[-1]).to(dtype)
    for part in torch.split(torch.from_numpy(first), length):
        yield along_axis(torch.tensordot(part, lines, dims=1).to(dtype), last, axis=-1)


def _orders(dims: int, order: int) -> list[tuple[int, ...]]:
    return [orders for orders in itertools.product(range(order + 1), repeat=dims) if 1 <= sum(orders) <= order]


class BiasFieldd(Shiftd):
    """Dictionary version of :class:`BiasField`.

    Example:
        >>> BiasFieldd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = BiasField


class RandBiasField(RandShift):
    """Random version of :class:`BiasField`, for augmentation."""

    shift = BiasField


class RandBiasFieldd(RandShiftd):
    """Dictionary version of :class:`RandBiasField`."""

    transform_class = RandBiasField
