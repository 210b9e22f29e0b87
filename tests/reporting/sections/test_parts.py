from __future__ import annotations

import base64
from typing import Any
from xml.etree import ElementTree

import pytest

from scanproof.reporting.curves import extract_curves
from scanproof.reporting.ranking import rank_chains
from scanproof.reporting.sections.parts import gather, section_figures, telling_chain


def gathered(study: Any, **tables: Any) -> Any:
    curves = extract_curves(study.results)
    return gather(study.results, study.predictions, curves, rank_chains(study.results, curves), **tables)


def test_the_study_of_normalizations_has_every_part(compared: Any) -> None:
    parts = gathered(compared, comparisons=compared.comparisons, layers=compared.layers)
    [pair] = parts.pairs
    assert parts.compares
    assert all(getattr(pair, name) for name in pair._fields)
    assert len(parts.crosses) == 2 * 8  # the first of the ranking and batch norm
    assert {table.chain.norm for table in parts.crosses} == {"group", "batch"}
    assert parts.misread
    names, rows = parts.summaries
    assert "relative_mce" in names
    assert [chain.norm for chain, _ in rows] == [
        one.chain.norm for one in rank_chains(compared.results, extract_curves(compared.results)).chains
    ]


def test_pictures_are_small_and_plain_svg_that_asks_for_nothing(compared: Any) -> None:
    [pair] = gathered(compared, comparisons=compared.comparisons, layers=compared.layers).pairs
    for drawing in (pair.forest, pair.paired, pair.reliability, pair.layers):
        text = base64.b64decode(drawing.image.partition(",")[2])
        root = ElementTree.fromstring(text)  # noqa: S314 - our own
        assert len(text) < 60_000
        assert not [e for e in root.iter() if e.tag.endswith("script")]
        links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
        assert all(link.startswith("#") for link in links)
        assert drawing.width <= 960  # the column of a laptop's screen


def test_without_comparisons_and_layers_nothing_is_made_up(standard: Any) -> None:
    parts = gathered(standard)
    assert not parts.compares
    assert not parts.shows("drifts")
    assert parts.caution == ""
    assert not any(pair.paragraphs or pair.forest for pair in parts.pairs)


def test_studies_of_images_have_no_parts(images_only: Any) -> None:
    parts = gathered(images_only)
    assert not parts.pairs
    assert not parts.crosses


def test_files_show_the_chain_that_tells_most(compared: Any) -> None:
    figures = section_figures(
        compared.results, compared.predictions, comparisons=compared.comparisons, layers=compared.layers
    )
    assert list(figures) == ["heatmap", "forest", "paired", "calibration", "layers"]
    assert list(section_figures(compared.results, compared.predictions)) == ["heatmap", "calibration"]


@pytest.mark.parametrize(("accelerations", "expected"), [((1.0, 4.0), 4.0), ((1.0,), 1.0)])
def test_the_telling_chain_saves_time_where_one_does(study_of: Any, accelerations: Any, expected: float) -> None:
    results = study_of(accelerations=accelerations, shifts=("ghosting",), severities=(3,)).results
    assert telling_chain(rank_chains(results, extract_curves(results))).acceleration == expected
