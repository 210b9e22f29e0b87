"""Measured k-space of a site to slices with their references."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from scanproof.data.cohort import Acquisition, Cohort, case_table
from scanproof.data.labels import label_values
from scanproof.data.manifest import LabelledFile
from scanproof.data.readers import READERS
from scanproof.data.readers.base import Header, KspaceReader
from scanproof.data.scans import ARRAYS, ArrayFile, Scans
from scanproof.errors import ScanproofError
from scanproof.physics.coil_compression import compress_coils
from scanproof.physics.espirit import espirit_sensitivities
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.field_of_view import fit_field_of_view
from scanproof.physics.foreground import foreground, foreground_mean
from scanproof.physics.noise_level import noise_level

#: share of the phase-encoding lines, in one band about the centre, that a fully sampled file has at least: scanners
#: leave out the edges (partial Fourier) and fill them with zeros
BAND = 0.6
#: slices of a file that are held at a time
_TOGETHER = 4


def kspace_reader(path: Path) -> KspaceReader:
    """What reads a file of raw data.

    Raises:
        ScanproofError: no reader knows it.
    """
    if not path.is_file():
        raise ScanproofError("file must exist", file=path)
    readers = [READERS.create(name) for name in READERS]
    for reader in readers:
        if reader.gives == "kspace" and reader.recognises(path):
            return cast("KspaceReader", reader)
    raise ScanproofError("file must hold k-space: fastMRI HDF5 or ISMRMRD", file=path)


def chosen_slices(depth: int, *, slices: int, extent: tuple[float, float]) -> list[int]:
    """Slices at even distances.

    Args:
        depth: how many there are.
        slices: how many are wanted; of fewer, all are taken.
        extent: first and last, as shares of the depth.

    Example:
        >>> chosen_slices(20, slices=3, extent=(0.25, 0.75))
        [6, 10, 13]
    """
    low, high = extent
    heights = (low + (high - low) * (np.arange(slices) + 0.5) / slices) * depth
    return [int(n) for n in np.unique(np.clip(np.floor(heights), 0, depth - 1).astype(int))]


def check_fully_sampled(mask: np.ndarray, path: Path) -> None:
    """Check that lines were measured without gaps: there is no reference without them.

    Lines at the edges may be missing, as long as those that were measured are one band that holds the centre and a
    share of :data:`BAND` of all.

    Args:
        mask: bool (W,).
        path: for errors.

    Raises:
        ScanproofError: gaps, or too narrow a band.
    """
    lines = np.flatnonzero(mask)
    found = f"{len(lines)} of {len(mask)} lines"
    whole = len(lines) and len(lines) == lines[-1] - lines[0] + 1
    if not whole or not lines[0] <= len(mask) // 2 <= lines[-1] or len(lines) < BAND * len(mask):
        raise ScanproofError(
            "k-space must be fully sampled: there is no reference without it",
            file=path,
            key="phase encoding",
            value=found,
            hint="leave the file out; undersampled acquisitions cannot be scored",
        )


@dataclass(frozen=True, kw_only=True)
class _Slices:
    """What is made of some slices: arrays as in :class:`~scanproof.data.scans.Scans`, before scaling."""

    kspace: np.ndarray
    sensitivities: np.ndarray
    references: np.ndarray
    snr: list[float]
    kept: list[float]


def kspace_cohort(
    site: str,
    files: Sequence[LabelledFile],
    *,
    folder: Path,
    targets: Sequence[str] = (),
    exclusive: bool = False,
    slices: int,
    extent: tuple[float, float],
    matrix: tuple[int, int],
    coils: int | None = None,
    spacing: tuple[float, float] | None = None,
) -> Cohort:
    r"""The cohort of one site from k-space that its scanners measured.

    Coil images are cropped or zero-padded about their centre to the matrix and, if wanted, combined to fewer virtual
    coils; nothing is interpolated where the matrix has the file's own size. Sensitivities :math:`S_c` are ESPIRiT's,
    from the fully sampled data of each slice, and one everywhere for a single coil. The reference is
    :math:`|\sum_c \overline{S_c} m_c|` of the fully sampled coil images :math:`m_c`: the image that a perfect
    reconstruction gives, and what the method ``fully_sampled`` gives of undisturbed k-space. The root of the sum of
    squares would not be: noise adds up in it, and it is shaded by the coils. The reference holds the measured noise.

    A volume's scale is the 99th percentile of the chosen slices' references inside the object. k-space and
    sensitivities go to files, a few slices at a time, and are read back when they are needed.

    Args:
        site: the site's name.
        files: one file an examination; a slice takes its labels.
        folder: for the files ``kspace.npy`` and ``sensitivities.npy``.
        targets: what the labels are about.
        exclusive: they are classes, of which each file has one.
        slices: see :func:`chosen_slices`.
        extent: likewise.
        matrix: (H, W); rows run along the readout, columns along the phase encoding.
        coils: virtual coils that those of a file are compressed to; without it, all files must have the same number.
        spacing: in-plane voxel size in mm, (row, column), of files that do not tell it.

    Raises:
        ScanproofError: from the readers; files that are not fully sampled, differ in their number of coils, have fewer
            than are wanted, or do not tell the size of a pixel.
    """
    readers = [kspace_reader(Path(file.path)) for file in files]
    headers = [reader.header(Path(file.path)) for reader, file in zip(readers, files, strict=True)]
    number = _coils([header.shape[1] for header in headers], files, coils)
    chosen = [chosen_slices(header.shape[0], slices=slices, extent=extent) for header in headers]
    total = sum(map(len, chosen))
    shape = (total, number, *matrix)
    rows: list[dict[str, object]] = []
    images: list[np.ndarray] = [np.zeros((0, *matrix), np.float32)]
    scale: list[float] = []
    sizes: list[tuple[float, float]] = []
    snr: list[float] = []
    kept: list[float] = []
    volumes_of: dict[str, int] = {}
    with ExitStack() as stack:
        written = {name: stack.enter_context(ArrayFile(folder / f"{name}.npy", shape)) for name in ARRAYS}
        for file, reader, header, indices in zip(files, readers, headers, chosen, strict=True):
            path = Path(file.path)
            size = header.spacing if header.spacing is not None else spacing
            if size is None:
                hint = "give data.spacing, which is used for files that do not tell"
                raise ScanproofError("file must tell the size of a pixel", file=path, key="header", hint=hint)
            references = []
            for start in range(0, len(indices), _TOGETHER):
                part = _read(path, reader, indices[start : start + _TOGETHER], matrix=matrix, coils=number)
                written["kspace"].append(part.kspace)
                written["sensitivities"].append(part.sensitivities)
                references.append(part.references)
                snr += part.snr
                kept += part.kept
            volume = np.concatenate(references)
            top = float(np.percentile(volume[volume > 0], 99))
            images.append(volume / np.float32(top))
            scale += [1 / top] * len(volume)
            sizes += [(float(size[0]), float(size[1]))] * len(volume)
            place = volumes_of[file.subject] = volumes_of.get(file.subject, -1) + 1
            rows += [
                {
                    "subject": file.subject,
                    "case": f"{file.subject}-{place}-{k}",
                    "split": file.split,
                    **label_values(targets, file.labels),
                }
                for k in range(len(volume))
            ]
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS} if total else {}
    return Cohort(
        site=site,
        images=np.concatenate(images)[:, None],
        cases=case_table(rows, targets=targets),
        targets=tuple(targets),
        exclusive=exclusive,
        acquisition=_acquisition(headers, sizes, snr, coils=number, matrix=matrix, kept=kept if coils else None),
        scans=Scans(
            **(arrays or dict.fromkeys(ARRAYS, np.zeros(shape, np.complex64))),
            scale=np.array(scale, np.float32),
            spacing=np.array(sizes, np.float32).reshape(-1, 2),
            rows=np.arange(total),
        ),
    )


def _coils(numbers: Sequence[int], files: Sequence[LabelledFile], wanted: int | None) -> int:
    """Number of coils of the cohort."""
    if wanted is not None:
        for number, file in zip(numbers, files, strict=True):
            if number < wanted:
                rule = f"file must have at least {wanted} coils, as data.coils asks for"
                raise ScanproofError(rule, file=file.path, key="coils", value=number)
        return wanted
    for number, file in zip(numbers, files, strict=True):
        if number != numbers[0]:
            rule = f"files of a site must have the same number of coils, {numbers[0]}"
            hint = f"data.coils: {min(numbers)} compresses all of them to so many"
            raise ScanproofError(rule, file=file.path, key="coils", value=number, hint=hint)
    return numbers[0] if numbers else 1


def _read(path: Path, reader: KspaceReader, indices: Sequence[int], *, matrix: tuple[int, int], coils: int) -> _Slices:
    measured = reader.read(path, indices)
    check_fully_sampled(measured.mask, path)
    parts = [_slice(torch.from_numpy(kspace), matrix=matrix, coils=coils, path=path) for kspace in measured.kspace]
    kspace, sensitivities, references, snr, kept = zip(*parts, strict=True)
    return _Slices(
        kspace=torch.stack(kspace).numpy(),
        sensitivities=torch.stack(sensitivities).numpy(),
        references=torch.stack(references).numpy(),
        snr=list(snr),
        kept=list(kept),
    )


def _slice(
    kspace: Tensor, *, matrix: tuple[int, int], coils: int, path: Path
) -> tuple[Tensor, Tensor, Tensor, float, float]:
    """k-space, sensitivities (coil, H, W), reference (H, W), signal-to-noise ratio and kept energy of one slice."""
    kspace, kept = fit_field_of_view(kspace, matrix), 1.0
    if coils < len(kspace):
        kspace, kept = compress_coils(kspace, coils)
    everything = torch.ones(1, 1, 1, dtype=torch.bool)
    if coils == 1:
        sensitivities = torch.ones_like(kspace)
    else:
        # magnitudes of raw data can be tiny, and are squared there
        try:
            sensitivities = espirit_sensitivities(kspace / kspace.abs().max(), everything)
        except ScanproofError as error:
            raise ScanproofError(f"coil sensitivities: {error.rule}", file=path, value=error.value) from None
    reference = (sensitivities.conj() * kspace_to_image(kspace)).sum(dim=0).abs()
    if not reference.any():
        raise ScanproofError("slice must show an object: no coil sensitivities were found", file=path)
    noise = float(noise_level(kspace, everything))
    inside = foreground(reference, spatial_dims=2)
    signal = float(foreground_mean(reference, inside, spatial_dims=2))
    return kspace, sensitivities, reference, signal / max(noise, 1e-6 * signal), kept


def _acquisition(
    headers: Sequence[Header],
    sizes: Sequence[tuple[float, float]],
    snr: Sequence[float],
    *,
    coils: int,
    matrix: tuple[int, int],
    kept: Sequence[float] | None,
) -> Acquisition:
    facts = {
        "k-space": "measured",
        "coil sensitivities": "ESPIRiT, from fully sampled data" if coils > 1 else "one, single coil",
        "reference": "coil images combined with their sensitivities, measured noise included",
        "signal-to-noise": "estimated from the edge of k-space, median over slices",
    }
    if kept is not None:
        share = f"at least {100 * min(kept, default=1.0):.1f} % of the energy"
        facts["coil compression"] = f"to {coils} virtual coils, which hold {share}"
    lines = sorted({header.shape[3] for header in headers})
    if lines not in ([], [matrix[1]]):
        facts["phase encoding"] = f"{_range(lines)} lines, made {matrix[1]} in the image domain"
    if len(set(sizes)) > 1:
        facts["pixel size"] = "differs between examinations; the median is given"
    for key in sorted({key for header in headers for key in header.facts}):
        values = {header.facts.get(key, "unknown") for header in headers}
        facts[key] = values.pop() if len(values) == 1 else "differs between examinations"
    middle = np.median(np.array(sizes or [(1.0, 1.0)]), axis=0)
    typical = round(float(np.median(snr)), 1) if snr else 1.0
    return Acquisition(coils=coils, snr=typical, spacing=(float(middle[0]), float(middle[1])), facts=facts)


def _range(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
