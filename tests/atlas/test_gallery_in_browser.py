"""The gallery as a reader's browser shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import browsing
from scanproof.atlas.families import by_family
from scanproof.atlas.gallery import gallery_row
from scanproof.atlas.write import write_gallery

pytestmark = browsing.NEEDS_CHROMIUM
SHOWN = "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility()).length"


@pytest.fixture(scope="module")
def page(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [gallery_row(name, small) for name in by_family(["ghosting", "complex_noise", "rigid_motion"])]
    path = tmp_path_factory.mktemp("gallery") / "gallery.html"
    return write_gallery(rows, path, text="Text.", command="scanproof gallery")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browsing.chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def browser(chromium: Any, page: Path) -> Iterator[Any]:
    """The page, freshly opened; afterwards it must have asked for nothing and said nothing."""
    chromium.get_log("performance"), chromium.get_log("browser")
    chromium.get(page.as_uri())
    yield chromium
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    sent = {a["request"]["url"] for a in asked if a["documentURL"].startswith("file:")}
    assert {address for address in sent if not address.startswith("data:")} == {page.as_uri()}
    assert chromium.get_log("browser") == []


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def press(browser: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def centre(browser: Any, element: Any) -> Any:
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    return element


def test_all_pictures_are_decoded_and_named(browser: Any) -> None:
    broken = "return [...document.querySelectorAll('.strip img')].filter((i) => !i.naturalWidth || !i.alt).length"
    assert browser.execute_script(broken) == 0
    assert browser.execute_script("return document.querySelectorAll('.strip img').length") == 3 * 11


def test_the_switch_shows_errors_in_place_of_images(browser: Any) -> None:
    assert browser.execute_script(SHOWN, ".strip .image") == 18
    assert browser.execute_script(SHOWN, ".strip .error") == 0
    assert browser.execute_script(SHOWN, ".bar") == 0
    find(browser, "input[value=error]").click()
    # the clean image stays: it has no error
    assert browser.execute_script(SHOWN, ".strip .image") == 3
    assert browser.execute_script(SHOWN, ".strip .error") == 15
    assert "50 % of the brightest tissue" in find(browser, ".bar").text
    find(browser, "input[value=image]").click()
    assert browser.execute_script(SHOWN, ".strip .image") == 18


def test_a_picture_opens_beside_the_clean_one(browser: Any) -> None:
    figure = "#ghosting [data-severity='3']"
    centre(browser, find(browser, f"{figure} button")).click()
    assert find(browser, "dialog").is_displayed()
    assert find(browser, "dialog h2").text.lower() == "ghosting, severity 3"
    parts = {"clean": "#ghosting .image", "shifted": f"{figure} .image", "error": f"{figure} .error"}
    for part, origin in parts.items():
        shown = find(browser, f"dialog img[data-part={part}]")
        assert shown.get_attribute("src") == find(browser, origin).get_attribute("src")
        assert shown.get_attribute("alt") == find(browser, origin).get_attribute("alt")
        assert shown.size["width"] > find(browser, f"{figure} button").size["width"]
    assert "intensity 0.6" in find(browser, "dialog [data-part=caption]").text
    find(browser, "dialog [data-close]").click()
    assert not find(browser, "dialog").is_displayed()


def test_the_keyboard_opens_steps_through_severities_and_closes(browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    button = find(browser, "#complex_noise [data-severity='4'] button")
    browser.execute_script("arguments[0].focus()", button)
    press(browser, Keys.ENTER)
    title = find(browser, "dialog h2")
    assert title.text.lower() == "complex noise, severity 4"
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert title.text.lower() == "complex noise, severity 5"
    assert not find(browser, "dialog [data-step='1']").is_enabled()
    for _ in range(6):
        press(browser, Keys.ARROW_LEFT)
    assert title.text.lower() == "complex noise, clean"
    assert not find(browser, "dialog img[data-part=error]").is_displayed()
    find(browser, "dialog [data-step='1']").click()
    assert title.text.lower() == "complex noise, severity 1"
    press(browser, Keys.ESCAPE)
    assert not find(browser, "dialog").is_displayed()
    assert browser.switch_to.active_element == button


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_screens_in_light_and_dark(browser: Any, width: int, scheme: str) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        wide, room = browser.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
        assert wide <= room <= width
        picture = find(browser, "#ghosting [data-severity='1'] .image").size["width"]
        assert picture >= (100 if width == 390 else 130)
        centre(browser, find(browser, "#ghosting [data-severity='5'] button")).click()
        box = find(browser, "dialog").rect
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        read = "const s = getComputedStyle(arguments[0]); return [s.color, s.backgroundColor]"
        ink, back = (
            sum(int(c) for c in colour[colour.index("(") + 1 : -1].split(",")[:3])
            for colour in browser.execute_script(read, find(browser, "dialog"))
        )
        assert (ink > back + 400) == (scheme == "dark")
        assert (back > ink + 400) == (scheme == "light")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_paper_keeps_six_pictures_in_a_row(browser: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        tops = "return [...document.querySelectorAll('#ghosting figure')].map((f) => f.getBoundingClientRect().top)"
        assert len(set(browser.execute_script(tops))) == 1
        assert browser.execute_script(SHOWN, "nav, .switch label") == 0
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {})
    assert len(pdf["data"]) > 20_000
