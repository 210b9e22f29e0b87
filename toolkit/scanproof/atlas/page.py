"""The gallery as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from scanproof.atlas.gallery import ERROR_TOP, Row
from scanproof.reporting.embedding import content_policy, page_environment, resource, script_text
from scanproof.reporting.notes import NOT_CLINICAL
from scanproof.reporting.pictures import ERROR_COLOURS, LONGEST, error_scale
from scanproof.reporting.vocabulary import plain

#: WebP quality; what is lost cannot be seen, and whole severities are to be compared, not pixels
QUALITY = 90
_PACKAGE = "scanproof.atlas"


def render_gallery(rows: Sequence[Row], *, text: str, command: str) -> str:
    """The page; the same rows give the same text.

    Args:
        rows: at least one, those of one family next to each other.
        text: one sentence about the images.
        command: that made the page.
    """
    environment = page_environment(_PACKAGE, filters={"plain": plain})
    script = script_text(resource("gallery.js", _PACKAGE))
    return environment.get_template("gallery.html.j2").render(
        families=[(name, list(members)) for name, members in groupby(rows, key=lambda row: row.family)],
        text=text,
        command=command,
        warning=NOT_CLINICAL,
        style=resource("report.css") + resource("gallery.css", _PACKAGE),
        script=script,
        policy=content_policy([script]),
        image_uri=image_uri,
        error_uri=error_uri,
        scale=error_scale(),
        top=f"{100 * ERROR_TOP:.0f}",
    )


def image_uri(image: NDArray[np.float64], pixel: tuple[float, float]) -> str:
    """An image as a ``data:`` address, black at 0 and white at 1."""
    return _uri(image, pixel, colours="gray")


def error_uri(error: NDArray[np.float64], pixel: tuple[float, float]) -> str:
    """An error as a ``data:`` address, black at 0 and brightest at :data:`~scanproof.atlas.gallery.ERROR_TOP`."""
    return _uri(error / ERROR_TOP, pixel, colours=ERROR_COLOURS)


def _uri(image: NDArray[np.float64], pixel: tuple[float, float], *, colours: str) -> str:
    import matplotlib
    from PIL import Image

    grey = Image.fromarray(np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8))
    # square pixels, so that nothing on the page need know their size
    small = min(pixel)
    size = (grey.width * pixel[1] / small, grey.height * pixel[0] / small)
    scale = min(1.0, LONGEST / max(size))
    target = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    if target != grey.size:
        grey = grey.resize(target, Image.Resampling.BICUBIC)
    table = matplotlib.colormaps[colours](np.arange(256), bytes=True)[:, :3]
    file = io.BytesIO()
    Image.fromarray(table[np.asarray(grey)]).save(file, format="WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
