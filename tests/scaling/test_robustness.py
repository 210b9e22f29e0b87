from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanproof.scaling.analysis import analyse
from scanproof.scaling.axes import axis
from scanproof.scaling.robustness import robustness
from scanproof.scaling.simulation import Simulated, simulated_sweep

SIZES = (10, 20, 40, 80, 160)


@pytest.fixture
def shifted():
    """Clean error N^-0.3; under noise its half power of the ratio falls, under motion it rises."""

    def make(exponents: dict[str, float], *, scatter: float = 0.0) -> pd.DataFrame:
        design = Simulated(sizes=SIZES, error=lambda n: 0.1 * n**-0.3, seeds=4, subjects=12)
        clean = simulated_sweep(design, seed=2)
        tested = clean[(clean["split"] == "test") & (clean["metric"] == "mse")]
        rng, parts = np.random.default_rng(1), [clean]
        for name, exponent in exponents.items():
            luck = np.exp(scatter * rng.normal(size=4))[tested["seed"].to_numpy(int)] if scatter else 1
            value = 3 * tested["value"] * (tested["examples"].astype(float) / 10) ** exponent * luck
            parts.append(tested.assign(shift=name, severity=3, value=value))
        return pd.concat(parts, ignore_index=True)

    return make


def test_exponents_and_ratios_are_those_that_were_put_in(shifted, bootstrap):
    found = robustness(
        shifted({"motion": 0.5, "noise": -0.1}), axis("mse"), task="denoising", data="d", bootstrap=bootstrap
    )
    assert [one.shift for one in found] == ["all", "motion", "noise"]
    whole, motion, noise = found
    assert [one.effect for one in found] == ["costs", "costs", "buys"]
    assert (motion.lowers, noise.lowers) == ("costs", "buys")
    # the ratio is paired: nothing that subjects or trainings share is left in its interval
    np.testing.assert_allclose(motion.trend, 0.5, atol=1e-9)
    np.testing.assert_allclose(noise.trend, -0.1, atol=1e-9)
    np.testing.assert_allclose(noise.ratio, np.tile(3 * (np.array(SIZES) / 10) ** -0.1, (3, 1)))
    assert float(motion.exponent.value) == pytest.approx(0.2, abs=0.02)
    np.testing.assert_allclose(whole.ratio.value, (motion.ratio.value + noise.ratio.value) / 2)


def test_what_trainings_scatter_leaves_undecided(shifted, bootstrap):
    table = shifted({"noise": 0.0}, scatter=0.3)
    [one] = robustness(table, axis("mse"), task="denoising", data="d", bootstrap=bootstrap, draw="seed")
    assert one.effect == "undecided"
    assert one.ratio.lower[0] < 3 < one.ratio.upper[0]
    law = analyse(table, axis("mse"), task="denoising", data="d", shift="noise", bootstrap=bootstrap, draw="seed")
    np.testing.assert_allclose(one.points, law.points)


def test_there_is_none_without_artifacts_sizes_or_an_error(shifted, bootstrap):
    told = {"task": "denoising", "data": "d", "bootstrap": bootstrap}
    assert robustness(shifted({}), axis("mse"), **told) == []
    table = shifted({"noise": 0.1})
    assert robustness(table, axis("psnr"), **told) == []
    assert robustness(table[table["examples"] <= 20], axis("mse"), **told) == []
