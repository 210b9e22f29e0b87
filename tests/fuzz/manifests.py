"""Manifests, BIDS datasets, and folders of anything."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd

from fuzz.images import nifti
from fuzz.mutate import NUMBERS, TEXTS, mutate

_COLUMNS = (
    "subject",
    "site",
    "path",
    "label",
    "split",
    "label_a",
    "label_b",
    "Subject",
    "",
    "path ",
    "class",
    "line",
    "place",
)


def _table(rng: Random) -> dict[str, list[str]]:
    """Columns of a manifest of four volumes, some of them odd."""
    table = {
        "subject": ["p1", "p2", "p3", "p4"],
        "site": ["north"] * 4,
        "path": [f"p{k}.nii" for k in range(1, 5)],
        "label": ["0", "1", "0", "1"],
        "split": ["train", "val", "test", "test"],
    }
    for _ in range(rng.randint(0, 4)):
        name = rng.choice(list(table) or ["path"])
        deed = rng.random()
        if deed < 0.6 and table.get(name):
            table[name][rng.randrange(len(table[name]))] = rng.choice((*TEXTS, *map(str, NUMBERS)))
        elif deed < 0.75:
            table.pop(name, None)
        else:
            table[rng.choice((*_COLUMNS, *TEXTS[:30]))] = [rng.choice(TEXTS) for _ in range(4)]
    return table


class CsvManifest:
    """CSV as spreadsheets and scripts write it."""

    def __init__(self, base: Path) -> None:
        self.volume = nifti()

    def make(self, rng: Random, folder: Path) -> Path:
        for k in range(1, 5):
            (folder / f"p{k}.nii").write_bytes(self.volume)
        self.write(rng, folder)
        return folder / self.name

    name = "cohort.csv"

    def write(self, rng: Random, folder: Path) -> None:
        table = _table(rng)
        text = io.StringIO(newline="")
        writer = csv.writer(
            text,
            delimiter=rng.choice(",;\t|,"),
            quoting=rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
            lineterminator=rng.choice(("\n", "\r\n", "\r")),
        )
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
        data = text.getvalue().encode(rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16")), "surrogatepass")
        deed = rng.random()
        if deed < 0.3:
            data = mutate(data, rng)
        elif deed < 0.35:
            data = b"subject,site,path" + b",x" * rng.choice((5000, 100_000)) + b"\n" + data
        elif deed < 0.4:
            data += b"," * 10**5 + b"\n" + b'"' + b"a\n" * rng.choice((10, 10**5))
        (folder / self.name).write_bytes(data)

    def read(self, path: Path) -> None:
        from scanproof.data.manifest import examine_manifest, read_manifest

        found = examine_manifest(path, root=path.parent, labelled=False, site="north")
        for problem in found.problems:
            assert "\n" not in str(problem.error(path))
        read_manifest(path, root=path.parent, labelled=True)


class ParquetManifest(CsvManifest):
    """Parquet of any schema, and tables that are short on the disk."""

    name = "cohort.parquet"

    def write(self, rng: Random, folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, object] = {}
        for name, values in _table(rng).items():
            plain = [value.encode("utf-8", "replace").decode() for value in values]
            columns[name.encode("utf-8", "replace").decode()] = pa.array(plain)
        deed = rng.random()
        if deed < 0.3 and columns:
            odd = (
                pa.array([1, None, 2, 3]),
                pa.array([1.5, float("nan"), float("inf"), -0.0]),
                pa.array([True, None, False, True]),
                pa.array([None] * 4),
                pa.array([["a"], [], None, ["b", "c"]]),
                pa.array([{"a": 1}] * 4),
                pa.array([b"a", b"\xff", None, b""]),
                pa.array([10**18, 1, 2, 3], pa.decimal128(30)),
                pa.array(pd.to_datetime(["2020-01-01"] * 4)),
                pa.array(["p1.nii", "p2.nii", "p1.nii", "p4.nii"]).dictionary_encode(),
            )
            columns[rng.choice(list(columns))] = rng.choice(odd)
        elif deed < 0.4:  # one name in very many rows
            rows, length = rng.choice(((10**4, 10), (3 * 10**6, 200), (10**7, 1), (20_000, 100_000)))
            name = pa.array(["x" * length])
            index = pa.array(np.zeros(rows, np.int32))
            columns = {key: pa.DictionaryArray.from_arrays(index, name) for key in ("subject", "site", "path")}
        elif deed < 0.42:
            columns |= {f"c{k}": pa.array(["x"] * 4) for k in range(6000)}
        table = pa.table(columns)
        pq.write_table(table, folder / self.name, compression=rng.choice(("none", "snappy", "zstd")), store_schema=True)
        if deed > 0.6:
            data = (folder / self.name).read_bytes()
            if rng.random() < 0.7:  # what it says of itself stands at the end
                tail = mutate(data[-1500:][::-1], rng)[::-1]
                data = data[:-1500] + tail
            else:
                data = mutate(data, rng)
            (folder / self.name).write_bytes(data)


class Bids:
    """BIDS datasets with odd names and tables."""

    def __init__(self, base: Path) -> None:
        self.volume = nifti()

    def make(self, rng: Random, folder: Path) -> Path:
        root = folder / "bids"
        (root / "sub-01" / "anat").mkdir(parents=True)
        (root / "dataset_description.json").write_bytes(rng.choice((b"{}", b"", b"[" * 9999, b"\xff")))
        for subject in ("sub-01", "sub-02", rng.choice(("sub-03", "sub-", "sub-é", "sub-a b", "sub-\udcff"))):
            place = root / subject / rng.choice(("anat", "ses-1/anat", "func"))
            place.mkdir(parents=True, exist_ok=True)
            for suffix in rng.sample(("T1w", "T2w", "part-phase_T1w", "run-1_T1w"), rng.randint(1, 2)):
                name = (
                    f"{subject}_{suffix}.nii"
                    if rng.random() < 0.8
                    else rng.choice(("_.nii", "sub-01.nii.gz", "T1w.nii"))
                )
                path = place / name
                if rng.random() < 0.05:
                    path.symlink_to(rng.choice(("missing", name, "/dev/zero")))
                elif not path.is_symlink():
                    path.write_bytes(self.volume)
        columns = [
            "participant_id",
            rng.choice(("label", "line", "label_a", "diagnosis")),
            rng.choice(("site", "label", "")),
        ]
        rows = [columns, *([f"sub-0{k}", rng.choice(("0", "1", *TEXTS)), rng.choice(TEXTS)] for k in (1, 2, 3))]
        data = "\n".join("\t".join(row) for row in rows).encode("utf-8", "surrogatepass")
        if rng.random() < 0.4:
            data = mutate(data, rng)
        if rng.random() < 0.9:
            (root / "participants.tsv").write_bytes(data)
        return root

    def read(self, path: Path) -> None:
        from scanproof.data.bids import read_bids

        read_bids(path, labelled=False, suffix="T1w")
        read_bids(path, labelled=True)


class Folder:
    """What ``scanproof data check`` is given: files of all kinds, named anyhow."""

    def __init__(self, base: Path) -> None:
        from fuzz.dicom import Dicom
        from fuzz.images import Image, Nifti

        for name in ("nifti", "image", "dicom"):
            (base / name).mkdir(parents=True, exist_ok=True)
        self.kinds = [Nifti(base / "nifti"), Image(base / "image"), Dicom(base / "dicom")]

    def make(self, rng: Random, folder: Path) -> Path:
        root = folder / "data"
        for number in range(rng.randint(1, 4)):
            kind = rng.choice(self.kinds)
            place = folder / f"made-{number}"
            place.mkdir()
            made = kind.make(rng, place)
            name = rng.choice(
                (f"{number}", "é", "e\u0301", "a b", "<b>", "a,b", "x\udcff", "a\nb", ".hidden", "#1", "[red]")
            )
            target = root / rng.choice(("", "sub/", "class a/")) / f"{number}{name}{made.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            if made.exists():
                made.rename(target)
        root.mkdir(exist_ok=True)
        if rng.random() < 0.4:
            CsvManifest(folder).write(rng, root)
        return root

    def read(self, path: Path) -> None:
        from rich.console import Console

        from scanproof.data.check.inspect import inspect_file
        from scanproof.intake import checkup
        from scanproof.intake.console import print_check
        from scanproof.intake.discover import take_in, template
        from scanproof.intake.page import render_check
        from scanproof.intake.record import as_json
        from scanproof.intake.write import write_text

        intake = take_in(path, manifest=None)
        write_text(path / "template.csv", template(intake))

        def here(jobs, **options: object):
            return [inspect_file(Path(job.path), picture=job.picture) for job in jobs]

        original, checkup.read_files = checkup.read_files, here
        try:
            found = checkup.check_intake(intake, pictures=True)
        finally:
            checkup.read_files = original
        write_text(path / "check.json", as_json(found))
        write_text(path / "check.html", render_check(found))
        print_check(found, Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")))
