"""The SENSE acquisition operator: coil weighting, Fourier transform, undersampling."""

from __future__ import annotations

import itertools

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image


class SenseOperator:
    r"""Linear map from an image to undersampled multi-coil k-space, and its adjoint.

    .. math:: A x = M \odot F (S_c \odot x), \qquad A^H y = \sum_c \overline{S_c} \odot F^H (M \odot y_c)

    with coil sensitivities :math:`S_c`, the centred orthonormal Fourier transform :math:`F` and the sampling
    mask :math:`M` (Pruessmann et al., Magn Reson Med 1999;42:952, on a Cartesian grid). Where the
    root-sum-of-squares of the sensitivities is one and the mask is full, :math:`A` is an isometry.

    Args:
        sensitivities: complex, ``(coil, *spatial)`` or ``(batch, coil, *spatial)``.
        mask: bool, broadcastable to the k-space, e.g. ``(1, 1, W)``.
        spatial_dims: 2 for ``(H, W)``, 3 for ``(D, H, W)`` or, as ``(T, H, W)``, for images in time.
        encoded_dims: how many of these axes, the last ones, are encoded in k-space; all without it. The others, such as
            time, stay as they are.

    Raises:
        ScanproofError: sensitivities that are not complex, a mask that is not bool, shapes that do not fit.

    Example:
        >>> maps = torch.ones(1, 8, 6, dtype=torch.complex64)
        >>> sense = SenseOperator(maps, torch.ones(1, 1, 6, dtype=torch.bool))
        >>> image = torch.rand(4, 1, 8, 6) + 0j
        >>> sense.forward(image).shape
        torch.Size([4, 1, 8, 6])
        >>> torch.allclose(sense.normal(image), image, atol=1e-6)
        True
    """

    def __init__(
        self, sensitivities: torch.Tensor, mask: torch.Tensor, *, spatial_dims: int = 2, encoded_dims: int | None = None
    ) -> None:
        if not sensitivities.is_complex():
            raise ScanproofError("must be complex", key="sensitivities", value=str(sensitivities.dtype))
        if sensitivities.ndim <= spatial_dims:
            raise ScanproofError(
                f"must have a coil axis and {spatial_dims} spatial axes",
                key="sensitivities",
                value=tuple(sensitivities.shape),
            )
        if mask.dtype != torch.bool:
            raise ScanproofError("must be bool", key="mask", value=str(mask.dtype), hint="use mask.bool()")
        # plain tensors: geometry has no place inside the operator and would slow every iteration down
        self.sensitivities = sensitivities.as_subclass(torch.Tensor)
        self.mask = mask.as_subclass(torch.Tensor)
        self.spatial_dims = spatial_dims
        self.encoded_dims = spatial_dims if encoded_dims is None else encoded_dims
        if not 1 <= self.encoded_dims <= spatial_dims:
            raise ScanproofError(f"must be in [1, {spatial_dims}]", key="encoded_dims", value=encoded_dims)
        self.coils = sensitivities.shape[-spatial_dims - 1]
        shape = tuple(sensitivities.shape[-spatial_dims - 1 :])
        last = tuple(mask.shape[-spatial_dims - 1 :])
        if not _expands(last, shape):
            raise ScanproofError(
                f"must be broadcastable to the k-space (coil, *spatial) = {shape}", key="mask", value=tuple(mask.shape)
            )
        encoded = range(-self.encoded_dims, 0)
        self._varying = tuple(a for a in encoded if mask.ndim >= -a and mask.shape[a] > 1)
        self._uncentred_mask = torch.fft.ifftshift(self.mask, dim=self._varying) if self._varying else self.mask
        self._batch = _broadcast(sensitivities.shape[: -spatial_dims - 1], mask.shape[: -spatial_dims - 1])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Acquire an image.

        Args:
            image: complex, ``(..., 1, *spatial)``; leading axes as those of the sensitivities, or more.

        Returns:
            k-space, complex ``(..., coil, *spatial)``, zero where nothing was sampled.

        Raises:
            ScanproofError: a shape that does not fit the sensitivities and mask.
        """
        self._check(image, channels=1, name="image")
        return image_to_kspace(self.sensitivities * image, spatial_dims=self.encoded_dims) * self.mask

    def adjoint(self, kspace: torch.Tensor) -> torch.Tensor:
        """Bring k-space back: the zero-filled, coil-combined image.

        Args:
            kspace: complex, ``(..., coil, *spatial)``. Lines outside the mask count as zero.

        Returns:
            Image, complex ``(..., 1, *spatial)``.

        Raises:
            ScanproofError: a shape that does not fit the sensitivities and mask.
        """
        self._check(kspace, channels=self.coils, name="kspace")
        images = kspace_to_image(kspace * self.mask, spatial_dims=self.encoded_dims)
        return (self.sensitivities.conj() * images).sum(dim=-self.spatial_dims - 1, keepdim=True)

    def normal(self, image: torch.Tensor) -> torch.Tensor:
        """``adjoint(forward(image))``: Hermitian and positive semi-definite, what conjugate gradients iterate.

        Along axes on which the mask does not vary (the readout) the Fourier transform and its inverse cancel, and
        along the others the shifts of its centring do: both are left out here.

        Args:
            image: complex, ``(..., 1, *spatial)``.

        Returns:
            Image of the same shape.

        Raises:
            ScanproofError: a shape that does not fit the sensitivities and mask.
        """
        self._check(image, channels=1, name="image")
        images = self.sensitivities * image
        if self._varying:
            spectrum = torch.fft.fftn(images, dim=self._varying, norm="ortho")
            images = torch.fft.ifftn(spectrum * self._uncentred_mask, dim=self._varying, norm="ortho")
        else:
            images = images * self.mask
        return (self.sensitivities.conj() * images).sum(dim=-self.spatial_dims - 1, keepdim=True)

    def _check(self, x: torch.Tensor, *, channels: int, name: str) -> None:
        dims = self.spatial_dims
        expected = (channels, *self.sensitivities.shape[-dims:])
        # a batch that only the operator has would be summed by a true adjoint, so it must be in the data too
        if tuple(x.shape[-dims - 1 :]) != expected or not _expands(self._batch, tuple(x.shape[: -dims - 1])):
            batch = "".join(f"{n}, " for n in self._batch)
            raise ScanproofError(
                f"must have the shape (..., {batch}{', '.join(map(str, expected))})", key=name, value=tuple(x.shape)
            )


def _expands(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to the target without changing it."""
    return len(shape) <= len(target) and all(
        n in (1, m) for n, m in zip(reversed(shape), reversed(target), strict=False)
    )


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    pairs = list(itertools.zip_longest(reversed(first), reversed(second), fillvalue=1))
    if any(n != m and 1 not in (n, m) for n, m in pairs):
        raise ScanproofError(
            f"must have batch axes that fit those of the sensitivities, {tuple(first)}", key="mask", value=tuple(second)
        )
    return tuple(max(pair) for pair in reversed(pairs))
