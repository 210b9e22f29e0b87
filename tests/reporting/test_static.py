from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from scanproof.errors import ScanproofError
from scanproof.reporting.curves import CurveKey, Facet, extract_curves
from scanproof.reporting.static import degradation_figure, image_panel_figure, line_labels, overview_figure
from scanproof.reporting.vocabulary import Chain


def drawn(figure: Figure) -> np.ndarray[Any, Any]:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file))


def test_plots_show_the_curves_of_the_table(standard: Any) -> None:
    figure = degradation_figure(standard.results, reconstruction="unet")
    curves = extract_curves(standard.results)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 4 * 4
    assert len({axes.get_ylim() for axes in shown}) == 1
    places = [
        Facet(site, shift) for shift in sorted(standard.recipe.shifts) for site in ("all", "east", "north", "south")
    ]
    for axes, place in zip(shown, places, strict=True):
        lines = [line for line in axes.lines if line.get_marker() != "None"]
        for line, norm in zip(lines, ("batch", "group", "layer"), strict=True):
            curve = curves[CurveKey("auroc", Chain("unet", 4.0, "resnet18", norm), place)]
            assert list(line.get_xdata()) == list(curve)
            assert list(line.get_ydata()) == [estimate.value for estimate in curve.values()]
        assert len(axes.collections) == 3  # the bands
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "batch norm", "group norm", "layer norm", "guessing",
    ]  # fmt: skip


def test_image_metrics_have_one_line_per_acceleration(study_of: Any) -> None:
    results = study_of(accelerations=(4.0, 8.0), sites=("north",), shifts=("ghosting", "bias_field")).results
    figure = degradation_figure(results, reconstruction="cg_sense", metric="psnr")
    labels = [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in figure.legends[0].get_texts()]
    assert labels == ["R = 4", "R = 8"]
    assert figure.axes[0].get_ylabel() == "PSNR (dB)"


def test_unknown_names_list_what_exists(standard: Any) -> None:
    with pytest.raises(ScanproofError, match=r"unknown reconstruction, got 'unett'.*did you mean 'unet'"):
        degradation_figure(standard.results, reconstruction="unett")
    with pytest.raises(ScanproofError, match=r"unknown metric, got 'auc'.*auroc"):
        degradation_figure(standard.results, reconstruction="unet", metric="auc")


def test_names_are_shown_as_they_are_and_not_set_as_formulas(study_of: Any) -> None:
    recipe = {"sites": ("$x_1$", r"\frac{"), "shifts": ("a$b",), "severities": (3,), "norms": ("$",)}
    results = study_of(**recipe, reconstructions=("$y$",)).results
    figure = degradation_figure(results, reconstruction="$y$")
    drawn(figure)
    titles = {axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()}
    assert "a$b, $x 1$" in titles or "a$b, $x_1$" in titles
    drawn(overview_figure(results))


def test_panels_share_grey_scales_by_row_and_one_error_scale(panel_of: Any) -> None:
    panels = [panel_of(severity=1), panel_of(title="$2", severity=5)]
    figure = image_panel_figure(panels)
    drawn(figure)
    pictures = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(pictures) == 8
    assert {picture.get_clim() for i, picture in enumerate(pictures) if i % 4 < 3} == {(0, 100)}
    errors = {pictures[3].get_clim(), pictures[7].get_clim()}
    assert len(errors) == 1
    assert figure.axes[-1].get_ylabel() == "Error (% of the brightest tissue)"
    with pytest.raises(ScanproofError, match="at least one image panel"):
        image_panel_figure([])


def test_the_overview_is_1400_pixels_wide_and_shows_the_best_chain(standard: Any, panel_of: Any) -> None:
    figure = overview_figure(standard.results, [panel_of()])
    assert drawn(figure).shape[1] == 1400
    curves = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_title(loc="left") for axes in curves] == [
        f"{shift}, all sites" for shift in ("bias field", "ghosting", "rician noise", "rigid motion")
    ]


def test_the_overview_of_many_shifts_keeps_those_that_cost_most(study_of: Any) -> None:
    shifts = ("bias_field", "ghosting", "rician_noise", "rigid_motion", "s1", "s2", "s3")
    results = study_of(shifts=shifts, sites=("north",), reconstructions=("unet", "cg_sense"), norms=("group",)).results
    figure = overview_figure(results)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.lines]
    assert len(titles) == 5
    assert "bias field, north" not in titles
    assert "rician noise, north" in titles


def test_the_overview_prefers_images_of_the_best_chain_under_the_worst_shift(standard: Any, panel_of: Any) -> None:
    mild = replace(panel_of(), reconstruction="deep_decoder", shift="bias_field")
    worst = replace(mild, shift="rician_noise")
    clean = replace(mild, shift="none", severity=0)
    figure = overview_figure(standard.results, [clean, panel_of(), mild, worst])
    labels = [axes.get_ylabel().split("\n")[1:] for axes in figure.axes if axes.images and axes.get_ylabel()]
    assert labels[:2] == [
        ["rician noise, severity 4", "north", "deep decoder"],
        ["bias field, severity 4", "north", "deep decoder"],
    ]


def test_the_overview_is_about_accelerated_chains_where_there_are_any(standard: Any) -> None:
    results = standard.results
    speed = results["acceleration"].where(results["reconstruction"] != "deep_decoder", 1.0)
    figure = overview_figure(results.assign(acceleration=speed))
    assert "unet at R" in figure.get_suptitle()
    assert "deep decoder" in overview_figure(results.assign(acceleration=1.0)).get_suptitle()


def test_without_classifiers_the_overview_compares_reconstructions(images_only: Any) -> None:
    figure = overview_figure(images_only.results)
    labels = [
        text.get_text() for sub in [figure, *figure.subfigs] for legend in sub.legends for text in legend.get_texts()
    ]
    assert labels == ["cg sense", "deep decoder", "unet", "zero filled"]


def test_single_points_are_drawn(study_of: Any) -> None:
    results = study_of(shifts=(), sites=("north",), reconstructions=("unet",), norms=("group",)).results
    figure = degradation_figure(results, reconstruction="unet")
    drawn(figure)
    assert figure.axes[0].get_title(loc="left") == "no shift, north"


def test_lines_are_named_by_what_differs() -> None:
    both = [Chain("unet", r, c, "batch") for r in (4.0, 8.0) for c in ("a", "b")]
    labels = [label.replace("\N{NO-BREAK SPACE}", " ") for label in line_labels(both)]
    assert labels == ["R = 4, a", "R = 4, b", "R = 8, a", "R = 8, b"]
    assert list(line_labels([Chain("unet", 4.0)])) == ["unet"]


def test_figures_leave_the_global_state_of_matplotlib_alone() -> None:
    code = (
        "import sys, numpy as np\n"
        "from scanproof.reporting.model import ImagePanel, PANEL_IMAGES\n"
        "from scanproof.reporting.static import image_panel_figure\n"
        "images = {name: np.eye(8) for name in PANEL_IMAGES}\n"
        "panel = ImagePanel(title='a', site='n', shift='x', severity=1, reconstruction='u', images=images)\n"
        "image_panel_figure([panel]).canvas.draw()\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
