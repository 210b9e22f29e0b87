"""Simulated subjects as a hospital would hold them: NIfTI files and a manifest, to practise a validation on.

Each slice is a file of its own, because the finding shows in some slices of a subject and not in others. The images
are those of the demo cohort (``studies/demo.yaml``) at a site that no protocol was trained at.

    python protocols/practice_site.py -o practice --subjects 40
    scanproof validate protocols/brain-lesion-robustness.yaml --data practice --site "Practice"
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from scanproof.data.demo.generator import demo_cohort
from scanproof.data.demo.scanner import SCANNERS
from scanproof.data.labels import labels_of
from scanproof.errors import ScanproofError

#: of a voxel in mm; the last is the distance of slices, of which each file holds one
VOXEL = (2.0, 2.0, 5.0)


def write(output: Path, *, scanner: str, subjects: int, slices: int, seed: int) -> pd.DataFrame:
    """Write the files and ``cohort.csv``; return the manifest.

    Args:
        output: folder, made where it is missing.
        scanner: demo site whose scanner is simulated.
        subjects: how many.
        slices: of each.
        seed: other subjects for another number.
    """
    cohort = demo_cohort(scanner, subjects={"test": subjects}, slices=slices, matrix=(112, 96), seed=seed)
    (output / "images").mkdir(parents=True, exist_ok=True)
    labels = labels_of(cohort.cases)[:, 0]
    rows = []
    for case, subject, image, label in zip(
        cohort.cases["case"], cohort.cases["subject"], cohort.images[:, 0], labels, strict=True
    ):
        # rows of the images run from anterior to posterior, the volume's second axis the other way
        volume = np.round(1000 * image[::-1].T[..., None]).astype(np.int16)
        nib.save(nib.Nifti1Image(volume, np.diag([*VOXEL, 1.0])), output / "images" / f"{case}.nii.gz")
        rows.append({"subject": subject, "path": f"images/{case}.nii.gz", "label_lesion": int(label)})
    manifest = pd.DataFrame(rows)
    manifest.to_csv(output / "cohort.csv", index=False)
    return manifest


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scanner", default="north", choices=list(SCANNERS), help="whose images are simulated")
    parser.add_argument("--subjects", type=int, default=40)
    parser.add_argument("--slices", type=int, default=4, help="of each subject")
    parser.add_argument("--seed", type=int, default=1, help="other subjects for another number")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    arguments = parser.parse_args()
    if arguments.subjects < 2:
        parser.error(str(ScanproofError("must be at least 2", key="--subjects", value=arguments.subjects)))
    manifest = write(
        arguments.output,
        scanner=arguments.scanner,
        subjects=arguments.subjects,
        slices=arguments.slices,
        seed=arguments.seed,
    )
    people = manifest.groupby("subject")["label_lesion"].max()
    print(f"{len(people)} subjects, {len(manifest)} images; {int(people.sum())} subjects with a lesion")


if __name__ == "__main__":
    main()
