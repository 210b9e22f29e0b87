"""How often 95 % intervals hold the truth, in simulated studies whose truth is known.

Two kinds of networks, each trained from several seeds, read the slices of the same subjects. A score is the sum of a
separation of the classes, which differs from training to training, and of normal noise: of the subject and the slice,
shared by all networks, of the subject and the slice for this kind of network, and of the reading. Half of the subjects
are patients, and 60 % of their slices show it. Measured are the AUROC, mean over trainings, of one kind and its
difference to the other; the truth is that of new subjects and, where there are several trainings, new trainings.

    python studies/statistics/coverage.py -o studies/statistics/results
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.classification_metrics import auroc
from scanproof.evaluation.statistics.clusters import informative_subjects
from scanproof.seeds import derive_seed

#: variances of the noise that all networks share, that a kind of network has, and of each reading; they add up to 1
SHARED, OWN, READING = 0.6, 0.25, 0.15
#: share of the first two that slices of a subject have in common
INTRACLASS = 0.5


@dataclass(frozen=True)
class Design:
    """A study that is simulated again and again.

    Attributes:
        subjects: how many are tested.
        slices: of each.
        trainings: seeds of each kind of network.
        spread: standard deviation of the separation between trainings, in standard deviations of the score.
        auroc: of the one kind at mean separation.
        other: of the other kind.
    """

    subjects: int
    slices: int
    trainings: int = 1
    spread: float = 0.0
    auroc: float = 0.85
    other: float = 0.78


DESIGNS = (
    Design(20, 2),
    Design(20, 4),
    Design(40, 2),
    Design(40, 4),
    Design(100, 3),
    Design(40, 3, auroc=0.7, other=0.7),
    Design(40, 3, auroc=0.9, other=0.85),
    Design(100, 3, auroc=0.9, other=0.85),
    Design(20, 3, trainings=3, spread=0.1),
    Design(40, 3, trainings=3, spread=0.1),
    Design(40, 3, trainings=3, spread=0.25),
    Design(40, 3, trainings=5, spread=0.1),
    Design(40, 3, trainings=5, spread=0.25),
    Design(100, 3, trainings=5, spread=0.1),
    Design(100, 3, trainings=10, spread=0.25),
)


def separation(area: float) -> float:
    """Distance of the class means, in standard deviations of a score, that gives this AUROC."""
    return float(np.sqrt(2) * stats.norm.ppf(area))


def true_auroc(area: float, spread: float) -> float:
    """Mean AUROC over trainings, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    areas = stats.norm.cdf((separation(area) + spread * nodes) / np.sqrt(2))
    return float((weights * areas).sum() / weights.sum())


def simulated(design: Design, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels ``(n,)``, scores ``(2, trainings, n)`` and subjects of one study; both classes are there."""
    n = design.subjects * design.slices
    subjects = np.repeat([f"s{i:03d}" for i in range(design.subjects)], design.slices)
    labels = np.zeros(n, bool)
    while labels.all() or not labels.any():
        labels = np.repeat(rng.random(design.subjects) < 0.5, design.slices) & (rng.random(n) < 0.6)

    def noise() -> np.ndarray:
        common = np.repeat(rng.normal(size=design.subjects), design.slices)
        return np.sqrt(INTRACLASS) * common + np.sqrt(1 - INTRACLASS) * rng.normal(size=n)

    shared, kinds = noise(), []
    for area in (design.auroc, design.other):
        distance = separation(area) + design.spread * rng.normal(size=(design.trainings, 1))
        reading = rng.normal(size=(design.trainings, n))
        kinds.append(distance * labels + np.sqrt(SHARED) * shared + np.sqrt(OWN) * noise() + np.sqrt(READING) * reading)
    return labels.astype(int), np.array(kinds), subjects


def intervals(design: Design, study: int, resamples: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Kind of interval and its bounds for the AUROC and the difference, from one simulated study."""
    name = [f"{key}={value}" for key, value in asdict(design).items()]
    rng = np.random.default_rng(derive_seed(study, "coverage", *name))
    labels, scores, subjects = simulated(design, rng)
    for kind in ("percentile", "expanded"):
        bootstrap = Bootstrap(seed=study, resamples=resamples, interval=kind)
        weights = bootstrap.weights("site", subjects, dtype=np.uint8)
        areas = auroc(labels, scores, weights=weights)
        measured = np.stack([areas[0], areas[0] - areas[1]])
        mean = bootstrap.crossed(measured, axis=1, subjects=informative_subjects(labels, subjects))
        crossed = bootstrap.estimate(mean.samples, freedom=mean.freedom)
        yield kind, crossed.lower, crossed.upper
        if kind == "percentile" and design.trainings > 1:
            alone = bootstrap.estimate(measured.mean(axis=1))
            yield "percentile, trainings not resampled", alone.lower, alone.upper


def coverage(design: Design, *, studies: int, resamples: int) -> pd.DataFrame:
    """One row a kind of interval: how often it held the truth, and its mean width."""
    truths = [true_auroc(area, design.spread) for area in (design.auroc, design.other)]
    truth = np.array([truths[0], truths[0] - truths[1]])
    bounds: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for study in range(studies):
        for kind, lower, upper in intervals(design, study, resamples):
            bounds.setdefault(kind, []).append((lower, upper))
    rows = []
    for kind, pairs in bounds.items():
        lower, upper = np.swapaxes(np.array(pairs), 0, 1)
        # an interval without bounds, for want of a class in too many resamples, holds nothing
        held, width = ((lower <= truth) & (truth <= upper)).mean(axis=0), np.nanmean(upper - lower, axis=0)
        row = {"interval": kind, "auroc_held": held[0], "difference_held": held[1]}
        rows.append({**asdict(design), **row, "auroc_width": width[0], "difference_width": width[1]})
    return pd.DataFrame(rows).assign(studies=studies, resamples=resamples)


def page(table: pd.DataFrame) -> str:
    """The table as Markdown, with what lies outside 93 to 97 % set in bold."""
    head = "| subjects × slices | trainings (spread) | AUROCs | interval | AUROC held | difference held | widths |"
    lines = [head, "|---|---|---|---|---:|---:|---:|"]
    for row in table.itertuples(index=False):
        held = [
            f"{100 * share:.1f} %" if 0.93 <= share <= 0.97 else f"**{100 * share:.1f} %**"
            for share in (row.auroc_held, row.difference_held)
        ]
        lines.append(
            f"| {row.subjects} × {row.slices} | {row.trainings} ({row.spread:g}) | {row.auroc:g}, {row.other:g} | "
            f"{row.interval} | {held[0]} | {held[1]} | {row.auroc_width:.3f}, {row.difference_width:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate all designs, writing after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", "-o", type=Path, required=True)
    parser.add_argument("--studies", type=int, default=1000, help="of each design")
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    tables = []
    for design in DESIGNS:
        tables.append(coverage(design, studies=options.studies, resamples=options.resamples))
        print(page(tables[-1]), flush=True)
        whole = pd.concat(tables, ignore_index=True)
        whole.round(4).to_csv(options.output / "coverage.csv", index=False)
        (options.output / "coverage.md").write_text(page(whole))


if __name__ == "__main__":
    main()
