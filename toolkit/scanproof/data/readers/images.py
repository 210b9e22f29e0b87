"""Single images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from scanproof.data.images import FORMATS, is_image, read_image
from scanproof.data.readers.base import Gives, Header, Volume


class ImageReader:
    """PNG, JPEG and TIFF with one grey image each: a volume of one slice.

    The files do not tell the size of a pixel; it is given as 1 mm. Rows run from anterior to posterior.

    Example:
        >>> ImageReader().recognises(Path("a/P-017.PNG"))
        True
    """

    gives: ClassVar[Gives] = "images"
    format: ClassVar[str] = "image (.png, .jpg, .jpeg, .tif, .tiff)"

    def recognises(self, path: Path) -> bool:
        """Whether a file has the name of an image."""
        return is_image(path) and not path.is_dir()

    def header(self, path: Path) -> Header:
        """Rows and columns as they are shown, with the orientation tag heeded.

        Raises:
            ScanproofError: from :func:`~scanproof.data.images.read_image`, which has to decode the image.
        """
        rows, columns = read_image(path).shape
        name = next(name for name in FORMATS if name[:3].lower() in path.suffix.lower().replace("jpg", "jpeg"))
        return Header(format=name, shape=(rows, columns))

    def contents(self, path: Path) -> Sequence[Path]:
        """The file."""
        return [path]

    def read(self, path: Path) -> Volume:
        """Read the image.

        Raises:
            ScanproofError: from :func:`~scanproof.data.images.read_image`.
        """
        voxels = np.ascontiguousarray(read_image(path)[::-1].T[..., None])
        return Volume(voxels=voxels, spacing=(1.0, 1.0, 1.0))
