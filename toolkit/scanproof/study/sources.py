"""Where a study's cohorts come from: one source a site."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scanproof.data.manifest import read_manifest
from scanproof.data.privacy import pseudonym
from scanproof.data.splits import check_labels, split_by_subject
from scanproof.errors import ScanproofError, unknown_name
from scanproof.study.definition import DemoData, NiftiData


@dataclass(frozen=True)
class CohortSource:
    """One site's cohort.

    Args:
        site: the site's name.
        training: its train and val splits are used.
        params: what :func:`scanproof.study.tasks.cohort` needs, with hashes of the files it reads. Subjects appear
            under their pseudonyms.
        paths: hash of a file to where it lies; the place has no influence on results.
    """

    site: str
    training: bool
    params: Mapping[str, object]
    paths: Mapping[str, str] = field(default_factory=dict)


def demo_sources(data: DemoData, *, adjacent: bool) -> list[CohortSource]:
    """Sources of the demo cohort; slices may have to lie next to each other."""
    sources = []
    for site in data.sites:
        training = site in data.training_sites
        counts = data.subjects.model_dump()
        subjects = counts if training else {"test": counts["test"]}
        params = {
            "source": "demo",
            "site": site,
            "subjects": subjects,
            "slices": data.slices,
            "matrix": list(data.matrix),
            "adjacent": adjacent,
        }
        sources.append(CohortSource(site=site, training=training, params=params))
    return sources


def nifti_sources(data: NiftiData, *, seed: int, labelled: bool, site_key: bytes, adjacent: bool) -> list[CohortSource]:
    """Sources of a folder of NIfTI volumes: reads the manifest, splits by subject and hashes the files.

    Raises:
        ScanproofError: a manifest that breaks a rule, a training site that is not in it, a split without both
            labels.
    """
    table = read_manifest(data.manifest, root=data.root or data.manifest.parent, labelled=labelled)
    if table["site"].str.lower().eq("all").any():
        raise ScanproofError(
            "site name is taken by the summary over sites", file=data.manifest, key="site", value="all"
        )
    subjects = table.groupby("site")["subject"].nunique()
    training_sites = data.training_sites or [str(subjects.idxmax())]
    for site in training_sites:
        if site not in subjects.index:
            raise unknown_name("training site", site, subjects.index, file=data.manifest, key="data.training_sites")
    sources = []
    for site in sorted(str(name) for name in subjects.index):
        rows = table[table["site"] == site].copy()
        training = site in training_sites
        if rows["split"].isna().all():
            fractions = data.fractions.model_dump() if training else {"test": 1.0}
            rows["split"] = split_by_subject(rows, fractions=fractions, seed=seed)
        if not training:
            rows = rows[rows["split"] == "test"]
            if rows.empty:
                raise ScanproofError("site must have cases in the test split", file=data.manifest, key=f"site {site!r}")
        if labelled:
            splits = ("train", "val", "test") if training else ("test",)
            rows["case"] = rows["path"]
            check_labels(rows, splits=splits, site=site, file=data.manifest)
        hashes = [_file_hash(Path(str(path))) for path in rows["path"]]
        volumes = [
            {
                "subject": pseudonym(str(row.subject), site_key),
                "sha256": digest,
                "label": None if row.label is None else int(str(row.label)),
                "split": str(row.split),
            }
            for row, digest in zip(rows.astype(object).where(rows.notna(), None).itertuples(), hashes, strict=True)
        ]
        geometry = data.model_dump(mode="json", include={"slices", "extent", "matrix", "spacing", "coils", "snr"})
        sources.append(
            CohortSource(
                site=site,
                training=training,
                params={"source": "nifti", "site": site, "volumes": volumes, "adjacent": adjacent, **geometry},
                paths=dict(zip(hashes, rows["path"].astype(str), strict=True)),
            )
        )
    return sources


def _file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ScanproofError(f"file must be readable: {error.strerror}", file=path) from error
