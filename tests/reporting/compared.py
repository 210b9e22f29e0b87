"""A made-up study of normalizations, from seeded random readings: everything that the report's sections are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import expit

from scanproof.evaluation.evaluate import CASE_METRIC_COLUMNS, evaluate
from scanproof.evaluation.table import CLEAN, PREDICTION_COLUMNS, conform

LEVEL = 0.95
#: how much of the signal of a finding is left at the highest severity, by norm
KEPT = {"batch": 0.15, "group": 0.75, "layer": 0.3, "batch_site": 0.4}


@dataclass(frozen=True)
class Compared:
    """The tables of the study, those that the report takes, and the names in them that its provenance takes."""

    sites: Sequence[str]
    shifts: Sequence[str]
    severities: Sequence[int]
    predictions: pd.DataFrame = field(repr=False)
    results: pd.DataFrame = field(repr=False)
    comparisons: pd.DataFrame = field(repr=False)
    layers: pd.DataFrame = field(repr=False)


def make_compared(
    *,
    sites: Sequence[str] = ("north", "south"),
    shifts: Sequence[str] = ("ghosting", "bias_field", "rigid_motion"),
    severities: Sequence[int] = (2, 5),
    reconstructions: Sequence[str] = ("unet",),
    norms: Sequence[str] = ("batch", "group", "layer"),
    seeds: Sequence[int] = (1, 2),
    subjects: int = 30,
    seed: int = 5,
) -> Compared:
    rows = _predictions(sites, shifts, severities, reconstructions, norms, seeds, subjects, seed)
    frame = pd.DataFrame(rows).assign(study="compared")
    declared = [column for column in frame if column in PREDICTION_COLUMNS]
    predictions = conform(frame[declared], PREDICTION_COLUMNS)
    no_cases = pd.DataFrame(columns=list(CASE_METRIC_COLUMNS))
    found = evaluate(predictions, no_cases, study="compared", seed=1, resamples=400, confidence=LEVEL)
    return Compared(
        sites,
        shifts,
        severities,
        predictions,
        found.results,
        found.comparisons,
        _layers(sites, shifts, severities, reconstructions, norms, seeds, seed),
    )


def _predictions(
    sites: Sequence[str],
    shifts: Sequence[str],
    severities: Sequence[int],
    reconstructions: Sequence[str],
    norms: Sequence[str],
    seeds: Sequence[int],
    subjects: int,
    seed: int,
) -> Iterator[dict[str, object]]:
    generator = np.random.default_rng(seed)
    conditions = [(CLEAN, 0), *product(shifts, severities)]
    for site, split in product(sites, ("val", "test")):
        labels = np.arange(subjects) % 2
        ease = generator.normal(size=subjects)
        for name, norm, training in product(reconstructions, norms, seeds):
            skill = ease + 0.5 * generator.normal(size=subjects)
            for shift, severity in conditions if split == "test" else conditions[:1]:
                kept = 1 - (1 - KEPT.get(norm, 0.5)) * severity / 5
                score = kept * (2.4 * labels - 1.2 + skill) + (1 - kept) * generator.normal(size=subjects)
                for i in range(subjects):
                    yield {
                        "site": site, "split": split, "subject": f"{site}-{split}-{i}", "case": f"{site}-{split}-{i}",
                        "label": int(labels[i]), "target": "finding", "shift": shift, "severity": severity,
                        "reconstruction": name, "acceleration": 4.0, "classifier": "resnet18", "norm": norm,
                        "seed": training, "probability": float(expit(score[i])),
                    }  # fmt: skip


def _layers(
    sites: Sequence[str],
    shifts: Sequence[str],
    severities: Sequence[int],
    reconstructions: Sequence[str],
    norms: Sequence[str],
    seeds: Sequence[int],
    seed: int,
) -> pd.DataFrame:
    generator = np.random.default_rng(seed + 1)
    rows = []
    for site, shift, severity, name, norm, training, layer in product(
        sites, shifts, severities, reconstructions, norms, seeds, range(8)
    ):
        size = severity / 5 * (1 + 0.1 * layer) * (0.2 + generator.random())
        kept = KEPT.get(norm, 0.5)
        row = {
            "site": site,
            "shift": shift,
            "severity": severity,
            "reconstruction": name,
            "acceleration": 4.0,
            "classifier": "resnet18",
            "norm": norm,
            "seed": training,
            "layer": layer,
            "name": f"layer{layer}",
            "input_mean_drift": size,
            "input_log_variance": -size,
            "output_mean_drift": (1 - kept) * size,
            "output_log_variance": -(1 - kept) * size,
        }
        rows.append(row)
    return pd.DataFrame(rows)
