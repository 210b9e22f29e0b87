"""Small files of raw data, as scanners' converters write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np

_SPACE = """<{name}><matrixSize><x>{m[0]}</x><y>{m[1]}</y><z>{m[2]}</z></matrixSize>
<fieldOfView_mm><x>{f[0]}</x><y>{f[1]}</y><z>{f[2]}</z></fieldOfView_mm></{name}>"""


def xml_header(
    encoded: tuple[int, int],
    *,
    recon: tuple[int, int] | None = None,
    pixel: tuple[float, float] = (2.0, 2.0),
    centre: int | None = None,
    trajectory: str = "cartesian",
    partitions: int = 1,
    private: str = "",
) -> str:
    """A header whose pixels have a size in mm; readout oversampling is what ``recon`` has fewer rows."""
    rows, columns = recon or encoded
    fields = [(n * p for n, p in zip(size, pixel, strict=True)) for size in (encoded, (rows, columns))]
    spaces = [
        _SPACE.format(name=name, m=(*size, partitions), f=(*field, 5.0))
        for name, size, field in zip(("encodedSpace", "reconSpace"), (encoded, (rows, columns)), fields, strict=True)
    ]
    centre = encoded[1] // 2 if centre is None else centre
    return f"""<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<subjectInformation><patientName>{private}</patientName><patientID>{private}</patientID></subjectInformation>
<measurementInformation><protocolName>{private}</protocolName></measurementInformation>
<acquisitionSystemInformation><institutionName>{private}</institutionName>
<systemFieldStrength_T>2.8936</systemFieldStrength_T></acquisitionSystemInformation>
<experimentalConditions><H1resonanceFrequency_Hz>123200000</H1resonanceFrequency_Hz></experimentalConditions>
<encoding>{"".join(spaces)}
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{encoded[1] - 1}</maximum>
<center>{centre}</center></kspace_encoding_step_1></encodingLimits>
<trajectory>{trajectory}</trajectory></encoding>
<sequenceParameters><TR>500</TR><TE>12.5</TE></sequenceParameters>
</ismrmrdHeader>"""


def write_fastmri(
    path: Path,
    kspace: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    header: str | None = None,
    attributes: Mapping[str, object] | None = None,
) -> Path:
    """fastMRI HDF5; k-space is (slice, coil, H, W) or (slice, H, W)."""
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
        file["ismrmrd_header"] = xml_header(kspace.shape[-2:]) if header is None else header
        if mask is not None:
            file["mask"] = mask
        file.attrs.update(attributes or {})
    return path


def write_ismrmrd(path: Path, lines: Iterable[Mapping[str, object]], *, header: str) -> Path:
    """ISMRMRD raw data.

    Each line has ``data`` (coil, sample) and, if they are not 0, ``line``, ``slice``, ``flags`` (names without
    ``ACQ_``), other counters, and fields of the acquisition's header.
    """
    import ismrmrd

    with ismrmrd.Dataset(str(path), mode="w") as dataset:
        dataset.write_xml_header(header.encode())
        for entry in lines:
            fields = dict(entry)
            data = np.asarray(fields.pop("data"), np.complex64)
            acquisition = ismrmrd.Acquisition.from_array(data)
            acquisition.center_sample = data.shape[1] // 2
            acquisition.idx.kspace_encode_step_1 = fields.pop("line", 0)
            for flag in fields.pop("flags", ()):
                acquisition.setFlag(getattr(ismrmrd, f"ACQ_{flag}"))
            for name, value in fields.items():
                setattr(acquisition.idx if hasattr(acquisition.idx, name) else acquisition, name, value)
            dataset.append_acquisition(acquisition)
    return path
