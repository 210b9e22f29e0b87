"""Exports as sites send them, imports that were changed since, and records of validations."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from random import Random

import pandas as pd

from fuzz.images import bomb
from fuzz.mutate import NUMBERS, TEXTS, edit, mutate

DIGEST = "ab" * 32


def _record() -> dict[str, object]:
    one = {
        "name": "robust",
        "role": "primary",
        "text": "AUROC is at least 0.75.",
        "metric": "auroc",
        "rule": "at_least",
    }
    numbers = {"limit": 0.75, "estimate": 0.8, "lower": 0.76, "upper": 0.85, "confidence": 0.95}
    counts = {"subjects": 40, "cases": 80, "verdict": "pass", "decided_by": "the interval"}
    return {
        "format": 1,
        "protocol": "p1",
        "protocol_version": "1",
        "protocol_sha256": DIGEST,
        "site": "north",
        "scanproof": "0.1.0",
        "code_version": "0",
        "other_code": False,
        "small_cell": 5,
        "versions": {"torch": "2"},
        "data": {
            "kind": "volumes",
            "kspace": "synthetic",
            "subjects": 40,
            "cases": 80,
            "labels": {},
            "data_sha256": DIGEST,
        },
        "verdict": "pass",
        "endpoints": [{**one, **numbers, **counts}],
        "files": {},
    }


def _results(rows: int = 3) -> pd.DataFrame:
    from scanproof.protocol.exchange.schemas import AGGREGATE_COLUMNS

    row = dict.fromkeys(AGGREGATE_COLUMNS) | {"study": "p1", "site": "north", "shift": "none", "severity": 0}
    row |= {"reconstruction": "unet", "acceleration": 4.0, "metric": "auroc", "value": 0.8, "n": 80}
    return pd.DataFrame([row] * rows).astype(AGGREGATE_COLUMNS)


def packed(record: dict[str, object], results: bytes, **changes: object) -> tuple[dict[str, object], dict[str, bytes]]:
    """Manifest and files of an export whose hashes are true."""
    from scanproof.protocol.exchange.archive import listed

    files = {"README.txt": b"hello\n", "results.parquet": results, "validation.json": json.dumps(record).encode()}
    manifest = {
        "format": "scanproof-export",
        "version": 1,
        "protocol": "p1",
        "protocol_sha256": DIGEST,
        "site": "north",
        "scanproof": "0.1.0",
        "small_cell": 5,
        "per_case": False,
        "withheld_rows": 0,
        "intervals": {"kind": "expanded", "confidence": 0.95, "resamples": 100},
        "files": {name: listed(data).model_dump() for name, data in files.items()},
        **changes,
    }
    return manifest, files


def _parquet(rng: Random) -> bytes:
    from scanproof.protocol.exchange.schemas import to_parquet

    table = _results(rng.choice((0, 1, 3)))
    deed = rng.random()
    if deed < 0.3 and len(table):
        name = rng.choice(list(table))
        values = [rng.choice((*NUMBERS, *(t for t in TEXTS if t != "\ud800"), None, 1.5, float("nan")))] * len(table)
        table[name] = pd.Series(values, dtype=object if rng.random() < 0.5 else None)
    elif deed < 0.4:
        table = table.rename(columns={rng.choice(list(table)): "x"})
    elif deed < 0.45:
        table = _results(1).assign(metric="x" * 2**20).astype({"metric": "category"})
        table = table.iloc[[0] * 3000]
    data = to_parquet(table)
    if deed > 0.8:
        data = mutate(data[::-1], rng)[::-1]
    return data


class Export:
    """Zips: damaged, forged with true hashes, or bombs."""

    def __init__(self, base: Path) -> None:
        from scanproof.protocol.exchange.schemas import to_parquet

        self.results = to_parquet(_results())
        self.zeros = bomb(b"", 2**26)[10:-8]

    def forged(self, rng: Random) -> tuple[dict[str, object], dict[str, bytes]]:
        record = _record()
        if rng.random() < 0.6:
            record = edit(record, rng)  # type: ignore[assignment]
        return packed(record, _parquet(rng) if rng.random() < 0.5 else self.results)

    def make(self, rng: Random, folder: Path) -> Path:
        manifest, files = self.forged(rng)
        text = json.dumps(edit(manifest, rng) if rng.random() < 0.3 else manifest).encode()
        deed = rng.random()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for name, data in {**files, "manifest.json": text}.items():
                odd = deed < 0.15 and rng.random() < 0.3
                archive.writestr(rng.choice(("../x", "/x", "a/b", "x", name.upper())) if odd else name, data)
            if deed > 0.9:
                archive.writestr("scores.parquet", bytes(2**22), zipfile.ZIP_DEFLATED)
        data = buffer.getvalue()
        if 0.15 < deed < 0.5:
            data = mutate(data[::-1], rng)[::-1] if rng.random() < 0.5 else mutate(data, rng)
        elif 0.5 < deed < 0.55:
            data = self._bomb()
        path = folder / "input.zip"
        path.write_bytes(data)
        return path

    def _bomb(self) -> bytes:
        """A member that says it is small."""
        name = b"results.parquet"
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(self.zeros), 1000, len(name), 0)
        local = b"PK\3\4" + fields + name + self.zeros
        central = b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
        return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)

    def read(self, path: Path) -> None:
        from scanproof.protocol.exchange.intake import import_exports

        [taken] = import_exports([path], root=path.parent / "root")
        if taken.error is not None:
            raise taken.error


class Imports(Export):
    """What was imported, changed in its folder."""

    def make(self, rng: Random, folder: Path) -> Path:
        manifest, files = self.forged(rng)
        place = folder / "imports" / "p1" / "north-12345678"
        place.mkdir(parents=True)
        if rng.random() < 0.5:
            manifest = edit(manifest, rng)  # type: ignore[assignment]
        text = json.dumps(manifest).encode()
        for name, data in {**files, "manifest.json": text if rng.random() < 0.8 else mutate(text, rng)}.items():
            if rng.random() < 0.95:
                (place / name).write_bytes(mutate(data, rng) if rng.random() < 0.1 else data)
        return folder

    def read(self, path: Path) -> None:
        from scanproof.protocol.exchange.run import compare_sites

        compare_sites(path, "p1", command="scanproof compare")


class Validation:
    """A folder of a validation, whose record, tables and lock file may be anything."""

    def __init__(self, base: Path) -> None:
        self.results = _results()

    def make(self, rng: Random, folder: Path) -> Path:
        place = folder / "validations" / "p1" / "north"
        place.mkdir(parents=True)
        record = edit(_record(), rng) if rng.random() < 0.5 else _record()
        text = json.dumps(record).encode()
        (place / "validation.json").write_bytes(text if rng.random() < 0.7 else mutate(text, rng))
        lock = b"definition: {evaluation: {resamples: 100, interval: expanded}}\n"
        from fuzz.documents import SNIPPETS

        lock = rng.choice((lock, mutate(lock, rng), rng.choice(SNIPPETS).encode(), b"definition: {evaluation: 3}\n"))
        (place / "study.lock.yaml").write_bytes(lock)
        from scanproof.evaluation.table import RESULT_COLUMNS

        table = self.results.reindex(columns=list(RESULT_COLUMNS)).astype(RESULT_COLUMNS)
        data = table.to_parquet(index=False)
        (place / "results.parquet").write_bytes(data if rng.random() < 0.6 else mutate(data[::-1], rng)[::-1])
        return folder

    def read(self, path: Path) -> None:
        from scanproof.protocol.exchange.export import prepare_export

        prepare_export(path, site="north", protocol=None)
