from __future__ import annotations

import base64
import io
import re
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from scanproof.atlas.families import by_family
from scanproof.atlas.figure import ROWS, gallery_figure
from scanproof.atlas.gallery import ERROR_TOP, gallery_row
from scanproof.atlas.page import error_uri, image_uri, render_gallery
from scanproof.atlas.write import GALLERIES, check_output, write_gallery
from scanproof.errors import ScanproofError
from scanproof.transforms import SHIFTS
from scanproof.transforms.severity import parameters


@pytest.fixture(scope="module")
def rows(small):
    return [gallery_row(name, small) for name in by_family(["ghosting", "complex_noise", "bias_field"])]


def decoded(uri: str) -> np.ndarray:
    kind, _, text = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"), dtype=float)


def test_a_row_shows_one_pattern_at_all_severities(small, rows):
    row = rows[0]
    clean = small.slices[0].reference[0, 0].numpy()
    assert row.shift == "ghosting"
    assert [picture.severity for picture in row.pictures] == list(range(6))
    white = np.percentile(clean, 99.5)
    np.testing.assert_allclose(row.pictures[0].image, clean / white, rtol=1e-6)
    for picture in row.pictures:
        np.testing.assert_allclose(picture.error, abs(picture.image - row.pictures[0].image), atol=1e-6)
        assert picture.parameters == parameters("ghosting", picture.severity)
        nrmse = np.linalg.norm(picture.error) / np.linalg.norm(row.pictures[0].image)
        assert picture.nrmse == pytest.approx(nrmse, abs=1e-5)
    assert row.pictures[0].ssim == 1
    assert row.pictures[5].nrmse > row.pictures[1].nrmse > row.pictures[0].nrmse == 0


def test_the_page_shows_every_shift_at_every_severity(small):
    names = by_family()
    text = render_gallery([gallery_row(name, small) for name in names], text="Text.", command="scanproof gallery")
    assert re.findall(r'<article id="(\w+)"', text) == names
    for name in names:
        article = text.split(f'<article id="{name}"')[1].split("</article>")[0]
        assert re.findall(r'data-severity="(\d)"', article) == list("012345")
        assert len(re.findall(r'class="image" src="data:image/webp', article)) == 6
        assert len(re.findall(r'class="error" src="data:image/webp', article)) == 5
        assert article.count('alt="') == 11
        for severity in range(1, 6):
            for key, value in parameters(name, severity).items():
                assert f"<span>{key.replace('_', ' ')} {value:g}</span>" in article
        note = SHIFTS.create(name, {"severity": 1}).note
        assert ('<p class="note">' in article) == bool(note)


def test_the_page_asks_for_nothing_outside_itself(rows):
    text = render_gallery(rows, text="Text.", command="scanproof gallery")
    assert not re.findall(r"https?://", text)
    assert set(re.findall(r'src="(\w+:[^,]*)', text)) <= {"data:image/webp;base64", "data:image/png;base64"}
    assert "default-src &#39;none&#39;" in text
    assert text == render_gallery(rows, text="Text.", command="scanproof gallery")


def test_words_are_never_read_as_markup(rows):
    text = render_gallery(rows, text="<b>bold</b>", command="</script><script>alert(1)</script>")
    assert "<b>bold</b>" not in text
    assert len(re.findall("<script", text)) == 1


def test_pictures_show_what_they_should():
    ramp = np.tile(np.linspace(0, 1, 64), (32, 1))
    np.testing.assert_allclose(decoded(image_uri(ramp, (1.0, 1.0))).mean(axis=2), 255 * ramp, atol=6)
    # one scale for all errors: what lies above its top is as bright as the top
    top = decoded(error_uri(np.full((16, 16), ERROR_TOP), (1.0, 1.0)))
    np.testing.assert_allclose(decoded(error_uri(np.ones((16, 16)), (1.0, 1.0))), top)
    assert top.mean() > 150 > decoded(error_uri(np.zeros((16, 16)), (1.0, 1.0))).mean() + 140


@pytest.mark.parametrize(
    ("shape", "pixel", "expected"),
    [
        ((20, 30), (1.0, 1.0), (20, 30)),
        ((20, 30), (3.0, 1.5), (40, 30)),
        ((20, 30), (1.0, 2.0), (20, 60)),
        ((1000, 500), (1.0, 1.0), (384, 192)),
    ],
)
def test_pixels_are_shown_square(shape, pixel, expected):
    assert decoded(image_uri(np.ones(shape), pixel)).shape[:2] == expected


def test_the_sheet_holds_every_picture_and_caption(rows):
    figure = gallery_figure(rows, title="Title")
    (axes,) = figure.axes
    assert len(axes.images) == 6 * len(rows)
    words = [text.get_text() for text in axes.texts]
    assert {"Title", "Clean", "Severity 5", "Motion", "complex noise"} <= set(words)
    assert any(word.startswith("ghosts 4\nintensity 1\nNRMSE ") for word in words)
    # nothing overlaps: pictures of a row lie side by side within the sheet
    boxes = sorted(image.get_extent() for image in axes.images[:6])
    assert all(left[1] < right[0] for left, right in pairwise(boxes))
    assert boxes[-1][1] <= axes.get_xlim()[1]


def test_files_are_written_in_the_format_of_their_names(rows, tmp_path):
    png = write_gallery(rows, tmp_path / "a.png", text="Text.", command="c")
    with Image.open(png) as image:
        assert image.mode == "L"
        assert image.width > 900
    many = rows * (ROWS // len(rows)) + rows[:1]
    pdf = write_gallery(many, tmp_path / "a.pdf", text="Text.", command="c").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 2
    html = write_gallery(rows, tmp_path / "a.html", text="Text.", command="c")
    assert html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(ScanproofError, match=r"unknown kind of output file, got '.gif' \(.*known: .html, .pdf, .png\)"):
        check_output(tmp_path / "a.gif", GALLERIES)
