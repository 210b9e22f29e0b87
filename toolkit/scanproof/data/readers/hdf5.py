"""HDF5 files that may be truncated, foreign or not HDF5 at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    import h5py

#: how names of raw data files end
SUFFIXES = (".h5", ".hdf5", ".mrd")
#: slices with more complex samples, over all coils, are refused before they are read
MAX_SAMPLES = 2**27


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
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ScanproofError(f"file must be readable HDF5: {reason}", file=path) from error


def check_samples(path: Path, *, coils: int, rows: int, columns: int) -> None:
    """Check the size that a file claims for one slice, before anything is allocated.

    Raises:
        ScanproofError: an empty axis, or a size that no slice has.
    """
    sizes = (coils, rows, columns)
    if min(sizes) < 1 or coils * rows * columns > MAX_SAMPLES:
        rule = f"a slice must have between 1 and {MAX_SAMPLES} samples (coils x rows x columns)"
        raise ScanproofError(rule, file=path, key="k-space", value=sizes)
