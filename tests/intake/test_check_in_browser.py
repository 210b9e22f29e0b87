"""The page of a check as a physicist's browser shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import NEEDS_CHROMIUM, chromium
from scanproof.intake.checkup import check_intake
from scanproof.intake.discover import take_in
from scanproof.intake.page import render_check

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def page(trouble: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "check.html"
    found = check_intake(take_in(trouble, manifest=None), pictures=True)
    path.write_text(render_check(found), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.get(page.as_uri())
        yield driver


def test_the_page_shows_everything_and_asks_for_nothing(browser: Any, page: Path) -> None:
    pictures = browser.execute_script("return [...document.images].map((i) => [i.naturalWidth, i.alt])")
    assert len(pictures) == 21
    assert all(width > 0 and alt for width, alt in pictures)
    rows = browser.find_elements("css selector", "#problems .lines:first-of-type tbody tr")
    assert any("north/cut.nii.gz" in row.text for row in rows)
    warning = browser.find_element("css selector", ".local b")
    assert "must not leave the site" in warning.text
    assert int(warning.value_of_css_property("font-weight")) >= 600
    assert len(browser.find_elements("css selector", "#pictures .odd")) == 2  # the copy, and the other geometry
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    sent = {one["request"]["url"] for one in asked if one["documentURL"].startswith("file:")}
    assert {address for address in sent if not address.startswith("data:")} == {page.as_uri()}
    assert browser.get_log("browser") == []


def test_tables_can_be_reached_by_keyboard(browser: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.execute_script("document.activeElement.blur()")
    reached = set()
    for _ in range(20):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        reached.add(browser.switch_to.active_element.get_attribute("aria-label"))
    assert {"Files", "Labels", "Geometry"} <= reached


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_screens(browser: Any, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        wide, room = browser.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
        assert wide <= room <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
