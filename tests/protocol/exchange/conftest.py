"""Sites that have validated a protocol: real tables of simulated readings, and the record of a verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from scanproof.evaluation.evaluate import evaluate
from scanproof.evaluation.table import PREDICTION_COLUMNS, conform
from scanproof.protocol.exchange.export import prepare_export, write_export

SHA = hashlib.sha256(b"protocol").hexdigest()
CONDITIONS = (("none", 0), ("ghosting", 1), ("ghosting", 3), ("complex_noise", 3))
#: how much an artifact costs each norm
COST = {"batch": {"ghosting": 0.9, "complex_noise": 0.5}, "group": {"ghosting": 0.3, "complex_noise": 0.4}}


def readings(
    *, site: str, subjects: int, seed: int, positives: float, separation: float = 1.6, slices: int = 2
) -> pd.DataFrame:
    """Probabilities of two norms, trained twice each, for the slices of a site's subjects."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for number in range(subjects + 20):
        label = int(number % 2) if number >= subjects else int(number < positives * subjects)
        nature = random.normal(0, 0.5)
        for part, (norm, training), (shift, severity) in product(range(slices), product(COST, (1, 2)), CONDITIONS):
            strength = separation - COST[norm].get(shift, 0) * severity / 3
            score = strength * (label - 0.5) + nature + random.normal(0, 0.7)
            name = f"s{number:012x}"
            rows.append(
                {"study": "p1", "site": site, "subject": name, "case": f"{name}-{part}", "target": "lesion"}
                | {"split": "val" if number >= subjects else "test", "label": label, "shift": shift}
                | {"severity": severity, "reconstruction": "unet", "acceleration": 4.0, "classifier": "resnet18"}
                | {"norm": norm, "seed": training, "probability": float(1 / (1 + np.exp(-2 * score)))}
            )
    return conform(pd.DataFrame(rows), PREDICTION_COLUMNS)


def qualities(predictions: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Image quality of the test cases."""
    rows = predictions[predictions["split"] == "test"]
    columns = ["study", "site", "subject", "case", "shift", "severity", "reconstruction", "acceleration"]
    cases = rows[columns].drop_duplicates().assign(metric="ssim")
    noise = np.random.default_rng(seed).normal(0, 0.02, len(cases))
    return cases.assign(value=np.clip(0.9 - 0.03 * cases["severity"].to_numpy() + noise, 0, 1))


def endpoint(results: pd.DataFrame, site: str, **changes: Any) -> dict[str, Any]:
    """An endpoint as a validation records it: the mean AUROC under all shifts of the group-normalised chain."""
    where = (results["site"] == site) & (results["metric"] == "auroc_shifted") & (results["shift"] == "all")
    row = results[where & (results["norm"] == "group")].iloc[0]
    passed = row["lower"] >= 0.75
    return {
        "name": "robust",
        "role": "primary",
        "text": "AUROC under shift is at least 0.75.",
        "metric": "auroc",
        "rule": "at_least",
        "limit": 0.75,
        "estimate": float(row["value"]),
        "lower": float(row["lower"]),
        "upper": float(row["upper"]),
        "confidence": 0.95,
        "subjects": 40,
        "cases": int(row["n"]),
        "verdict": "pass" if passed else "undecided",
        "decided_by": f"the interval starts at {row['lower']:.3f}",
        **changes,
    }


@pytest.fixture(scope="session")
def make_site() -> Callable[..., Path]:
    """Write the validation of a site under a root; return the folder."""

    def make(
        root: Path,
        *,
        site: str = "St. Elsewhere",
        subjects: int = 40,
        seed: int = 1,
        positives: float = 0.5,
        separation: float = 1.6,
        protocol: str = "p1",
        digest: str = SHA,
        **changes: Any,
    ) -> Path:
        predictions = readings(site=site, subjects=subjects, seed=seed, positives=positives, separation=separation)
        found = evaluate(predictions, qualities(predictions, seed), study="p1", seed=3, resamples=100)
        folder = root / "validations" / protocol / hashlib.sha256(site.encode()).hexdigest()[:8]
        folder.mkdir(parents=True)
        tables = {"results": found.results, "comparisons": found.comparisons, "predictions": predictions}
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        lock = {"study": "p1", "definition": {"name": "p1", "evaluation": {"resamples": 100, "interval": "expanded"}}}
        (folder / "study.lock.yaml").write_text(yaml.safe_dump(lock))
        (folder / "report.html").write_text("<!doctype html><title>report</title>")
        test = predictions[predictions["split"] == "test"][["case", "label"]].drop_duplicates()
        primary = endpoint(found.results, site, subjects=subjects)
        record = {
            "format": 1,
            "protocol": protocol,
            "protocol_version": "1.0",
            "protocol_sha256": digest,
            "site": site,
            "scanproof": "0.1.0",
            "code_version": "c0de",
            "other_code": False,
            "versions": {"torch": "2.13.0"},
            "data": {
                "kind": "volumes",
                "kspace": "synthetic",
                "subjects": subjects,
                "cases": len(test),
                "labels": {
                    "lesion": {"positive": int((test["label"] == 1).sum()), "negative": int((test["label"] == 0).sum())}
                },
                "data_sha256": hashlib.sha256(site.encode()).hexdigest(),
            },
            "verdict": "pass" if primary["verdict"] == "pass" else "not enough data",
            "endpoints": [primary],
            "files": {
                f"{name}.parquet": hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest()
                for name in tables
            },
            "something_new": "that only the site's version knows",
            **changes,
        }
        (folder / "validation.json").write_text(json.dumps(record))
        return folder

    return make


@pytest.fixture(scope="session")
def site_root(tmp_path_factory: pytest.TempPathFactory, make_site: Callable[..., Path]) -> Path:
    """One site with enough of everything."""
    root = tmp_path_factory.mktemp("site") / "mlruns"
    make_site(root)
    return root


@pytest.fixture(scope="session")
def sent(tmp_path_factory: pytest.TempPathFactory, make_site: Callable[..., Path]) -> list[Path]:
    """What three sites sent; at the last, the classifier is worse."""
    folder = tmp_path_factory.mktemp("sent")
    files = []
    for seed, (site, separation) in enumerate((("north", 1.7), ("St. Elsewhere", 1.6), ("süd", 0.7)), start=1):
        root = folder / str(seed) / "mlruns"
        make_site(root, site=site, seed=seed, separation=separation, subjects=40 + 10 * seed)
        files.append(write_export(prepare_export(root, site=site), folder / f"{seed}.zip"))
    return files
