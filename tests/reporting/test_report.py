from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from reporting.compared import make_compared
from scanproof.errors import ScanproofError
from scanproof.reporting.curves import extract_curves
from scanproof.reporting.page import TITLES
from scanproof.reporting.plots import image_group, reading_group
from scanproof.reporting.ranking import rank_chains
from scanproof.reporting.report import write_report

VOID = {"meta", "link", "img", "br", "line", "path", "circle", "input"}


class Page(HTMLParser):
    """What a reader of the page would see and where its elements point."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory, provenance_of: Any) -> Callable[..., Path]:
    """Writes the report of a study; keyword arguments change the provenance."""

    def written(study: Any, /, *, panels: Any = (), tables: Any = None, **changes: object) -> Path:
        path = tmp_path_factory.mktemp("report") / "deep" / "report.html"
        provenance = provenance_of(study.recipe, **changes)
        return write_report(
            path, results=study.results, predictions=study.predictions, provenance=provenance, panels=panels,
            **(tables or {}),
        )  # fmt: skip

    return written


@pytest.fixture(scope="module")
def page(write: Any, standard: Any, panel_of: Any) -> Page:
    return Page(write(standard, panels=[panel_of()]).read_text(encoding="utf-8"))


def test_the_report_says_what_a_reader_must_know(page: Page) -> None:
    assert "Simulated, not scanner-acquired; not for clinical use." in page.text
    assert "The k-space is synthetic" in page.text
    assert "they say nothing about patients" in page.text
    assert "No single sturdiest chain can be named" in page.text
    assert "The smallest test set, that of north, holds 6 subjects and 12 cases, 4 of them positive" in page.text
    assert "Batch norm uses statistics stored at training" in page.text
    for value in ("3f" * 32, "a9" * 32, "0.1.0+g1234567", "scanproof report studies/made-up.yaml", "monai 1.6.1"):
        assert value in page.text


def test_headings_are_in_order_and_the_contents_lead_to_every_section(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    sections = [attributes["id"] for attributes in page.all("section")]
    links = [attributes["href"] for attributes in page.all("a")]
    assert links[1 : 1 + len(sections)] == [f"#{section}" for section in sections]
    assert {link.removeprefix("#") for link in links} <= set(sections)
    assert sections == [
        "finding", "tested", "ranking", "curves", "quality", "calibration", "images", "operating", "numbers", "limits",
        "glossary", "checklist", "provenance",
    ]  # fmt: skip
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    labels = {attributes["aria-labelledby"] for attributes in page.all("section")}
    assert labels <= set(identifiers)


def test_the_report_stands_alone(page: Page, write: Any, standard: Any) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    assert len(page.all("script")) == 3
    assert "url(" not in write(standard).read_text(encoding="utf-8").split("</style>")[0]
    assert write(standard).stat().st_size < 6e6


def test_pictures_and_plots_have_words(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) == 4 + 1 + 1  # a panel, the scale of its errors, and the reliability diagrams
    assert all(picture["alt"] for picture in pictures)
    plots = [attributes for attributes in page.all("div") if attributes.get("class") == "plot"]
    assert len(plots) == 4 * 4 + 4 * 4
    assert all(plot["aria-label"] and plot["role"] == "img" for plot in plots)


def test_the_embedded_numbers_are_those_of_the_table(page: Page, standard: Any) -> None:
    curves = extract_curves(standard.results)
    best = rank_chains(standard.results, curves).chains[0].chain
    order = ["north", "east", "south"]
    payload = json.loads(page.scripts[0])
    for name, make in (("reading", reading_group), ("image", image_group)):
        group = make(curves, best=best, sites=order)
        assert group is not None
        assert payload[name] == group.payload


def test_the_definition_is_quoted_in_full(page: Page, standard: Any) -> None:
    quoted = next(word for word in page.words if word.startswith("study: made-up"))
    assert yaml.safe_load(quoted) == {
        "study": "made-up",
        "shifts": list(standard.recipe.shifts),
        "severities": [1, 2, 3, 4, 5],
    }


def everything(study: Any, panels: Any) -> dict[str, Any]:
    return {"comparisons": study.comparisons, "layers": study.layers, "failures": panels}


def test_a_study_of_normalizations_has_all_its_sections(
    tmp_path: Path, compared: Any, provenance_of: Any, panel_of: Any
) -> None:
    facts = provenance_of(compared)
    tables = {"results": compared.results, "predictions": compared.predictions}
    path = write_report(tmp_path / "a.html", **tables, provenance=facts, **everything(compared, [panel_of()]))
    page = Page(path.read_text(encoding="utf-8"))
    assert [attributes["id"] for attributes in page.all("section")] == [
        name for name in TITLES if name not in ("verdict", "claims", "quality", "images")
    ]
    for words in (
        "Group norm lost less AUROC than batch norm under shift, on the mean of all shifts and severities,",
        "“Cannot be told apart” is no proof that two norms are alike",
        "Loss of AUROC through each shift, as a multiple of batch norm’s",
        "Wilson intervals take cases for independent",
        "read rightly without shift and most often wrongly under shift",
        "This shows what goes together, not what causes what.",
        "case 12, ghosting, severity 4, north",
        "Loss through shift divided by that of batch norm",
    ):
        assert words in page.text
    cells = [attributes for attributes in page.all("td") if "background" in attributes.get("style", "")]
    assert len(cells) == 3 * 3
    assert all(attributes.get("scope") for attributes in page.all("th"))
    regions = [attributes for attributes in page.all("div") if attributes.get("role") == "region"]
    assert all(attributes["aria-label"] and attributes["tabindex"] == "0" for attributes in regions)
    again = write_report(tmp_path / "b.html", **tables, provenance=facts, **everything(compared, [panel_of()]))
    assert again.read_bytes() == path.read_bytes()


def test_images_of_failures_need_permission_but_their_table_does_not(
    tmp_path: Path, compared: Any, provenance_of: Any, panel_of: Any
) -> None:
    facts = provenance_of(compared, show_images=False)
    tables = {"results": compared.results, "predictions": compared.predictions}
    path = write_report(tmp_path / "a.html", **tables, provenance=facts, **everything(compared, [panel_of()]))
    page = Page(path.read_text(encoding="utf-8"))
    assert "misread" in [attributes["id"] for attributes in page.all("section")]
    assert not [picture for picture in page.all("img") if picture["src"].startswith("data:image/png")]


def test_norms_named_like_markup_stay_text_in_every_section(tmp_path: Path, provenance_of: Any, panel_of: Any) -> None:
    study = make_compared(norms=("batch", "<i>$x$</i>"), shifts=("</td>",), sites=("<u>",), seeds=(1,), subjects=12)
    path = write_report(
        tmp_path / "a.html", results=study.results, predictions=study.predictions,
        provenance=provenance_of(study), **everything(study, [panel_of()]),
    )  # fmt: skip
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.all("i") + page.all("u")
    assert "<i>$x$</i> norm" in page.text


def test_the_same_input_gives_the_same_file(write: Any, standard: Any, panel_of: Any) -> None:
    assert write(standard, panels=[panel_of()]).read_bytes() == write(standard, panels=[panel_of()]).read_bytes()


def test_images_of_subjects_need_permission(write: Any, standard: Any, panel_of: Any) -> None:
    page = Page(write(standard, panels=[panel_of()], show_images=False).read_text(encoding="utf-8"))
    assert not [picture for picture in page.all("img") if picture["src"].startswith("data:image/png")]
    assert "not shown, as the study asks" in page.text


def test_measured_data_of_a_site_carry_no_demo_warnings(write: Any, standard: Any) -> None:
    page = Page(write(standard, data_kind="volumes", kspace="measured", level=0.9).read_text(encoding="utf-8"))
    assert "synthetic" not in page.text
    assert "demonstration" not in page.text
    assert "not for clinical use" in page.text
    assert "90% interval" in page.text
    assert "95" not in re.findall(r"(\d+)% interval", page.text)


def test_without_classifiers_there_is_no_word_of_them(write: Any, images_only: Any) -> None:
    page = Page(write(images_only).read_text(encoding="utf-8"))
    sections = [attributes["id"] for attributes in page.all("section")]
    assert "curves" not in sections
    assert "operating" not in sections
    assert "No interval is given for the ranking" in page.text
    assert "without a classifier" in page.text
    assert "AUROC" not in page.text
    assert "norm" not in page.text.replace("normalization", "").split("Glossary")[0].lower().split()


@pytest.mark.parametrize(
    "changes",
    [
        {"sites": ("north",), "shifts": ("ghosting",), "severities": (3,), "reconstructions": ("unet",)},
        {"shifts": (), "norms": ("batch",), "reconstructions": ("unet",)},
        {"norms": (None,), "shifts": ("ghosting",), "severities": (1, 5)},
        {"accelerations": (2.0, 8.0), "classifiers": ("a", "b"), "shifts": ("ghosting",), "severities": (2,)},
        {"sites": tuple(f"site {i}" for i in range(7)), "reconstructions": ("unet",), "severities": (1, 2)},
    ],
    ids=["single of all", "no shift", "norm not stated", "many chains", "many sites"],
)
def test_studies_of_any_shape_have_a_report(write: Any, study_of: Any, changes: dict[str, object]) -> None:
    page = Page(write(study_of(**changes)).read_text(encoding="utf-8"))
    assert "nan" not in page.text.lower().split()
    assert "None" not in page.text
    json.loads(page.scripts[0], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


EVIL = "<script>alert(1)</script>"


def test_names_are_text_wherever_they_stand(write: Any, study_of: Any, panel_of: Any) -> None:
    study = study_of(
        sites=(EVIL, "<!--"), shifts=("</script>",), severities=(2,), reconstructions=("<img src=x onerror=alert(1)>",),
        norms=("<b>", "{{ 7 * 7 }}"), classifiers=("' onclick='",),
    )  # fmt: skip
    page = Page(
        write(
            study, panels=[panel_of(title=EVIL, site=EVIL)], study=EVIL, description=EVIL, command="</pre>" + EVIL,
            definition={"name": EVIL, "close": "</pre></script>"}, created=EVIL, versions={EVIL: EVIL},
        ).read_text(encoding="utf-8")
    )  # fmt: skip
    assert len(page.all("script")) == 3
    assert not page.all("b") or all(not attributes for attributes in page.all("b"))
    assert page.text.count(EVIL) > 10
    assert "{{ 7 * 7 }}" in page.text
    assert "49 norm" not in page.text
    assert [picture["src"][:5] for picture in page.all("img")] == ["data:"] * 5
    assert json.loads(page.scripts[0])["reading"]["facets"][0]["shift"] == "</script>"


def test_a_report_that_fails_leaves_the_old_one(standard: Any, provenance_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    tables = {"results": standard.results, "predictions": standard.predictions}
    with pytest.raises(ScanproofError, match="definition must hold plain YAML types"):
        write_report(path, **tables, provenance=provenance_of(standard.recipe, definition={"seed": object()}))
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert write_report(str(path), **tables, provenance=provenance_of(standard.recipe)) == path
    assert path.stat().st_size > 1e6
    assert list(tmp_path.iterdir()) == [path]


def test_broken_tables_are_refused(standard: Any, provenance_of: Any, tmp_path: Path) -> None:
    broken = standard.results.assign(severity=9)
    with pytest.raises(ScanproofError, match=r"results: severity: .*got 9"):
        write_report(
            tmp_path / "r.html",
            results=broken,
            predictions=standard.predictions,
            provenance=provenance_of(standard.recipe),
        )
    assert not list(tmp_path.iterdir())


def test_the_level_of_intervals_is_a_share(standard: Any, provenance_of: Any) -> None:
    with pytest.raises(ScanproofError, match=r"level must be in \(0, 1\), got 95"):
        provenance_of(standard.recipe, level=95)
