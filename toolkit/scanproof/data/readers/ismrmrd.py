"""Raw data in ISMRMRD's HDF5: one line of k-space after the other, in the order in which a scanner measured them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from scanproof.data.readers.base import Gives, Header, MeasuredKspace
from scanproof.data.readers.fastmri import check_values
from scanproof.data.readers.hdf5 import check_samples, check_stored, is_hdf5, item_of, open_hdf5
from scanproof.data.readers.raw_header import RawHeader, parse_header, read_header_text
from scanproof.errors import ScanproofError
from scanproof.physics.field_of_view import fit_field_of_view
from scanproof.physics.whitening import noise_covariance, whitening_matrix

if TYPE_CHECKING:
    import h5py

#: lines of k-space that are held at a time
_TOGETHER = 256
#: files with more lines are refused before they are read
_MAX_LINES = 2**21
#: lines that are not of the image; names of the package's flags without ``ACQ_IS_``
_OTHER = (
    "NOISE_MEASUREMENT",
    "NAVIGATION_DATA",
    "PHASECORR_DATA",
    "HPFEEDBACK_DATA",
    "DUMMYSCAN_DATA",
    "RTFEEDBACK_DATA",
    "SURFACECOILCORRECTIONSCAN_DATA",
    "PHASE_STABILIZATION_REFERENCE",
    "PHASE_STABILIZATION",
)
#: counters of which an image has one value
_ONE = ("contrast", "phase", "repetition", "set")


class Ismrmrd:
    """ISMRMRD raw data (Inati et al., Magn Reson Med 2017;77:411), 2D Cartesian, one slice or several.

    What is done, in this order:

    - lines for calibration alone, for navigation, phase correction, feedback or noise are not part of the image;
      lines for calibration *and* imaging are;
    - noise lines, where there are any, give the covariance by which coils are whitened
      (:mod:`~scanproof.physics.whitening`). Their dwell time may differ from the image's, which changes a factor alone;
    - samples are placed by ``center_sample`` and ``discard_pre``/``discard_post``, lines by their counter and the
      header's centre line; what partial Fourier or a partial echo left out stays zero. A file that leaves
      ``center_sample`` at 0 in every line has its centre in the middle;
    - a line that was measured several times (averages, segments) is their mean; reversed readouts are turned;
    - readout oversampling is removed, as far as the encoded field of view exceeds the reconstructed one. Along the
      phase encoding nothing is cropped, so that lines stay what was measured;
    - slices stand in the order of their positions.

    Refused in one line: other trajectories than Cartesian, partitions (3D), several contrasts, phases, repetitions or
    sets, arrays that change within a file.

    Needs the package ``ismrmrd`` (``pip install 'scanproof[ismrmrd]'``).

    Example:
        >>> Ismrmrd().recognises(Path("P-017.nii.gz"))
        False
    """

    gives: ClassVar[Gives] = "kspace"
    format: ClassVar[str] = "ISMRMRD (.h5, .mrd)"

    def recognises(self, path: Path) -> bool:
        """Whether a file has the name of an HDF5 file and holds a group with ``xml`` and ``data``."""
        if not is_hdf5(path):
            return False
        try:
            with open_hdf5(path) as file:
                return _group(file) is not None
        except ScanproofError:
            return False

    def header(self, path: Path) -> Header:
        """Shape (slices, coils, H, W) without oversampling, pixel size and facts; reads the lines' headers alone.

        Raises:
            ScanproofError: see :class:`Ismrmrd`; an unreadable file; the package ``ismrmrd`` is missing.
        """
        with open_hdf5(path) as file:
            lines = _Lines.of(file, path)
        facts = dict(lines.header.facts)
        facts["noise pre-whitening"] = "from noise lines" if len(lines.noise) else "none: no noise lines"
        shape = (len(lines.slices), lines.coils, lines.rows, lines.columns)
        return Header(format="ISMRMRD", shape=shape, spacing=lines.spacing, facts=facts)

    def contents(self, path: Path) -> Sequence[Path]:
        """The file."""
        return [path]

    def read(self, path: Path, slices: Sequence[int]) -> MeasuredKspace:
        """Read some slices.

        Args:
            path: of the file.
            slices: their indices in the order of positions.

        Returns:
            k-space; its mask has the lines that were measured in all of these slices.

        Raises:
            ScanproofError: see :class:`Ismrmrd`; an unreadable file, a slice that is not there, samples that are
                missing or not finite, a line outside the matrix; the package ``ismrmrd`` is missing.
        """
        with open_hdf5(path) as file:
            lines = _Lines.of(file, path)
            for index in slices:
                if not 0 <= index < len(lines.slices):
                    rule = f"slice must be in [0, {len(lines.slices) - 1}]"
                    raise ScanproofError(rule, file=path, key="slice", value=index)
            data = _dataset(file, path)
            kspace, counts = _sorted_lines(data, lines, slices, path)
            white = _whitening(data, lines, path)
        kspace /= np.maximum(counts, 1)[:, None, None]
        check_values(kspace, path)
        values = torch.from_numpy(kspace)
        if white is not None:
            values = torch.einsum("dc,schw->sdhw", white.to(torch.complex64), values)
        values = fit_field_of_view(values, (lines.rows, lines.columns))
        return MeasuredKspace(
            kspace=np.ascontiguousarray(values.numpy()),
            mask=np.asarray((counts > 0).all(axis=0)),
            spacing=lines.spacing,
            slice_distance=lines.slice_distance,
        )


@dataclass(frozen=True, kw_only=True)
class _Lines:
    """What a file holds, from its header and those of its lines.

    Args:
        header: the file's.
        heads: of the image's lines.
        numbers: of these lines in the file.
        noise: numbers of the noise lines.
        slices: values of the slice counter in the order of positions.
        slice_distance: in mm, where positions tell it.
        coils: of the image's lines.
        reversed: which of the lines were read backwards.
        first: sample of the encoded readout at which each line starts.
        line: column of each line.
    """

    header: RawHeader
    heads: np.ndarray
    numbers: np.ndarray
    noise: np.ndarray
    slices: np.ndarray
    slice_distance: float | None
    coils: int
    reversed: np.ndarray
    first: np.ndarray
    line: np.ndarray

    @property
    def encoded_rows(self) -> int:
        return self.header.encoded.matrix[0]

    @property
    def rows(self) -> int:
        """Without oversampling; a scanner that interpolates gives its images more."""
        share = self.header.recon.field_of_view[0] / self.header.encoded.field_of_view[0]
        return max(1, round(self.encoded_rows * min(1.0, share)))

    @property
    def columns(self) -> int:
        return self.header.encoded.matrix[1]

    @property
    def spacing(self) -> tuple[float, float]:
        x, y, _ = self.header.encoded.field_of_view
        return x / self.encoded_rows, y / self.columns

    @classmethod
    def of(cls, file: h5py.File, path: Path) -> _Lines:
        flags = _flags()
        data = _dataset(file, path)
        header = parse_header(_xml(file, path), file=path)
        _check_encoding(header, path)
        heads = data.fields("head")[:]
        noise = _has(heads, flags["NOISE_MEASUREMENT"])
        image = ~np.any([_has(heads, flags[name]) for name in _OTHER], axis=0) & (heads["encoding_space_ref"] == 0)
        image &= ~_has(heads, flags["PARALLEL_CALIBRATION"]) | _has(heads, flags["PARALLEL_CALIBRATION_AND_IMAGING"])
        numbers = np.flatnonzero(image)
        heads = heads[numbers]
        _check_lines(heads, path)
        coils = int(heads["active_channels"][0])
        check_samples(path, coils=coils, rows=header.encoded.matrix[0], columns=header.encoded.matrix[1])
        slices, distance = _slice_order(heads)
        back = _has(heads, flags["REVERSE"])
        first = _first_samples(heads, back, header.encoded.matrix[0], path)
        return cls(
            header=header,
            heads=heads,
            numbers=numbers,
            noise=np.flatnonzero(noise),
            slices=slices,
            slice_distance=distance,
            coils=coils,
            reversed=back,
            first=first,
            line=_columns(heads, header, path),
        )


def _flags() -> dict[str, int]:
    """Bits of the flags."""
    try:
        from ismrmrd import constants
    except ImportError:
        raise ScanproofError(
            "reading ISMRMRD files needs the package ismrmrd", hint="pip install 'scanproof[ismrmrd]'"
        ) from None
    names = (*_OTHER, "PARALLEL_CALIBRATION", "PARALLEL_CALIBRATION_AND_IMAGING", "REVERSE")
    return {name: 1 << (int(getattr(constants, f"ACQ_IS_{name}")) - 1) for name in names}


def _has(heads: np.ndarray, bit: int) -> np.ndarray:
    found: np.ndarray = (heads["flags"] & np.uint64(bit)) != 0
    return found


def _group(file: h5py.File) -> str | None:
    """Name of the group that holds the data; it is ``dataset`` as a rule."""
    import h5py

    own = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    groups = [
        name for name in own if file.get(name, getclass=True) is h5py.Group and {"xml", "data"} <= file[name].keys()
    ]
    return "dataset" if "dataset" in groups else groups[0] if groups else None


def _xml(file: h5py.File, path: Path) -> bytes:
    header = item_of(file[_group(file)], "xml")
    return b"" if header is None else read_header_text(header, file=path)


def _dataset(file: h5py.File, path: Path) -> Any:
    group = _group(file)
    if group is None:
        raise ScanproofError("file must hold a group with xml and data", file=path, value=sorted(file))
    data = item_of(file[group], "data")
    names = getattr(data, "dtype", np.dtype("f4")).names or ()
    if data is None or len(getattr(data, "shape", None) or ()) != 1 or not {"head", "data"} <= set(names):
        raise ScanproofError("data must be ISMRMRD acquisitions", file=path, key="data", value=names)
    if not 1 <= len(data) <= _MAX_LINES:
        raise ScanproofError(f"file must hold 1 to {_MAX_LINES} lines", file=path, key="data", value=len(data))
    check_stored(data, key="data")
    return data


def _check_encoding(header: RawHeader, path: Path) -> None:
    if header.trajectory.lower() != "cartesian":
        rule = "trajectory must be cartesian"
        raise ScanproofError(rule, file=path, key="encoding.trajectory", value=header.trajectory)
    partitions = header.encoded.matrix[2]
    if partitions != 1:
        rule = "encoding must be 2D: partitions are not read"
        raise ScanproofError(rule, file=path, key="encodedSpace.matrixSize.z", value=partitions)


def _check_lines(heads: np.ndarray, path: Path) -> None:
    if not len(heads):
        raise ScanproofError("file must hold lines of an image", file=path, key="data", value=0)
    partitions = len(np.unique(heads["idx"]["kspace_encode_step_2"]))
    if partitions != 1:
        raise ScanproofError("encoding must be 2D: partitions are not read", file=path, value=partitions)
    for name in _ONE:
        count = len(np.unique(heads["idx"][name]))
        if count != 1:
            hint = f"write each {name} to a file of its own"
            raise ScanproofError(f"file must hold one {name}", file=path, key=f"idx.{name}", value=count, hint=hint)
    arrays = np.unique(heads["active_channels"])
    if len(arrays) != 1:
        rule = "all lines must be of the same coils"
        raise ScanproofError(rule, file=path, key="active_channels", value=arrays.tolist())


def _slice_order(heads: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Slices by their position along their normal, or by their number where positions do not tell them apart."""
    slices, where = np.unique(heads["idx"]["slice"], return_index=True)
    places = np.einsum("ij,j->i", heads["position"][where].astype(float), heads["slice_dir"][where[0]].astype(float))
    order = np.argsort(places, kind="stable")
    distances = np.diff(places[order])
    if len(slices) < 2 or not np.isfinite(places).all() or distances.min() < 1e-3:
        return slices, None
    return slices[order], float(np.median(distances))


