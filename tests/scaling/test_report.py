"""The page of a sweep: what it says, and how a reader's browser shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from browsing import NEEDS_CHROMIUM, chromium
from scanproof.scaling.findings import headline, limits, sweep_sentences
from scanproof.scaling.gather import gather
from scanproof.scaling.report import SweepReport, render
from scanproof.scaling.simulation import Simulated, simulated_sweep

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def report(sweep: pd.DataFrame, tmp_path: Path, bootstrap) -> SweepReport:
    tested = sweep[(sweep["split"] == "test") & (sweep["metric"] == "mse")]
    table = pd.concat([sweep, tested.assign(shift="ghosting", severity=3, value=2 * tested["value"])])
    table.to_parquet(tmp_path / "results.parquet")
    return gather(tmp_path, bootstrap=bootstrap, command=f"scanproof scaling fit {EVIL}", axes=["mse"])


def test_the_page_says_what_was_found_and_escapes_names(report: SweepReport) -> None:
    page = render(replace(report, title=EVIL))
    assert page == render(replace(report, title=EVIL))
    assert EVIL not in page
    assert page.count("&lt;script&gt;") == 3  # title, heading, command
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page.partition("<body>")[2]))
    assert "by mean squared error, agree for denoising." in text
    assert "Best width: 8 at N = 10 to 1280." in text
    assert "a power law with a break at n = 1" in text.lower()
    ids = set(re.findall(r'<section id="(\w+)"', page))
    assert ids == set(re.findall(r'<li><a href="#(\w+)"', page)) == ids - {"published", "training"}
    assert float(re.search(r"exponent −(\S+),", text).group(1)) == pytest.approx(0.6, abs=0.05)
    assert not re.search(r"\d-\d|[( ]-\d", text.rpartition("Provenance")[0])  # true minus signs


def test_too_few_sizes_are_shown_without_a_law(tmp_path: Path, bootstrap) -> None:
    simulated_sweep(Simulated(sizes=(10, 20), error=lambda n: n**-0.5), seed=1).to_parquet(tmp_path / "results.parquet")
    report = gather(tmp_path, bootstrap=bootstrap, command="")
    assert (report.found, report.robust) == ([], [])
    page = render(report)
    assert "an error at three sizes of the training set is needed" in page
    assert 'id="widths"' in page
    assert 'id="laws"' not in page


def test_a_fall_that_the_interval_does_not_support_is_not_claimed(tmp_path: Path, bootstrap) -> None:
    design = Simulated(sizes=(10, 30, 90, 270), error=lambda n: 0.01 + 0 * n, training=0.2, subjects=4)
    simulated_sweep(design, seed=3).to_parquet(tmp_path / "results.parquet")
    report = gather(tmp_path, bootstrap=bootstrap, command="", axes=["mse"], draw="seed")
    [sentence] = sweep_sentences(report.found)
    assert "It cannot be told whether mean squared error falls" in sentence
    assert headline(report.found, pd.DataFrame()).endswith("by mean squared error, undecided for denoising.")
    trainings = pd.DataFrame({"examples": [10, 270, 270, 270], "ended": ["plateau", "steps", "steps", "plateau"]})
    assert "; but 2 of 3 trainings with the most examples were cut off" in headline(report.found, trainings)
    assert "cut off" not in headline(report.found, trainings.assign(ended="plateau"))


def test_limits_are_those_of_the_sweep(report: SweepReport) -> None:
    trainings = pd.DataFrame({"examples": [10, 1280, 1280], "ended": ["plateau", "steps", "steps"], "steps": 600})
    searches = pd.DataFrame({"task": ["mri"], "at_edge": [True]})
    said = " ".join(limits(report.found, report.table, trainings=trainings, searches=searches, data="Simulated."))
    assert "2 of 3 trainings, and 2 of 2 with the most examples, came to the most steps" in said
    assert "For MRI, a search for the learning rate ended at the largest rate" in said
    assert "widest that was tried" not in said
    nothing = limits(report.found, report.table, trainings=pd.DataFrame(), searches=pd.DataFrame(), data="")
    assert not any("steps" in text or "search" in text for text in nothing)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile") as driver:
        yield driver


@NEEDS_CHROMIUM[0]
@NEEDS_CHROMIUM[1]
def test_a_browser_shows_it_alone(driver: Any, report: SweepReport, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    page = tmp_path / "report.html"
    page.write_text(render(replace(report, title=EVIL)), encoding="utf-8")
    driver.get(page.as_uri())
    assert driver.find_element(By.TAG_NAME, "h1").text == EVIL
    pictures = driver.find_elements(By.CSS_SELECTOR, "main img")
    assert len(pictures) == 3
    assert all(driver.execute_script("return arguments[0].naturalWidth", one) > 500 for one in pictures)
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
    urls = [one["request"]["url"] for one in asked if one["documentURL"].startswith("file:")]
    assert [url for url in urls if not url.startswith("data:")] == [page.as_uri()]
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for width in (1280, 500):
        driver.set_window_size(width, 900)
        assert driver.execute_script(wide) <= 0
