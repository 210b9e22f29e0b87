"""What one file holds: measured in a process of its own, so that a broken file stops nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from scanproof.data.check.intensity import Intensity, measure_intensity
from scanproof.data.check.thumbnail import thumbnail
from scanproof.data.readers import reader_of
from scanproof.data.readers.base import Gives, Header, KspaceReader, Volume, VolumeReader
from scanproof.errors import ScanproofError


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What a file, or a folder of one series, was found to hold.

    Args:
        error: why it cannot be used; what could be told in spite of it stands in the other fields.
        gives: volumes, images or k-space.
        format: of the file.
        shape: see :class:`~scanproof.data.readers.base.Header`.
        spacing: likewise.
        size: bytes of all its files.
        content: SHA-256 of the bytes of its files, one after the other.
        pixels: SHA-256 of shape and values, which compression and headers do not change; None where they were not read.
        intensity: of its values; of k-space, of the image of its middle slice.
        picture: PNG of the middle slice; None where none was wanted.
    """

    error: ScanproofError | None = None
    gives: Gives | None = None
    format: str | None = None
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] | None = None
    size: int = 0
    content: str | None = None
    pixels: str | None = None
    intensity: Intensity | None = None
    picture: bytes | None = field(default=None, repr=False)


def inspect_file(path: Path, *, picture: bool = False) -> FileFacts:
    """Read a file or a folder of one series, and measure it.

    Args:
        path: of it.
        picture: whether a picture is wanted.

    Example:
        >>> print(inspect_file(Path("nowhere.nii.gz")).error)
        nowhere.nii.gz: file must be readable: No such file or directory
    """
    header: Header | None = None
    gives: Gives | None = None
    size, content = 0, None
    try:
        reader = reader_of(path)
        gives = reader.gives
        size, content = _hash_contents(reader.contents(path))
        header = reader.header(path)
        if gives == "kspace":
            volume = _middle(cast(KspaceReader, reader), path, header)
        else:
            volume = cast(VolumeReader, reader).read(path)
        return FileFacts(
            gives=gives,
            format=header.format,
            shape=header.shape,
            spacing=header.spacing,
            size=size,
            content=content,
            pixels=_hash_pixels(volume.voxels),
            intensity=measure_intensity(volume.voxels),
            picture=thumbnail(volume) if picture else None,
        )
    except ScanproofError as error:
        failed = error
    except MemoryError:
        failed = ScanproofError("file must fit into memory", file=path)
    except Exception as error:  # a reader that others wrote, or a library below one, may fail in any way
        reason = str(error).partition("\n")[0]
        failed = ScanproofError(f"file must be readable: {type(error).__name__}: {reason}", file=path)
    if header is None:
        return FileFacts(error=failed, gives=gives, size=size, content=content)
    return FileFacts(
        error=failed,
        gives=gives,
        format=header.format,
        shape=header.shape,
        spacing=header.spacing,
        size=size,
        content=content,
    )


def _hash_contents(files: Sequence[Path]) -> tuple[int, str]:
    """Bytes of all files, and their hash."""
    digest, size = hashlib.sha256(), 0
    for path in files:
        try:
            with path.open("rb") as file:
                if len(files) == 1:
                    digest = hashlib.file_digest(file, "sha256")
                else:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
                size += file.seek(0, 2)
        except OSError as error:
            raise ScanproofError(f"file must be readable: {error.strerror}", file=path) from error
    return size, digest.hexdigest()


def _hash_pixels(voxels: np.ndarray) -> str:
    digest = hashlib.sha256(str(voxels.shape).encode())
    for plane in np.moveaxis(voxels, -1, 0):  # a volume may be gigabytes, and not contiguous
        digest.update(np.ascontiguousarray(plane, dtype=np.float32).data)
    return digest.hexdigest()


def _middle(reader: KspaceReader, path: Path, header: Header) -> Volume:
    """The root sum of squares of the middle slice's coil images."""
    import torch

    from scanproof.physics.fft import kspace_to_image

    measured = reader.read(path, [header.shape[0] // 2])
    coils = kspace_to_image(torch.from_numpy(measured.kspace[0]))
    image = coils.abs().square().sum(dim=0).sqrt().numpy()
    rows, columns = measured.spacing or (1.0, 1.0)
    return Volume(voxels=image[::-1].T[..., None], spacing=(columns, rows, measured.slice_distance or 1.0))
