"""What every scanner artifact has in common."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar, Literal

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import Transform
from monai.utils.enums import TransformBackends

from scanproof.errors import ScanproofError
from scanproof.physics.fft import centred_fft, centred_ifft, image_to_kspace, kspace_to_image
from scanproof.transforms.severity import check_severity, parameters


class Shift(Transform):
    """A change of the acquisition, of graded severity: base of all artifacts.

    A shift is built from a ``severity`` or from its physical parameters, and called with

    - complex data: the k-space of one image, ``(coil, *spatial)``, centred and orthonormal, before undersampling;
    - real data: magnitude images ``(channel, *spatial)``. Every channel is an image of its own, acquired by one
      coil. Shifts of k-space take it there and back and return the magnitude, so its phase counts as zero.

    Severity 0 is the identity. The input is never changed; shape, dtype, device and, of a ``MetaTensor``, the
    metadata are kept. All operations are differentiable.

    A shift is deterministic: where an artifact has a random pattern, it is drawn from ``seed`` as a pattern of unit
    size, which is then scaled. So one seed gives one pattern that grows with the severity, and the order in which
    images are processed has no influence. For augmentation, :class:`~scanproof.transforms.random.RandShift` draws
    severities and seeds.

    To add an artifact: set ``name`` and ``acts_on``, give the constructor keyword-only physical parameters with
    default ``None`` which it passes on to this one, write :meth:`corrupt`, and enter its levels in
    ``scanproof.transforms.severity`` and its class in ``scanproof.transforms``.

    Args:
        severity: 0 to 5, or None where physical parameters are given.
        seed: of the pattern, at least 0; a call may name another.
        physical: all physical parameters, or None for each where a severity is given.

    Attributes:
        severity: as given.
        seed: as given.
        parameters: the physical parameters in use; empty at severity 0.

    Raises:
        ScanproofError: both or neither of severity and physical parameters, or only some of these.
    """

    #: name in the registry, the table of severities and the results table
    name: ClassVar[str]
    #: what :meth:`corrupt` works on
    acts_on: ClassVar[Literal["kspace", "lines", "image", "any"]]
    #: numbers of spatial axes it works in
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    #: physical parameters that are whole numbers
    counts: ClassVar[frozenset[str]] = frozenset()
    #: what a reader of results must know, e.g. that something is estimated or a proxy
    note: ClassVar[str] = ""
    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]  # type: ignore[misc]

    #: phase-encode axis, for shifts that act on lines
    axis: int = -1

    def __init__(self, severity: int | None, *, seed: int = 0, **physical: float | None) -> None:
        given = {name: value for name, value in physical.items() if value is not None}
        names = " and ".join(physical)
        if severity is not None and given:
            raise ScanproofError(f"give either severity or {names}, not both", key=self.name)
        if severity is None and len(given) < len(physical):
            raise ScanproofError(f"give either severity or {names}", key=self.name, value=given)
        self.severity = None if severity is None else check_severity(severity)
        self.parameters = given if self.severity is None else self.graded(self.severity)
        for name in self.counts & self.parameters.keys():
            if not float(self.parameters[name]).is_integer():
                raise ScanproofError(f"{name} must be a whole number", key=self.name, value=self.parameters[name])
        self.seed = _check_seed(seed)

    @classmethod
    def graded(cls, severity: int) -> dict[str, float]:
        """Physical parameters at a severity, from the one table."""
        return parameters(cls.name, severity)

    @abstractmethod
    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Apply the artifact; what a subclass writes.

        Args:
            data: ``(image, coil, *spatial)``, floating and finite, which must not be changed in place. According to
                ``acts_on``:

                - ``"kspace"``: complex k-space;
                - ``"lines"``: complex, k-space along ``self.axis``, along the other axes k-space or image. What acts
                  along the phase-encode axis alone need not know, and images are spared the other transforms;
                - ``"image"``: coil images, complex, or real and non-negative where the input was real;
                - ``"any"``: as it came, complex k-space or real non-negative images. For what has the same law in
                  both.
            generator: CPU generator, the only source of randomness. What is drawn from it must not depend on the
                size of the parameters.
            spacing: voxel size along the spatial axes in mm.

        Returns:
            Of the same shape; where ``data`` is real, complex (the magnitude is taken) or real and non-negative.
        """

    def __call__(
        self,
        data: torch.Tensor | np.ndarray[tuple[int, ...], np.dtype[np.generic]],
        *,
        spacing: Sequence[float] | None = None,
        seed: int | None = None,
    ) -> torch.Tensor:
        """Apply the shift.

        Args:
            data: k-space ``(coil, *spatial)``, complex, or magnitude images ``(channel, *spatial)``, real.
            spacing: voxel size along the spatial axes in mm; by default that of a ``MetaTensor``'s affine, else 1.
            seed: of the pattern; by default that of the constructor.

        Returns:
            New tensor of the same kind.

        Raises:
            ScanproofError: integers, negative magnitudes, values that are not finite, a number of spatial axes that
                the shift does not work in or a spacing that does not fit them.
        """
        tensor = torch.as_tensor(data)
        plain = tensor.as_subclass(torch.Tensor)
        _check(plain)
        dims = plain.ndim - 1
        if dims not in self.dimensions:
            expected = " or ".join(map(str, self.dimensions))
            raise ScanproofError(f"data must have {expected} spatial axes", key=self.name, value=tuple(plain.shape))
        size = voxel_size(tensor, spacing)
        chosen = self.seed if seed is None else _check_seed(seed)
        if self.severity == 0:
            return tensor.clone()
        # there is no FFT in half precision on the CPU
        wide = plain.float() if plain.dtype in (torch.float16, torch.bfloat16) else plain
        result = self._apply(wide, size, torch.Generator().manual_seed(chosen)).to(plain.dtype)
        if torch.equal(result, plain):
            warnings.warn(f"{self.name}: there was nothing to change in this image", stacklevel=2)
        if not isinstance(tensor, MetaTensor):
            return result
        with_geometry: MetaTensor = MetaTensor(result).copy_meta_from(tensor)  # type: ignore[no-untyped-call]
        return with_geometry

    def _apply(self, x: torch.Tensor, spacing: tuple[float, ...], generator: torch.Generator) -> torch.Tensor:
        dims = x.ndim - 1
        stack = x[None] if x.is_complex() else x[:, None]
        axes = tuple(range(-dims, 0)) if self.acts_on == "kspace" else ()
        if self.acts_on == "lines":
            axes = (spatial_axis(self.axis, dims, shift=self.name),)
        if x.is_complex():
            if self.acts_on != "image":
                return self.corrupt(stack, generator=generator, spacing=spacing)[0]
            image = kspace_to_image(stack, spatial_dims=dims)
            return image_to_kspace(self.corrupt(image, generator=generator, spacing=spacing), spatial_dims=dims)[0]
        if axes:
            lines = centred_fft(stack, axes=axes)
            result = centred_ifft(self.corrupt(lines, generator=generator, spacing=spacing), axes=axes)
        else:
            result = self.corrupt(stack, generator=generator, spacing=spacing)
        return _magnitude(result[:, 0]) if result.is_complex() else result[:, 0]


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


