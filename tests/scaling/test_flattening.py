from __future__ import annotations

import numpy as np

from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.scaling.choice import choose
from scanproof.scaling.flattening import decide
from scanproof.scaling.intervals import law
from scanproof.scaling.simulation import Simulated, simulated_ladder

SIZES = (10, 20, 40, 80, 160, 320, 640, 1280)


def verdict(error, *, training=0.02, sizes=SIZES, seed=1):
    measured = simulated_ladder(Simulated(sizes=sizes, error=error, seeds=4, training=training), seed=seed)
    choice = choose(measured)
    bootstrap = Bootstrap(seed=0, resamples=200, interval="expanded")
    return decide(choice, {form: law(measured, form, bootstrap=bootstrap) for form in choice.candidates})


def test_a_break_and_a_floor_agree(broken):
    found = verdict(broken)
    assert found.verdict == "agree"
    assert "break at N = " in found.why
    assert verdict(lambda n: 0.01 + n**-0.7).verdict == "agree"


def test_a_power_law_that_is_measured_well_disagrees_and_one_that_is_not_is_undecided():
    assert verdict(lambda n: n**-0.4, training=0.005).verdict == "disagree"
    found = verdict(lambda n: n**-0.4, training=0.15)
    assert found.verdict == "undecided"
    assert "flattening may be" in found.why


def test_steepening_and_examples_that_do_not_help_disagree():
    found = verdict(lambda n: np.where(n < 110, n**-0.1, 110**0.4 * n**-0.5))
    assert found.verdict == "disagree"
    assert "steeper" in found.why
    assert "do not help" in verdict(lambda n: 0.01 * n**0.1).why


def test_three_sizes_decide_nothing():
    found = verdict(lambda n: n**-0.4, sizes=(10, 20, 40))
    assert found == ("undecided", "too few sizes to tell a curve from a line")
