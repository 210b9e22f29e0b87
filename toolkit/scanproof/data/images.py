"""Single magnitude images, PNG, JPEG or TIFF, to slices."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F

from scanproof.data.cohort import Acquisition, Cohort
from scanproof.data.file_cohort import SIMULATED, file_cohort
from scanproof.data.manifest import LabelledFile
from scanproof.errors import ScanproofError

#: how the name of an image ends
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "TIFF")
#: images with more pixels than this are refused before they are decoded
MAX_PIXELS = 2**26

#: Pillow's names of grey images: 8, 16 and 32 bit, and floating point
_GREY = ("L", "I;16", "I;16B", "I;16L", "I", "F")
_PHOTOMETRIC: Final = 262  # TIFF tag
_WHITE_IS_ZERO: Final = 0


def is_image(path: Path | str) -> bool:
    """Whether a file has the name of an image that can be read.

    Example:
        >>> is_image("a/P-017.PNG"), is_image("a/P-017.nii.gz")
        (True, False)
    """
    return str(path).lower().endswith(SUFFIXES)


def read_image(path: Path) -> np.ndarray:
    """The pixels of a grey image as they are stored, turned as its orientation tag says.

    Args:
        path: PNG, JPEG or TIFF with one image: grey (8, 16 or 32 bit, or floating point), or red, green and blue that
            are equal.

    Returns:
        float32 (H, W), not negative, somewhere positive.

    Raises:
        ScanproofError: another kind of file, one that is truncated or too large, holds several images, colours or
            transparency, black as its largest value; a pixel that is not a magnitude; no signal.
    """
    if not is_image(path):
        raise ScanproofError(f"name of an image must end with one of {', '.join(SUFFIXES)}", file=path)
    pixels = _grey(_decode(path), path)
    broken = int((~np.isfinite(pixels)).sum())
    if broken:
        raise ScanproofError("pixels must be finite", file=path, key="pixels", value=f"{broken} NaN or infinite")
    if pixels.min() < 0:
        rule = "pixels of a magnitude image must not be negative"
        raise ScanproofError(rule, file=path, key="pixels", value=f"minimum {pixels.min():g}")
    if not pixels.any():
        raise ScanproofError("image must have positive pixels", file=path, key="pixels", value="maximum 0")
    return pixels


def _decode(path: Path) -> np.ndarray:
    """What the file holds, (H, W) or (H, W, 3)."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata, which is not read
            with Image.open(path, formats=FORMATS) as image:
                size = image.size
                if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
                    rule = f"image must have between 1 and {MAX_PIXELS} pixels"
                    raise ScanproofError(rule, file=path, key="columns and rows", value=size)
                frames = int(getattr(image, "n_frames", 1))
                if frames != 1:
                    raise ScanproofError("file must hold one image", file=path, key="images", value=frames)
                if image.mode not in (*_GREY, "RGB"):
                    rule = "image must be grey, 8 or 16 bit, or RGB with equal channels"
                    raise ScanproofError(rule, file=path, key="mode", value=image.mode)
                tags = getattr(image, "tag_v2", {})
                if image.mode != "L" and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts 8 bit itself
                    raise ScanproofError("0 must be black", file=path, key="photometric", value="white is zero")
                return np.asarray(ImageOps.exif_transpose(image))
    except ScanproofError:
        raise
    except UnidentifiedImageError:
        raise ScanproofError(f"file must be a readable image, {', '.join(FORMATS)}", file=path) from None
    except Exception as error:  # for damaged files Pillow raises many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ScanproofError(f"file must be a readable image: {reason}", file=path) from error


def _grey(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            apart = int((pixels.max(axis=-1) - pixels.min(axis=-1)).max())
            rule = "red, green and blue must be equal: images are magnitudes, not colours"
            raise ScanproofError(rule, file=path, key="pixels", value=f"up to {apart} apart")
        pixels = pixels[..., 0]
    return pixels.astype(np.float32)


def to_matrix(image: np.ndarray, matrix: Sequence[int]) -> np.ndarray:
    """An image made as large as fits into a matrix, in its middle, with zeros around.

    Rows and columns are scaled alike, by bilinear interpolation whose kernel grows with what is left out, so that
    nothing aliases.

    Args:
        image: float32 (H, W).
        matrix: (rows, columns).

    Returns:
        float32 of the matrix's shape.

    Example:
        >>> to_matrix(np.ones((8, 4), np.float32), (4, 4)).sum(axis=0)
        array([0., 4., 4., 0.], dtype=float32)
    """
    scale = min(new / old for new, old in zip(matrix, image.shape, strict=True))
    size = [min(new, max(1, round(old * scale))) for new, old in zip(matrix, image.shape, strict=True)]
    values = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    if list(image.shape) != size:
        values = F.interpolate(values, size=size, mode="bilinear", antialias=True, align_corners=False)
    (top, bottom), (left, right) = (((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(matrix, size, strict=True))
    return F.pad(values, (left, right, top, bottom))[0, 0].clamp(min=0).numpy()


def image_cohort(
    site: str,
    files: Sequence[LabelledFile],
    *,
    targets: Sequence[str] = (),
    exclusive: bool = False,
    matrix: Sequence[int],
    spacing: tuple[float, float],
    coils: int,
    snr: float,
) -> Cohort:
    """The cohort of one site from its images.

    Each image is one case, its 99th percentile at one, as if it had been acquired by itself. Cases are named by their
    subject and counted for each.

    Args:
        site: the site's name.
        files: one file an image.
        targets: what the labels are about.
        exclusive: they are classes, of which each image has one.
        matrix: (H, W), see :func:`to_matrix`.
        spacing: size in mm that is taken for a pixel of the matrix, (row, column); the files do not say it.
        coils: receive coils of the acquisition that is simulated from the magnitude images.
        snr: its signal-to-noise ratio.

    Raises:
        ScanproofError: from :func:`read_image`.
    """

    def read(path: Path) -> np.ndarray:
        pixels = read_image(path)
        return to_matrix(pixels / np.float32(np.percentile(pixels[pixels > 0], 99)), matrix)

    facts = {**SIMULATED, "pixel size": "nominal, files do not tell it"}
    return file_cohort(
        site,
        files,
        read,
        targets=targets,
        exclusive=exclusive,
        matrix=matrix,
        acquisition=Acquisition(coils=coils, snr=snr, spacing=spacing, facts=facts),
    )