def _magnitude(x: torch.Tensor) -> torch.Tensor:
    # on a CPU three times as fast and bit-identical, but its gradient at zero is not defined
    return x.abs() if x.requires_grad else torch.hypot(x.real, x.imag)


def _check_seed(seed: object) -> int:
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < 2**63:
        raise ScanproofError("seed must be an integer of at least 0", value=seed)
    return int(seed)


def _check(data: torch.Tensor) -> None:
    if not (data.is_complex() or data.is_floating_point()):
        raise ScanproofError("data must be complex k-space or a floating-point image", value=str(data.dtype))
    if data.ndim < 3:
        raise ScanproofError(
            "data must have a coil or channel axis and at least two spatial axes", value=tuple(data.shape)
        )
    if data.numel() == 0:
        raise ScanproofError("data must not be empty", value=tuple(data.shape))
    # NaN passes through minimum and maximum; both at once (aminmax) is slow where memory order is not C's
    parts = (torch.view_as_real(data.resolve_conj()) if data.is_complex() else data).detach()
    low, high = float(parts.amin()), float(parts.amax())
    if not -math.inf < low <= high < math.inf:
        raise ScanproofError("data must be finite everywhere, found NaN or infinity")
    if not data.is_complex() and low < 0:
        raise ScanproofError(
            "a real image must be a magnitude image, without negative values",
            value=low,
            hint="apply shifts before intensities are normalised",
        )
