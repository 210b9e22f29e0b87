"""What a report says beside the numbers: where they come from, which sites took part, which images are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scanproof.errors import ScanproofError

#: images of a panel in the order in which they are drawn
PANEL_IMAGES = ("reference", "artifact", "reconstruction", "error")
#: splits in the order in which a reader meets them
SPLITS = {"train": "Training", "val": "Validation", "test": "Test"}


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """How many subjects and cases a site gives to one split.

    Args:
        subjects: number of people.
        cases: number of images or slices.
        positives: cases with the finding; ``None`` where cases carry no label.
    """

    subjects: int
    cases: int
    positives: int | None = None


@dataclass(frozen=True, kw_only=True)
class SiteFacts:
    """A site as the report introduces it.

    Args:
        name: the site's name in the results table.
        description: one or two sentences for a reader.
        acquisition: named acquisition parameters, units in the name, e.g. ``{"field strength (T)": 1.5}``.
        role: whether training data came from the site or not.
        counts: split name (``train``, ``val``, ``test``) to its size.

    Example:
        >>> SiteFacts(name="north", role="external", counts={"test": SplitCounts(subjects=20, cases=40)}).role
        'external'
    """

    name: str
    description: str = ""
    acquisition: Mapping[str, str | float] = field(default_factory=dict)
    role: Literal["training", "external"] = "training"
    counts: Mapping[str, SplitCounts] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Everything needed to trace a report back to the study, data, code and command that made it.

    Args:
        study: name of the study.
        description: what the study asks, in a few sentences.
        definition: the resolved study file, in plain YAML types.
        study_sha256: hash of the definition.
        results_sha256: hash of the results table.
        code_version: version of scanproof, with the commit where known.
        versions: library name to version.
        command: the command line that made the report.
        data_kind: ``"demo"`` for the built-in simulated cohort, ``"volumes"`` for a site's own volumes,
            ``"images"`` for its single images, ``"kspace"`` for its raw data.
        kspace: ``"synthetic"`` when k-space was computed from magnitude images, ``"measured"`` otherwise.
        show_images: whether images of subjects may appear in the report.
        created: ISO 8601 date and time.
        sites: the sites of the study.
        level: coverage of every interval in the results table, in (0, 1).
        sensitivity: that operating points reach on clean validation cases, in (0, 1].
        notes: sentences about what was tested that a reader must not miss, e.g. where networks came from.

    Raises:
        ScanproofError: ``level`` outside (0, 1) or ``sensitivity`` outside (0, 1].
    """

    study: str
    description: str
    definition: Mapping[str, object]
    study_sha256: str
    results_sha256: str
    code_version: str
    versions: Mapping[str, str]
    command: str
    data_kind: Literal["demo", "volumes", "images", "kspace"]
    kspace: Literal["synthetic", "measured"]
    show_images: bool
    created: str
    sites: Sequence[SiteFacts]
    level: float = 0.95
    sensitivity: float = 0.9
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ScanproofError("level must be in (0, 1)", key="level", value=self.level)
        if not 0 < self.sensitivity <= 1:
            raise ScanproofError("sensitivity must be in (0, 1]", key="sensitivity", value=self.sensitivity)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePanel:
    """One case seen four ways: undisturbed, disturbed, reconstructed, and what the reconstruction got wrong.

    Args:
        title: what the case shows, e.g. ``"case 12"``; no subject identifier.
        site: where the case was acquired.
        shift: name of the shift.
        severity: its severity, 0 to 5.
        reconstruction: name of the reconstruction.
        images: the four 2D real magnitude images ``reference``, ``artifact``, ``reconstruction`` and ``error``
            (absolute difference to the reference), all of one shape ``(H, W)`` and in the units of the reference.

    Raises:
        ScanproofError: a missing or unknown image, or one that is not 2D or of another shape.

    Example:
        >>> image = np.zeros((8, 8), dtype=np.float32)
        >>> images = {name: image for name in PANEL_IMAGES}
        >>> panel = ImagePanel(title="a", site="north", shift="noise", severity=3, reconstruction="unet", images=images)
        >>> panel.images["error"].shape
        (8, 8)
    """

    title: str
    site: str
    shift: str
    severity: int
    reconstruction: str
    images: Mapping[str, NDArray[np.floating]]

    def __post_init__(self) -> None:
        if set(self.images) != set(PANEL_IMAGES):
            raise ScanproofError(
                f"images must be exactly {', '.join(PANEL_IMAGES)}", key=self.title, value=sorted(self.images)
            )
        shapes = {name: self.images[name].shape for name in PANEL_IMAGES}
        if len(shapes["reference"]) != 2 or len(set(shapes.values())) != 1:
            raise ScanproofError("images must be 2D and of one shape", key=self.title, value=shapes)
