"""Raw data as fastMRI publishes them: one HDF5 file an examination."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scanproof.data.readers.base import Gives, Header, MeasuredKspace
from scanproof.data.readers.hdf5 import check_samples, check_stored, is_hdf5, item_of, open_hdf5
from scanproof.data.readers.raw_header import RawHeader, parse_header, read_header_text
from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    import h5py

_KSPACE = "kspace"
_HEADER = "ismrmrd_header"
_MASK = "mask"
#: what fastMRI calls its acquisitions; another text may hold anything and is not taken over
_ACQUISITIONS = ("AXT1", "AXT1PRE", "AXT1POST", "AXT2", "AXFLAIR", "CORPD_FBK", "CORPDFS_FBK")


class FastMri:
    """fastMRI HDF5 (Zbontar et al., arXiv 1811.08839): ``kspace``, ``ismrmrd_header``, in test files ``mask``.

    ``kspace`` is complex, (slice, coil, H, W), or (slice, H, W) of a single coil. H is the readout, with its
    oversampling still in it, W the phase encoding; lines outside the encoding limits are zero. Images are its centred
    orthonormal inverse Fourier transform, as everywhere in this package.

    Of the attributes, ``acquisition`` is taken over where it is one of fastMRI's own; ``patient_id`` is never read,
    nor are the reconstructions. The size of a pixel is the encoded field of view over the matrix. MONAI's
    ``FastMRIReader`` is not used: it reads all datasets and attributes of a file into memory, ``patient_id`` among
    them, and does not read the header.

    Example:
        >>> FastMri().recognises(Path("P-017.nii.gz"))
        False
    """

    gives: ClassVar[Gives] = "kspace"
    format: ClassVar[str] = "fastMRI (.h5)"

    def recognises(self, path: Path) -> bool:
        """Whether a file has the name of an HDF5 file and holds ``kspace``."""
        if not is_hdf5(path):
            return False
        try:
            with open_hdf5(path) as file:
                return file.get(_KSPACE, getlink=True) is not None
        except ScanproofError:
            return False

    def header(self, path: Path) -> Header:
        """Shape (slices, coils, H, W), pixel size and facts; reads no samples.

        Raises:
            ScanproofError: an unreadable file, or one without k-space of a plausible shape.
        """
        with open_hdf5(path) as file:
            data = _kspace(file, path)
            header = _raw_header(file, path)
            facts = dict(header.facts) if header else {}
            acquisition = file.attrs.get("acquisition")
            if isinstance(acquisition, str) and acquisition in _ACQUISITIONS:
                facts["acquisition"] = acquisition
            return Header(format="fastMRI HDF5", shape=_shape(data), spacing=_spacing(data, header), facts=facts)

    def contents(self, path: Path) -> Sequence[Path]:
        """The file."""
        return [path]

    def read(self, path: Path, slices: Sequence[int]) -> MeasuredKspace:
        """Read some slices.

        Args:
            path: of the file.
            slices: their indices.

        Returns:
            k-space; its mask is the file's ``mask`` where there is one, or else the columns that are not zero.

        Raises:
            ScanproofError: an unreadable file, a slice that is not there, samples that are not finite or all zero, a
                mask of another length.
        """
        with open_hdf5(path) as file:
            data = _kspace(file, path)
            header = _raw_header(file, path)
            depth = data.shape[0]
            for index in slices:
                if not 0 <= index < depth:
                    raise ScanproofError(f"slice must be in [0, {depth - 1}]", file=path, key=_KSPACE, value=index)
            shape = _shape(data)
            kspace = np.zeros((len(slices), *shape[1:]), np.complex64)
            for place, index in enumerate(slices):  # one after the other: nothing else is read
                kspace[place] = data[index].reshape(shape[1:])
            mask = _mask(file, shape[-1], path)
            spacing = _spacing(data, header)
        check_values(kspace, path)
        if mask is None:
            mask = np.asarray(kspace.any(axis=(0, 1, 2)))
        return MeasuredKspace(kspace=kspace, mask=mask, spacing=spacing)


def check_values(kspace: np.ndarray, path: Path) -> None:
    """Check that k-space is finite and not empty.

    Raises:
        ScanproofError: NaN, infinite numbers, or a slice of zeros.
    """
    broken = int((~np.isfinite(kspace)).sum())
    if broken:
        raise ScanproofError("samples must be finite", file=path, key="k-space", value=f"{broken} NaN or infinite")
    if not kspace.any(axis=(1, 2, 3)).all():
        raise ScanproofError("every slice must have samples that are not zero", file=path, key="k-space")


def _kspace(file: h5py.File, path: Path) -> h5py.Dataset:
    import h5py

    data = item_of(file, _KSPACE)
    if not isinstance(data, h5py.Dataset):
        raise ScanproofError("file must hold the dataset kspace", file=path, value=sorted(file))
    if data.ndim not in (3, 4):
        rule = "k-space must be (slice, coil, H, W), or (slice, H, W) of a single coil"
        raise ScanproofError(rule, file=path, key=_KSPACE, value=data.shape)
    if data.dtype.kind != "c":
        raise ScanproofError("k-space must be complex", file=path, key=_KSPACE, value=str(data.dtype))
    if data.shape[0] < 1:
        raise ScanproofError("file must hold at least one slice", file=path, key=_KSPACE, value=data.shape)
    _, coils, rows, columns = _shape(data)
    check_samples(path, coils=coils, rows=rows, columns=columns)
    check_stored(data, key=_KSPACE)
    return data


def _shape(data: h5py.Dataset) -> tuple[int, int, int, int]:
    slices, *coils, rows, columns = (int(n) for n in data.shape)
    return slices, coils[0] if coils else 1, rows, columns


def _raw_header(file: h5py.File, path: Path) -> RawHeader | None:
    header = item_of(file, _HEADER)
    return None if header is None else parse_header(read_header_text(header, file=path), file=path)


def _spacing(data: h5py.Dataset, header: RawHeader | None) -> tuple[float, float] | None:
    if header is None:
        return None
    x, y, _ = header.encoded.field_of_view
    return x / data.shape[-2], y / data.shape[-1]


def _mask(file: h5py.File, columns: int, path: Path) -> np.ndarray | None:
    mask = item_of(file, _MASK)
    if mask is None:
        return None
    if prod(mask.shape) != columns:
        raise ScanproofError(f"mask must have {columns} columns", file=path, key=_MASK, value=mask.shape)
    return np.asarray(mask[()]).reshape(-1).astype(bool)
