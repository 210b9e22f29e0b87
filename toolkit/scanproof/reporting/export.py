"""The tables of a study as files for a manuscript: per slice, paired, means, claims, and a page of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from scanproof.evaluation.table import ALL_SITES, CLEAN, CONDITION
from scanproof.reporting.claims import claim_rows
from scanproof.reporting.curves import records, row_estimate
from scanproof.reporting.vocabulary import Estimate, metric, ordered, plain, shift_name, speed_label

#: columns that name an image
_IMAGE = ("site", "subject", "case", *CONDITION, "reconstruction", "acceleration")


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
    """Mean image quality of every site and of all, with intervals."""
    rows = results[results["case"].isna() & results["classifier"].isna()]
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
) -> str:
    """A page of Markdown: claims, and a table of means for each metric, conditions down and reconstructions across.

    Args:
        results: results table.
        paired: differences to ``against`` (:func:`~scanproof.evaluation.claims.paired_differences`).
        claims: what was found of the claims.
        title: of the page.
        command: that made the results.
        metrics: to show.
        against: reconstruction that the others are compared with.
        level: coverage of the intervals.
    """
    means = mean_table(results)
    everywhere = means[means["site"] == (ALL_SITES if ALL_SITES in set(means["site"]) else means["site"].iloc[0])]
    parts = [f"# {plain(title)}", f"Made by `{command}`. Intervals are {100 * level:g} %, of subjects drawn anew."]
    if claims is not None:
        parts += ["## Claims", _claims(claims)]
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
    return _markdown(head, rows)


def _grid(rows: pd.DataFrame, value: str, digits: int) -> str:
    """Conditions down, reconstructions across; differences that exclude 0 are bold."""
    rows = rows.assign(value=rows[value], method=_methods(rows))
    methods = rows["method"].drop_duplicates().tolist()
    cells: dict[tuple[str, int], dict[str, str]] = {}
    for row in records(rows):
        condition = (str(row["shift"]), int(str(row["severity"])))
        cell = _cell(row_estimate(row), digits, bold=value == "difference")
        cells.setdefault(condition, {})[str(row["method"])] = cell
    body = [
        [shift_name(shift) + (f" {severity}" if severity else ""), *(found.get(name, "–") for name in methods)]
        for (shift, severity), found in sorted(cells.items(), key=lambda cell: (cell[0][0] != CLEAN, cell[0]))
    ]
    return _markdown(["condition", *methods], body)


def _methods(rows: pd.DataFrame) -> pd.Series:
    """Reconstructions in words, with the acceleration where one was tested at several."""
    several = rows.groupby("reconstruction")["acceleration"].transform("nunique") > 1
    names = rows["reconstruction"].map(plain)
    return names.where(~several, names + " " + rows["acceleration"].map(speed_label))


def _cell(estimate: Estimate, digits: int, *, bold: bool) -> str:
    number, interval = estimate.number(digits), estimate.interval(digits)
    if not interval:
        return number
    decided = estimate.lower is not None and estimate.upper is not None and estimate.lower * estimate.upper > 0
    return f"{f'**{number}**' if bold and decided else number} ({interval})"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in rows)])


def write_tables(folder: Path, *, tables: Mapping[str, pd.DataFrame], page: str) -> list[Path]:
    """Write tables as CSV (six significant digits) and the page as ``README.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        written.append(path)
    path = folder / "README.md"
    path.write_text(page, encoding="utf-8")
    return [path, *written]
