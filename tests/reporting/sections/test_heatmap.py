from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from scanproof.reporting.sections.comparison import read_comparisons
from scanproof.reporting.sections.heatmap import Cell, colour, heat_figure, heat_maps
from scanproof.reporting.style import INK


def luminance(code: str) -> float:
    """Relative luminance of a colour (WCAG 2.2)."""
    parts = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@given(st.none() | st.floats(allow_nan=True, allow_infinity=True))
def test_dark_text_can_be_read_on_every_cell(value: float | None) -> None:
    assert (luminance(colour(value)) + 0.05) / (luminance(INK) + 0.05) >= 4.5


@given(st.floats(0, 2), st.floats(0, 2))
def test_colours_deepen_away_from_the_reference(one: float, other: float) -> None:
    nearer, farther = sorted((one, other), key=lambda value: abs(value - 1))
    if (nearer - 1) * (farther - 1) >= 0:
        assert luminance(colour(nearer)) >= luminance(colour(farther)) - 1e-9


def test_cells_are_the_rows_of_the_table_and_marks_those_of_the_comparisons(compared: Any) -> None:
    [found] = heat_maps(compared.results, read_comparisons(compared.comparisons))
    rows = compared.results
    rows = rows[(rows["metric"] == "relative_corruption_error") & (rows["site"] == "all")].set_index(["shift", "norm"])
    holm = compared.comparisons
    holm = holm[(holm["measure"] == "change") & (holm["site"] == "all")].set_index(["shift", "norm"])["p_holm"]
    assert found.norms == ["batch", "group", "layer"]
    assert [shift for shift, _ in found.rows] == ["bias_field", "ghosting", "rigid_motion"]
    marked = 0
    for shift, cells in found.rows:
        assert cells[0] == Cell(1.0)
        for norm, cell in zip(found.norms, cells, strict=True):
            assert cell.value == pytest.approx(rows.loc[(shift, norm), "value"])
            if norm != "batch":
                assert cell.certain == (holm[shift, norm] < 0.05)
                marked += cell.certain
    assert 0 < marked < 6


def test_studies_without_such_rows_have_no_map(standard: Any) -> None:
    assert heat_maps(standard.results, []) == []


def test_the_picture_shows_every_cell(compared: Any) -> None:
    [found] = heat_maps(compared.results, read_comparisons(compared.comparisons))
    figure = heat_figure(found)
    figure.canvas.draw()
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert texts == {cell.text + (" •" if cell.certain else "") for _, cells in found.rows for cell in cells}


def test_uncorrected_differences_carry_no_mark(compared: Any) -> None:
    bare = [one._replace(p_holm=None) for one in read_comparisons(compared.comparisons)]
    [found] = heat_maps(compared.results, bare)
    assert not any(cell.certain for _, cells in found.rows for cell in cells)