def _first_samples(heads: np.ndarray, back: np.ndarray, rows: int, path: Path) -> np.ndarray:
    """Row of the encoded matrix at which each line's samples start, discarded ones included."""
    samples = heads["number_of_samples"].astype(int)
    centre = heads["center_sample"].astype(int)
    if not centre.any():
        centre = samples // 2
    centre = np.where(back, samples - 1 - centre, centre)
    first: np.ndarray = rows // 2 - centre
    before, after = heads["discard_pre"].astype(int), heads["discard_post"].astype(int)
    before, after = np.where(back, after, before), np.where(back, before, after)
    wrong = np.flatnonzero((first + before < 0) | (first + samples - after > rows) | (before + after >= samples))
    if len(wrong):
        rule = f"samples of a line must lie within the encoded matrix of {rows}"
        value = {name: int(heads[name][wrong[0]]) for name in ("number_of_samples", "center_sample", "discard_pre")}
        raise ScanproofError(rule, file=path, key="data", value=value)
    return first


def _columns(heads: np.ndarray, header: RawHeader, path: Path) -> np.ndarray:
    columns = header.encoded.matrix[1]
    centre = columns // 2 if header.centre_line is None else header.centre_line
    line: np.ndarray = columns // 2 - centre + heads["idx"]["kspace_encode_step_1"].astype(int)
    wrong = np.flatnonzero((line < 0) | (line >= columns))
    if len(wrong):
        rule = f"lines must lie within the encoded matrix of {columns} about the centre line {centre}"
        value = int(heads["idx"]["kspace_encode_step_1"][wrong[0]])
        raise ScanproofError(rule, file=path, key="idx.kspace_encode_step_1", value=value)
    return line


