"""Classification metrics over conditions and bootstrap resamples, against a loop over scikit-learn.

The loop calls scikit-learn's function once a condition and resample; it is timed on a part, which takes turns with the
whole of ours, and scaled up. Medians of rounds; memory is what the arrays take besides the weights:

    python tests/benchmarks/bench_statistics.py --json build/bench/statistics.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from scanproof.evaluation import classification_metrics as metrics
from scanproof.evaluation.bootstrap import Bootstrap

THRESHOLD = 0.5
#: calls of scikit-learn a round
PART = 20
#: ours on (labels, scores, weights), and scikit-learn's on one condition and resample
PAIRS: dict[str, tuple[Callable[..., np.ndarray], Callable[..., float]]] = {
    "auroc": (metrics.auroc, roc_auc_score),
    "auprc": (metrics.auprc, average_precision_score),
    "balanced_accuracy": (
        lambda labels, scores, weights: metrics.balanced_accuracy(labels, scores, threshold=THRESHOLD, weights=weights),
        lambda labels, scores, sample_weight: balanced_accuracy_score(
            labels, scores >= THRESHOLD, sample_weight=sample_weight
        ),
    ),
    "brier": (metrics.brier, brier_score_loss),
    "negative_log_likelihood": (metrics.negative_log_likelihood, log_loss),
}


def cohort(subjects: int, slices: int, conditions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities ``(conditions, n)`` and subjects of cases that resemble each other within a subject."""
    rng = np.random.default_rng(0)
    names = np.repeat([f"s{i:05d}" for i in range(subjects)], slices).astype(object)
    labels = np.repeat(rng.random(subjects) < 0.3, slices) & (rng.random(subjects * slices) < 0.7)
    shared = np.repeat(rng.normal(size=subjects), slices)
    scores = shared + rng.normal(size=(conditions, len(names))) + 1.5 * labels - 1
    return labels.astype(int), 1 / (1 + np.exp(-scores)), names


def peak_memory(action: Callable[[], object]) -> float:
    """Most memory that NumPy held at once, in MB."""
    tracemalloc.start()
    action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def bench(options: argparse.Namespace) -> dict[str, object]:
    labels, scores, names = cohort(options.subjects, options.slices, options.conditions)
    bootstrap = Bootstrap(seed=1, resamples=options.resamples)
    began = time.perf_counter()
    weights = bootstrap.weights("north", names, dtype=np.uint8)
    drawing = time.perf_counter() - began
    whole = options.conditions * len(weights)
    print(f"{len(labels)} cases, {options.conditions} conditions, {options.resamples} resamples")
    print(f"drawing resamples: {drawing:.1f} s, {weights.nbytes / 1e6:.0f} MB of weights")
    print(f"{'metric':<26} {'ours':>9} {'scikit-learn':>14} {'ratio':>9} {'memory':>9} {'differs by':>11}")
    rng, table = np.random.default_rng(1), {}
    for name, (ours, theirs) in PAIRS.items():
        if options.only and name not in options.only:
            continue
        seconds: dict[str, list[float]] = {"ours": [], "part": []}
        difference = 0.0
        for _ in range(options.rounds):
            began = time.perf_counter()
            found = ours(labels, scores, weights=weights)
            seconds["ours"].append(time.perf_counter() - began)
            picked = [(rng.integers(options.conditions), rng.integers(len(weights))) for _ in range(PART)]
            began = time.perf_counter()
            expected = [theirs(labels, scores[c], sample_weight=weights[r]) for c, r in picked]
            seconds["part"].append(time.perf_counter() - began)
            difference = max(difference, *(abs(found[at] - one) for at, one in zip(picked, expected, strict=True)))
        median = {what: statistics.median(values) for what, values in seconds.items()}
        loop = median["part"] / PART * whole
        memory = peak_memory(lambda ours=ours: ours(labels, scores, weights=weights))
        row = {"seconds": median["ours"], "loop": loop, "ratio": loop / median["ours"], "memory_mb": memory}
        table[name] = {**row, "difference": float(difference)}
        print(
            f"{name:<26} {row['seconds']:>7.2f} s {loop:>12.0f} s {row['ratio']:>8.0f}x {memory:>6.0f} MB "
            f"{difference:>11.1e}",
            flush=True,
        )
    return {
        "cases": len(labels),
        "conditions": options.conditions,
        "resamples": options.resamples,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "rounds": options.rounds,
        "drawing": drawing,
        "measured": table,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subjects", type=int, default=2500)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--conditions", type=int, default=50)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--only", action="append", metavar="METRIC", help="may be given several times")
    options = parser.parse_args()
    result = bench(options)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
