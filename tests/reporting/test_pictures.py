from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scanproof.errors import ScanproofError
from scanproof.reporting.model import ImagePanel
from scanproof.reporting.pictures import error_scale, error_window, gallery, image_window, png_uri, relative


def decoded(uri: str) -> np.ndarray[Any, Any]:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_grey_pictures_show_the_numbers() -> None:
    image = np.linspace(0, 2, 256).reshape(16, 16)
    picture = decoded(png_uri(image, colormap="gray", top=2.0)).astype(float)
    np.testing.assert_allclose(picture[..., 0], 255 * image / 2, atol=1)
    assert (picture[..., 0] == picture[..., 2]).all()


def test_values_outside_the_window_are_clipped_and_nan_is_black() -> None:
    picture = decoded(png_uri(np.array([[-1.0, 9.0], [np.nan, 0.5]]), colormap="gray", top=1.0))
    assert picture[0, 0, 0] == 0
    assert picture[0, 1, 0] == 255
    assert picture[1, 0, 0] == 0


def test_large_pictures_are_made_smaller_in_proportion() -> None:
    assert decoded(png_uri(np.zeros((768, 512)), colormap="gray", top=1.0)).shape == (384, 256, 3)


def test_errors_of_all_panels_share_one_scale(panel_of: Any) -> None:
    mild, strong = panel_of(severity=1), panel_of(severity=5)
    assert error_window([mild, strong]) == error_window([strong]) > error_window([mild])
    # a panel in other units is as wrong as before
    images = {name: 1000 * image for name, image in strong.images.items()}
    scaled = replace(strong, images=images)
    assert error_window([scaled]) == pytest.approx(error_window([strong]))
    assert image_window(scaled)[1] == pytest.approx(1000 * image_window(strong)[1], rel=1e-6)
    assert relative(scaled, "reference") == pytest.approx(relative(strong, "reference"), rel=1e-5)


def test_a_case_shows_its_reference_once_and_every_reconstruction_with_its_error(panel_of: Any) -> None:
    first = panel_of(title="ghosting, severity 4")
    second = replace(first, reconstruction="cg_sense", images=dict(first.images) | {"error": first.images["artifact"]})
    other = panel_of(title="case 3", severity=1)
    cases = gallery([first, second, other])
    assert [case.title for case in cases] == ["ghosting, severity 4, north", "case 3, ghosting, severity 1, north"]
    assert [picture.label for picture in cases[0].pictures] == ["Reference", "With shift", "unet", "cg sense"]
    assert [picture.error is None for picture in cases[0].pictures] == [True, True, False, False]
    strip = decoded(error_scale())[0].astype(float)
    assert (np.diff(strip.sum(axis=1)) >= 0).all()
    # all errors share one scale: that of the mild case is darker
    one, two = (decoded(cases[i].pictures[2].error or "").astype(float).max() for i in (0, 1))
    assert one > two


def test_black_images_have_a_window() -> None:
    images = {name: np.zeros((4, 4)) for name in ("reference", "artifact", "reconstruction", "error")}
    panel = ImagePanel(title="a", site="n", shift="x", severity=1, reconstruction="unet", images=images)
    assert image_window(panel) == (0.0, 1.0)
    assert error_window([panel]) == error_window([]) == 1.0


def test_panels_need_four_images_of_one_shape(panel_of: Any) -> None:
    panel = panel_of()
    with pytest.raises(ScanproofError, match="must be exactly reference, artifact, reconstruction, error"):
        replace(panel, images={k: v for k, v in panel.images.items() if k != "error"})
    with pytest.raises(ScanproofError, match="must be 2D and of one shape"):
        replace(panel, images=dict(panel.images) | {"error": np.zeros((3, 3))})