def _sorted_lines(data: Any, lines: _Lines, slices: Sequence[int], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the lines of some slices, (slice, coil, row, column), and how many were summed, (slice, column)."""
    kspace = np.zeros((len(slices), lines.coils, lines.encoded_rows, lines.columns), np.complex64)
    counts = np.zeros((len(slices), lines.columns), np.int64)
    places = {int(lines.slices[index]): place for place, index in enumerate(slices)}
    counter = lines.heads["idx"]["slice"]
    wanted = np.flatnonzero(np.isin(counter, list(places)))
    for block in _blocks(lines.numbers[wanted]):
        start = int(lines.numbers[wanted[block[0]]])
        values = data.fields("data")[start : int(lines.numbers[wanted[block[-1]]]) + 1]
        for index in wanted[block]:
            number, head = int(lines.numbers[index]), lines.heads[index]
            samples = _samples(values[number - start], head, path, number)
            before, after = int(head["discard_pre"]), int(head["discard_post"])
            if lines.reversed[index]:
                samples, before, after = samples[:, ::-1], after, before
            row, column = int(lines.first[index]), int(lines.line[index])
            place = places[int(counter[index])]
            stop = samples.shape[1] - after
            kspace[place, :, row + before : row + stop, column] += samples[:, before:stop]
            counts[place, column] += 1
    return kspace, counts


def _blocks(numbers: np.ndarray) -> list[np.ndarray]:
    """Indices of numbers that lie in the same stretch of the file."""
    stretch = numbers // _TOGETHER
    return np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(stretch)) + 1) if len(numbers) else []


def _samples(values: np.ndarray, head: np.ndarray, path: Path, number: int) -> np.ndarray:
    """Complex samples of a line, (coil, sample)."""
    coils, count = int(head["active_channels"]), int(head["number_of_samples"])
    if len(values) != 2 * coils * count:
        rule = f"line {number} must hold {coils} coils of {count} complex samples"
        raise ScanproofError(rule, file=path, key="data", value=f"{len(values)} numbers")
    return np.ascontiguousarray(values, dtype=np.float32).view(np.complex64).reshape(coils, count)


def _whitening(data: Any, lines: _Lines, path: Path) -> torch.Tensor | None:
    if not len(lines.noise):
        return None
    noise = []
    for number in lines.noise:
        line = data[int(number)]
        if int(line["head"]["active_channels"]) != lines.coils:
            rule = f"noise must be of the image's {lines.coils} coils"
            raise ScanproofError(rule, file=path, key="data", value=int(line["head"]["active_channels"]))
        noise.append(_samples(line["data"], line["head"], path, int(number)))
    try:
        return whitening_matrix(noise_covariance(torch.from_numpy(np.concatenate(noise, axis=1))))
    except ScanproofError as error:
        raise ScanproofError(error.rule, file=path, key="noise lines", value=error.value) from None
