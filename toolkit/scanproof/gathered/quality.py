"""Mean image quality of gathered cases, a site at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.grid import Grid, to_grid
from scanproof.evaluation.quality import QUALITY_ROW, site_means
from scanproof.evaluation.table import RESULT_COLUMNS, check_table, conform, results_schema
from scanproof.gathered.folder import cases_in, summary_in

if TYPE_CHECKING:
    import pyarrow.dataset as ds

_READ = ("site", "subject", "case", *QUALITY_ROW, "value")


def gathered_means(folder: Path, *, study: str, bootstrap: Bootstrap) -> pd.DataFrame:
    """Means of every image metric at every site and over the sites, with intervals.

    They are what :func:`~scanproof.evaluation.quality.quality_rows` makes of all cases at once, to the bit; here one
    metric of one site is in memory at a time.

    Args:
        folder: of :func:`~scanproof.gathered.folder.gather`.
        study: whose cases are taken; those of its sites may come from several tables.
        bootstrap: how intervals are made.

    Returns:
        A results table of rows about whole sites.

    Raises:
        ScanproofError: no such study, a case that is missing in a condition, or sites with different conditions.
    """
    import pyarrow.dataset as ds

    dataset = cases_in(folder)
    own = ds.field("study") == study
    places = _places(dataset, own)
    if not places:
        raise ScanproofError("gathered results must hold cases of the study", file=folder, value=study)
    metrics = sorted({metric for _, metric in places})
    frames = [
        site_means(_grids(dataset, own, [site for site, name in places if name == metric], metric), bootstrap)
        for metric in metrics
    ]
    rows = conform(pd.concat(frames, ignore_index=True).assign(study=study), RESULT_COLUMNS)
    return check_table(rows, results_schema(), name="gathered means")


def only_study(folder: Path) -> str:
    """Name of the one study that was gathered.

    Raises:
        ScanproofError: there are several, or nothing was gathered there.
    """
    studies = sorted(summary_in(folder)["study"].unique())
    if len(studies) != 1:
        raise ScanproofError("one study must be chosen", file=folder, value=", ".join(studies), hint="--study NAME")
    return str(studies[0])


def _places(dataset: ds.Dataset, own: ds.Expression) -> list[tuple[str, str]]:
    """Sites and metrics of a study, read from the names of folders and one column."""
    found: set[tuple[str, str]] = set()
    for fragment in dataset.get_fragments():
        keys = _keys(fragment.partition_expression)
        if (keys["site"], keys["metric"]) not in found and fragment.count_rows(filter=own):
            found.add((keys["site"], keys["metric"]))
    return sorted(found)


def _keys(expression: ds.Expression) -> dict[str, str]:
    import pyarrow.dataset as ds

    return {str(name): str(value) for name, value in ds.get_partition_keys(expression).items()}


def _grids(dataset: ds.Dataset, own: ds.Expression, sites: Sequence[str], metric: str) -> Iterator[tuple[str, Grid]]:
    import pyarrow.dataset as ds

    first: pd.DataFrame | None = None
    for site in sites:
        asked = own & (ds.field("site") == site) & (ds.field("metric") == metric)
        rows = dataset.to_table(columns=list(_READ), filter=asked, use_threads=False).to_pandas()
        rows = rows.astype({name: RESULT_COLUMNS[name] for name in _READ})
        grid = to_grid(rows, by=QUALITY_ROW, value="value", name=f"gathered: {site}")
        first = grid.rows if first is None else first
        if not grid.rows.equals(first):
            raise ScanproofError("every site must have been tested under the same conditions", key="site", value=site)
        yield site, grid
