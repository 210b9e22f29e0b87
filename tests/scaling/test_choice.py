from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm

from scanproof.errors import ScanproofError
from scanproof.scaling.choice import MARGIN, aicc, choose, held_out
from scanproof.scaling.simulation import Simulated, simulated_ladder

SIZES = (10, 20, 40, 80, 160, 320, 640, 1280)


def test_the_criterion_of_a_power_law_is_that_of_statsmodels():
    """statsmodels' AIC has the constants of the normal density, and does not count the variance."""
    measured = simulated_ladder(Simulated(sizes=SIZES, error=lambda n: n**-0.4, seeds=4), seed=2)
    y = np.concatenate(measured.logs)
    x = np.repeat(np.log(measured.sizes), 4)
    n, k = len(y), 3
    fitted = sm.OLS(y, sm.add_constant(x)).fit()
    expected = fitted.aic - n * (math.log(2 * math.pi) + 1) + 2 + 2 * k * (k + 1) / (n - k - 1)
    assert aicc(measured, "single") == pytest.approx(expected, rel=1e-9)


def test_held_out_sizes_are_predicted_from_no_more_than_half_of_them(exact):
    measured = exact(lambda n: n**-0.5, sizes=(10, 14, 20, 28, 40, 56))
    found = held_out(measured, "single")
    assert [(one.size, one.fitted) for one in found] == [(56, 28), (40, 20)]
    for one in found:
        assert one.predicted == pytest.approx(one.size**-0.5)
        assert one.error == pytest.approx(0, abs=1e-12)
    # four sizes of 28 or less fix a broken law, three of 20 or less do not
    assert [one.size for one in held_out(measured, "broken")] == [56]
    # a prediction does not know what it predicts
    values = (*measured.values[:-1], 9 * measured.values[-1])
    changed = type(measured)(axis=measured.axis, sizes=measured.sizes, values=values, subjects=measured.subjects)
    assert held_out(changed, "single")[0].predicted == pytest.approx(56**-0.5)
    assert held_out(changed, "single")[0].error == pytest.approx(-math.log(9))


def test_laws_without_noise_are_recognised(exact, broken):
    assert choose(exact(lambda n: n**-0.5)).form == "single"
    assert choose(exact(broken)).form == "broken"
    assert choose(exact(lambda n: 0.01 + n**-0.7)).form == "saturating"
    # a metric that rises to a limit
    assert choose(exact(lambda n: 35 - 20 * n**-0.5, name="psnr")).form == "saturating"


def test_a_form_that_cannot_be_tested_is_not_chosen(exact):
    """Five sizes so near to each other that too few lie below half of the largest."""
    measured = exact(lambda n: 0.01 + n**-0.7, sizes=(10, 12, 14, 16, 18))
    found = choose(measured)
    assert found.candidates["saturating"].aicc < found.candidates["single"].aicc - MARGIN
    assert math.isnan(found.candidates["saturating"].error)
    assert found.form == "single"


def test_forms_that_few_sizes_do_not_fix_are_left_out(exact):
    assert list(choose(exact(lambda n: n**-0.5, sizes=(10, 20, 40))).candidates) == ["single"]
    assert list(choose(exact(lambda n: n**-0.5, sizes=(10, 20, 40, 80))).candidates) == ["single", "saturating"]
    with pytest.raises(ScanproofError, match="mse: a scaling law must have at least 3 sizes, got 2"):
        choose(exact(lambda n: n**-0.5, sizes=(10, 20)))
