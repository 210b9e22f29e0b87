"""A made-up study that looks like a real one: three sites, four shifts, four reconstructions, three norms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd
import pytest

from reporting.compared import Compared, make_compared
from scanproof.evaluation.table import (
    ALL_SHIFTS,
    ALL_SITES,
    CLEAN,
    PREDICTION_COLUMNS,
    RESULT_COLUMNS,
    check_table,
    conform,
    predictions_schema,
    results_schema,
)
from scanproof.reporting.model import ImagePanel, Provenance, SiteFacts, SplitCounts

Row = dict[str, object]
#: how fast each thing decays with severity
SHIFTS = {"rigid_motion": 0.16, "ghosting": 0.11, "rician_noise": 0.20, "bias_field": 0.05}
RECONSTRUCTIONS = {
    "zero_filled": (0.08, 1.4),
    "cg_sense": (0.05, 1.1),
    "unet": (0.02, 0.9),
    "deep_decoder": (0.03, 0.6),
}
NORMS = {"batch": 1.3, "group": 0.8, "layer": 0.9}
SITES = {"north": 0.0, "east": 0.02, "south": 0.05}
SPREAD = {"ssim": 0.02, "psnr": 0.8, "nrmse": 0.015}
HALF_WIDTH = {"auroc": 0.035, "balanced_accuracy": 0.05, "sensitivity": 0.08, "specificity": 0.06, "ece": 0.03}


@dataclass(frozen=True, kw_only=True)
class StudyRecipe:
    """What goes into a made-up study."""

    sites: Sequence[str] = tuple(SITES)
    shifts: Sequence[str] = tuple(SHIFTS)
    severities: Sequence[int] = (1, 2, 3, 4, 5)
    reconstructions: Sequence[str] = tuple(RECONSTRUCTIONS)
    accelerations: Sequence[float] = (4.0,)
    classifiers: Sequence[str] = ("resnet18",)
    norms: Sequence[str | None] = tuple(NORMS)
    seeds: Sequence[int] = (1, 2)
    cases: int = 3
    gap_half_width: float = 0.02
    seed: int = 7


@dataclass(frozen=True)
class MadeStudy:
    """The two tables of a made-up study and its recipe."""

    recipe: StudyRecipe
    results: pd.DataFrame = field(repr=False)
    predictions: pd.DataFrame = field(repr=False)


def make_study(recipe: StudyRecipe) -> MadeStudy:
    rows = [*_image_rows(recipe), *_reading_rows(recipe)]
    results = conform(pd.DataFrame(rows).assign(study="made-up"), RESULT_COLUMNS)
    readings = pd.DataFrame(_prediction_rows(recipe)).assign(study="made-up")
    predictions = conform(readings[[c for c in readings if c in PREDICTION_COLUMNS]], PREDICTION_COLUMNS)
    return MadeStudy(
        recipe,
        check_table(results, results_schema(), name="results"),
        check_table(predictions, predictions_schema(), name="predictions"),
    )


def conditions(recipe: StudyRecipe) -> Iterator[tuple[str, int]]:
    yield CLEAN, 0
    yield from product(recipe.shifts, recipe.severities)


def decay(shift: str, severity: int, reconstruction: str, norm: str | None, site: str) -> float:
    """Share of the clean quality that is left."""
    speed = SHIFTS.get(shift, 0.1) if severity else 0.0
    speed *= RECONSTRUCTIONS.get(reconstruction, (0.0, 1.0))[1] * NORMS.get(norm or "", 1.0)
    return float(np.exp(-(speed + SITES.get(site, 0.03) / 3) * severity))


def _image_rows(recipe: StudyRecipe) -> Iterator[Row]:
    generator = np.random.default_rng(recipe.seed)
    for (shift, severity), name, speed in product(conditions(recipe), recipe.reconstructions, recipe.accelerations):
        place: Row = {"shift": shift, "severity": severity, "reconstruction": name, "acceleration": speed}
        means: dict[str, list[float]] = {}
        for site in recipe.sites:
            left = decay(shift, severity, name, None, site) ** 0.8
            ssim = 0.3 + (0.62 - RECONSTRUCTIONS.get(name, (0.1, 1))[0] - 0.01 * speed) * left
            for metric, middle in (("ssim", ssim), ("psnr", 18 + 20 * (ssim - 0.3)), ("nrmse", 0.6 - 0.55 * ssim)):
                values = middle + SPREAD[metric] * generator.standard_normal(recipe.cases)
                base = place | {"site": site, "metric": metric}
                for case, value in enumerate(values):
                    yield base | {"subject": f"{site}-s{case}", "case": f"{site}-c{case}", "value": value, "n": 1}
                means.setdefault(metric, []).append(float(values.mean()))
                yield base | _around(means[metric][-1], SPREAD[metric]) | {"n": recipe.cases}
        for metric, values_by_site in means.items():
            base = place | {"site": ALL_SITES, "metric": metric, "n": recipe.cases * len(recipe.sites)}
            yield base | _around(float(np.mean(values_by_site)), SPREAD[metric])


def _around(value: float, half: float) -> Row:
    return {"value": value, "lower": value - half, "upper": value + half}


def _reading_rows(recipe: StudyRecipe) -> Iterator[Row]:
    generator = np.random.default_rng(recipe.seed + 1)
    auroc: dict[tuple[str, str, int, tuple[object, ...]], float] = {}
    chains = list(product(recipe.reconstructions, recipe.accelerations, recipe.classifiers, recipe.norms))
    for chain in chains:
        name, speed, classifier, norm = chain
        base: Row = {"reconstruction": name, "acceleration": speed, "classifier": classifier, "norm": norm}
        for shift, severity in conditions(recipe):
            over_sites: list[dict[str, float]] = []
            for site in recipe.sites:
                left = decay(shift, severity, name, norm, site)
                middle = 0.5 + (0.44 - RECONSTRUCTIONS.get(name, (0.1, 1))[0] - 0.008 * speed) * left
                per_seed = [
                    _readings(middle + 0.01 * generator.standard_normal(), left) for _ in recipe.seeds
                ]  # fmt: skip
                place = base | {"site": site, "shift": shift, "severity": severity, "n": 120}
                for seed, readings in zip(recipe.seeds, per_seed, strict=True):
                    yield from _with_intervals(place | {"seed": seed}, readings)
                mean = {metric: float(np.mean([r[metric] for r in per_seed])) for metric in per_seed[0]}
                yield from _with_intervals(place, mean)
                auroc[site, shift, severity, chain] = mean["auroc"]
                over_sites.append(mean)
            mean = {metric: float(np.mean([r[metric] for r in over_sites])) for metric in over_sites[0]}
            yield from _with_intervals(base | {"site": ALL_SITES, "shift": shift, "severity": severity, "n": 360}, mean)
            auroc[ALL_SITES, shift, severity, chain] = mean["auroc"]
    yield from _summary_rows(recipe, chains, auroc)


def _readings(auroc: float, left: float) -> dict[str, float]:
    auroc = float(np.clip(auroc, 0.3, 0.99))
    sensitivity = float(np.clip(0.92 - 0.9 * (0.94 - auroc), 0.1, 0.98))
    specificity = float(np.clip(0.88 - 0.6 * (0.94 - auroc), 0.1, 0.98))
    return {
        "auroc": auroc,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "ece": 0.04 + 0.3 * (1 - left),
    }


def _with_intervals(place: Row, readings: dict[str, float]) -> Iterator[Row]:
    for metric, value in readings.items():
        half = HALF_WIDTH[metric]
        yield place | {
            "metric": metric, "value": value, "lower": max(0.0, value - half), "upper": min(1.0, value + half),
        }  # fmt: skip


def _summary_rows(
    recipe: StudyRecipe,
    chains: Sequence[tuple[str, float, str, str | None]],
    auroc: dict[tuple[str, str, int, tuple[object, ...]], float],
) -> Iterator[Row]:
    shifts = [condition for condition in conditions(recipe) if condition[1]]
    for site in (ALL_SITES, *recipe.sites):
        shifted = {c: float(np.mean([auroc[site, *place, c] for place in shifts])) for c in chains} if shifts else {}
        best = max(shifted, key=lambda chain: shifted[chain], default=None)
        for chain in chains:
            name, speed, classifier, norm = chain
            base: Row = {
                "site": site, "shift": ALL_SHIFTS, "reconstruction": name, "acceleration": speed,
                "classifier": classifier, "norm": norm, "n": 120,
            }  # fmt: skip
            clean = auroc[site, CLEAN, 0, chain]
            yield base | {"metric": "auroc_clean"} | _around(clean, 0.03)
            if best is not None:
                yield base | {"metric": "auroc_shifted"} | _around(shifted[chain], 0.035)
                yield base | {"metric": "auroc_drop"} | _around(clean - shifted[chain], 0.02)
                if site == ALL_SITES and chain != best:
                    gap = _around(shifted[chain] - shifted[best], recipe.gap_half_width)
                    yield base | {"metric": "auroc_gap_to_best"} | gap


def _prediction_rows(recipe: StudyRecipe) -> Iterator[Row]:
    generator = np.random.default_rng(recipe.seed + 2)
    for site, split in product(recipe.sites, ("val", "test")):
        group = f"{site}-{split}"
        for case in range(12):
            base: Row = {
                "site": site, "split": split, "subject": f"{group}-{case // 2}", "case": f"{group}-{case}",
                "label": case % 3 == 0, "target": "finding", "reconstruction": recipe.reconstructions[0], "seed": 1,
                "acceleration": recipe.accelerations[0], "classifier": "resnet18", "norm": "batch",
            }  # fmt: skip
            for shift, severity in ((CLEAN, 0), ("ghosting", 3)):
                yield base | {"shift": shift, "severity": severity, "probability": generator.random()}


def make_provenance(recipe: StudyRecipe, **changes: object) -> Provenance:
    field_strength = {"north": 3.0, "east": 1.5, "south": 1.5}
    sites = [
        SiteFacts(
            name=site,
            description=f"Made-up hospital {i + 1} with its own scanner.",
            acquisition={
                "field strength (T)": field_strength.get(site, 3.0),
                "in-plane resolution (mm)": 0.7 + 0.1 * i,
                "slice thickness (mm)": 3 + i,
                "coils": 8,
            },
            role="training" if i == 0 else "external",
            counts={
                **({"train": SplitCounts(subjects=40, cases=80, positives=31)} if i == 0 else {}),
                "val": SplitCounts(subjects=6, cases=12, positives=4),
                "test": SplitCounts(subjects=7, cases=14, positives=5),
            },
        )
        for i, site in enumerate(recipe.sites)
    ]
    facts: dict[str, object] = {
        "study": "made-up",
        "description": "Does the choice of the normalization layer decide how a lesion classifier survives artifacts?",
        "definition": {"study": "made-up", "shifts": list(recipe.shifts), "severities": list(recipe.severities)},
        "study_sha256": "3f" * 32,
        "results_sha256": "a9" * 32,
        "code_version": "0.1.0+g1234567",
        "versions": {"torch": "2.13.0", "monai": "1.6.1", "numpy": np.__version__},
        "command": "scanproof report studies/made-up.yaml --out report.html",
        "data_kind": "demo",
        "kspace": "synthetic",
        "show_images": True,
        "created": "2026-03-01T12:00:00+00:00",
        "sites": sites,
    }
    return Provenance(**(facts | changes))  # type: ignore[arg-type]


def make_panel(*, title: str = "case 12", site: str = "north", severity: int = 4, size: int = 96) -> ImagePanel:
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    head = ((x / 0.72) ** 2 + (y / 0.9) ** 2 < 1).astype(np.float32)
    brain = 0.35 * head + 0.3 * ((x / 0.55) ** 2 + (y / 0.72) ** 2 < 1) * (1 + 0.2 * np.cos(9 * x) * np.cos(7 * y))
    reference = brain + 0.3 * (((x - 0.2) ** 2 + (y + 0.1) ** 2) < 0.02)
    ghost = reference + 0.05 * severity * np.roll(reference, size // 4, axis=0)
    better = reference + 0.02 * severity * np.roll(reference, size // 4, axis=0)
    images = {"reference": reference, "artifact": ghost, "reconstruction": better, "error": abs(better - reference)}
    return ImagePanel(
        title=title,
        site=site,
        shift="ghosting",
        severity=severity,
        reconstruction="unet",
        images={name: image.astype(np.float32) for name, image in images.items()},
    )


@pytest.fixture(scope="session")
def study_of() -> Callable[..., MadeStudy]:
    """Makes a study from changes to the standard recipe."""
    return lambda **changes: make_study(StudyRecipe(**changes))


@pytest.fixture(scope="session")
def standard() -> MadeStudy:
    """The standard made-up study."""
    return make_study(StudyRecipe())


@pytest.fixture(scope="session")
def images_only(standard: MadeStudy) -> MadeStudy:
    """The standard study without any classifier."""
    results = standard.results[standard.results["classifier"].isna()].reset_index(drop=True)
    return MadeStudy(standard.recipe, results, standard.predictions.iloc[:0])


@pytest.fixture(scope="session")
def compared() -> Compared:
    """A study of normalizations with everything that sections are made of."""
    return make_compared()


@pytest.fixture(scope="session")
def provenance_of() -> Callable[..., Provenance]:
    """Makes the provenance of a recipe, with changes."""
    return make_provenance


@pytest.fixture(scope="session")
def panel_of() -> Callable[..., ImagePanel]:
    """Makes an image panel."""
    return make_panel
