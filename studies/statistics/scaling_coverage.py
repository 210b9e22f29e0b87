"""How often 95 % intervals of scaling laws hold the truth, and how often the right form is chosen, in simulated sweeps.

The mean squared error of a sweep follows a power law, one with a break or one with a floor; its cases are the truth
times log-normal factors for the subject (shared by all networks), the training and the reading
(``scanproof.scaling.simulation``). The intervals are those of ``scanproof scaling fit``, of the form that is true.

    python studies/statistics/scaling_coverage.py -o studies/statistics/results
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scanproof.evaluation.bootstrap import Bootstrap, Estimate
from scanproof.scaling.choice import choose
from scanproof.scaling.fits.fit import Form
from scanproof.scaling.flattening import decide
from scanproof.scaling.intervals import law
from scanproof.scaling.planner import gain_of
from scanproof.scaling.simulation import Simulated, simulated_ladder
from scanproof.seeds import derive_seed

SIZES = (10, 20, 40, 80, 160, 320, 640, 1280)


@dataclass(frozen=True)
class Law:
    """A law that is simulated, and what is true of it.

    Attributes:
        form: of the law.
        truth: parameter to value, the flattening left out.
        error: mean squared error by number of examples.
    """

    form: Form
    truth: dict[str, float]
    error: Callable[[np.ndarray], np.ndarray]


def _single(n: np.ndarray) -> np.ndarray:
    return 0.05 * n**-0.4


def _broken(n: np.ndarray) -> np.ndarray:
    return 0.05 * np.where(n < 110, n**-0.6, 110**-0.6 * (n / 110) ** -0.15)


def _saturating(n: np.ndarray) -> np.ndarray:
    return 0.0004 + 0.05 * n**-0.7


LAWS = (
    Law("single", {"exponent": -0.4}, _single),
    Law("broken", {"exponent_before": -0.6, "exponent_after": -0.15, "break": 110.0}, _broken),
    Law("saturating", {"exponent": -0.7, "asymptote": 0.0004}, _saturating),
)
#: seeds of each network, subjects, and standard deviation between trainings
DESIGNS = ((3, 20, 0.03), (5, 20, 0.03), (3, 60, 0.03), (5, 60, 0.06))


def coverage(true: Law, seeds: int, subjects: int, spread: float, *, sweeps: int, resamples: int) -> list[dict]:
    """Rows of one law and design: each parameter, the gain of the last doubling, and what was chosen."""
    design = Simulated(sizes=SIZES, error=true.error, seeds=seeds, subjects=subjects, training=spread)
    doubling = gain_of(SIZES[-1], sign=-1)
    ends = true.error(np.array([SIZES[-1], 2.0 * SIZES[-1]]))
    truth = {**true.truth, "gain of a doubling": float(ends[0] - ends[1])}
    bounds: dict[str, list[tuple[float, float]]] = {name: [] for name in truth}
    chosen, verdicts = [], []
    for sweep in range(sweeps):
        seed = derive_seed(sweep, "scaling coverage", true.form, seeds, subjects, spread)
        measured = simulated_ladder(design, seed=seed)
        bootstrap = Bootstrap(seed=seed, resamples=resamples, interval="expanded")
        laws = {form: law(measured, form, bootstrap=bootstrap) for form in ("single", "broken", "saturating")}
        found = laws[true.form].estimates()
        gain = laws[true.form].estimate(doubling)
        found["gain of a doubling"] = Estimate(*(part[0] for part in gain))
        for name in truth:
            bounds[name].append((float(found[name].lower), float(found[name].upper)))
        choice = choose(measured)
        chosen.append(choice.form)
        verdicts.append(decide(choice, laws).verdict)
    rows = []
    for name, value in truth.items():
        lower, upper = np.array(bounds[name]).T
        rows.append(
            {
                "law": true.form,
                "seeds": seeds,
                "subjects": subjects,
                "spread": spread,
                "parameter": name,
                "truth": value,
                "held": float(((lower <= value) & (value <= upper)).mean()),
                "width": float(np.median(upper - lower)),
                **{f"chosen_{form}": chosen.count(form) / sweeps for form in ("single", "broken", "saturating")},
                **{verdict: verdicts.count(verdict) / sweeps for verdict in ("agree", "disagree", "undecided")},
                "sweeps": sweeps,
                "resamples": resamples,
            }
        )
    return rows


def page(table: pd.DataFrame) -> str:
    """The table as Markdown, with what lies outside 93 to 97 % set in bold."""
    head = "| law | seeds (spread) | subjects | parameter | truth | held | width | chosen power/broken/saturating | "
    lines = [head + "verdict agree/disagree/undecided |", "|---|---|---:|---|---:|---:|---:|---|---|"]
    for row in table.itertuples(index=False):
        held = f"{100 * row.held:.1f} %" if 0.93 <= row.held <= 0.97 else f"**{100 * row.held:.1f} %**"
        forms = " / ".join(f"{100 * s:.0f} %" for s in (row.chosen_single, row.chosen_broken, row.chosen_saturating))
        verdicts = " / ".join(f"{100 * share:.0f} %" for share in (row.agree, row.disagree, row.undecided))
        lines.append(
            f"| {row.law} | {row.seeds} ({row.spread:g}) | {row.subjects} | {row.parameter.replace('_', ' ')} | "
            f"{row.truth:.3g} | {held} | {row.width:.2g} | {forms} | {verdicts} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate all laws and designs, writing after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", "-o", type=Path, required=True)
    parser.add_argument("--sweeps", type=int, default=300, help="of each law and design")
    parser.add_argument("--resamples", type=int, default=300)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    began, rows = time.process_time(), []
    for design in DESIGNS:
        for true in LAWS:
            rows += coverage(true, *design, sweeps=options.sweeps, resamples=options.resamples)
        whole = pd.DataFrame(rows)
        whole.to_csv(options.output / "scaling_coverage.csv", index=False, float_format="%.4g")
        (options.output / "scaling_coverage.md").write_text(page(whole))
        print(f"{page(pd.DataFrame(rows[-9:]))}\n{time.process_time() - began:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
