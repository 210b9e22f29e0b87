"""A simulated study: scores that get worse with severity, and more so for one normalisation than for the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

SHIFTS = ("ghosting", "motion")
SEVERITIES = (1, 3)
NORMS = {"batch": 0.9, "instance": 0.35}  # how fast reading them gets worse with severity


class Tables(NamedTuple):
    predictions: pd.DataFrame
    case_metrics: pd.DataFrame


def simulate(
    *,
    sites: tuple[str, ...] = ("north", "south"),
    subjects: int = 24,
    seeds: tuple[int, ...] = (1, 2),
    conditions: tuple[tuple[str, int], ...] = (("none", 0), *((s, k) for s in SHIFTS for k in SEVERITIES)),
) -> Tables:
    """Two cases a subject, validation cases at the first site only, one reconstruction of two norms."""
    rng = np.random.default_rng(7)
    predictions, qualities = [], []
    for site in sites:
        for split in ("val", "test") if site == sites[0] else ("test",):
            label = np.repeat(np.arange(subjects) % 2, 2)
            subject = np.repeat([f"{site}-{split}-{i:02d}" for i in range(subjects)], 2)
            case = np.array([f"{name}-{k}" for name, k in zip(subject, np.tile([0, 1], subjects), strict=True)])
            # cases of a subject look alike, and look alike to every reader and under every condition
            patient = np.repeat(rng.normal(scale=0.6, size=subjects), 2)
            for shift, severity in conditions if split == "test" else conditions[:1]:
                common = {
                    "study": "simulated",
                    "site": site,
                    "subject": subject,
                    "case": case,
                    "shift": shift,
                    "severity": severity,
                    "reconstruction": "unet",
                    "acceleration": 4.0,
                }
                for norm, decay in NORMS.items():
                    for seed in seeds:
                        noise = 0.3 * rng.normal(size=2 * subjects)
                        logit = (2 * label - 1) * (1.2 - 0.4 * decay * severity) + patient + noise
                        row = {"classifier": "resnet18", "norm": norm, "seed": seed, "split": split}
                        row |= {"target": "lesion", "label": label}
                        probability = 1 / (1 + np.exp(-logit))
                        predictions.append(pd.DataFrame({**common, **row, "probability": probability.round(3)}))
                if split == "test":
                    for metric, best in (("ssim", 0.95), ("psnr", 35.0)):
                        value = best * (1 - 0.05 * severity) + 0.02 * rng.normal(size=2 * subjects)
                        qualities.append(pd.DataFrame({**common, "metric": metric, "value": value}))
    return Tables(pd.concat(predictions, ignore_index=True), pd.concat(qualities, ignore_index=True))


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Tables]:
    return simulate


@pytest.fixture(scope="session")
def study() -> Tables:
    """The default study; never change it in place."""
    return simulate()
