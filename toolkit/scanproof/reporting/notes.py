"""What a study tested, what it cannot show, and the words a reader needs, in plain language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from scanproof.evaluation.table import ADVERSARIAL, CLEAN
from scanproof.reporting.curves import Curves, real_sites
from scanproof.reporting.model import Provenance
from scanproof.reporting.tables import FlowRow, smallest_test
from scanproof.reporting.vocabulary import counted, joined, metric, norm_label, plain

#: the sentence that stands at the top of every report of simulated k-space
NOT_CLINICAL = "Simulated, not scanner-acquired; not for clinical use."
#: the sentence that stands at the top of every report, by where the k-space comes from
WARNINGS = {
    "synthetic": NOT_CLINICAL,
    "measured": "Shifts are simulated on scanner-acquired k-space; not for clinical use.",
}


#: what the data are
DATA_KINDS = {
    "demo": "The cohort is the built-in demonstration, made by computer; it holds no patients.",
    "volumes": "The images are the sites' own.",
    "images": "The images are the sites' own, single files that do not tell the size of a pixel: millimetres are "
    "nominal.",
    "kspace": "The data are the sites' own raw data.",
}
#: where the k-space comes from
KSPACE = {
    "synthetic": "The k-space is synthetic: it was computed from magnitude images, not measured by a scanner.",
    "measured": "The k-space was measured by a scanner.",
}


def scope(results: pd.DataFrame, curves: Curves, provenance: Provenance) -> list[str]:
    """What was tested, in sentences.

    Args:
        results: results table.
        curves: the curves of that table.
        provenance: where the numbers come from.
    """
    images = results[["reconstruction", "acceleration"]].drop_duplicates()
    names = sorted({plain(str(name)) for name in images["reconstruction"]})
    speeds = sorted({f"{speed:g}" for speed in images["acceleration"]}, key=float)
    tested = f"Tested {counted(len(names), 'reconstruction')} ({joined(names)}) at R = {joined(speeds)}"
    shifts = sorted({plain(key.facet.shift) for key in curves if key.facet.shift != CLEAN})
    disturbed = f"Each was disturbed by {counted(len(shifts), 'simulated shift')} ({joined(shifts)})."
    if ADVERSARIAL in shifts:
        disturbed += (
            f" {ADVERSARIAL.capitalize()} is a worst case, not something a scanner does: of all small changes of the "
            "measured signal, one that was sought for each reconstruction because it does most to its images. Where "
            "no gradient could be followed through a reconstruction, a weaker one that was sought for another."
        )
    return [
        f"{DATA_KINDS[provenance.data_kind]} {KSPACE[provenance.kspace]}",
        f"{tested}, {_readers(results)}.",
        disturbed if shifts else "No shift was tested.",
        f"Evaluated at {counted(len(real_sites(results)), 'site')}.",
        *provenance.notes,
    ]


def limits(
    provenance: Provenance,
    flow: Sequence[FlowRow],
    *,
    reads: bool,
    ranked: int,
    intervals: bool,
    trainings: int = 0,
) -> list[str]:
    """What the study cannot show.

    Args:
        provenance: where the numbers come from.
        flow: participant flow.
        reads: whether classifiers were evaluated.
        ranked: number of chains in the ranking.
        intervals: whether the ranking carries intervals.
        trainings: how often each classifier was trained.
    """
    found = [
        "The shifts are simulated from physical models. A scanner, a sequence or a patient can differ in ways that no "
        "shift tested here covers, and several shifts can occur at once."
    ]
    if provenance.data_kind == "demo":
        found.append(
            "The cohort is the built-in demonstration, made by computer. The numbers show how the toolkit works; they "
            "say nothing about patients."
        )
    if provenance.kspace == "synthetic":
        found.append(
            "The k-space is synthetic: it was computed from magnitude images. Phase, noise and coil effects of a "
            "real acquisition are modelled, not measured, and reconstructions may look better than on measured data."
        )
    else:
        found.append(
            "The k-space was measured fully sampled, and lines were left out afterwards: a scanner that leaves them "
            "out may time, trigger and excite differently. The references hold the noise of the measurement, which a "
            "reconstruction that removes noise is scored down for."
        )
    if smallest := smallest_test(flow):
        site, counts = smallest
        cases = counted(counts.cases, "case")
        size = f"{counted(counts.subjects, 'subject')} and {cases}"
        size += "" if counts.positives is None else f", {counts.positives} of them positive"
        found.append(f"The smallest test set, that of {site}, holds {size}; numbers from small sets are uncertain.")
    if intervals:
        chance = (
            "who was tested and of how the trainings fell out, not errors of the simulation"
            if trainings > 1
            else "who was tested, not errors of the simulation nor what training the networks anew would give"
        )
        found.append(
            f"Intervals have a nominal coverage of {100 * provenance.level:g}% and describe the chance of {chance}. "
            "They are not corrected for the number of comparisons."
        )
    else:
        found.append("No interval is given for the ranking; small differences in it mean nothing.")
    if ranked > 1:
        found.append(
            "The best of the ranking was picked on the same cases that it is shown for, so its score is somewhat "
            "optimistic. Confirm it on cases that took no part in this study."
        )
    if reads:
        found.append(
            "Operating points were fixed on validation cases without shift. With another share of positive cases, or "
            "after a local threshold change, sensitivity and specificity differ."
        )
    found.append("This report supports a decision to investigate. It is no medical device and no evidence of safety.")
    return found


def glossary(metrics: Iterable[str], *, level: float, reads: bool) -> list[tuple[str, str]]:
    """Terms and their meaning, for the metrics that the report shows."""
    terms = [
        ("Shift", "One way in which an image can differ from those that a chain was built for, e.g. motion or noise."),
        ("No shift", "The site's own acquisition as it is; every curve starts there."),
        (
            "Severity",
            "How strong a shift is, from 0 (none) to 5. Each step stands for physical parameters that the definition "
            "or the documentation of the shift gives; equal severities of two shifts need not be equally bad.",
        ),
        (
            "Chain",
            "One way from measured signal to result: the reconstruction with its acceleration factor R"
            + (", the classifier and its normalization layer." if reads else "."),
        ),
        ("R", "Acceleration: how many times fewer samples were taken than the full image needs."),
    ]
    if reads:
        terms.append(
            (
                "Norm",
                "The normalization layer inside the classifier. Batch norm uses statistics stored at training; "
                "group, layer and instance norm compute them from the image at hand, which can matter when images "
                "shift.",
            )
        )
    terms += [(metric(name).title, metric(name).meaning) for name in metrics if metric(name).meaning]
    terms.append(
        (
            "Interval",
            f"A range made so that it holds the true value in about {100 * level:g} of 100 repetitions of the study "
            "with other people. Wide means uncertain. Bands in the plots are intervals; of two chains, compare the "
            "interval of their difference, not the overlap of their bands.",
        )
    )
    return terms


def _readers(results: pd.DataFrame) -> str:
    readers = results.loc[results["classifier"].notna(), ["classifier", "norm"]].drop_duplicates()
    if readers.empty:
        return "without a classifier"
    names = sorted({plain(str(name)) for name in readers["classifier"]})
    norms = sorted({norm_label(None if pd.isna(norm) else str(norm)) for norm in readers["norm"]})
    return f"read by {counted(len(names), 'classifier')} ({joined(names)}) with {joined(norms)}"
