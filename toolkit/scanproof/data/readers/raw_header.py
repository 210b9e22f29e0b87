"""The XML header of raw data, which ISMRMRD defines and fastMRI files carry."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scanproof.data.readers.hdf5 import MAX_TEXT
from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    import h5py

#: acquisition facts that are taken over, all of them numbers: free text may name a patient
_FACTS = {
    "field strength (T)": "acquisitionSystemInformation/systemFieldStrength_T",
    "repetition time (ms)": "sequenceParameters/TR",
    "echo time (ms)": "sequenceParameters/TE",
    "inversion time (ms)": "sequenceParameters/TI",
    "flip angle (degrees)": "sequenceParameters/flipAngle_deg",
}
_AXES = ("x", "y", "z")
_LARGEST = 2**16


@dataclass(frozen=True, kw_only=True)
class Space:
    """A grid, encoded or reconstructed.

    Args:
        matrix: number of samples along x (readout), y (phase encoding) and z (partitions).
        field_of_view: in mm along the same axes.
    """

    matrix: tuple[int, int, int]
    field_of_view: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class RawHeader:
    """What raw data say of the first encoding.

    Args:
        encoded: the grid that was measured.
        recon: the grid of images.
        trajectory: e.g. ``cartesian``.
        centre_line: number of the phase-encoding line in the centre of k-space, None where it is not given.
        encodings: how many there are.
        facts: see :class:`~scanproof.data.readers.base.Header`.
    """

    encoded: Space
    recon: Space
    trajectory: str
    centre_line: int | None
    encodings: int
    facts: Mapping[str, str] = field(default_factory=dict)


def parse_header(xml: bytes | str, *, file: Path) -> RawHeader:
    """Read the header.

    Only numbers and the name of the trajectory are taken over; names, dates, institutions and free text stay behind.

    Args:
        xml: its text.
        file: for errors.

    Raises:
        ScanproofError: not XML, an entry that is missing or not a plausible number.
    """
    text = xml.decode("utf-8", errors="replace") if isinstance(xml, bytes) else xml
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ScanproofError("XML header must not define entities", file=file, key="header")
    try:
        root = ET.fromstring(text)  # noqa: S314 (entities were refused)
    except ET.ParseError as error:
        raise ScanproofError(f"XML header must be well-formed: {error}", file=file, key="header") from None
    encodings = root.findall("{*}encoding")
    if not encodings:
        raise ScanproofError("XML header must hold an encoding", file=file, key="header")
    first = encodings[0]
    centre = _find(first, "encodingLimits/kspace_encoding_step_1/center")
    return RawHeader(
        encoded=_space(first, "encodedSpace", file=file),
        recon=_space(first, "reconSpace", file=file),
        trajectory=_find(first, "trajectory") or "cartesian",
        centre_line=None if centre is None else int(_number(centre, "center", file=file, lowest=0)),
        encodings=len(encodings),
        facts=_facts(root),
    )


def read_header_text(dataset: h5py.Group | h5py.Dataset, *, file: Path) -> bytes:
    """The header's text in an HDF5 dataset of one string.

    Raises:
        ScanproofError: it is something else, or longer than any header.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "SO" or dataset.size != 1:
        raise ScanproofError("XML header must be one text", file=file, key="header")
    if dataset.dtype.itemsize > MAX_TEXT:
        rule = f"XML header must have at most {MAX_TEXT} bytes"
        raise ScanproofError(rule, file=file, key="header", value=dataset.dtype.itemsize)
    value = dataset[()] if dataset.shape == () else np.asarray(dataset[()]).reshape(-1)[0]
    return bytes(value) if isinstance(value, bytes) else str(value).encode()


def _space(encoding: ET.Element, name: str, *, file: Path) -> Space:
    matrix = [_required(encoding, f"{name}/matrixSize/{axis}", file=file) for axis in _AXES]
    size = [_required(encoding, f"{name}/fieldOfView_mm/{axis}", file=file) for axis in _AXES]
    lengths = [int(n) for n in matrix]
    if any(n != m or n > _LARGEST for n, m in zip(lengths, matrix, strict=True)):
        raise ScanproofError(
            f"must be whole numbers up to {_LARGEST}", file=file, key=f"{name}.matrixSize", value=matrix
        )
    return Space(matrix=(lengths[0], lengths[1], lengths[2]), field_of_view=(size[0], size[1], size[2]))


def _required(element: ET.Element, path: str, *, file: Path) -> float:
    text = _find(element, path)
    if text is None:
        raise ScanproofError("XML header must have this entry", file=file, key=path.replace("/", "."))
    return _number(text, path.replace("/", "."), file=file, lowest=1e-6)


def _number(text: str, key: str, *, file: Path, lowest: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not lowest <= value < math.inf:
        raise ScanproofError(f"must be a number, at least {lowest:g}", file=file, key=key, value=text[:32])
    return value


def _facts(root: ET.Element) -> dict[str, str]:
    found = {}
    for name, path in _FACTS.items():
        try:
            found[name] = f"{float(_find(root, path) or 'nan'):g}"
        except ValueError:
            continue
    return {name: value for name, value in found.items() if value != "nan"}


def _find(element: ET.Element, path: str) -> str | None:
    """Text of the first element at a path, in whatever name space."""
    text = element.findtext("/".join(f"{{*}}{part}" for part in path.split("/")))
    return text.strip() if text and text.strip() else None
