from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go
import pytest

from scanproof.reporting.curves import CurveKey, axis_range, extract_curves
from scanproof.reporting.plots import image_group, reading_group
from scanproof.reporting.ranking import rank_chains
from scanproof.reporting.traces import plotly_text
from scanproof.reporting.vocabulary import Chain, metric


@pytest.fixture(scope="module")
def groups(standard: Any) -> Any:
    curves = extract_curves(standard.results)
    best = rank_chains(standard.results, curves).chains[0].chain
    return curves, best, reading_group(curves, best=best), image_group(curves, best=best)


def test_the_page_holds_every_number_of_the_curves(groups: Any) -> None:
    curves, _, reading, image = groups
    seen = 0
    for group, per_chain in ((reading, lambda o, s: o._replace(norm=s)), (image, lambda o, s: Chain(s, o))):
        norms, names = ["batch", "group", "layer"], ["cg_sense", "deep_decoder", "unet", "zero_filled"]
        options = [Chain(n, 4.0, "resnet18", None) for n in names] if group is reading else [4.0]
        lines = norms if group is reading else names
        for m, name in enumerate(group.metrics):
            for o, option in enumerate(options):
                for f, facet in enumerate(group.facets):
                    for s, line in enumerate(lines):
                        curve = curves[CurveKey(name, per_chain(option, line), facet)]
                        points = group.payload["values"][m][o][f][s]
                        for i, part in enumerate(zip(*curve.values(), strict=True)):
                            drawn = [value / 10 ** metric(name).digits for value in points[i]]
                            assert drawn == pytest.approx(part, abs=0.51 * 10 ** -metric(name).digits)
                        seen += 1
    assert seen == len(curves)


def test_the_payload_is_plain_json(groups: Any) -> None:
    for group in groups[2:]:
        assert json.loads(json.dumps(group.payload, allow_nan=False)) == group.payload


def test_plotly_accepts_the_templates(groups: Any) -> None:
    for group in groups[2:]:
        for series in group.payload["series"]:
            for m in group.payload["metrics"]:
                figure = go.Figure(data=[series["line"], series["band"]], layout=m["layout"])
                assert figure.data[0].mode == "lines+markers"


def test_all_plots_of_a_metric_share_one_range_and_auroc_shows_guessing(groups: Any) -> None:
    curves, _, reading, _ = groups
    for name, m in zip(reading.metrics, reading.payload["metrics"], strict=True):
        assert tuple(m["layout"]["yaxis"]["range"]) == axis_range(name, curves)
        assert len(m["layout"]["shapes"]) == (name in ("auroc", "balanced_accuracy"))
    assert reading.payload["metrics"][0]["layout"]["shapes"][0]["y0"] == 0.5


def test_lines_differ_in_colour_dash_and_marker(groups: Any) -> None:
    series = groups[3].payload["series"]
    for part in (("line", "color"), ("line", "dash"), ("marker", "symbol")):
        assert len({s["line"][part[0]][part[1]] for s in series}) == len(series)


def test_the_best_chain_is_selected_first(groups: Any) -> None:
    _, best, reading, image = groups
    assert reading.options[reading.selected] == best.reconstruction.replace("_", " ")
    assert image.selected == 0


def test_options_name_what_varies_and_absent_combinations_are_empty(study_of: Any) -> None:
    results = study_of(
        sites=("north",), shifts=("ghosting",), severities=(2,), accelerations=(2.0, 8.0), classifiers=("a", "b")
    ).results
    gone = (results["classifier"] == "b") & (results["norm"] == "layer") & (results["reconstruction"] == "unet")
    curves = extract_curves(results[~gone.fillna(False)])
    reading = reading_group(curves, best=Chain("unet", 8.0, "b", "group"))
    assert reading is not None
    assert len(reading.options) == 4 * 2 * 2
    label = reading.options[reading.selected]
    assert label.replace("\N{NO-BREAK SPACE}", " ") == "unet, R = 8, b"
    assert reading.payload["values"][0][reading.selected][0][2] is None  # type: ignore[index]
    assert reading.payload["values"][0][reading.selected][0][1] is not None  # type: ignore[index]
    image = image_group(curves, best=Chain("unet", 8.0, "b", "group"))
    assert image is not None
    assert image.options[image.selected].endswith("8")


