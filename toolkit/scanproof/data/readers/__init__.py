"""Readers of what scanners and archives write, one module a format, behind one interface."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from scanproof.data.readers.base import Gives, Reader, VolumeReader
from scanproof.errors import ScanproofError
from scanproof.registry import Registry

#: every format that can be read; other packages add theirs through the entry point group
READERS: Registry[Reader] = Registry(
    "reader",
    {
        "dicom": "scanproof.data.readers.dicom:DicomReader",
        "fastmri": "scanproof.data.readers.fastmri:FastMri",
        "images": "scanproof.data.readers.images:ImageReader",
        "ismrmrd": "scanproof.data.readers.ismrmrd:Ismrmrd",
        "nifti": "scanproof.data.readers.nifti:NiftiReader",
    },
    group="scanproof.readers",
)


def reader_of(path: Path, *, gives: Gives | None = None) -> Reader:
    """The reader of a file or folder.

    Args:
        path: a file, a folder of one DICOM series, or ``FOLDER#NUMBER``, the series of that number in a folder.
        gives: what it has to hold; by default anything.

    Raises:
        ScanproofError: nothing is there, or nothing that a reader recognises; the text lists the formats.

    Example:
        >>> from tempfile import NamedTemporaryFile
        >>> with NamedTemporaryFile(suffix=".nii.gz") as file:
        ...     type(reader_of(Path(file.name))).__name__
        'NiftiReader'
    """
    readers = [READERS.create(name) for name in READERS]
    readers = [reader for reader in readers if gives in (None, reader.gives)]
    for reader in readers:
        if reader.recognises(path):
            return reader
    if not path.exists():
        raise ScanproofError("file or folder must exist", file=path)
    hint = "files of a series must lie in the folder itself, not in folders below" if path.is_dir() else None
    formats = "; ".join(sorted(reader.format for reader in readers))
    raise ScanproofError(f"format must be one of: {formats}", file=path, hint=hint)


def volume_reader_of(path: Path) -> VolumeReader:
    """The reader of a volume; errors as of :func:`reader_of`."""
    return cast(VolumeReader, reader_of(path, gives="volumes"))
