from __future__ import annotations

import numpy as np
import pytest

from scanproof.errors import ScanproofError
from scanproof.scaling.choice import choose
from scanproof.scaling.cost import Prices, duration
from scanproof.scaling.planner import plan_table
from scanproof.scaling.simulation import Simulated, simulated_sweep
from scanproof.scaling.support import support
from scanproof.scaling.target import parse_target

SIZES = (10, 20, 40, 80, 160, 320, 640, 1280)


def still(error, *, sizes=SIZES, widths=(8,), subjects=4):
    """A sweep next to without noise."""
    design = Simulated(
        sizes=sizes, error=error, widths=widths, subjects=subjects, training=1e-5, subject=1e-5, case=1e-5, seeds=2
    )
    return simulated_sweep(design, seed=0)


def test_gains_and_the_end_of_worth_are_those_of_the_law(bootstrap):
    """The error n^-0.5 loses (1 - 2^-0.5)·n^-0.5 at a doubling."""
    (plan,) = plan_table(still(lambda n: n**-0.5), parse_target("0.02mse"), bootstrap=bootstrap)
    assert plan.scaling.choice.form == "single"
    assert plan.data.limit == 2560
    rows = [row for row in plan.doublings if row.of == "examples"]
    assert [row.start for row in rows] == list(SIZES)
    for row in rows:
        assert float(row.gain.value) == pytest.approx((1 - 2**-0.5) * row.start**-0.5, rel=1e-3)
    assert [row.basis for row in rows] == ["law"] * 7 + ["extrapolated"]
    ends = ((1 - 2**-0.5) / 0.02) ** 2
    np.testing.assert_allclose(plan.enough, ends, rtol=0.03)


def test_a_gain_that_is_still_worth_it_has_no_end(bootstrap):
    (plan,) = plan_table(still(lambda n: n**-0.5), parse_target("1e-4mse"), bootstrap=bootstrap)
    assert np.isinf(plan.enough.value)
    (plan,) = plan_table(still(lambda n: n**-0.5), parse_target("0.9mse"), bootstrap=bootstrap)
    assert float(plan.enough.value) == 10


def test_nothing_is_said_beyond_one_doubling_or_below_what_was_measured(bootstrap):
    table = still(lambda n: n**-0.5)
    (plan,) = plan_table(table, parse_target("0.02mse"), bootstrap=bootstrap, at=[5, 100, 1300])
    by_start = {row.start: row for row in plan.doublings if row.of == "examples"}
    assert by_start[100].basis == "law"
    assert (by_start[5].gain, by_start[5].why) == (None, "nothing was measured below 10")
    assert by_start[1300].gain is None
    assert by_start[1300].why.startswith("2600 is beyond 2560: held-out sizes bear out one doubling")
    with pytest.raises(ScanproofError, match="--at: examples to double must be at least 1, got 0"):
        plan_table(table, parse_target("0.02mse"), bootstrap=bootstrap, at=[0])


def test_a_law_that_missed_a_held_out_size_is_not_read_beyond_the_data(exact, bootstrap):
    """A break that only the last size shows, with too few sizes above it for any form."""
    error = lambda n: np.where(n < 1000, 0.5 * n**-0.5, 0.5 * 640**-0.5)  # noqa: E731
    measured = exact(error)
    choice = choose(measured)
    assert support(measured, choice, precision=1e-5).limit == 1280
    assert "missed 1280 by" in support(measured, choice, precision=1e-5).why
    assert support(measured, choice, precision=1).limit == 2560
    (plan,) = plan_table(still(error), parse_target("1e-5mse"), bootstrap=bootstrap)
    last = [row for row in plan.doublings if row.of == "examples"][-1]
    assert (last.start, last.basis, last.gain) == (1280, "refused", None)


def test_too_few_sizes_to_hold_out_support_nothing_beyond(exact):
    measured = exact(lambda n: n**-0.5, sizes=(10, 12, 14))
    found = support(measured, choose(measured), precision=1)
    assert found.limit == 14
    assert "too few sizes" in found.why


def test_widths_are_compared_where_they_were_measured(bootstrap):
    table = still(lambda n: n**-0.5, widths=(2, 4, 8, 16, 32), sizes=SIZES[:4])
    (plan,) = plan_table(table, parse_target("0.1dB"), bootstrap=bootstrap)
    rows = {row.start: row for row in plan.doublings if row.of == "width"}
    # by the simulation, the middle width is best, and each factor of two off costs a tenth of the error
    for start, (before, after) in {2: (1.2, 1.1), 4: (1.1, 1), 8: (1, 1.1), 16: (1.1, 1.2)}.items():
        assert rows[start].basis == "measured"
        assert float(rows[start].gain.value) == pytest.approx(10 * np.log10(before / after), abs=1e-3)
    # beyond the widest, the law over widths that bends at the best one
    assert rows[32].basis == "extrapolated"
    assert rows[32].why.startswith("broken law of 5 sizes")
    assert float(rows[32].gain.value) == pytest.approx(10 * np.log10(1.2 / 1.3), abs=0.1)
    (plan,) = plan_table(still(lambda n: n**-0.5, sizes=SIZES[:4]), parse_target("0.1dB"), bootstrap=bootstrap)
    assert plan.doublings[-1].why == "a law over widths must have at least 3 of them, the sweep has 1"


def test_costs_are_of_examples_and_computing(bootstrap):
    """By the simulation a training takes 0.01 s an example and squared width."""
    table = still(lambda n: n**-0.5, widths=(4, 8, 16))
    (plan,) = plan_table(
        table, parse_target("0.02mse"), bootstrap=bootstrap, prices=Prices(example=2, hour=3600), at=[100]
    )
    row = next(row for row in plan.doublings if row.start == 100)
    assert row.hours == pytest.approx(0.01 * 200 * 64 / 3600)
    assert row.cost == pytest.approx(100 * 2 + 0.01 * 200 * 64)
    untimed = table.assign(seconds=float("nan"))
    assert duration(untimed) is None
    (plan,) = plan_table(untimed, parse_target("0.02mse"), bootstrap=bootstrap, prices=Prices(example=2))
    assert np.isnan(plan.doublings[0].hours)
    assert plan.doublings[0].cost == 20
    with pytest.raises(ScanproofError, match="--hour-cost: price must be finite and not negative, got -1"):
        Prices(hour=-1)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("much", "target gain must be a number above 0"),
        ("-1dB", "target gain must be a number above 0"),
        ("0dB", "target gain must be a number above 0"),
        ("1.2.3dB", "target gain must be a number above 0"),
        ("1 hour", "unknown unit of a gain, got 'hour'"),
    ],
)
def test_targets_that_are_none_are_told(text, rule):
    with pytest.raises(ScanproofError, match=rule):
        parse_target(text)


def test_a_target_on_a_metric_that_was_not_measured_is_told(bootstrap):
    with pytest.raises(ScanproofError, match="sweep must have the metric of the target, got 'ssim'"):
        plan_table(still(lambda n: n**-0.5, sizes=SIZES[:3]), parse_target("0.005"), bootstrap=bootstrap)
