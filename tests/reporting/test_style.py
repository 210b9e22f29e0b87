from __future__ import annotations

import re
from importlib.resources import files

import pytest
from matplotlib.colors import to_rgb

from scanproof.reporting.style import GREY, INK, series_style


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_is_readable_on_its_background() -> None:
    css = files("scanproof.reporting").joinpath("templates", "report.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", css))
    for text, background in (
        ("ink", "#ffffff"),
        ("soft", "#ffffff"),
        ("warn", colours["warn-back"]),
        ("ink", colours["pale"]),
    ):
        assert contrast(colours[text], background) >= 4.5, (text, background)
    assert contrast(GREY, "#ffffff") >= 4.5
    assert contrast(INK, "#ffffff") >= 7


def test_the_first_lines_differ_in_every_way() -> None:
    styles = [series_style(i) for i in range(6)]
    for field in ("colour", "dash", "symbol", "marker", "path"):
        assert len({getattr(style, field) for style in styles}) == 6


@pytest.mark.parametrize("index", range(7))
def test_lines_stand_out_from_white(index: int) -> None:
    assert contrast(series_style(index).colour, "#ffffff") > 2
    assert series_style(index).band.startswith("rgba(")
