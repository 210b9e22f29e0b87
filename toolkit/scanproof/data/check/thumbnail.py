"""A small picture of a volume."""

from __future__ import annotations

import io
from typing import Final

import numpy as np

from scanproof.data.readers.base import Volume

#: longest side in pixels
LONGEST: Final = 128
#: percentile of the slice shown as white
WHITE: Final = 99.5


def thumbnail(volume: Volume) -> bytes:
    """The middle axial slice as a PNG, anterior above, with square pixels, black at 0.

    Args:
        volume: to show.

    Example:
        >>> thumbnail(Volume(voxels=np.ones((8, 4, 2), np.float32), spacing=(1, 1, 3)))[1:4]
        b'PNG'
    """
    from PIL import Image

    plane = volume.voxels[:, ::-1, volume.voxels.shape[2] // 2].T
    white = float(np.percentile(plane, WHITE)) or float(plane.max()) or 1.0
    grey = Image.fromarray(np.rint(255 * np.clip(plane / white, 0, 1)).astype(np.uint8))
    wide, high = (n * mm for n, mm in zip(grey.size, volume.spacing, strict=False))
    scale = LONGEST / max(wide, high)
    target = (max(1, round(wide * scale)), max(1, round(high * scale)))
    file = io.BytesIO()
    grey.resize(target, Image.Resampling.BOX if max(grey.size) > LONGEST else Image.Resampling.BICUBIC).save(
        file, format="PNG", optimize=True
    )
    return file.getvalue()
