"""What every scanner artifact has in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import Randomizable, Transform
from monai.utils.enums import TransformBackends

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms.severity import check_severity, parameters


class Shift(Randomizable, Transform):
    """A change of the acquisition, of graded severity: base of all artifacts.

    A shift is built from a ``severity`` or from its physical parameters, and called with

    - complex data: the k-space of one image, ``(coil, *spatial)``, centred and orthonormal, before undersampling;
    - real data: magnitude images ``(channel, *spatial)``. Every channel is an image of its own, acquired by one
      coil. Shifts of k-space take it there and back and return the magnitude, so its phase counts as zero.

    Severity 0 is the identity. The input is never changed; shape, dtype, device and, of a ``MetaTensor``, the
    metadata are kept. All operations are differentiable.

    Randomness comes from ``self.R`` alone, so from MONAI's ``set_random_state``. A call takes exactly one number
    from it, whatever the severity and the shape; from that number the subclass draws a pattern of unit size and
    scales it. So one seed gives one pattern that grows with the severity.

    To add an artifact: set ``name`` and ``acts_on``, give the constructor keyword-only physical parameters with
    default ``None`` which it passes on to this one, write :meth:`corrupt`, and enter its levels in
    ``scanproof.transforms.severity`` (or override :meth:`graded`) and its class in ``scanproof.transforms.SHIFTS``.

    Args:
        severity: 0 to 5, or None where physical parameters are given.
        physical: all physical parameters, or None for each where a severity is given.

    Attributes:
        severity: as given.
        parameters: the physical parameters in use; empty at severity 0.

    Raises:
        ScanproofError: both or neither of severity and physical parameters, or only some of these.
    """

    #: name in the registry, the table of severities and the results table
    name: ClassVar[str]
    #: what :meth:`corrupt` works on
    acts_on: ClassVar[Literal["kspace", "image"]]
    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]  # type: ignore[misc]

    def __init__(self, severity: int | None, **physical: float | None) -> None:
        given = {name: value for name, value in physical.items() if value is not None}
        names = " and ".join(physical)
        if severity is not None and given:
            raise ScanproofError(f"give either severity or {names}, not both", key=self.name)
        if severity is None and len(given) < len(physical):
            raise ScanproofError(f"give either severity or {names}", key=self.name, value=given)
        self.severity = None if severity is None else check_severity(severity)
        self.parameters = given if self.severity is None else self.graded(self.severity)
        self._seed = 0

    @classmethod
    def graded(cls, severity: int) -> dict[str, float]:
        """Physical parameters at a severity, from the one table."""
        return parameters(cls.name, severity)

    @abstractmethod
    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Apply the artifact; what a subclass writes.

        Args:
            data: ``(image, coil, *spatial)``, floating and finite. k-space, complex, where the shift acts on
                k-space; otherwise coil images, complex, or real non-negative where the input was real. Must not be
                changed in place.
            generator: CPU generator, the only source of randomness. What is drawn from it must not depend on the
                size of the parameters.
            spacing: voxel size along the spatial axes in mm.

        Returns:
            Of the same shape.
        """

    def randomize(self, data: object = None) -> None:
        """Draw the pattern of the next call."""
        self._seed = int(self.R.randint(2**32, dtype=np.uint32))

    def __call__(
        self,
        data: torch.Tensor | np.ndarray[tuple[int, ...], np.dtype[np.generic]],
        *,
        spacing: Sequence[float] | None = None,
        randomize: bool = True,
    ) -> torch.Tensor:
        """Apply the shift.

        Args:
            data: k-space ``(coil, *spatial)``, complex, or magnitude images ``(channel, *spatial)``, real.
            spacing: voxel size along the spatial axes in mm; by default that of a ``MetaTensor``'s affine, else 1.
            randomize: draw a new pattern; False repeats that of the last call or :meth:`randomize`.

        Returns:
            New tensor of the same kind.

        Raises:
            ScanproofError: integers, negative magnitudes, values that are not finite, fewer than two spatial axes
                or a spacing that does not fit them.
        """
        tensor = torch.as_tensor(data)
        _check(tensor)
        size = voxel_size(tensor, spacing)
        if randomize:
            self.randomize()
        if self.severity == 0:
            return tensor.clone()
        plain = tensor.as_subclass(torch.Tensor)
        # there is no FFT in half precision on the CPU
        wide = plain.float() if plain.dtype in (torch.float16, torch.bfloat16) else plain
        result = self._apply(wide, size).to(plain.dtype)
        if not isinstance(tensor, MetaTensor):
            return result
        with_geometry: MetaTensor = MetaTensor(result).copy_meta_from(tensor)  # type: ignore[no-untyped-call]
        return with_geometry

    def _apply(self, x: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
        dims = x.ndim - 1
        generator = torch.Generator().manual_seed(self._seed)
        stack = x[None] if x.is_complex() else x[:, None]
        if self.acts_on == "kspace":
            kspace = stack if x.is_complex() else image_to_kspace(stack, spatial_dims=dims)
            result = self.corrupt(kspace, generator=generator, spacing=spacing)
            return result[0] if x.is_complex() else kspace_to_image(result, spatial_dims=dims)[:, 0].abs()
        image = kspace_to_image(stack, spatial_dims=dims) if x.is_complex() else stack
        result = self.corrupt(image, generator=generator, spacing=spacing)
        return image_to_kspace(result, spatial_dims=dims)[0] if x.is_complex() else result[:, 0].abs()


def voxel_size(data: torch.Tensor, spacing: Sequence[float] | None = None) -> tuple[float, ...]:
    """Voxel size along the spatial axes.

    Args:
        data: ``(channel or coil, *spatial)``.
        spacing: in mm; by default that of a ``MetaTensor``'s affine, else 1 mm.

    Returns:
        One positive number of mm per spatial axis.

    Raises:
        ScanproofError: a spacing of the wrong length or with values that are not positive and finite.

    Example:
        >>> voxel_size(torch.zeros(1, 8, 8), (0.5, 2))
        (0.5, 2.0)
    """
    dims = data.ndim - 1
    if spacing is None:
        if not isinstance(data, MetaTensor) or data.affine.shape[-1] <= dims:
            return (1.0,) * dims
        # whole columns: in an oblique slice part of an in-plane step runs along the third world axis
        spacing = torch.linalg.vector_norm(data.affine[:-1, :dims], dim=0).tolist()
    size = tuple(float(value) for value in spacing)
    if len(size) != dims or not all(0 < value < math.inf for value in size):
        raise ScanproofError(f"spacing must hold {dims} positive numbers of mm", value=size)
    return size


def spatial_axis(axis: int, dims: int, *, shift: str) -> int:
    """A spatial axis counted from the end, in ``[-dims, -1]``.

    Raises:
        ScanproofError: there is no such axis.

    Example:
        >>> spatial_axis(0, 2, shift="ghosting")
        -2
    """
    if not -dims <= axis < dims:
        raise ScanproofError(f"axis must be in [{-dims}, {dims - 1}] for {dims} spatial axes", key=shift, value=axis)
    return axis if axis < 0 else axis - dims


def require_positive(shift: str, **values: float) -> None:
    """Check that physical parameters are positive and finite.

    Raises:
        ScanproofError: naming the shift and the parameter.
    """
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ScanproofError(
                f"{name} must be positive and finite", key=shift, value=value, hint="severity=0 is the identity"
            )


def _check(data: torch.Tensor) -> None:
    if not (data.is_complex() or data.is_floating_point()):
        raise ScanproofError("data must be complex k-space or a floating-point image", value=str(data.dtype))
    if data.ndim < 3:
        raise ScanproofError(
            "data must have a coil or channel axis and at least two spatial axes", value=tuple(data.shape)
        )
    if not bool(torch.isfinite(data).all()):
        raise ScanproofError("data must be finite everywhere, found NaN or infinity")
    if not data.is_complex() and bool((data < 0).any()):
        raise ScanproofError(
            "a real image must be a magnitude image, without negative values",
            value=float(data.min()),
            hint="apply shifts before intensities are normalised",
        )
