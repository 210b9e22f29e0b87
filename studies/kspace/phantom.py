"""Measured k-space in arrays, written as fastMRI HDF5 with a manifest: what a site has, made of what there is here.

    python studies/kspace/phantom.py KSPACE.npy -o FOLDER --field-of-view 256
    scanproof run studies/kspace/phantom.yaml --data FOLDER

Each line of the manifest is a file; several arrays are several subjects.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError

_HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <experimentalConditions><H1resonanceFrequency_Hz>0</H1resonanceFrequency_Hz></experimentalConditions>
  <encoding>
    <encodedSpace>{space}</encodedSpace>
    <reconSpace>{space}</reconSpace>
    <encodingLimits>
      <kspace_encoding_step_1>
        <minimum>0</minimum><maximum>{last}</maximum><center>{centre}</center>
      </kspace_encoding_step_1>
    </encodingLimits>
    <trajectory>cartesian</trajectory>
  </encoding>
</ismrmrdHeader>
"""
_SPACE = """
      <matrixSize><x>{rows}</x><y>{columns}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{size}</x><y>{size}</y><z>5</z></fieldOfView_mm>
    """


def write_fastmri(path: Path, kspace: np.ndarray, *, field_of_view: float) -> None:
    """Write one file.

    Args:
        path: of the HDF5 file.
        kspace: complex ``(slice, coil, readout, line)``, centred.
        field_of_view: in mm, along both axes.
    """
    rows, columns = kspace.shape[-2:]
    space = _SPACE.format(rows=rows, columns=columns, size=field_of_view)
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace.astype(np.complex64)
        file["ismrmrd_header"] = _HEADER.format(space=space, last=columns - 1, centre=columns // 2)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "arrays", type=Path, nargs="+", help=".npy (coil, line, readout) or (slice, coil, line, readout)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--field-of-view", type=float, required=True, metavar="MM", help="of the images")
    parser.add_argument("--site", default="local")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in arguments.arrays:
        kspace = np.load(path)
        kspace = kspace[None] if kspace.ndim == 3 else kspace
        if kspace.ndim != 4 or not np.iscomplexobj(kspace):
            found = f"{kspace.dtype} {kspace.shape}"
            parser.error(str(ScanproofError("must be complex (slice, coil, line, readout)", file=path, value=found)))
        write_fastmri(
            arguments.output / f"{path.stem}.h5", kspace.swapaxes(-1, -2), field_of_view=arguments.field_of_view
        )
        rows.append({"subject": path.stem, "site": arguments.site, "path": f"{path.stem}.h5", "split": "test"})
    pd.DataFrame(rows).to_csv(arguments.output / "cohort.csv", index=False)


if __name__ == "__main__":
    main()
