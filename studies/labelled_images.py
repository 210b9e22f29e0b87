"""A labelled set of images in one NumPy file as a folder that a study can be run on.

The file holds ``image``, integers ``(N, H, W)``, ``label``, a word or number for each, and ``group``: images of one
group, for instance near-duplicates where nothing says whose they are, become one subject, so that no split tears them
apart. Each image is written as PNG, and a manifest beside them; how subjects are split is left to the study.

    python studies/labelled_images.py brain_tumour_128.npz -o /data/tumours --classes glioma_tumor meningioma_tumor
    scanproof run studies/demo.yaml --data /data/tumours
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from scanproof.errors import ScanproofError, unknown_name

NAMES = ("image", "label", "group")


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a labelled set.

    Raises:
        ScanproofError: an array is missing, or not as long as the others.
    """
    with np.load(path, allow_pickle=False) as file:
        missing = set(NAMES) - set(file)
        if missing:
            raise ScanproofError(f"file must hold {', '.join(NAMES)}", file=path, value=sorted(file))
        arrays = {name: file[name] for name in NAMES}
    shapes = {name: array.shape for name, array in arrays.items()}
    if arrays["image"].ndim != 3 or any(shapes[name] != shapes["image"][:1] for name in ("label", "group")):
        raise ScanproofError("arrays must have shapes (N, H, W), (N,) and (N,)", file=path, value=shapes)
    if arrays["image"].dtype not in (np.uint8, np.uint16):
        raise ScanproofError("image must hold 8 or 16 bit", file=path, value=str(arrays["image"].dtype))
    return arrays


def choose(arrays: dict[str, np.ndarray], *, classes: list[str], subjects: int | None) -> pd.DataFrame:
    """What is written: the images of some classes, of the first subjects of each in a random but fixed order.

    Args:
        arrays: from :func:`read`.
        classes: their labels; all where none is given.
        subjects: largest number of subjects; all where none is given.
    """
    table = pd.DataFrame({"label": arrays["label"].astype(str), "subject": arrays["group"].astype(str)})
    for name in classes:
        if name not in set(table["label"]):
            raise unknown_name("class", name, set(table["label"]), key="--classes")
    table = table[table["label"].isin(classes or table["label"])]
    if subjects is not None:
        firsts = table.drop_duplicates("subject").sample(frac=1, random_state=0)
        firsts = firsts.assign(turn=firsts.groupby("label").cumcount()).sort_values("turn", kind="stable")
        table = table[table["subject"].isin(firsts["subject"][:subjects])]
    return table


def write(arrays: dict[str, np.ndarray], table: pd.DataFrame, output: Path, *, site: str) -> None:
    """Write the chosen images and their manifest."""
    (output / "images").mkdir(parents=True, exist_ok=True)
    paths = [f"images/{row:05d}.png" for row in table.index]
    for row, path in zip(table.index, paths, strict=True):
        Image.fromarray(arrays["image"][row]).save(output / path)
    manifest = table.assign(site=site, path=paths)[["subject", "site", "path", "label"]]
    manifest.to_csv(output / "cohort.csv", index=False)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="labelled set, .npz")
    parser.add_argument("--classes", nargs="+", default=[], metavar="LABEL", help="only these; default all")
    parser.add_argument("--subjects", type=int, help="at most so many, as many of each class as there are")
    parser.add_argument("--site", default="local", help="what the manifest calls the site")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder; keep patients out of git")
    arguments = parser.parse_args()
    try:
        arrays = read(arguments.file)
        table = choose(arrays, classes=arguments.classes, subjects=arguments.subjects)
    except ScanproofError as error:
        parser.error(str(error))
    write(arrays, table, arguments.output, site=arguments.site)
    print(table.groupby("label").agg(images=("subject", "size"), subjects=("subject", "nunique")).to_string())


if __name__ == "__main__":
    main()
