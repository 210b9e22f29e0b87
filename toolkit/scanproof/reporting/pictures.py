"""Images of panels as PNG, in windows that make them comparable."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanproof.evaluation.table import CLEAN
from scanproof.reporting.model import ImagePanel
from scanproof.reporting.vocabulary import plain, shift_name


class Picture(NamedTuple):
    """An image and, below a reconstruction, its error, both as ``data:`` addresses."""

    label: str
    image: str
    error: str | None = None


class Case(NamedTuple):
    """Everything that is shown of one case under one shift."""

    title: str
    pictures: list[Picture]


#: percentile of the reference shown as white, so that one bright pixel does not darken the image
WHITE_PERCENTILE = 99.5
#: colour map of errors: even steps of lightness, black is no error
ERROR_COLOURS = "magma"
#: longest side of a picture in the report, in pixels
LONGEST = 384


def image_window(panel: ImagePanel) -> tuple[float, float]:
    """Grey values shown as black and white, the same for a panel's three images.

    Example:
        >>> image = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
        >>> images = {name: image for name in ("reference", "artifact", "reconstruction", "error")}
        >>> panel = ImagePanel(title="a", site="n", shift="noise", severity=3, reconstruction="unet", images=images)
        >>> low, high = image_window(panel)
        >>> low, round(high, 2)
        (0.0, 1.0)
    """
    reference = panel.images["reference"]
    high = float(np.percentile(reference, WHITE_PERCENTILE))
    return 0.0, high if high > 0 else 1.0


def error_window(panels: Sequence[ImagePanel]) -> float:
    """Error, as a share of the panel's white, at the top of the colour scale; the same for all panels.

    The scale ends at one: an error as large as the brightest tissue needs no further grading, and would hide all
    others.
    """
    shares = [np.percentile(panel.images["error"], WHITE_PERCENTILE) / image_window(panel)[1] for panel in panels]
    top = min(float(max(shares, default=0.0)), 1.0)
    return top if top > 0 else 1.0


def relative(panel: ImagePanel, name: str) -> NDArray[np.float64]:
    """An image of the panel as a share of the panel's white; ``(H, W)``."""
    share: NDArray[np.float64] = np.asarray(panel.images[name], dtype=np.float64) / image_window(panel)[1]
    return share


def gallery(panels: Sequence[ImagePanel]) -> list[Case]:
    """Panels as pictures; neighbouring panels of one case share its reference and its shifted image.

    Args:
        panels: image examples, those of one case and shift next to each other.

    Returns:
        A case each for its title, site, shift and severity, with the reference, the shifted image and all
        reconstructions.
    """
    top = error_window(panels)
    cases = []
    for facts, group in groupby(panels, key=case_facts):
        members = list(group)
        first = members[0]
        pictures = [
            Picture("Reference", _grey(first, "reference")),
            Picture("No shift" if first.shift == CLEAN else "With shift", _grey(first, "artifact")),
        ]
        for panel in members:
            error = png_uri(relative(panel, "error"), colormap=ERROR_COLOURS, top=top)
            pictures.append(Picture(plain(panel.reconstruction), _grey(panel, "reconstruction"), error))
        cases.append(Case(", ".join(facts), pictures))
    return cases


def case_facts(panel: ImagePanel) -> tuple[str, ...]:
    """What a case is, without saying anything twice.

    Example:
        >>> images = {name: np.eye(4) for name in ("reference", "artifact", "reconstruction", "error")}
        >>> case_facts(ImagePanel(title="case 3", site="north", shift="bias_field", severity=2, reconstruction="unet",
        ...     images=images))
        ('case 3', 'bias field, severity 2', 'north')
    """
    shift = shift_name(panel.shift) + ("" if panel.shift == CLEAN else f", severity {panel.severity}")
    return tuple(dict.fromkeys((panel.title, shift, panel.site)))


def error_scale() -> str:
    """The colours of errors from none to the largest, as a strip."""
    return png_uri(np.tile(np.linspace(0, 1, 128), (6, 1)), colormap=ERROR_COLOURS, top=1.0)


def png_uri(image: NDArray[np.float64], *, colormap: str, top: float) -> str:
    """A picture as a ``data:`` address.

    Args:
        image: ``(H, W)``, 0 to ``top``; values outside are clipped.
        colormap: name of a matplotlib colour map.
        top: value at the end of the colour map.

    Returns:
        ``data:image/png;base64,...`` of at most 384 pixels a side.
    """
    import matplotlib
    from PIL import Image

    scaled = np.nan_to_num(np.clip(image / top, 0, 1))
    picture = Image.fromarray(np.rint(255 * scaled).astype(np.uint8))
    picture.thumbnail((LONGEST, LONGEST))
    # a byte a pixel and a table of colours: a third of the size of three bytes a pixel
    picture.putpalette(matplotlib.colormaps[colormap](np.arange(256), bytes=True)[:, :3].tobytes())
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _grey(panel: ImagePanel, name: str) -> str:
    return png_uri(relative(panel, name), colormap="gray", top=1.0)
