"""NIfTI files."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from scanproof.data.readers.base import Gives, Header, Volume
from scanproof.data.readers.voxels import check_size, upright
from scanproof.errors import ScanproofError

SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img")

#: bytes of a compressed file in which its header and extensions must end
_BEGINNING = 2**22
#: a compressed file that unpacks to more than so many bytes may unpack to so many times its own
_LITTLE, _RATIO = 2**28, 200

T = TypeVar("T")


class NiftiReader:
    """NIfTI-1 and NIfTI-2, one file or a pair of header and image, of either byte order.

    A volume that does not tell its orientation (sform and qform both 0) is taken as nibabel takes it: rows run from
    right to left, so that left and right may be swapped; the header's facts say so. Analyze files, which have no
    orientation at all, are refused.

    Example:
        >>> NiftiReader().recognises(Path("a/P-017.NII.gz"))
        True
    """

    gives: ClassVar[Gives] = "volumes"
    format: ClassVar[str] = "NIfTI (.nii, .nii.gz, .hdr and .img)"

    def recognises(self, path: Path) -> bool:
        """Whether a file has the name of a NIfTI file."""
        return path.name.lower().endswith(SUFFIXES) and not path.is_dir()

    def header(self, path: Path) -> Header:
        """Shape and voxel size, as stored."""
        from nibabel.affines import voxel_sizes

        image = _open(path)
        shape = image.shape if len(image.shape) > 2 else (*image.shape, 1)
        x, y, z = (float(size) for size in voxel_sizes(image.affine))  # type: ignore[no-untyped-call]
        facts = {} if _says_orientation(image) else {"orientation": "not in the file, left and right may be swapped"}
        return Header(format="NIfTI", shape=tuple(int(n) for n in shape[:3]), spacing=(x, y, z), facts=facts)

    def contents(self, path: Path) -> Sequence[Path]:
        """The file; of a pair, header and image."""
        if path.name.lower().endswith((".hdr", ".img")):
            image = _open(path)
            return sorted({Path(holder.filename) for holder in image.file_map.values() if holder.filename})
        return [path]

    def read(self, path: Path) -> Volume:
        """Read the volume.

        Raises:
            ScanproofError: unreadable or truncated file, more than one volume, NaN or infinite voxels, empty volume,
                no voxel size.
        """
        image = _open(path)
        voxels = _guarded(path, lambda: _voxels(image, path))
        return upright(voxels.reshape(*voxels.shape[:2], -1), image.affine, file=path)


def _open(path: Path) -> Any:  # nibabel's annotations stop at the base class of all file formats
    """The image with its header; voxels stay on the disk."""
    import nibabel as nib

    image: Any = _guarded(path, lambda: _packed(path) if path.suffix.lower() == ".gz" else nib.load(path))
    readable = isinstance(image, nib.Nifti1Pair)  # all NIfTI classes come from it
    if not readable:
        raise ScanproofError("file must be a readable NIfTI volume", file=path, value=type(image).__name__)
    shape = tuple(int(n) for n in image.shape)
    if len(shape) < 2 or any(n != 1 for n in shape[3:]):
        raise ScanproofError("file must hold one 2D or 3D volume", file=path, key="shape", value=shape)
    check_size(shape, file=path)
    if image.get_data_dtype().kind not in "iuf":
        rule = "voxels must be real numbers: images are magnitudes"
        raise ScanproofError(rule, file=path, key="datatype", value=str(image.get_data_dtype()))
    packed = path.suffix.lower() == ".gz"
    stored = path if packed else Path(image.file_map["image"].filename)
    needed = image.dataobj.offset + int(np.prod(shape, dtype=float)) * image.get_data_dtype().itemsize
    size = stored.stat().st_size
    if packed and needed > max(_LITTLE, _RATIO * size):
        rule = f"file must not unpack to more than {_RATIO} times its size, and its header asks for {needed} bytes"
        raise ScanproofError(
            rule, file=path, value=size, hint="an image of hardly anything but zeros: store it as .nii"
        )
    if not packed and stored.suffix.lower() in (".nii", ".img") and size < needed:
        rule = f"file must be a readable NIfTI volume: its header asks for {needed} bytes"
        raise ScanproofError(rule, file=stored, value=size)
    return image


def _packed(path: Path) -> Any:
    """The image in a compressed file, from its beginning alone: nibabel would unpack whatever the header asks for."""
    import nibabel as nib

    with gzip.open(path) as stream:
        start = io.BytesIO(stream.read(_BEGINNING))
    second = int.from_bytes(start.getvalue()[:4], "little") == 540 or start.getvalue()[:4] == b"\x00\x00\x02\x1c"
    return (nib.Nifti2Image if second else nib.Nifti1Image).from_stream(start)


def _voxels(image: Any, path: Path) -> np.ndarray:
    """Voxels as float32.

    A compressed file is read to its end, where its checksum stands: nibabel stops at the last voxel and so takes a
    damaged file for a whole one.
    """
    from nibabel.arrayproxy import ArrayProxy

    if path.suffix.lower() != ".gz":
        return np.asarray(image.dataobj, dtype=np.float32)
    stored = image.dataobj
    with gzip.open(path) as stream:
        spec = (stored.shape, stored.dtype, stored.offset, stored.slope, stored.inter)
        proxy = ArrayProxy(stream, spec)  # type: ignore[no-untyped-call]
        voxels = np.asarray(proxy, dtype=np.float32)
        for _ in range(_BEGINNING // 2**20):
            if not stream.read(2**20):
                return voxels
    raise ScanproofError(f"file must end at most {_BEGINNING} bytes behind its voxels", file=path)


def _says_orientation(image: Any) -> bool:
    return bool(image.header["sform_code"] or image.header["qform_code"])


def _guarded(path: Path, read: Callable[[], T]) -> T:
    """What nibabel reads, or one clear line."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        return read()
    except ScanproofError:
        raise
    except (
        ImageFileError,
        OSError,
        EOFError,
        ValueError,
        MemoryError,
        OverflowError,
        HeaderDataError,
        WrapStructError,
        zlib.error,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ScanproofError(f"file must be a readable NIfTI volume: {reason}", file=path) from error
