"""The script that writes a labelled set into a folder of images, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scanproof.data.images import read_image
from scanproof.data.manifest import read_manifest

SCRIPT = Path(__file__).resolve().parents[2] / "studies" / "labelled_images.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    images = np.random.default_rng(0).integers(1, 255, (12, 9, 7)).astype(np.uint8)
    content = {"image": images, "label": np.array(["a", "b", "c"] * 4), "group": np.arange(12) // 2 * 2}
    np.savez(tmp_path / "set.npz", **content)
    return content


def test_a_set_becomes_a_folder(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    process = run(tmp_path / "set.npz", "-o", folder, "--classes", "a", "c", "--site", "x")
    assert process.returncode == 0, process.stderr
    manifest = read_manifest(folder / "cohort.csv", root=folder, labelled=True)
    assert (manifest.targets, manifest.exclusive) == (("a", "c"), True)
    assert len(manifest.table) == 8
    for row in manifest.table.to_dict("records"):
        number = int(Path(row["path"]).stem)
        assert np.array_equal(read_image(Path(row["path"])), arrays["image"][number])
        assert row["subject"] == str(arrays["group"][number])
        assert row[f"label:{arrays['label'][number]}"] == 1


def test_few_subjects_are_of_all_classes(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    assert run(tmp_path / "set.npz", "-o", tmp_path / "out", "--subjects", 3).returncode == 0
    table = pd.read_csv(tmp_path / "out" / "cohort.csv")
    assert table["subject"].nunique() == 3
    assert set(table["label"]) == set(arrays["label"])


def test_wrong_sets_end_with_one_line(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "short.npz", **{**arrays, "label": arrays["label"][:3]})
    np.savez(tmp_path / "none.npz", image=arrays["image"])
    for name, options, message in (
        ("set.npz", ("--classes", "d"), "--classes: unknown class, got 'd' (known: a, b, c)"),
        ("short.npz", (), "short.npz: arrays must have shapes (N, H, W), (N,) and (N,), got"),
        ("none.npz", (), "none.npz: file must hold image, label, group, got ['image']"),
    ):
        process = run(tmp_path / name, "-o", tmp_path / "out", *options)
        assert process.returncode == 2
        assert message in process.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_the_real_set(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "labelled" / "brain_tumour_128.npz"
    process = run(path, "-o", tmp_path, "--classes", "glioma_tumor", "pituitary_tumor", "--subjects", 12)
    assert process.returncode == 0, process.stderr
    manifest = read_manifest(tmp_path / "cohort.csv", root=tmp_path, labelled=True)
    assert manifest.targets == ("glioma_tumor", "pituitary_tumor")
    assert manifest.table["subject"].nunique() == 12
