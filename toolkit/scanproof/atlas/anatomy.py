"""The anatomies that shifts are shown on, and how a shifted image of one comes about."""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.sense import SenseOperator
from scanproof.physics.simulate import synthetic_kspace
from scanproof.seeds import generator
from scanproof.transforms.base import Shift

#: lowest and highest index, as shares of an axis, where several slices or planes are taken
EXTENT = (0.35, 0.65)


class Anatomy(Protocol):
    """What shifts are applied to.

    Attributes:
        name: of the case; patterns and phases are drawn from it.
        dimensions: number of spatial axes that a shift sees.
        reference: clean images, float32 ``(N, 1, H, W)``, as a reader sees them.
        pixel: size of their pixels in mm, (row, column).
    """

    name: str
    dimensions: ClassVar[int]
    reference: torch.Tensor
    pixel: tuple[float, float]

    def shifted(self, shift: Shift, *, seed: int) -> torch.Tensor:
        """The images under a shift, of the reference's shape."""
        ...


class Slice:
    """One slice, acquired by several coils.

    K-space is synthetic, without noise; the shift acts on all of it, and the coil images are combined with their
    sensitivities, as a study does with the ``fully_sampled`` reconstruction. So the error is the shift's alone.

    Args:
        image: magnitude, float32 ``(1, H, W)``, not negative.
        name: of the case.
        spacing: voxel size in mm, (row, column).
        coils: number of receive coils.
        seed: of the phase.

    Example:
        >>> from scanproof.transforms import SHIFTS
        >>> anatomy = Slice(torch.rand(1, 32, 40), name="a", spacing=(1.0, 1.0), coils=4, seed=1)
        >>> anatomy.shifted(SHIFTS.create("ghosting", {"severity": 2}), seed=0).shape
        torch.Size([1, 1, 32, 40])
    """

    dimensions: ClassVar[int] = 2

    def __init__(self, image: torch.Tensor, *, name: str, spacing: tuple[float, float], coils: int, seed: int) -> None:
        self.name, self.pixel, self.reference = name, spacing, image[None]
        maps = birdcage_sensitivities(coils, image.shape[1:])
        self._kspace = synthetic_kspace(image, maps, generator=generator(seed, "phase", name))
        self._sense = SenseOperator(maps, torch.ones(1, 1, 1, dtype=torch.bool))

    def shifted(self, shift: Shift, *, seed: int) -> torch.Tensor:
        """The combined magnitude image ``(1, 1, H, W)`` of the shifted k-space."""
        kspace = shift(self._kspace, spacing=self.pixel, seed=seed)
        return self._sense.adjoint(kspace).abs()[None]


class Volume:
    """A magnitude volume, looked at in planes across its slices, so that their thickness shows.

    Args:
        data: magnitude, float32 ``(X, Y, Z)``, not negative; axes right, anterior, superior.
        name: of the case.
        spacing: voxel size in mm along these axes.
        count: number of planes at even distances about the middle; those without signal are left out.

    Attributes:
        view: of the planes: ``"sagittal"``, or ``"coronal"`` where the slices themselves are sagittal.

    Raises:
        ScanproofError: all these planes are empty.

    Example:
        >>> Volume(torch.rand(8, 20, 30), name="a", spacing=(2.0, 1.0, 3.0), count=1).reference.shape
        torch.Size([1, 1, 30, 20])
    """

    dimensions: ClassVar[int] = 3

    def __init__(self, data: torch.Tensor, *, name: str, spacing: tuple[float, float, float], count: int) -> None:
        sagittal_slices = spacing[0] > max(spacing[1:])
        self.view = "coronal" if sagittal_slices else "sagittal"
        self._across = 1 if sagittal_slices else 0
        self.name, self.pixel = name, (spacing[2], spacing[0] if sagittal_slices else spacing[1])
        self._data, self._spacing = data, spacing
        chosen = evenly(data.shape[self._across], count)
        self._planes = [i for i in chosen if bool(data.select(self._across, i).any())]
        if not self._planes:
            raise ScanproofError("volume must have signal in the middle", key=name)
        self.reference = self._look(data)

    def shifted(self, shift: Shift, *, seed: int) -> torch.Tensor:
        """The planes ``(N, 1, H, W)`` of the shifted magnitude volume."""
        return self._look(shift(self._data[None], spacing=self._spacing, seed=seed)[0])

    def _look(self, data: torch.Tensor) -> torch.Tensor:
        """Superior at the top; in sagittal planes anterior on the left."""
        planes = data.movedim(self._across, 0)[self._planes].transpose(1, 2).flip(1)
        return (planes.flip(2) if self.view == "sagittal" else planes)[:, None].contiguous()


def evenly(size: int, count: int) -> list[int]:
    """Up to ``count`` indices at even distances about the middle of an axis.

    Example:
        >>> evenly(100, 3), evenly(100, 1), evenly(1, 3)
        ([40, 50, 60], [50], [0])
    """
    low, high = EXTENT
    return sorted({int(size * (low + (high - low) * (i + 0.5) / count)) for i in range(count)})
