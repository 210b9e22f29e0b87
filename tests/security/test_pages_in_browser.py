"""Pages about what others named, in a real browser: names are text, nothing runs, nothing is asked of the network.

The report of a study and the page of a search have such tests of their own, in tests/reporting and tests/tuning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from browsing import NEEDS_CHROMIUM, chromium
from scanproof.intake.checkup import check_intake
from scanproof.intake.discover import take_in
from scanproof.intake.page import render_check
from scanproof.protocol.exchange.archive import Contents
from scanproof.protocol.exchange.compare import compare_endpoints, interactions
from scanproof.protocol.exchange.intake import SiteExport
from scanproof.protocol.exchange.page import render
from scanproof.protocol.exchange.record import parse_validation
from scanproof.reporting.verdict import VerdictPanel, VerdictRow, verdict_page
from scanproof.reporting.vocabulary import Estimate

pytestmark = NEEDS_CHROMIUM
#: each would set window.evil where it is taken for anything but text; matplotlib would read the last as a formula
EVIL = (
    "<script>window.evil=1<script>",
    "<img src=x onerror=window.evil=2>",
    '"><svg onload=window.evil=3>',
    "<a href=javascript:window.evil=4>click",
    "$\\frac$ {{ 7*7 }}",
)
#: what would be left of them if they were taken for markup
MARKUP = "return document.querySelectorAll('body script, img[src=x], svg[onload], a[href^=javascript]').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def comparison(folder: Path) -> str:
    """Of sites whose export says of them what they like."""
    sha = "a" * 64
    endpoint = {"name": EVIL[1], "role": "primary", "text": EVIL[0], "metric": "auroc", "rule": "at_least"}
    endpoint |= {"limit": 0.5, "confidence": 0.95, "subjects": 40, "cases": 80, "verdict": "pass"}
    sites = []
    for number, name in enumerate(EVIL):
        value = 0.7 + 0.02 * number
        numbers = {"estimate": value, "lower": value - 0.1, "upper": value + 0.1, "standard_error": 0.05}
        record = {
            "format": 1, "protocol": "p1", "protocol_version": EVIL[0], "protocol_sha256": sha, "site": name,
            "scanproof": "0.1.0", "code_version": EVIL[3], "other_code": True, "versions": {}, "verdict": "pass",
            "data": {"kind": "volumes", "kspace": "synthetic", "subjects": 40, "cases": 80, "data_sha256": sha,
                     "labels": {EVIL[2]: {"positive": 20, "negative": 20}}},
            "endpoints": [{**endpoint, **numbers, "decided_by": EVIL[2]}],
        }  # fmt: skip
        contents = {"format": "scanproof-export", "version": 1, "protocol": "p1", "protocol_sha256": sha, "site": name}
        contents |= {"scanproof": "0.1.0", "small_cell": 5, "per_case": False, "withheld_rows": 0, "files": {}}
        contents |= {"intervals": {"kind": "expanded", "confidence": 0.95, "resamples": 100}}
        sites.append(
            SiteExport(
                contents=Contents.model_validate(contents),
                validation=parse_validation(json.dumps(record), file="validation.json"),
                results=pd.DataFrame(),
                comparisons=pd.DataFrame(),
                files={},
            )
        )
    rows = [
        {"site": site, "reconstruction": EVIL[1], "acceleration": 4.0, "classifier": EVIL[2], "norm": "<b>group"}
        | {"reference": "batch", "measure": "change", "shift": shift, "standard_error": 0.02}
        | {"difference": value, "lower": value - 0.04, "upper": value + 0.04}
        for shift in ("ghosting", EVIL[0])
        for site, value in zip(EVIL, (0.3, 0.0, 0.02, 0.1, 0.2), strict=True)
    ]
    contrasts = pd.DataFrame(rows)
    return render(sites, compare_endpoints(sites), contrasts, interactions(contrasts), command=" ".join(EVIL))


def validation(folder: Path) -> str:
    row = VerdictRow(EVIL[0], EVIL[1], EVIL[2], EVIL[3], Estimate(0.8, 0.7, 0.9), 3, 40, "fail", EVIL[4])
    panel = VerdictPanel(
        protocol=EVIL[0], name=EVIL[1], sha256="a" * 64, site=EVIL[2], verdict="fail", reason=EVIL[3],
        rows=[row, replace_name(row)], counts=EVIL, notes=EVIL, plan=EVIL, confidence=0.95,
    )  # fmt: skip
    return verdict_page(panel, command=" ".join(EVIL))


def replace_name(row: VerdictRow) -> VerdictRow:
    return row._replace(name=EVIL[4], verdict=EVIL[0])


def check(folder: Path) -> str:
    """Of a folder whose manifest and files have such names."""
    rows = []
    for number, name in enumerate(EVIL):
        path = name.replace("/", "") + ".png"
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (16, 12), np.uint8)).save(folder / path)
        rows.append({"subject": name, "site": EVIL[-number], "path": path, "label": name, "split": name})
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return render_check(check_intake(take_in(folder, manifest=None), pictures=True))


@pytest.mark.parametrize(("write", "shown"), [(comparison, EVIL), (validation, EVIL), (check, EVIL)])
def test_names_are_text(browser: Any, tmp_path: Path, write: Callable[[Path], str], shown: tuple[str, ...]) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "page.html"
    path.write_text(write(tmp_path / "data"), encoding="utf-8")
    open_page(browser, path)
    text = browser.execute_script("return document.body.textContent")
    assert [name for name in shown if name not in text] == []
    assert browser.execute_script(MARKUP) == 0
    assert browser.execute_script("return window.evil") is None
    broken = "return [...document.images].filter((image) => !image.complete || !image.naturalWidth).length"
    assert browser.execute_script(broken) == 0
    assert requests(browser) == {path.as_uri()}
    assert browser.get_log("browser") == []


def test_the_policy_of_a_page_stops_what_would_get_past_the_escaping(browser: Any, tmp_path: Path) -> None:
    """As if a name had not been escaped: no script runs and no picture is asked for."""
    path = tmp_path / "page.html"
    planted = "<script>window.evil=1</script><img src='http://127.0.0.1:9/x' onerror='window.evil=2'>"
    planted += "<link rel=stylesheet href='http://127.0.0.1:9/y'><iframe src='http://127.0.0.1:9/z'></iframe>"
    path.write_text(validation(tmp_path).replace("<main>", f"<main>{planted}"), encoding="utf-8")
    open_page(browser, path)
    assert browser.execute_script(MARKUP) == 1
    assert browser.execute_script("return window.evil") is None
    refused = [one["message"] for one in browser.get_log("browser") if "Content Security Policy" in one["message"]]
    for what in ("script-src", "img-src", "style-src", "default-src"):
        assert any(what in message for message in refused), refused


def open_page(browser: Any, path: Path) -> None:
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(path.as_uri())


def requests(browser: Any) -> set[str]:
    """What the page asked for, without what it holds itself."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    sent = {one["request"]["url"] for one in asked if one["documentURL"].startswith("file:")}
    return {address for address in sent if not address.startswith("data:")}
