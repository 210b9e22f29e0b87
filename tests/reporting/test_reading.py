"""Tables and page of what classifiers read, against the tables that they are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reporting.compared import Compared
from scanproof.evaluation.evaluate import CASE_METRIC_COLUMNS, evaluate
from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES
from scanproof.reporting.export import FIGURES, mean_table, summary_page, write_tables
from scanproof.reporting.reading import chain_table, comparison_table, curve_table, reading_parts
from scanproof.reporting.sections.parts import section_figures


def rows_of(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table under a heading, its head first."""
    lines = page.partition(heading)[2].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return [rows[0], *rows[2:]]


@pytest.fixture(scope="module")
def page(compared: Compared) -> str:
    return "\n\n".join(reading_parts(compared.results, compared.comparisons, level=0.95))


def test_chains_hold_every_summary_over_all_shifts_once(compared: Compared) -> None:
    table = chain_table(compared.results)
    assert not table.duplicated(["site", "reconstruction", "norm", "metric"]).any()
    assert set(table["site"]) == {"north", "south", "all"}
    results = compared.results
    mine = results[(results["shift"] == ALL_SHIFTS) & results["classifier"].notna()]
    assert len(table) == len(mine)
    drop = table.query("site == 'south' and norm == 'group' and metric == 'auroc_drop'").iloc[0]
    clean, shifted = (
        table.query(f"site == 'south' and norm == 'group' and metric == '{name}'")["value"].item()
        for name in ("auroc_clean", "auroc_shifted")
    )
    assert drop["value"] == pytest.approx(clean - shifted)
    assert drop["lower"] < drop["value"] < drop["upper"]


def test_curves_are_means_over_trainings_and_sites(compared: Compared) -> None:
    table = curve_table(compared.results)
    assert len(table) == 3 * (1 + 3 * 2)
    results = compared.results
    single = results[(results["metric"] == "auroc") & results["seed"].notna() & (results["site"] != ALL_SITES)]
    expected = single.groupby(["norm", "shift", "severity"])["value"].mean()
    found = table.set_index(["norm", "shift", "severity"])["value"]
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_dtype=False)


def test_comparisons_are_all_there(compared: Compared) -> None:
    table = comparison_table(compared.comparisons)
    assert len(table) == len(compared.comparisons)
    assert "study" not in table
    assert table["difference"].sum() == pytest.approx(compared.comparisons["difference"].sum())


def test_page_ranks_chains(compared: Compared, page: str) -> None:
    head, *rows = rows_of(page, "## Chains")
    table = chain_table(compared.results)
    shifted = table[(table["site"] == ALL_SITES) & (table["metric"] == "auroc_shifted")].set_index("norm")["value"]
    order = shifted.sort_values(ascending=False)
    assert [row[1] for row in rows] == [f"resnet18 with {norm} norm" for norm in order.index]
    place = head.index("AUROC, mean over shifts")
    assert [float(row[place].split()[0]) for row in rows] == pytest.approx(order.tolist(), abs=6e-4)
    assert rows[0][head.index("to the first")] == "–"


@pytest.mark.parametrize(("measure", "title"), [("change", "How much less AUROC"), ("quality", "AUROC minus that")])
def test_page_compares_with_batch_norm_shift_by_shift(compared: Compared, page: str, measure: str, title: str) -> None:
    head, *rows = rows_of(page, title)
    assert head == ["condition", "group norm", "layer norm"]
    clean = {"no shift": "none"} if measure == "quality" else {}
    assert [row[0] for row in rows] == [*clean, "bias field", "ghosting", "rigid motion", "mean over all shifts"]
    table = compared.comparisons
    table = table[(table["site"] == ALL_SITES) & (table["measure"] == measure)].set_index(["shift", "norm"])
    names = [*clean.values(), "bias_field", "ghosting", "rigid_motion", "all"]
    for shift, (_, *cells) in zip(names, rows, strict=True):
        for norm, cell in zip(("group", "layer"), cells, strict=True):
            one = table.loc[(shift, norm)]
            p_value = one["p_value"] if shift in (ALL_SHIFTS, "none") else one["p_holm"]
            certain = one["lower"] * one["upper"] > 0 and p_value < 0.05
            number = f"{one['difference']:.3f}".replace("-", "−")
            assert cell.startswith(f"**{number}** (" if certain else f"{number} (")
            stated = cell.rpartition("p ")[2]
            assert stated == "< 0.001" if p_value < 0.001 else float(stated.removeprefix("= ")) == round(p_value, 3)
    assert "**" in page


def test_study_of_one_norm_has_chains_alone(compared: Compared) -> None:
    rows = compared.predictions[compared.predictions["norm"] == "group"]
    no_cases = pd.DataFrame(columns=list(CASE_METRIC_COLUMNS))
    results = evaluate(rows, no_cases, study="compared", seed=1, resamples=100).results
    parts = reading_parts(results, pd.DataFrame(), level=0.95)
    assert parts[0] == "## Chains"
    assert not any(part.startswith("## Comparisons") for part in parts)


def test_folder_of_a_study_with_classifiers_is_small(compared: Compared, tmp_path: Path) -> None:
    from PIL import Image

    results: Any = compared.results
    drawn = section_figures(results, compared.predictions, comparisons=compared.comparisons, layers=compared.layers)
    assert drawn.keys() == FIGURES.keys()
    for name, figure in drawn.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=110)
    files = [tmp_path / f"{name}.png" for name in drawn]
    text = summary_page(
        results,
        None,
        None,
        title="compared",
        command="scanproof run",
        metrics=(),
        against=None,
        level=0.95,
        comparisons=compared.comparisons,
        figures=drawn,
    )
    tables = {"chains": chain_table(results), "curves": curve_table(results), "means": mean_table(results)}
    written = write_tables(tmp_path / "out", tables=tables, page=text, figures=files)
    linked = {line.partition("](")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert linked == {f"figures/{name}.png" for name in FIGURES}
    assert {path.relative_to(tmp_path / "out").as_posix() for path in written} == linked | {
        "README.md", "chains.csv", "curves.csv", "means.csv",
    }  # fmt: skip
    for file in files:
        with Image.open(file) as before, Image.open(tmp_path / "out" / "figures" / file.name) as after:
            assert after.size == before.size
        assert after.fp is None
        assert (tmp_path / "out" / "figures" / file.name).stat().st_size < file.stat().st_size / 2
    chains = pd.read_csv(tmp_path / "out" / "chains.csv")
    assert chains["value"].tolist() == pytest.approx(tables["chains"]["value"].tolist(), rel=5e-4)
    means = mean_table(results)
    assert means.empty
