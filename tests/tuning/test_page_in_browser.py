"""The page of a search as a reader's browser shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browsing import NEEDS_CHROMIUM, chromium
from scanproof.tuning.page import render
from scanproof.tuning.trials import Record, State

pytestmark = NEEDS_CHROMIUM
EVIL = "<script>alert(1)</script>"
POINTS = "return arguments[0].querySelectorAll('.scatterlayer .trace .points path').length"
WIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile") as driver:
        yield driver


def requests(driver: Any) -> list[str]:
    """What the page asked for besides itself."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    sent = [a["request"]["url"] for a in asked if a["documentURL"].startswith("file:")]
    return [url for url in sent if not url.startswith("data:")]


def test_page(driver: Any, finished: Any, tmp_path: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    tuned = finished.tuned
    refused = Record(number=14, state=State.INFEASIBLE, options=tuned.records[1].options, reason=EVIL)
    search = replace(tuned.search, study=f"small {EVIL}")
    text = render(
        search,
        (*tuned.records, refused),
        tuned.ranking,
        importances=tuned.importances,
        preset=f"# {EVIL}\nnorm: batch\n",
        command=f"scanproof tune {EVIL}",
    )
    path = tmp_path / "report.html"
    path.write_text(text, encoding="utf-8")
    driver.get(path.as_uri())
    plots = driver.find_elements("css selector", "[data-figure]")
    assert len(plots) == 2 + len(search.settings.space)
    drawn = [record for record in tuned.records if record.scores]
    for plot in plots:
        driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", plot)
        WebDriverWait(driver, 20, 0.02).until(lambda _, plot=plot: driver.execute_script(POINTS, plot))
        assert driver.execute_script(POINTS, plot) == len(drawn)
    rows = driver.find_elements("css selector", ".trials tbody tr")
    assert len(rows) == 15
    assert rows[0].text.startswith(f"{tuned.ranking.best.number} ")
    assert "best" in rows[0].text
    assert EVIL in rows[-1].text
    verdict = driver.find_element("css selector", ".verdict").text
    assert f"{tuned.ranking.best.values[0]:.4f}" in verdict
    assert "north-val-000, north-val-001, north-val-002" in driver.find_element("css selector", ".points").text
    for size in ((1280, 900), (400, 800)):
        driver.set_window_size(*size)
        # plots follow the window a moment later
        WebDriverWait(driver, 20, 0.02).until(lambda _: driver.execute_script(WIDE) == 0)
    # a script that the policy refuses, and anything else that goes wrong, is a message
    assert driver.get_log("browser") == []
    assert set(requests(driver)) <= {path.as_uri()}


def test_same_trials_give_the_same_page(finished: Any) -> None:
    tuned = finished.tuned
    pages = {
        render(tuned.search, tuned.records, tuned.ranking, importances={}, preset="", command="") for _ in range(2)
    }
    assert len(pages) == 1
