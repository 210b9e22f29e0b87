"""Nothing that names a person leaves the folder it lies in: markers in every field, sought in all that is written.

The terminal is the site's own. An error may name the file and the row to mend there, and nothing else of them.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import json
import os
import sqlite3
import subprocess
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, PngImagePlugin

import programs
from privacy import canaries as make
from privacy.canaries import Canaries
from privacy.search import found_in, found_in_text
from scanproof.protocol.exchange.export import prepare_export, write_export
from scanproof.protocol.exchange.intake import import_exports
from scanproof.protocol.exchange.run import compare_sites
from scanproof.tracking.uri import ENVIRONMENT

STUDY = {
    "name": "canaries",
    "description": "test",
    "seed": 7,
    "data": {"kind": "demo", "sites": ["north"], "slices": 2, "matrix": [32, 32]},
    "acquisition": {"accelerations": [2]},
    "shifts": [{"name": "ghosting", "severities": [3]}],
    "reconstruction": [{"name": "fully_sampled"}, {"name": "zero_filled"}],
    "classification": [
        {
            "name": "resnet18",
            "norms": ["batch", "group"],
            "options": {"width": 0.0625},
            "training": {"epochs": 1, "batch_size": 8},
        }
    ],
    "evaluation": {"resamples": 100},
}
#: format to what writes it, and the module that reads it
FORMATS: dict[str, tuple[Callable[[Path, Canaries], Path], str]] = {
    "nifti": (make.nifti, "scanproof.data"),
    "png": (make.png, "scanproof.data.images"),
    "dicom": (make.dicom, "scanproof.data.readers.dicom"),
    "fastmri": (make.fastmri, "scanproof.data.readers.fastmri"),
    "ismrmrd": (make.ismrmrd, "scanproof.data.readers.ismrmrd"),
}


@dataclass(frozen=True)
class Ran:
    """A study of a folder full of markers, and all that came of it."""

    canaries: Canaries
    folder: Path
    manifest: Path
    study: Path
    root: Path
    said: str


#: what an environment may hold that is nobody's business
SECRETS = {
    name: f"CNRY{uuid.uuid4().hex}"
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABRICKS_TOKEN")
}
SECRETS["SCANPROOF_STORAGE"] = f"postgresql://me:CNRY{uuid.uuid4().hex}@db.example/trials"


def scanproof(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != ENVIRONMENT} | SECRETS
    return programs.scanproof(*arguments, cwd=cwd, timeout=540, env=environment)


@pytest.fixture(scope="module", params=list(FORMATS))
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    write, reader = FORMATS[request.param]
    if importlib.util.find_spec(reader) is None:
        pytest.skip(f"{request.param} is not read: there is no {reader}")
    canaries, inputs = Canaries(), tmp_path_factory.mktemp("inputs")
    outputs = tmp_path_factory.mktemp("outputs")
    manifest = write(inputs, canaries)
    study = outputs / "study.yaml"
    study.write_text(yaml.safe_dump(STUDY))
    process = scanproof("run", study, "--data", manifest.parent, "--root", "mlruns", "-j", 1, cwd=outputs)
    assert process.returncode == 0, process.stderr
    return Ran(canaries, manifest.parent, manifest, study, outputs / "mlruns", process.stdout + process.stderr)


def test_nothing_of_the_inputs_is_written_or_said(ran: Ran) -> None:
    assert len(ran.canaries.fields) > 100
    assert [ran.canaries.fields[m] for m in found_in_text(ran.said, ran.canaries.fields)] == []
    hits = found_in(ran.root, ran.canaries.fields)
    assert sorted({(place, ran.canaries.fields[marker]) for place, marker in hits}) == []
    kinds = {path.suffix for path in ran.root.rglob("*")}
    assert {".db", ".parquet", ".html", ".json", ".safetensors", ".yaml", ".png"} <= kinds


def test_secrets_of_the_environment_are_neither_written_nor_said(ran: Ran) -> None:
    secrets = [secret.partition("@")[0].rpartition(":")[2] for secret in SECRETS.values()]
    assert found_in_text(ran.said, secrets) == []
    assert found_in(ran.root, secrets) == []


def test_the_key_stays_in_its_file(ran: Ran) -> None:
    key = (ran.root / "site.key").read_text()
    assert found_in(ran.root, [key], but=[ran.root / "site.key"]) == []
    packed = bytes.fromhex(key)
    assert not [
        path
        for path in ran.root.rglob("*")
        if path.is_file() and path.name != "site.key" and packed in path.read_bytes()
    ]
    assert found_in_text(ran.said, [key]) == []


def test_nothing_of_the_inputs_is_exported_imported_or_compared(ran: Ran, tmp_path: Path) -> None:
    validated(ran, tmp_path)
    for per_case in (False, True):
        prepared = prepare_export(tmp_path, site="north", per_case=per_case)
        path = write_export(prepared, tmp_path / "sent" / f"{per_case}.zip")
        [taken] = import_exports([path], root=tmp_path / "elsewhere" / str(per_case))
        assert taken.state == "imported", taken.error
        compare_sites(tmp_path / "elsewhere" / str(per_case), "p1", command="")
    assert found_in(tmp_path / "sent", ran.canaries.fields) == []
    assert found_in(tmp_path / "elsewhere", ran.canaries.fields) == []
    # nor the pseudonyms of the site, by which rows could be linked to other lists
    names = pd.read_parquet(ran.root / "studies" / "canaries" / "predictions.parquet")["subject"].unique()
    assert len(names) > 10
    assert found_in(tmp_path / "sent", names) == []


def validated(ran: Ran, root: Path) -> None:
    """The study as a validation leaves it, with one endpoint."""
    finished, folder = ran.root / "studies" / "canaries", root / "validations" / "p1" / "north"
    folder.mkdir(parents=True)
    for name in ("results.parquet", "predictions.parquet", "comparisons.parquet", "study.lock.yaml", "report.html"):
        (folder / name).write_bytes((finished / name).read_bytes())
    primary = {"name": "robust", "role": "primary", "text": "t", "metric": "ssim", "rule": "at_least", "limit": 0.5}
    primary |= {"estimate": 0.8, "lower": 0.7, "upper": 0.9, "confidence": 0.95, "subjects": 12, "cases": 24}
    record = {
        "format": 1,
        "protocol": "p1",
        "protocol_version": "1",
        "protocol_sha256": "a" * 64,
        "site": "north",
        "scanproof": "0",
        "code_version": "c",
        "other_code": False,
        "versions": {},
        "data": {"kind": "volumes", "kspace": "synthetic", "subjects": 12, "cases": 24, "data_sha256": "b" * 64},
        "verdict": "pass",
        "endpoints": [{**primary, "verdict": "pass", "decided_by": "d"}],
        "files": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("results.parquet", "predictions.parquet")
        },
    }
    (folder / "validation.json").write_text(json.dumps(record))


def test_a_file_that_fails_is_named_and_nothing_else_of_it(ran: Ran, tmp_path: Path) -> None:
    """Cut in the middle: the line on the terminal leads to the file, and nothing of the failure is kept."""
    rows = pd.read_csv(ran.manifest)
    broken = ran.folder / rows["path"].iloc[-1]
    broken = sorted(broken.iterdir())[-1] if broken.is_dir() else broken
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 3])
    try:
        process = scanproof("run", ran.study, "--data", ran.folder, "--root", "mlruns", "-j", 1, cwd=tmp_path)
    finally:
        broken.write_bytes(whole)
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    said = {ran.canaries.fields[m] for m in found_in_text(process.stdout + process.stderr, ran.canaries.fields)}
    assert all(place.startswith("name of a") or place == "name of the folder" for place in said), said
    assert found_in(tmp_path, ran.canaries.fields) == []


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    """A marker in every kind of file that is written, also packed, is found: or finding none would mean nothing."""
    marker = "CNRYPLANTED0001"
    table = pd.DataFrame({"site": ["north"], "note": [f"of {marker}"]})
    table.to_parquet(tmp_path / "value.parquet", compression="zstd")
    pd.DataFrame({marker: [1]}).to_parquet(tmp_path / "column.parquet", compression="zstd")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("CREATE TABLE tags (value TEXT)")
        database.execute("INSERT INTO tags VALUES (?)", ["x" * 5000 + marker.lower() + "y" * 5000])
    database.close()
    buffer = io.BytesIO()
    table.to_parquet(buffer, compression="zstd")
    with zipfile.ZipFile(tmp_path / "nested.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.parquet", buffer.getvalue())
    (tmp_path / "log.gz").write_bytes(gzip.compress(marker.encode()))
    np.savez_compressed(tmp_path / "arrays.npz", **{marker: np.zeros(2)})
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, tmp_path / "weights.safetensors", metadata={"subject": marker})
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", marker, zip=True)
    Image.new("L", (4, 4)).save(tmp_path / "figure.png", pnginfo=text)
    (tmp_path / "report.html").write_text(
        f'<img src="data:image/svg+xml;base64,{make_base64(f"<svg><text>a longer text, {marker}</text></svg>")}">'
    )
    (tmp_path / "wide.txt").write_bytes(marker.encode("utf-16-le"))
    (tmp_path / f"{marker}.txt").write_text("")
    files = {path.name for path in tmp_path.iterdir()}
    assert {place.partition(":")[0] for place, _ in found_in(tmp_path, [marker])} == files
    assert found_in(tmp_path, ["CNRYOTHER"]) == []


def make_base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()
