"""A check as one HTML file that needs nothing else, for the site itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final, NamedTuple

from scanproof.data.check.outliers import geometry_words
from scanproof.intake.checkup import LOCAL, Checkup
from scanproof.intake.console import in_bytes, line_of, verdict
from scanproof.reporting.embedding import content_policy, page_environment, resource

_PACKAGE: Final = "scanproof.intake"
#: problems, notes or files in one table of the page; the JSON file has all
MOST_ROWS: Final = 2000


class Picture(NamedTuple):
    """A file's picture as a ``data:`` address, and what is said of it."""

    image: str
    listed: str
    subject: str
    words: str
    odd: bool


class Histogram(NamedTuple):
    """How the values of a site's files are distributed, each file's from its least value to its greatest.

    Args:
        site: its name.
        files: how many there are.
        bars: of the median file: heights, the highest 1.
        low: of each bar, the 10th percentile over files.
        high: the 90th.
        median: of medians, 99th percentiles, shares of zeros and signal-to-noise estimates, in words.
    """

    site: str
    files: int
    bars: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    medians: tuple[tuple[str, str, str], ...]


def render_check(found: Checkup) -> str:
    """The page; the same files give the same text.

    Args:
        found: by the check.
    """
    sites = list(dict.fromkeys(found.files["site"].fillna("")))
    pictures = {site: picture for site in sites if (picture := _pictures(found, site))}
    count = sum(len(group) for group in pictures.values())
    environment = page_environment(
        _PACKAGE, filters={"bytes": in_bytes, "line": line_of, "path_svg": path_svg, "band_svg": band_svg}
    )
    return environment.get_template("check.html.j2").render(
        found=found,
        verdict=verdict(found),
        notice=LOCAL,
        problems=found.problems[:MOST_ROWS],
        notes=found.notes[:MOST_ROWS],
        most=MOST_ROWS,
        histograms=[histogram for site in sites if (histogram := _histogram(found, site))],
        pictures=pictures,
        pictured=count,
        readable=sum(fact.error is None for fact in found.facts),
        style=resource("report.css") + resource("check.css", _PACKAGE),
        policy=content_policy([]).replace("script-src ", "script-src 'none'"),
    )


def _pictures(found: Checkup, site: str) -> list[Picture]:
    odd = {problem.line for problem in (*found.problems, *found.notes)}
    shown = []
    for (_, row), fact in zip(found.files.iterrows(), found.facts, strict=True):
        if fact.picture is not None and ("" if row["site"] is None else row["site"]) == site:
            image = "data:image/png;base64," + base64.b64encode(fact.picture).decode("ascii")
            words = geometry_words(fact.shape, fact.spacing)
            shown.append(Picture(image, str(row["listed"]), str(row["subject"]), words, row["line"] in odd))
    return shown


def _histogram(found: Checkup, site: str) -> Histogram | None:
    import numpy as np

    here = [
        fact.intensity
        for named, fact in zip(found.files["site"].fillna(""), found.facts, strict=True)
        if named == site and fact.intensity is not None
    ]
    if not here:
        return None
    counts = np.array([one.histogram for one in here], dtype=np.float64)
    shares = np.sqrt(counts / counts.sum(axis=1, keepdims=True))  # air would hide the rest
    low, middle, high = (np.percentile(shares, q, axis=0) / max(shares.max(), 1e-12) for q in (10, 50, 90))
    numbers = {
        "Median": [one.median for one in here],
        "99th percentile": [one.high for one in here],
        "Greatest": [one.maximum for one in here],
        "Zeros (%)": [100 * one.zeros for one in here],
        "Clipped (%)": [100 * one.saturated for one in here],
        "Signal to noise, roughly": [one.snr for one in here if one.snr is not None],
    }
    medians = [
        (name, f"{np.median(values):.3g}", f"{min(values):.3g} to {max(values):.3g}")
        for name, values in numbers.items()
        if values
    ]
    return Histogram(site, len(here), tuple(middle), tuple(low), tuple(high), tuple(medians))


def path_svg(heights: Sequence[float], *, width: float = 480, height: float = 120) -> str:
    """A line through the tops of bars, as the ``d`` of an SVG path.

    Example:
        >>> path_svg([0, 1], width=10, height=10)
        'M0.0 10.0L10.0 0.0'
    """
    step = width / max(len(heights) - 1, 1)
    return "M" + "L".join(f"{k * step:.1f} {height * (1 - value):.1f}" for k, value in enumerate(heights))


def band_svg(bounds: tuple[Sequence[float], Sequence[float]], *, width: float = 480, height: float = 120) -> str:
    """The area between two lines, as the ``d`` of an SVG path.

    Example:
        >>> band_svg(([0, 0], [1, 1]), width=10, height=10)
        'M0.0 10.0L10.0 10.0L10.0 0.0L0.0 0.0Z'
    """
    low, high = (path_svg(line, width=width, height=height)[1:].split("L") for line in bounds)
    return "M" + "L".join([*low, *reversed(high)]) + "Z"
