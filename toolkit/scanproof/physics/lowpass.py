"""Low-pass filters that act alike on k-space and on magnitude images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.fft import centred_fft, centred_ifft

#: Weights from the distances to the k-space centre along each axis: float64, shaped to broadcast.
Window = Callable[[Sequence[torch.Tensor]], torch.Tensor]

#: matrix products that one call is cut into, at the least
_PRODUCTS = 64


def low_pass(data: torch.Tensor, *, axes: Sequence[int], highest: Sequence[float], window: Window) -> torch.Tensor:
    """Weight k-space by a window around its centre.

    The window sees the distances to the centre alone, so it treats a frequency and its mirror image alike. On a real
    volume it is then diagonal in the real trigonometric basis, and only the functions up to the highest frequency are
    needed: two products with small matrices an axis take a fraction of the time of two Fourier transforms, which in a
    single slice, in turn, are the quicker way.

    Args:
        data: centred k-space, complex, or images, real; ``(image, coil, *spatial)``.
        axes: axes that are filtered, counted from the end, rising.
        highest: along each of them, the distance from the centre in k-space samples beyond which the window is zero.
        window: weights from the distances along each axis, in k-space samples.

    Returns:
        Of the same shape and dtype; k-space for k-space, image for image. An image may become negative in places.

    Example:
        >>> x = torch.eye(4).reshape(1, 1, 4, 1, 4)
        >>> low_pass(x, axes=(-1,), highest=(0,), window=lambda distance: (distance[0] == 0).double())[0, 0, 0]
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    if data.is_complex():
        weights = window([_along(_distances(data.shape[axis]), axis) for axis in axes])
        return data * weights.to(data.real)
    if data.ndim == 4:
        kspace = low_pass(centred_fft(data, axes=axes), axes=axes, highest=highest, window=window)
        return centred_ifft(kspace, axes=axes).real.contiguous()
    pairs = [trigonometric_basis(data.shape[axis], reach) for axis, reach in zip(axes, highest, strict=True)]
    weights = window([_along(orders, axis) for (_, orders), axis in zip(pairs, axes, strict=True)])
    result = data
    for axis, (basis, _) in zip(axes, pairs, strict=True):
        result = along_axis(result, basis.to(data), axis=axis)
    result = result * weights.to(data)
    for axis, (basis, _) in zip(axes, pairs, strict=True):
        result = along_axis(result, basis.to(data).mT, axis=axis)
    return result.contiguous()


def trigonometric_basis(size: int, highest: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Orthonormal cosines and sines on a grid, from the constant upwards.

    Args:
        size: number of grid points.
        highest: no function of less than this number of periods over the grid is left out.

    Returns:
        The functions, float64 ``(functions, size)``, and the periods of each, float64 ``(functions,)``.

    Raises:
        ScanproofError: no grid point, or a negative or undefined number of periods.

    Example:
        >>> basis, periods = trigonometric_basis(6, 1)
        >>> periods.tolist()
        [0.0, 1.0, 1.0]
        >>> torch.allclose(basis @ basis.mT, torch.eye(3, dtype=torch.float64))
        True
    """
    if size < 1:
        raise ScanproofError("size must be at least 1", value=size)
    if not highest >= 0:
        raise ScanproofError("highest must be at least 0", value=highest)
    last = math.ceil(min(highest, size // 2))
    periods = torch.arange(last + 1, dtype=torch.float64)
    angle = (2 * math.pi / size) * torch.outer(periods, torch.arange(size, dtype=torch.float64))
    # the constant, and the alternating function of an even grid, have no sine beside them
    sines = slice(1, last if 2 * last == size else last + 1)
    functions = torch.cat([torch.cos(angle), torch.sin(angle[sines])])
    norm = torch.linalg.vector_norm(functions, dim=1, keepdim=True)
    return functions / norm, torch.cat([periods, periods[sines]])


def along_axis(x: torch.Tensor, matrix: torch.Tensor, *, axis: int) -> torch.Tensor:
    """Apply a matrix to every line along an axis.

    A matrix product on several threads rounds differently from one on a single thread. So there are always many
    products, each of which one thread does on its own: the bits do not depend on the number of threads, as long as
    that does not exceed the number of products.

    Args:
        x: ``(..., n, ...)`` with at least two axes.
        matrix: ``(m, n)``, of the same dtype.
        axis: the axis of length ``n``, counted from the end.

    Returns:
        ``(..., m, ...)``, not always contiguous.

    Example:
        >>> along_axis(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 1.0]]), axis=-1)
        tensor([[3.],
                [7.]])
    """
    if axis != -1:
        moved = x.movedim(axis, -2)
        if math.prod(moved.shape[:-2]) >= _PRODUCTS:
            stack = moved.flatten(0, -3)
            columns = torch.bmm(matrix.expand(len(stack), -1, -1), stack)
            return columns.reshape(*moved.shape[:-2], *columns.shape[1:]).movedim(-2, axis)
        return along_axis(x.movedim(axis, -1).contiguous(), matrix, axis=-1).movedim(-1, axis)
    lines = math.prod(x.shape[:-1])
    together = next(n for n in range(max(lines // _PRODUCTS, 1), 0, -1) if lines % n == 0)
    rows = x.reshape(lines // together, together, x.shape[-1])
    product = torch.bmm(rows, matrix.mT.expand(len(rows), -1, -1))
    return product.reshape(*x.shape[:-1], len(matrix))


def _distances(size: int) -> torch.Tensor:
    """Distance of every sample of a centred axis to the zero frequency."""
    return (torch.arange(size, dtype=torch.float64) - size // 2).abs()


def _along(values: torch.Tensor, axis: int) -> torch.Tensor:
    return values.reshape(-1, *[1] * (-axis - 1))
