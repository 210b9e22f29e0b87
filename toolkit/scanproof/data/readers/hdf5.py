"""HDF5 files that may be truncated, foreign or not HDF5 at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    import h5py

#: how names of raw data files end
SUFFIXES = (".h5", ".hdf5", ".mrd")
#: slices with more complex samples, over all coils, are refused before they are read
MAX_SAMPLES = 2**27
#: bytes of a chunk, which is unpacked as a whole, and of a text
MAX_CHUNK, MAX_TEXT = 2**30, 2**24
#: data may take this many times the bytes that the file has of them; gzip reaches it with zeros alone
MAX_RATIO = 1032


def is_hdf5(path: Path | str) -> bool:
    """Whether a file has the name of an HDF5 file with raw data.

    Example:
        >>> is_hdf5("a/file1000001.h5"), is_hdf5("a/P-017.nii.gz")
        (True, False)
    """
    return str(path).lower().endswith(SUFFIXES)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; what goes wrong inside the block is an error of the file, too.

    Args:
        path: of the file.

    Raises:
        ScanproofError: a file that is not there, not HDF5, truncated or damaged.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except ScanproofError:
        raise
    except FileNotFoundError:
        raise ScanproofError("file must exist", file=path) from None
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, MemoryError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ScanproofError(f"file must be readable HDF5: {reason}", file=path) from error


def item_of(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """What a file holds under a name, if it holds it itself; None where there is none.

    HDF5 can link to other files, and name datasets whose values lie there: what is read must be what is hashed.

    Args:
        group: the file, or a group in it.
        name: of a group or dataset directly in it.

    Raises:
        ScanproofError: a link, or values in another file.
    """
    import h5py

    link = group.get(name, getlink=True)
    if link is None:
        return None
    file = Path(group.file.filename)
    if not isinstance(link, h5py.HardLink):
        raise ScanproofError("file must hold its data itself", file=file, key=name, value=type(link).__name__)
    item = group[name]
    if not isinstance(item, h5py.Dataset):
        return item if isinstance(item, h5py.Group) else None
    if item.is_virtual or item.external:
        raise ScanproofError("file must hold its data itself", file=file, key=name, value="data in other files")
    return item


def check_stored(data: h5py.Dataset, *, key: str) -> None:
    """Check that a file has written what a dataset claims, before it is allocated.

    Raises:
        ScanproofError: the file has no bytes for it, or chunks that are too large to be unpacked.
    """
    file, size = Path(data.file.filename), data.dtype.itemsize
    if size * prod(data.chunks or ()) > MAX_CHUNK:
        raise ScanproofError(f"chunks must have at most {MAX_CHUNK} bytes", file=file, key=key, value=data.chunks)
    claimed, stored = size * prod(data.shape or ()), min(data.id.get_storage_size(), file.stat().st_size)
    if data.shape and claimed > max(MAX_TEXT, MAX_RATIO * stored):
        rule = f"file must hold the {claimed} bytes that it claims"
        raise ScanproofError(rule, file=file, key=key, value=stored)


def check_samples(path: Path, *, coils: int, rows: int, columns: int) -> None:
    """Check the size that a file claims for one slice, before anything is allocated.

    Raises:
        ScanproofError: an empty axis, or a size that no slice has.
    """
    sizes = (coils, rows, columns)
    if min(sizes) < 1 or coils * rows * columns > MAX_SAMPLES:
        rule = f"a slice must have between 1 and {MAX_SAMPLES} samples (coils x rows x columns)"
        raise ScanproofError(rule, file=path, key="k-space", value=sizes)
