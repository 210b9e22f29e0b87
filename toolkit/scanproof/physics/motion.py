"""Rigid motion of an object while its k-space is acquired."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch

from scanproof.errors import ScanproofError


def rotate(image: torch.Tensor, angle: float, *, axes: tuple[int, int], spacing: tuple[float, float]) -> torch.Tensor:
    r"""Rotate an image in a plane by three shears, each a phase ramp in the Fourier domain of one axis.

    .. math::
        \begin{pmatrix} \cos\theta & -\sin\theta \\ \sin\theta & \cos\theta \end{pmatrix} =
        \begin{pmatrix} 1 & -\tan\frac\theta2 \\ 0 & 1 \end{pmatrix}
        \begin{pmatrix} 1 & 0 \\ \sin\theta & 1 \end{pmatrix}
        \begin{pmatrix} 1 & -\tan\frac\theta2 \\ 0 & 1 \end{pmatrix}

    Unitary, so without the blur of interpolation (Unser et al., IEEE Trans Image Process 1995;4:1371; Larkin et al.,
    Opt Commun 1997;139:99). The field of view is periodic: what leaves it comes in on the other side, and for angles
    beyond some ten degrees the shears bring corners in. Meant for the small angles of motion.

    Args:
        image: complex, the plane among its axes.
        angle: radians; positive turns the first axis towards the second. The pixel ``n // 2`` of each stays in place.
        axes: of the plane, counted from the end.
        spacing: pixel size along the two axes, any unit.

    Returns:
        Complex, of the same shape and norm.

    Example:
        >>> image = torch.rand(1, 16, 16) + 0j
        >>> there = rotate(image, 0.1, axes=(-2, -1), spacing=(1, 1))
        >>> torch.allclose(rotate(there, -0.1, axes=(-2, -1), spacing=(1, 1)).real, image.real, atol=1e-5)
        True
    """
    rotated = _rotate(torch.fft.ifftshift(image, dim=axes), angle, axes=axes, spacing=spacing)
    back: torch.Tensor = torch.fft.fftshift(rotated, dim=axes)
    return back


def acquire_moving(
    kspace: torch.Tensor, *, angles: torch.Tensor, shifts: torch.Tensor, axis: int, spacing: Sequence[float]
) -> torch.Tensor:
    """k-space of an object that takes another pose in every shot but the one with the k-space centre.

    The phase-encode lines are cut into ``events + 1`` shots of equal length, first line to last. The shot with the
    line ``lines // 2`` sees the object at rest, the others its poses in the order given.

    Args:
        kspace: of the object at rest, complex ``(..., *spatial)``, centred, two or three spatial axes.
        angles: radians, ``(events, planes)``. In two dimensions there is one plane, in which a positive angle turns
            the first axis towards the second; in three the planes of the axes (0, 1), (0, 2) and (1, 2), applied
            in this order except that a plane without the phase-encode axis comes first.
        shifts: mm, ``(events, dims)``, along each axis, after the rotation about the centre.
        axis: phase-encode axis, counted from the end.
        spacing: voxel size in mm, one for each spatial axis.

    Returns:
        k-space of the same shape; the lines of the shot at rest are untouched.

    Raises:
        ScanproofError: neither two nor three spatial axes, or not more lines than events.

    Example:
        >>> kspace = torch.randn(4, 12, 16, dtype=torch.complex64)
        >>> pose = {"angles": torch.tensor([[0.0]]), "shifts": torch.tensor([[0.0, 16.0]])}  # by a field of view
        >>> torch.allclose(acquire_moving(kspace, **pose, axis=-1, spacing=(1, 1)), kspace, atol=1e-4)
        True
    """
    dims, lines, events = len(spacing), kspace.shape[axis], len(shifts)
    if dims not in (2, 3):
        raise ScanproofError("rigid motion must have 2 or 3 spatial axes", value=dims)
    if lines <= events:
        raise ScanproofError(f"events must be fewer than the {lines} phase-encode lines", value=events)
    axes = tuple(range(-dims, 0))
    planes = list(itertools.combinations(axes, 2))
    # the last rotation is in a plane with the phase-encode axis: its last shear needs the lines of the shot alone
    order = sorted(range(len(planes)), key=lambda p: axis in planes[p])
    last = planes[order[-1]]
    still = torch.fft.ifftn(torch.fft.ifftshift(kspace, dim=axes), dim=axes)
    hybrid = torch.fft.fft(still, dim=axis)

    shots = torch.arange(lines) * (events + 1) // lines
    poses = iter(zip(angles.tolist(), shifts.tolist(), strict=True))
    blocks = []
    for shot in range(events + 1):
        chosen = torch.nonzero(shots == shot).flatten()
        if shot == shots[lines // 2]:
            blocks.append(kspace.narrow(axis, int(chosen[0]), len(chosen)))
            continue
        turns, shift = next(poses)
        if dims == 3:
            image = still
            for p in order[:-1]:
                first, second = planes[p]
                image = _rotate(image, turns[p], axes=(first, second), spacing=(spacing[first], spacing[second]))
            hybrid = torch.fft.fft(image, dim=axis)
        angle = turns[order[-1]]
        rows = ((chosen - lines // 2) % lines).to(kspace.device)
        blocks.append(_moved_lines(hybrid, angle, shift, rows, axis=axis, plane=last, spacing=spacing))
    return torch.cat(blocks, dim=axis)


def _moved_lines(
    hybrid: torch.Tensor,
    angle: float,
    shift: Sequence[float],
    rows: torch.Tensor,
    *,
    axis: int,
    plane: tuple[int, int],
    spacing: Sequence[float],
) -> torch.Tensor:
    """The given lines of the k-space after a rotation in the plane and a shift.

    ``hybrid`` is k-space along the phase-encode axis, image along the others, zero frequency and position first.
    """
    read = plane[0] if plane[1] == axis else plane[1]
    if axis == plane[1]:
        angle = -angle
    ratio = spacing[read] / spacing[axis]
    outer = _shear_ramp(hybrid, -math.tan(angle / 2) * ratio, along=axis, across=read)
    inner = _shear_ramp(hybrid, math.sin(angle) / ratio, along=read, across=axis)
    image = _filter(torch.fft.ifft(hybrid * outer, dim=axis), inner, dim=read)
    lines = torch.fft.fft(image, dim=axis).index_select(axis, rows) * outer.index_select(axis, rows)
    others = tuple(a for a in range(-len(spacing), 0) if a != axis)
    lines = torch.fft.fftn(lines, dim=others)
    for a in range(-len(spacing), 0):
        ramp = _phase(_frequencies(hybrid, a) * (shift[a] / spacing[a]))
        lines = lines * (ramp.index_select(axis, rows) if a == axis else ramp)
    shifted: torch.Tensor = torch.fft.fftshift(lines, dim=others)
    return shifted


def _rotate(x: torch.Tensor, angle: float, *, axes: tuple[int, int], spacing: tuple[float, float]) -> torch.Tensor:
    first, second = axes
    ratio = spacing[1] / spacing[0]
    outer = _shear_ramp(x, -math.tan(angle / 2) * ratio, along=first, across=second)
    inner = _shear_ramp(x, math.sin(angle) / ratio, along=second, across=first)
    return _filter(_filter(_filter(x, outer, dim=first), inner, dim=second), outer, dim=first)


def _filter(x: torch.Tensor, ramp: torch.Tensor, *, dim: int) -> torch.Tensor:
    filtered: torch.Tensor = torch.fft.ifft(torch.fft.fft(x, dim=dim) * ramp, dim=dim)
    return filtered


def _shear_ramp(x: torch.Tensor, slope: float, *, along: int, across: int) -> torch.Tensor:
    """Phase that moves every pixel along one axis by ``slope`` times its position across, in pixels."""
    # a sampling frequency of n over n pixels gives their centred integer positions, zero first
    return _phase(_frequencies(x, along) * (_frequencies(x, across) * (slope * x.shape[across])))


def _phase(cycles: torch.Tensor) -> torch.Tensor:
    angle = (-2 * math.pi) * cycles
    return torch.complex(torch.cos(angle), torch.sin(angle))


def _frequencies(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Cycles per pixel along an axis, zero first, shaped to broadcast against ``x``."""
    frequencies: torch.Tensor = torch.fft.fftfreq(x.shape[axis], dtype=x.real.dtype, device=x.device)
    return frequencies.reshape(-1, *[1] * (-axis - 1))
