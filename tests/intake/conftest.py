"""A folder with all kinds of trouble at once."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

SHAPE = (20, 24, 6)


def save_volume(path: Path, voxels: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 4.0)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([*spacing, 1])), path)


def head(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return np.abs(300 * (x**2 + y**2 + z**2 / 2 < 0.8) + rng.normal(0, 9, SHAPE)).astype(np.int16)


@pytest.fixture(scope="session")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites of ten good volumes each, and what goes wrong: lines 22 to 28 of the manifest."""
    root = tmp_path_factory.mktemp("site ü")
    rows = []
    for site in ("north", "süd"):
        for k in range(10):
            path = f"{site}/P{k:02d}.nii.gz"
            save_volume(root / path, head(len(rows)), (2.0, 2.0, 4.0) if (site, k) == ("süd", 4) else (1.0, 1.0, 4.0))
            split = ("train", "val", "test")[k // 2 % 3] if site == "north" else "test"
            rows.append({"subject": f"{site}-{k}", "site": site, "path": path, "label": k % 2, "split": split})

    def bad(subject: str, path: str, label: object = 0, split: str = "test") -> None:
        rows.append({"subject": subject, "site": "north", "path": path, "label": label, "split": split})

    save_volume(root / "north/copy.nii", head(0))
    bad("c", "north/copy.nii")
    whole = (root / "north/P01.nii.gz").read_bytes()
    (root / "north/cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    bad("d", "north/cut.nii.gz")
    (root / "north/empty.nii.gz").write_bytes(b"")
    bad("e", "north/empty.nii.gz")
    save_volume(root / "north/4d.nii.gz", np.ones((4, 4, 4, 3), np.float32))
    bad("f", "north/4d.nii.gz", split="tset")
    save_volume(root / "north/nan.nii.gz", np.full(SHAPE, np.nan, np.float32))
    bad("g", "north/nan.nii.gz", label="x")
    bad("h", "north/absent.nii.gz")
    bad("", "north/P00.nii.gz")
    pd.DataFrame(rows).to_csv(root / "cohort.csv", index=False, sep=";", encoding="utf-8-sig")
    return root


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Images with a folder a class."""
    for k in range(12):
        path = tmp_path / ("glioma", "healthy")[k % 2] / f"p{k}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (16, 12), np.uint8)).save(path)
    return tmp_path
