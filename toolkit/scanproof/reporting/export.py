"""The tables of a study as files for a manuscript: images, chains, comparisons, claims, and a page of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from scanproof.evaluation.table import ALL_SITES, CLEAN, CONDITION
from scanproof.reporting.claims import claim_rows
from scanproof.reporting.curves import records, row_estimate
from scanproof.reporting.markdown import estimate_cell, markdown_table
from scanproof.reporting.ranking import has_readings
from scanproof.reporting.reading import reading_parts
from scanproof.reporting.spreadsheet import spreadsheet_csv
from scanproof.reporting.vocabulary import Estimate, metric, ordered, plain, shift_name, speed_label

#: columns that name an image
_IMAGE = ("site", "subject", "case", *CONDITION, "reconstruction", "acceleration")
#: colours of a copied figure
COLOURS = 64
#: figures of a study that the page shows, with what they show
FIGURES = {
    "heatmap": "Loss of AUROC under each shift as a multiple of that of batch norm",
    "forest": "How much less AUROC was lost than with batch norm over all shifts, by site",
    "paired": "How much less AUROC was lost than with batch norm, by shift",
    "calibration": "Stated probability against observed frequency",
    "layers": "Drift of what each layer sees under shift",
}


def slice_table(results: pd.DataFrame) -> pd.DataFrame:
    """Image quality slice by slice: one row an image, one column a metric.

    Example:
        >>> image = {"site": "north", "subject": "a", "case": "a1", "shift": "none", "severity": 0,
        ...     "reconstruction": "unet", "acceleration": 4.0}
        >>> rows = pd.DataFrame([image | {"metric": "ssim", "value": 0.9}, image | {"metric": "psnr", "value": 30.0}])
        >>> slice_table(rows)[["case", "psnr", "ssim"]]
          case  psnr  ssim
        0   a1  30.0   0.9
    """
    cases = results[results["case"].notna()]
    wide = cases.pivot(index=list(_IMAGE), columns="metric", values="value")
    return wide[ordered(wide.columns)].rename_axis(columns=None).reset_index()


def mean_table(results: pd.DataFrame) -> pd.DataFrame:
    """Mean image quality of every site and of all, with intervals.

    Of a study with classifiers the mean over sites alone: how sites differ, its chains tell.
    """
    rows = results[results["case"].isna() & results["classifier"].isna()]
    if has_readings(results) and ALL_SITES in set(rows["site"]):
        rows = rows[rows["site"] == ALL_SITES]
    return rows[["site", *CONDITION, "reconstruction", "acceleration", "metric", "value", "lower", "upper", "n"]]


def summary_page(
    results: pd.DataFrame,
    paired: pd.DataFrame | None,
    claims: pd.DataFrame | None,
    *,
    title: str,
    command: str,
    metrics: Sequence[str],
    against: str | None,
    level: float,
    comparisons: pd.DataFrame | None = None,
    figures: Iterable[str] = (),
) -> str:
    """A page of Markdown: claims, chains, comparisons and figures, and means of images.

    Of each image metric there is a table of means, conditions down and reconstructions across.

    Args:
        results: results table.
        paired: differences to ``against`` (:func:`~scanproof.evaluation.claims.paired_differences`).
        claims: what was found of the claims.
        title: of the page.
        command: that made the results.
        metrics: image metrics to show.
        against: reconstruction that the others are compared with.
        level: coverage of the intervals.
        comparisons: of normalizations, if any were made.
        figures: names of those of :data:`FIGURES` that lie in the folder ``figures`` beside the page.
    """
    means = mean_table(results)
    sites = means["site"].drop_duplicates().tolist()
    everywhere = means[means["site"].isin([ALL_SITES] if ALL_SITES in sites else sites[:1])]
    parts = [f"# {plain(title)}", f"Made by `{command}`. Intervals are {100 * level:g} %, of subjects drawn anew."]
    if claims is not None:
        parts += ["## Claims", _claims(claims)]
    if has_readings(results):
        parts += reading_parts(results, pd.DataFrame() if comparisons is None else comparisons, level=level)
    if shown := sorted(figures, key=list(FIGURES).index):
        parts += [
            "## Figures",
            "Those of the first reconstruction and classifier above.",
            *(f"![{FIGURES[name]}](figures/{name}.png)" for name in shown),
        ]
    for name in metrics:
        wording = metric(name)
        digits = max(2, wording.digits)
        parts.append(f"## {wording.title}")
        good = "higher is better" if wording.higher_is_better else "lower is better"
        parts.append(f"Mean over sites; {good}.")
        parts.append(_grid(everywhere[everywhere["metric"] == name], "value", digits))
        if paired is not None:
            parts.append(
                f"Difference to {plain(str(against))}, paired, positive where better; **bold** where the interval "
                "excludes 0."
            )
            parts.append(_grid(paired[paired["metric"] == name], "difference", digits))
    return "\n\n".join(parts) + "\n"


def _claims(claims: pd.DataFrame) -> str:
    head = ("claim", "compared", "difference", "expected", "subjects", "verdict")
    rows = [
        (
            row.text,
            f"{row.comparison}; {row.condition}",
            f"{row.difference.number(row.digits)} ({row.difference.interval(row.digits)})",
            row.expected,
            str(row.subjects),
            f"**{row.verdict}**",
        )
        for row in claim_rows(claims)
    ]
    return markdown_table(head, rows)


def _grid(rows: pd.DataFrame, value: str, digits: int) -> str:
    """Conditions down, reconstructions across; differences that exclude 0 are bold."""
    rows = rows.assign(value=rows[value], method=_methods(rows))
    methods = rows["method"].drop_duplicates().tolist()
    cells: dict[tuple[str, int], dict[str, str]] = {}
    for row in records(rows):
        condition = (str(row["shift"]), int(str(row["severity"])))
        cell = _cell(row_estimate(row), digits, differs=value == "difference")
        cells.setdefault(condition, {})[str(row["method"])] = cell
    body = [
        [shift_name(shift) + (f" {severity}" if severity else ""), *(found.get(name, "–") for name in methods)]
        for (shift, severity), found in sorted(cells.items(), key=lambda cell: (cell[0][0] != CLEAN, cell[0]))
    ]
    return markdown_table(["condition", *methods], body)


def _methods(rows: pd.DataFrame) -> pd.Series:
    """Reconstructions in words, with the acceleration where one was tested at several."""
    several = rows.groupby("reconstruction")["acceleration"].transform("nunique") > 1
    names = rows["reconstruction"].map(plain)
    return names.where(~several, names + " " + rows["acceleration"].map(speed_label))


def _cell(estimate: Estimate, digits: int, *, differs: bool) -> str:
    _, lower, upper = estimate
    decided = lower is not None and upper is not None and lower * upper > 0
    return estimate_cell(estimate, digits, bold=differs and decided)


def write_tables(
    folder: Path, *, tables: Mapping[str, pd.DataFrame], page: str, figures: Iterable[Path] = ()
) -> list[Path]:
    """Write tables as CSV (four significant digits), the page as ``README.md``, and copies of figures.

    Args:
        folder: where to write.
        tables: name to table.
        page: of Markdown.
        figures: PNG files, copied into the folder ``figures``.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "README.md"]
    written[0].write_text(page, encoding="utf-8")
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        path.write_text(spreadsheet_csv(table, float_format="%.4g"), encoding="utf-8", newline="")
        written.append(path)
    for figure in figures:
        written.append(_copied(figure, folder / "figures"))
    return written


def _copied(figure: Path, folder: Path) -> Path:
    """A copy of a PNG in few colours, which plots do not miss and which take a third of the room."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    path = folder / figure.name
    with Image.open(figure) as image:
        image.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    return path
