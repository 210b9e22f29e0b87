from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.scaling.axes import axis
from scanproof.scaling.ladder import Ladder, ladder
from scanproof.scaling.simulation import Simulated, simulated_ladder, simulated_sweep

SIZES = (10, 20, 40)
DESIGN = Simulated(sizes=SIZES, error=lambda n: 0.05 * n**-0.5, subjects=6, widths=(4, 8, 16))
NETWORKS = [(size, 8) for size in SIZES]


def test_the_ladder_of_a_table_is_what_was_simulated():
    table = simulated_sweep(DESIGN, seed=5)
    found, expected = ladder(table, axis("mse"), NETWORKS), simulated_ladder(DESIGN, seed=5)
    np.testing.assert_array_equal(found.sizes, expected.sizes)
    for one, other in zip(found.values, expected.values, strict=True):
        np.testing.assert_allclose(one, other)
    assert found.subjects.tolist() == expected.subjects.tolist()
    psnr = ladder(table, axis("psnr"), NETWORKS)
    np.testing.assert_allclose(psnr.values[0], -10 * np.log10(expected.values[0]))


def test_the_complement_is_of_the_metric():
    table = simulated_sweep(DESIGN, seed=5).query("metric == 'mse'").assign(metric="ssim")
    ssim, error = (ladder(table, axis(name), NETWORKS) for name in ("ssim", "dssim"))
    np.testing.assert_allclose(ssim.values[0], 1 - error.values[0])


def test_points_and_weights_are_those_of_pandas():
    table = simulated_sweep(DESIGN, seed=5)
    # one training less of the smallest size
    table = table[~((table["examples"] == 10) & (table["seed"] == 2))]
    found = ladder(table, axis("mse"), NETWORKS)
    rows = table.query("split == 'test' and metric == 'mse' and width == 8")
    expected = np.log(rows.groupby(["examples", "seed"])["value"].mean()).groupby(level="examples").mean()
    np.testing.assert_allclose(found.points, expected)
    np.testing.assert_allclose(found.weights, np.array([2, 3, 3]) * 3 / 8)
    assert found.up_to(20).sizes.tolist() == [10, 20]
    with pytest.raises(ScanproofError, match="draw must be 'training'"):
        found.samples(Bootstrap(seed=0, resamples=100), draw="seed")


def test_several_severities_are_all_of_the_case():
    table = simulated_sweep(DESIGN, seed=5)
    tested = table[table["split"] == "test"]
    shifted = [tested.assign(shift="noise", severity=s, value=tested["value"] * s) for s in (1, 3)]
    found = ladder(pd.concat([table, *shifted]), axis("mse"), NETWORKS, shift="noise")
    clean = ladder(table, axis("mse"), NETWORKS)
    np.testing.assert_allclose(np.exp(found.points), 2 * np.exp(clean.points))
    assert len(set(found.subjects)) == 6


def test_replicates_vary_as_subjects_and_trainings_do():
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.normal(size=(8, 1))
    person = np.exp(0.1 * rng.normal(size=30))
    values = (np.exp(noise) * person, np.exp(-noise) * person)
    subjects = np.array([f"s{i}" for i in range(30)], object)
    one = Ladder(axis=axis("mse"), sizes=np.array([1.0, 2]), values=values, subjects=subjects)
    bootstrap = Bootstrap(seed=1, resamples=4000, interval="expanded")
    of_subjects, of_trainings = person.var(ddof=1) / 30 / person.mean() ** 2, noise.var(ddof=1) / 8
    each, seeds = one.samples(bootstrap), one.samples(bootstrap, draw="seed")
    for samples in (each, seeds):
        np.testing.assert_allclose(samples[0], one.points)
        np.testing.assert_allclose(samples[1:].var(axis=0), of_subjects + of_trainings, rtol=0.1)
    # subjects move both sizes alike; the noise of a seed is mirrored here, and is only seen where seeds are drawn
    assert np.cov(each[1:].T)[0, 1] == pytest.approx(of_subjects, rel=0.15)
    assert np.cov(seeds[1:].T)[0, 1] == pytest.approx(of_subjects - of_trainings, abs=0.1 * of_trainings + 1e-5)


def test_what_cannot_be_a_ladder_is_told():
    table = simulated_sweep(DESIGN, seed=5)
    with pytest.raises(ScanproofError, match=r"must have test cases with mse of every network.*'width': 5"):
        ladder(table, axis("mse"), [(10, 5)])
    lost = table[~((table["case"] == "test-003-1") & (table["seed"] == 1) & (table["examples"] == 40))]
    with pytest.raises(ScanproofError, match=r"measured on the same test cases.*40"):
        ladder(lost, axis("mse"), NETWORKS)
    with pytest.raises(ScanproofError, match="must be finite and above 0"):
        ladder(table.assign(value=-table["value"]), axis("mse"), NETWORKS)
    with pytest.raises(ScanproofError, match="a ladder must have sizes"):
        ladder(table, axis("mse"), [])
