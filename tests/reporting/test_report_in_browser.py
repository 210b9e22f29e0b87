"""The report as a reader's browser shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import NEEDS_CHROMIUM, chromium
from scanproof.reporting.curves import CurveKey, Facet, extract_curves
from scanproof.reporting.report import write_report
from scanproof.reporting.vocabulary import Chain

pytestmark = NEEDS_CHROMIUM
EVIL = "<script>alert(1)</script>"
#: what each plot has drawn: points on the screen, and their values
DRAWN = """
return arguments[0].map((div) => {
  const lines = (div.data ?? []).filter((trace) => trace.mode === "lines+markers");
  return {
    points: div.querySelectorAll(".scatterlayer .trace .points path").length,
    values: lines.map((trace) => trace.y),
    names: lines.map((trace) => trace.name),
    title: div.layout?.yaxis.title.text,
    range: div.layout?.yaxis.range,
    width: div.layout?.width ?? null,
  };
});
"""


class Browser:
    """Chromium with an empty profile."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path) -> None:
        self.messages(), self.requests()
        self.driver.get(path.as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def messages(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that reports asked for since the last call, without those inside the file itself.

        What the browser's own start page asks for may still be logged after the report was opened.
        """
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        sent = [a["request"]["url"] for a in asked if a["documentURL"].startswith("file:")]
        return [address for address in sent if not address.startswith("data:")]

    def drawn(self, *plots: Any) -> list[Any]:
        return list(self.run(DRAWN, list(plots)))

    def hovered(self) -> str:
        boxes = "[...document.querySelectorAll('.hovertext')]"
        return str(self.run(f"return {boxes}.map((box) => box.textContent).join('')"))

    def wait(self, condition: Callable[[], object]) -> None:
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        # a plot that is drawn anew replaces its elements
        wait = WebDriverWait(self.driver, 20, 0.02, ignored_exceptions=[StaleElementReferenceException])
        wait.until(lambda _: condition())

    def draw_all(self) -> list[Any]:
        """Scroll past every plot, as a reader does, and wait until each is drawn."""
        plots = self.all(".plot")
        for plot in plots[::4]:
            self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", plot)
            self.wait(lambda plot=plot: self.drawn(plot)[0]["points"])
        self.wait(lambda: all(d["points"] for d in self.drawn(*plots)))
        return plots

    def choose(self, group: str, what: str, label: str) -> None:
        from selenium.webdriver.support.ui import Select

        (select,) = self.all(f".plots[data-group={group}] select[data-select={what}]")
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", select)
        Select(select).select_by_visible_text(label)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield Browser(driver)


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory, provenance_of: Any) -> Callable[..., Path]:
    def written(study: Any, /, *, panels: Any = (), **changes: object) -> Path:
        return write_report(
            tmp_path_factory.mktemp("report") / "report.html",
            results=study.results,
            predictions=study.predictions,
            provenance=provenance_of(study.recipe, **changes),
            panels=panels,
        )

    return written


@pytest.fixture(scope="module")
def standard_file(write: Any, standard: Any, panel_of: Any) -> Path:
    path: Path = write(standard, panels=[panel_of()])
    return path


@pytest.fixture(scope="module")
def small_file(write: Any, study_of: Any) -> Path:
    study = study_of(sites=("north", "south"), shifts=("ghosting", "bias_field"), severities=(1, 3, 5))
    path: Path = write(study)
    return path


def test_every_plot_is_drawn_and_nothing_is_asked_of_the_network(browser: Browser, standard_file: Path) -> None:
    browser.open(standard_file)
    plots = browser.draw_all()
    assert len(plots) == 4 * 4 + 4 * 4
    for drawn in browser.drawn(*plots):
        assert drawn["points"] == 6 * len(drawn["values"])
        assert len(drawn["values"]) in (3, 4)
    assert browser.requests() == [standard_file.as_uri()]
    assert browser.messages() == []


def test_plots_show_the_numbers_of_the_table_and_follow_the_selectors(
    browser: Browser, standard_file: Path, standard: Any
) -> None:
    curves = extract_curves(standard.results)

    def expected(name: str, reconstruction: str) -> list[list[float]]:
        chains = [Chain(reconstruction, 4.0, "resnet18", norm) for norm in ("batch", "group", "layer")]
        found = [curves[CurveKey(name, chain, Facet("north", "bias_field"))] for chain in chains]
        return [[estimate.value for estimate in curve.values()] for curve in found]

    browser.open(standard_file)
    plots = browser.draw_all()
    reading, image = plots[:16], plots[16:]
    before = browser.drawn(*image)
    assert browser.drawn(reading[1])[0]["names"] == ["batch norm", "group norm", "layer norm"]
    for what, label, name, reconstruction, title in (
        ("option", "unet", "auroc", "unet", "AUROC"),
        ("metric", "Sensitivity", "sensitivity", "unet", "Sensitivity"),
        ("metric", "Calibration error (ECE)", "ece", "unet", "Calibration error (ECE)"),
    ):
        browser.choose("reading", what, label)
        wanted = [pytest.approx(line, abs=6e-4) for line in expected(name, reconstruction)]
        browser.wait(lambda wanted=wanted: browser.drawn(reading[1])[0]["values"] == wanted)
        browser.wait(lambda title=title: {plot["title"] for plot in browser.drawn(*reading)} == {title})
        drawn = browser.drawn(*reading)
        assert {plot["title"] for plot in drawn} == {title}
        assert len({tuple(plot["range"]) for plot in drawn}) == 1
        first = f"{drawn[1]['values'][0][0]:.3f}"
        spoken = f"{title} under bias field, north: batch norm {first} at severity 0"
        assert reading[1].get_attribute("aria-label").startswith(spoken)
    assert browser.drawn(*image) == before
    assert not browser.all(".plots[data-group=reading] [data-chance]")[0].is_displayed()
    browser.choose("reading", "metric", "AUROC")
    assert browser.all(".plots[data-group=reading] [data-chance]")[0].is_displayed()
    assert browser.messages() == []


@pytest.fixture(scope="module")
def compared_file(tmp_path_factory: pytest.TempPathFactory, compared: Any, provenance_of: Any, panel_of: Any) -> Path:
    return write_report(
        tmp_path_factory.mktemp("report") / "report.html", results=compared.results, predictions=compared.predictions,
        provenance=provenance_of(compared), comparisons=compared.comparisons, layers=compared.layers,
        failures=[panel_of()],
    )  # fmt: skip


def test_pictures_of_the_sections_are_drawn_and_fit_the_screen_of_a_laptop(
    browser: Browser, compared_file: Path
) -> None:
    metrics = {"width": 1366, "height": 768, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.open(compared_file)
        pictures = browser.all(".drawn img")
        assert len(pictures) == 4
        sizes = browser.run(
            "return arguments[0].map((i) => [i.complete, i.naturalWidth, i.width, i.parentNode.clientWidth])", pictures
        )
        for complete, natural, width, room in sizes:
            assert complete
            assert natural > 0
            assert width <= room
        wide, room = browser.run("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
        assert wide <= room
        hidden = browser.run("return getComputedStyle(document.querySelector('.unseen')).clipPath")
        assert hidden == "inset(50%)"
        assert browser.requests() == [compared_file.as_uri()]
        assert browser.messages() == []
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_colours_of_the_heat_map_are_on_the_screen_and_on_paper(browser: Browser, compared_file: Path) -> None:
    browser.open(compared_file)
    cells = browser.all(".heat td")
    read = "return arguments[0].map((c) => [c.getAttribute('style'), getComputedStyle(c).printColorAdjust])"
    assert all(style.startswith("background: #") for style, _ in browser.run(read, cells))
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert {adjust for _, adjust in browser.run(read, cells)} == {"exact"}
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_paper_unfolds_all_but_the_tables_of_all_numbers(browser: Browser, compared_file: Path) -> None:
    browser.open(compared_file)
    read = "return [...document.querySelectorAll('main details')].map((d) => [d.className === 'numbers', d.open])"
    before = browser.run(read)
    browser.run(f"window.addEventListener('beforeprint', () => {{ window.onPaper = (() => {{ {read} }})(); }})")
    browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(before) > 3
    assert all(opened is not numbers for numbers, opened in browser.run("return window.onPaper"))
    assert browser.run(read) == before


def test_many_shifts_and_sites_are_drawn_one_site_at_a_time(browser: Browser, write: Any, study_of: Any) -> None:
    study = study_of(shifts=tuple(f"s{i}" for i in range(7)), severities=(2, 4), reconstructions=("unet",))
    browser.open(write(study))
    shown = ".plots[data-group=reading] .cell:not([hidden])"

    def titles() -> list[str]:
        return [caption.text for caption in browser.all(f"{shown} figcaption")]

    assert titles() == [f"s{i} all sites" for i in range(7)]
    browser.choose("reading", "site", "south")
    assert titles() == [f"s{i} south" for i in range(7)]
    plots = browser.all(f"{shown} .plot")
    for plot in plots:
        browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", plot)
        browser.wait(lambda plot=plot: browser.drawn(plot)[0]["points"])
    curves = extract_curves(study.results)
    chain = Chain("unet", 4.0, "resnet18", "batch")
    expected = [e.value for e in curves[CurveKey("auroc", chain, Facet("south", "s0"))].values()]
    assert browser.drawn(plots[0])[0]["values"][0] == pytest.approx(expected, abs=6e-4)
    # a plot that was drawn, hidden and is shown again follows what was chosen meanwhile
    browser.choose("reading", "site", "east")
    browser.choose("reading", "metric", "Sensitivity")
    browser.choose("reading", "site", "south")
    browser.wait(lambda: browser.drawn(plots[0])[0]["title"] == "Sensitivity")
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    hidden = browser.all(".plots[data-group=reading] .cell[hidden] .plot")
    assert all(plot["width"] is None for plot in browser.drawn(*hidden))
    assert all(plot["width"] == 216 for plot in browser.drawn(*plots))
    browser.run("window.dispatchEvent(new Event('afterprint'))")
    assert browser.messages() == []


def test_names_are_never_run_nor_read_as_markup(browser: Browser, write: Any, study_of: Any, panel_of: Any) -> None:
    norms = ("<b>bold</b>", "<img src=x onerror=alert(1)>")
    study = study_of(
        sites=(EVIL,), shifts=("</script>",), severities=(1, 2), norms=norms, reconstructions=("<i>u</i>",),
        classifiers=("%{y}",),
    )  # fmt: skip
    path = write(study, panels=[panel_of(site=EVIL)], study=EVIL, definition={"a": "</script>" + EVIL})
    browser.open(path)
    plots = browser.draw_all()
    assert browser.driver.title == f"{EVIL}: scanproof report"
    assert browser.all("h1")[0].text == EVIL
    assert all(caption.text == f"</script> {EVIL}" for caption in browser.all(".cell figcaption"))
    assert len(browser.all("script")) == 3
    assert not browser.all("main i") + browser.all("main img[src=x]")
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", plots[0])
    for trace, norm in zip((2, 3), norms, strict=True):
        browser.run("Plotly.Fx.hover(arguments[0], [{curveNumber: arguments[1], pointNumber: 1}])", plots[0], trace)
        browser.wait(lambda norm=norm: browser.hovered().startswith(f"{norm} norm"))
    browser.all("details.numbers summary")[0].click()
    browser.wait(lambda: f"{norms[1]} norm" in browser.all("details.numbers")[0].text)
    assert browser.requests() == [path.as_uri()]
    assert browser.messages() == []


def test_the_policy_stops_scripts_that_are_not_the_reports_own(browser: Browser, small_file: Path) -> None:
    browser.open(small_file)
    browser.run(
        """
        const script = document.createElement("script");
        script.textContent = "window.foreign = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src='data:,' onerror='window.foreign = true'>");
        """
    )
    assert browser.run("return new Promise((done) => setTimeout(() => done(window.foreign ?? null), 200))") is None
    assert any("Content Security Policy" in message for message in browser.messages())


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_never_scrolls_sideways(
    browser: Browser, write: Any, study_of: Any, panel_of: Any, width: int
) -> None:
    name = "a-hospital-whose-name-knows-neither-spaces-nor-any-end-at-all-and-goes-on-and-on"
    study = study_of(
        sites=("north", "south", name), shifts=("ghosting",), severities=(1, 5), accelerations=(4.0, 8.0),
        reconstructions=("unet", "a_reconstruction_with_quite_a_long_name"),
    )  # fmt: skip
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.open(write(study, panels=[panel_of(title=name)], study=name))
        plots = browser.draw_all()
        wide, room = browser.run("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
        assert wide <= room <= width
        for plot in plots:
            inside = browser.run(
                "const a = arguments[0].getBoundingClientRect(), "
                "b = arguments[0].querySelector('.main-svg').getBoundingClientRect();"
                "return [a.right - b.right, a.bottom - b.bottom, innerWidth - a.right]",
                plot,
            )
            assert min(inside) >= -1
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_number_tables_open_with_every_row_and_sort(browser: Browser, small_file: Path) -> None:
    browser.open(small_file)
    details = browser.all("details.numbers")[0]
    assert not details.find_elements("css selector", "tr")
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", details)
    details.find_element("css selector", "summary").click()
    browser.wait(lambda: details.find_elements("css selector", "tbody tr"))
    assert len(details.find_elements("css selector", "tbody tr")) == 2 * 3 * 4 * 3
    read = "return [...arguments[0].querySelectorAll('tbody tr')].map((row) => row.cells[7].innerText.split('\\n')[0])"
    button = details.find_elements("css selector", "thead button")[7]
    button.click()
    rising = [float(value) for value in browser.run(read, details)]
    button.click()
    falling = [float(value) for value in browser.run(read, details)]
    assert rising == sorted(rising)
    assert falling == sorted(rising, reverse=True)
    assert rising[0] < rising[-1]
    assert button.find_element("xpath", "..").get_attribute("aria-sort") == "descending"


def test_the_keyboard_reaches_the_finding_and_the_selectors(browser: Browser, small_file: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.open(small_file)
    ActionChains(browser.driver).send_keys(Keys.TAB).perform()
    focus = browser.driver.switch_to.active_element
    assert focus.text == "Skip to the finding"
    assert focus.location["x"] >= 0
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    assert browser.driver.current_url.endswith("#finding")
    (select,) = browser.all(".plots[data-group=reading] select[data-select=option]")
    plot = browser.draw_all()[0]
    before = browser.drawn(plot)[0]["values"]
    browser.run("arguments[0].focus()", select)
    ActionChains(browser.driver).send_keys(Keys.ARROW_DOWN).perform()
    assert browser.drawn(plot)[0]["values"] != before


def test_paper_shows_every_plot_even_those_never_scrolled_to(browser: Browser, small_file: Path) -> None:
    browser.open(small_file)
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    plots = browser.all(".plot")
    assert all(plot["points"] and plot["width"] == 216 for plot in browser.drawn(*plots))
    browser.run("window.dispatchEvent(new Event('afterprint'))")
    assert all(plot["points"] and plot["width"] is None for plot in browser.drawn(*plots))
    pdf = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(pdf["data"]) > 50_000
    assert browser.messages() == []
