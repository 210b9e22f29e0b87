"""How metrics, shifts, chains and numbers are written for a reader."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from scanproof.evaluation.table import ALL_SITES, CLEAN


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric as axes, tables and the glossary name it.

    Args:
        label: what an axis or table head says.
        meaning: one sentence for a reader who does not know the metric.
        unit: unit, empty for pure numbers.
        lowest: smallest possible value, ``None`` if unbounded.
        highest: largest possible value, ``None`` if unbounded.
        higher_is_better: the good direction.
        chance: value of a reader who guesses, where there is one.
        digits: decimals worth showing.
    """

    label: str
    meaning: str = ""
    unit: str = ""
    lowest: float | None = 0.0
    highest: float | None = 1.0
    higher_is_better: bool = True
    chance: float | None = None
    digits: int = 3

    @property
    def title(self) -> str:
        """Label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


READING_METRICS = {
    "auroc": Metric(
        label="AUROC",
        meaning="Probability that a case with the finding gets a higher score than one without: "
        "1 is perfect, 0.5 is guessing. It does not depend on a threshold.",
        chance=0.5,
    ),
    "auprc": Metric(
        label="AUPRC",
        meaning="Area under the precision-recall curve: 1 is perfect, the share of cases with the finding is guessing.",
    ),
    "sensitivity": Metric(
        label="Sensitivity",
        meaning="Share of the cases with the finding that are called positive at the operating point.",
    ),
    "specificity": Metric(
        label="Specificity",
        meaning="Share of the cases without the finding that are called negative at the operating point.",
    ),
    "balanced_accuracy": Metric(
        label="Balanced accuracy", meaning="Mean of sensitivity and specificity; 0.5 is guessing.", chance=0.5
    ),
    "ece": Metric(
        label="Calibration error (ECE)",
        meaning="Expected calibration error, the mean distance between the stated probability and the observed "
        "frequency of the finding: 0 is perfect.",
        higher_is_better=False,
    ),
    "brier": Metric(
        label="Brier score",
        meaning="Mean squared distance between the stated probability and what is true: 0 is perfect.",
        higher_is_better=False,
    ),
    "nll": Metric(
        label="Negative log-likelihood",
        meaning="Mean surprise at what is true, given the stated probability: 0 is perfect, sure mistakes cost most.",
        highest=None,
        higher_is_better=False,
    ),
    "sensitivity_retuned": Metric(
        label="Sensitivity, re-tuned",
        meaning="Sensitivity with the threshold chosen anew under the shift, on other subjects than it is tested on: "
        "what an adjusted threshold could save.",
    ),
    "specificity_retuned": Metric(
        label="Specificity, re-tuned", meaning="Specificity with the threshold chosen anew under the shift."
    ),
    "balanced_accuracy_retuned": Metric(
        label="Balanced accuracy, re-tuned",
        meaning="Balanced accuracy with the threshold chosen anew under the shift; 0.5 is guessing.",
        chance=0.5,
    ),
}
#: what sums a chain up over the severities of a shift, or over all shifts
SUMMARY_METRICS = {
    "severity_auc": Metric(
        label="Area under severity",
        meaning="Area under the curve of AUROC over severity, divided by the length of the axis: 1 is perfect.",
    ),
    "weighted_degradation": Metric(
        label="Weighted degradation",
        meaning="What shift costs, with mild severities, which are met more often, counted more than severe ones: 0 is "
        "no loss.",
        lowest=None,
        highest=None,
        higher_is_better=False,
    ),
    "mce": Metric(
        label="Corruption error",
        meaning="Error under shift divided by that of batch norm behind the same reconstruction and classifier: below "
        "1 is better than batch norm.",
        highest=None,
        higher_is_better=False,
    ),
    "relative_mce": Metric(
        label="Relative corruption error",
        meaning="Loss through shift divided by that of batch norm behind the same reconstruction and classifier: below "
        "1 shift costs less than with batch norm. Where batch norm loses next to nothing, it says little.",
        lowest=None,
        highest=None,
        higher_is_better=False,
    ),
    "auroc_worst_shift": Metric(
        label="AUROC, worst shift",
        meaning="Mean AUROC over the severities of the shift that does most harm.",
        chance=0.5,
    ),
    "auroc_worst_site": Metric(
        label="AUROC, worst site", meaning="Mean AUROC under shift at the site that does worst.", chance=0.5
    ),
}
IMAGE_METRICS = {
    "ssim": Metric(
        label="SSIM",
        meaning="Structural similarity to the reference image: 1 is identical.",
        lowest=-1.0,
    ),
    "psnr": Metric(
        label="PSNR",
        meaning="Peak signal-to-noise ratio against the reference image, in decibels: higher is closer.",
        unit="dB",
        lowest=None,
        highest=None,
        digits=1,
    ),
    "nrmse": Metric(
        label="NRMSE",
        meaning="Root mean squared error against the reference image, divided by the reference's size: 0 is identical.",
        highest=None,
        higher_is_better=False,
    ),
    "ms_ssim": Metric(
        label="MS-SSIM",
        meaning="Structural similarity to the reference image at several resolutions, from fine detail to coarse "
        "shapes: 1 is identical.",
    ),
    "vif": Metric(
        label="VIF",
        meaning="Visual information fidelity, the share of the reference image's information that is still in the "
        "image: 1 is identical, above 1 contrast is higher than in the reference.",
        highest=None,
    ),
    "finding_error": Metric(
        label="Error of the finding",
        meaning="NRMSE of the region of the finding and its edge, over the cases that have one: 0 is identical. A "
        "finding that is lost wholly has an error as large as its contrast in units of its signal, well below 1.",
        highest=None,
        higher_is_better=False,
    ),
}
METRICS = READING_METRICS | SUMMARY_METRICS | IMAGE_METRICS


def metric(name: str) -> Metric:
    """The wording of a metric; one that is not listed here is shown under its own name without limits."""
    return METRICS.get(name, Metric(label=plain(name), lowest=None, highest=None))


def ordered(names: Iterable[str]) -> list[str]:
    """Metric names in reading order, the unlisted ones last.

    Example:
        >>> ordered(["ssim", "auroc", "lesion_volume"])
        ['auroc', 'ssim', 'lesion_volume']
    """
    rank = {name: i for i, name in enumerate(METRICS)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))


def plain(name: str) -> str:
    """An identifier as words.

    Example:
        >>> plain("rigid_motion")
        'rigid motion'
    """
    return name.replace("_", " ")


def site_name(site: str) -> str:
    """A site, or the words for the mean over all of them."""
    return "all sites" if site == ALL_SITES else site


def shift_name(shift: str) -> str:
    """A shift, or the words for the clean condition."""
    return "no shift" if shift == CLEAN else plain(shift)


def joined(names: Iterable[str]) -> str:
    """Names in a sentence.

    Example:
        >>> joined(["a", "b", "c"])
        'a, b and c'
    """
    *first, last = list(names) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def counted(number: int, noun: str) -> str:
    """A number with its noun in the right form.

    Example:
        >>> counted(1, "site"), counted(3, "site")
        ('1 site', '3 sites')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Chain(NamedTuple):
    """How an image is made and who reads it; ``classifier`` is ``None`` for the image alone."""

    reconstruction: str
    acceleration: float
    classifier: str | None = None
    norm: str | None = None

    def __str__(self) -> str:
        """The chain in words.

        Example:
            >>> print(str(Chain("cg_sense", 4.0, "resnet18", "group")).replace("\N{NO-BREAK SPACE}", " "))
            cg sense at R = 4 read by resnet18 with group norm
        """
        return f"{image_label(self)}{' read by ' + reader_label(self) if self.classifier else ''}"

    @property
    def image(self) -> Chain:
        """The part that makes the image."""
        return Chain(self.reconstruction, self.acceleration)