def with_full_sampling(results: Any) -> Any:
    return results.assign(acceleration=results["acceleration"].where(results["reconstruction"] != "zero_filled", 1.0))


def test_a_reference_with_its_own_acceleration_is_drawn_beside_the_others(standard: Any) -> None:
    curves = extract_curves(with_full_sampling(standard.results))
    group = image_group(curves, best=Chain("unet", 4.0))
    assert group is not None
    assert (group.option_head, group.options) == ("", [""])
    labels = [series.label.replace("\N{NO-BREAK SPACE}", " ") for series in group.series]
    assert labels == ["cg sense (R = 4)", "deep decoder (R = 4)", "unet (R = 4)", "zero filled (R = 1)"]
    assert all(points is not None for points in group.payload["values"][0][0][0])  # type: ignore[index]


def test_a_reference_stands_beside_every_selected_acceleration(study_of: Any) -> None:
    results = study_of(sites=("north",), shifts=("ghosting",), severities=(2,), accelerations=(4.0, 8.0)).results
    gone = (results["reconstruction"] == "zero_filled") & (results["acceleration"] == 8)
    curves = extract_curves(with_full_sampling(results[~gone]))
    group = image_group(curves, best=Chain("unet", 8.0))
    assert group is not None
    assert [option[-1] for option in group.options] == ["4", "8"]
    assert group.selected == 1
    four, eight = (group.payload["values"][0][option][0] for option in (0, 1))  # type: ignore[index]
    assert four[3] == eight[3] is not None
    assert four[2] != eight[2]
    assert [series.label[:11] for series in group.series] == ["cg sense", "deep decode", "unet", "zero filled"]


def test_many_sites_start_every_shift_on_its_own_row(study_of: Any) -> None:
    sites = tuple(f"site{i}" for i in range(6))
    results = study_of(
        sites=sites, shifts=("ghosting", "bias_field"), severities=(1,), reconstructions=("unet",)
    ).results
    group = reading_group(extract_curves(results), best=Chain("unet", 4.0, "resnet18", "batch"), sites=sites[::-1])
    assert group is not None
    assert group.columns == 4
    assert [i for i in range(len(group.facets)) if group.starts_row(i)] == [0, 7]
    assert [facet.site for facet in group.facets[:3]] == ["all", "site5", "site4"]


def test_groups_without_data_do_not_exist(images_only: Any) -> None:
    curves = extract_curves(images_only.results)
    assert reading_group(curves, best=Chain("unet", 4.0)) is None
    assert image_group({}, best=Chain("unet", 4.0)) is None


@pytest.mark.parametrize("text", ["<b>x</b>", "a & b", "&lt;", "<script>alert(1)</script>"])
def test_text_for_plotly_holds_no_markup(text: str) -> None:
    import html

    escaped = plotly_text(text)
    assert "<" not in escaped
    assert html.unescape(escaped) == text


def test_many_shifts_and_sites_are_shown_one_site_at_a_time(study_of: Any) -> None:
    few, many = (
        study_of(shifts=tuple(f"s{i}" for i in range(count)), severities=(3,), reconstructions=("unet",))
        for count in (6, 7)
    )
    for study, places in ((few, []), (many, ["all", "north", "east", "south"])):
        curves = extract_curves(study.results)
        best = Chain("unet", 4.0, "resnet18", "group")
        group = reading_group(curves, best=best, sites=["north", "east", "south"])
        assert group is not None
        assert group.places == places
        assert group.columns == 4
        assert any(group.starts_row(i) for i in range(len(group.facets))) is not bool(places)
