from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from scanproof.atlas.anatomy import Slice, Volume
from scanproof.atlas.sources import Anatomies


def blobs(*shape: int) -> torch.Tensor:
    """A positive object of smooth texture in a dark frame, float32."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = torch.stack(axes).square().sum(0)
    texture = 0.7 + 0.3 * torch.cos(9 * axes[0] + 3 * axes[-1]) * torch.cos(5 * axes[1])
    return texture * torch.sigmoid((0.6 - radius) / 0.03)


@pytest.fixture(scope="session")
def small() -> Anatomies:
    """Two slices of different size and coils, and a volume of two planes."""
    slices = (
        Slice(blobs(40, 36)[None], name="a", spacing=(2.0, 2.0), coils=4, seed=1),
        Slice(blobs(32, 44)[None], name="b", spacing=(1.0, 1.5), coils=6, seed=1),
    )
    volume = Volume(blobs(20, 24, 30), name="v", spacing=(1.0, 1.5, 2.0), count=2)
    return Anatomies(slices=slices, volumes=(volume,), text="two slices and a volume")


@pytest.fixture
def nifti(tmp_path: Path) -> Callable[..., Path]:
    """Write a NIfTI file whose header and name hold what must not be shown."""

    def written(shape: tuple[int, ...], zooms: tuple[float, ...] = (1.0, 2.0, 3.0)) -> Path:
        data = blobs(*shape).numpy() * 700
        image = nib.Nifti1Image(data, np.diag([*zooms, 1.0]))
        image.header["descrip"] = b"DOE^JANE 1970"
        path = tmp_path / "doe_jane.nii.gz"
        nib.save(image, path)
        return path

    return written
