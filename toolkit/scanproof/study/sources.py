"""Where a study's cohorts come from: one source a site."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from scanproof.data.bids import DESCRIPTION, is_bids, read_bids
from scanproof.data.class_folders import SUBJECTS_ARE_FILES, read_class_folders
from scanproof.data.labels import label_columns
from scanproof.data.manifest import Manifest, read_manifest
from scanproof.data.privacy import pseudonym
from scanproof.data.readers import reader_of
from scanproof.data.splits import check_labels, split_by_subject
from scanproof.errors import ScanproofError, unknown_name
from scanproof.study.data_plans import DemoData, ImageData, KspaceData, SiteData, VolumeData
from scanproof.study.definition import Study

#: what a reader must know of measured k-space
REFERENCE_IS_MEASURED = (
    "The reference of a slice is its fully sampled k-space, reconstructed with the same coil sensitivities that the "
    "methods are given. It holds the noise of the measurement, and without shift the fully sampled reconstruction is "
    "the reference itself. Undersampling, artifacts and added noise are simulated on the measured k-space."
)


@dataclass(frozen=True)
class CohortSource:
    """One site's cohort.

    Args:
        site: the site's name.
        training: its train and val splits are used.
        targets: what the labels are about; none where there are no labels.
        exclusive: they are classes, of which each case has one.
        params: what :func:`scanproof.study.tasks.cohort` needs, with hashes of the files it reads. Subjects appear
            under their pseudonyms.
        paths: hash of a file to where it lies; the place has no influence on results.
    """

    site: str
    training: bool
    targets: tuple[str, ...]
    exclusive: bool
    params: Mapping[str, object]
    paths: Mapping[str, str] = field(default_factory=dict)


def cohort_sources(study: Study, *, site_key: bytes = b"") -> list[CohortSource]:
    """The source of each site of a study.

    Args:
        study: the definition.
        site_key: key of the subjects' pseudonyms (local data only).

    Raises:
        ScanproofError: a manifest that breaks a rule.
    """
    adjacent = study.acquisition.dimensions == 3
    if isinstance(study.data, DemoData):
        return demo_sources(study.data, adjacent=adjacent)
    return site_sources(
        study.data,
        seed=study.seed,
        labelled=bool(study.classification),
        site_key=site_key,
        adjacent=adjacent,
        trains=not study.all_loaded,
    )


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
            "labels": list(data.labels),
        }
        sources.append(
            CohortSource(site=site, training=training, targets=tuple(data.labels), exclusive=False, params=params)
        )
    return sources


def site_sources(
    data: SiteData, *, seed: int, labelled: bool, site_key: bytes, adjacent: bool, trains: bool = True
) -> list[CohortSource]:
    """Sources of a folder of volumes, images or raw data: reads the manifest, splits by subject and hashes the files.

    Args:
        data: the folder.
        seed: the study's seed, for splits.
        labelled: whether labels are needed.
        site_key: key of the subjects' pseudonyms.
        adjacent: slices of a volume have to lie next to each other.
        trains: whether networks learn here; else all subjects are test subjects, unless the study names training sites,
            whose validation cases then fix operating points.

    Raises:
        ScanproofError: a manifest that breaks a rule, a training site that is not in it, a split without both
            labels of a target, the same content in files of two subjects.
    """
    manifest = _manifest(data, labelled=labelled)
    table = manifest.table
    if table["site"].str.lower().eq("all").any():
        raise ScanproofError(
            "site name is taken by the summary over sites", file=manifest.file, key="site", value="all"
        )
    subjects = table.groupby("site")["subject"].nunique()
    training_sites = data.training_sites or []
    if data.only_site:
        training_sites = []
    elif trains and not training_sites:
        training_sites = [str(subjects.idxmax())]
    for site in training_sites:
        if site not in subjects.index:
            raise unknown_name("training site", site, subjects.index, file=manifest.file, key="data.training_sites")
    cases = {
        str(site): _split(
            rows, data, manifest.file, training=site in training_sites, seed=seed, labelled=labelled, trains=trains
        )
        for site, rows in table.groupby("site", sort=True)
    }
    together = pd.concat(list(cases.values()))
    together["sha256"] = [_content_hash(Path(path), kind=data.kind) for path in together["path"]]
    _check_content(together, manifest.file)
    reading = data.model_dump(mode="json", include={"slices", "extent", "matrix", "spacing", "coils", "snr"})
    sources = []
    for site, rows in cases.items():
        hashes = together.loc[rows.index, "sha256"].astype(str)
        params = {
            "source": data.kind,
            "site": site,
            "files": _files(rows, hashes, site_key),
            "targets": list(manifest.targets),
            "exclusive": manifest.exclusive,
            **reading,
        }
        sources.append(
            CohortSource(
                site=site,
                training=site in training_sites,
                targets=manifest.targets,
                exclusive=manifest.exclusive,
                params={**params, "adjacent": adjacent} if data.kind == "volumes" else params,
                paths=dict(zip(hashes, rows["path"].astype(str), strict=True)),
            )
        )
    return sources


def data_notes(study: Study) -> list[str]:
    """What a reader must know of the data beyond their kind."""
    if isinstance(study.data, ImageData) and study.data.manifest is None:
        return [SUBJECTS_ARE_FILES]
    if isinstance(study.data, KspaceData):
        return [REFERENCE_IS_MEASURED]
    return []


def _manifest(data: SiteData, *, labelled: bool) -> Manifest:
    folder = data.folder
    if data.manifest is not None:
        root = folder or data.manifest.parent
        return read_manifest(data.manifest, root=root, labelled=labelled, site=data.only_site)
    if folder is None:
        raise ScanproofError("must be given", key="data.manifest")
    site = data.only_site or data.site
    if isinstance(data, VolumeData):
        if not is_bids(folder):
            rule = f"folder without a manifest must be a BIDS dataset, with {DESCRIPTION}"
            raise ScanproofError(rule, file=folder, key="data.manifest")
        plan = data.bids
        column = None if data.only_site else plan.site
        return read_bids(folder, labelled=labelled, suffix=plan.suffix, label=plan.label, site_column=column, site=site)
    return read_class_folders(folder, site=site)


def _split(
    rows: pd.DataFrame, data: SiteData, file: Path, *, training: bool, seed: int, labelled: bool, trains: bool
) -> pd.DataFrame:
    """The rows of one site that are used, with their splits."""
    site, rows = str(rows["site"].iloc[0]), rows.copy()
    if data.only_site:
        rows["split"] = pd.Series("test", rows.index, dtype="string")
    elif rows["split"].isna().all():
        fractions = data.fractions.model_dump() if training else {"test": 1.0}
        rows["split"] = split_by_subject(rows, fractions=fractions, seed=seed)
    if not training:
        rows = rows[rows["split"] == "test"]
        if rows.empty:
            raise ScanproofError("site must have cases in the test split", file=file, key=f"site {site!r}")
    if labelled:
        splits = (*(["train"] if trains else []), "val", "test") if training else ("test",)
        # whether a site that is only tested has enough of both, its protocol says
        check_labels(rows.assign(case=rows["path"]), splits=splits, site=site, file=file, both=not data.only_site)
    return rows


def _check_content(files: pd.DataFrame, manifest: Path) -> None:
    """Check that no file of one subject is a copy of another's: it would be learned from and tested on."""
    first = files.drop_duplicates("sha256").set_index("sha256")
    for row in files[files["sha256"].duplicated()].itertuples():
        other = first.loc[str(row.sha256)]
        if other["subject"] != row.subject:
            raise ScanproofError(
                "files of two subjects must not have the same content",
                file=manifest,
                key=f"{other['place']} and {row.place}",
                value=[str(other["subject"]), str(row.subject)],
                hint="give both the same subject, or leave one out",
            )


def _files(rows: pd.DataFrame, hashes: pd.Series, site_key: bytes) -> list[dict[str, object]]:
    """What a ``cohort`` task has to know of each file."""
    labels = rows[label_columns(rows)].astype(object)
    return [
        {
            "subject": pseudonym(str(subject), site_key),
            "sha256": digest,
            "labels": [None if pd.isna(label) else int(label) for label in row],
            "split": str(split),
        }
        for subject, split, digest, row in zip(rows["subject"], rows["split"], hashes, labels.to_numpy(), strict=True)
    ]


def _content_hash(path: Path, *, kind: str) -> str:
    """Hash of the files behind a path of a manifest; of a single file its SHA-256."""
    files = [path] if kind == "images" else reader_of(path).contents(path)
    hashes = [_file_hash(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ScanproofError(f"file must be readable: {error.strerror}", file=path) from error