def image_label(chain: Chain) -> str:
    """Reconstruction and acceleration factor in words."""
    return f"{plain(chain.reconstruction)} at {speed_label(chain.acceleration)}"


def speed_label(acceleration: float) -> str:
    """The acceleration factor, with spaces at which no line breaks."""
    return f"R\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{acceleration:g}"


#: normalizations whose names are no adjectives, and batch norm with what is done to save it
NORM_LABELS = {
    "none": "no norm",
    "batch_frozen": "batch norm (frozen half-way)",
    "batch_site": "batch norm (adapted to the site)",
    "batch_condition": "batch norm (adapted to the condition)",
    "batch_entropy": "batch norm (adapted by entropy)",
}


def norm_label(norm: str | None) -> str:
    """A normalization layer in words; a model brought by a site may not name one.

    Example:
        >>> norm_label("batch"), norm_label("none"), norm_label(None)
        ('batch norm', 'no norm', 'norm not stated')
    """
    if norm is None:
        return "norm not stated"
    return NORM_LABELS.get(norm, f"{plain(norm)} norm")


def norm_order(norm: str | None) -> tuple[bool, bool, str]:
    """Batch norm first, which the others are measured by, then the other norms, then what is done to save it.

    Example:
        >>> sorted(["batch_site", "layer", "batch", "group"], key=norm_order)
        ['batch', 'group', 'layer', 'batch_site']
    """
    name = norm or ""
    return name != "batch", name.startswith("batch_"), name


def reader_label(chain: Chain) -> str:
    """Classifier and normalization in words; empty for an image alone."""
    if chain.classifier is None:
        return ""
    return plain(chain.classifier) + ("" if chain.norm is None else f" with {norm_label(chain.norm)}")


class Estimate(NamedTuple):
    """A value and, where one was computed, its interval."""

    value: float
    lower: float | None = None
    upper: float | None = None

    @property
    def has_interval(self) -> bool:
        """Whether both ends of the interval are known."""
        return self.lower is not None and self.upper is not None

    def number(self, digits: int = 3) -> str:
        """The value alone, with a true minus sign."""
        return signed(self.value, digits)

    def interval(self, digits: int = 3) -> str:
        """The interval alone, empty where none was computed.

        Example:
            >>> Estimate(0.9, 0.85, 0.94).interval()
            '0.850 to 0.940'
        """
        if self.lower is None or self.upper is None:
            return ""
        return f"{signed(self.lower, digits)} to {signed(self.upper, digits)}"


def signed(value: float, digits: int) -> str:
    """A number with fixed decimals, a true minus sign and no negative zero.

    Example:
        >>> signed(-0.01, 2), signed(-0.001, 2)
        ('−0.01', '0.00')
    """
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")
