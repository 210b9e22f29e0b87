from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings, strategies as st
from sklearn.metrics import roc_auc_score

from scanproof.errors import ScanproofError
from scanproof.evaluation.statistics.permutation import auroc_contributions, permutation_test, sign_flip_test


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_contributions_give_the_auroc_of_every_permutation(seed):
    """Readings swapped and read again, with many ties, subjects of both classes, 2 trainings x 2 conditions."""
    rng = np.random.default_rng(seed)
    subjects = rng.permutation(np.repeat(list("abcde"), [1, 2, 3, 2, 4]))
    labels = np.r_[0, 1, rng.integers(0, 2, 10)]
    one, other = rng.integers(0, 6, size=(2, 2, 2, 12)) / 5
    ranks = [scipy.stats.rankdata(model, axis=-1) for model in (one, other)]
    terms = auroc_contributions(labels, one, other, subjects)
    for signs in product((1, -1), repeat=5):
        swapped = np.isin(subjects, [name for name, sign in zip("abcde", signs, strict=True) if sign < 0])
        areas = []
        for kept, taken in ((ranks[0], ranks[1]), (ranks[1], ranks[0])):
            mixed = np.where(swapped, taken, kept).reshape(4, 12)
            areas.append(np.mean([roc_auc_score(labels, row) for row in mixed]))
        assert terms @ signs == pytest.approx(areas[0] - areas[1], abs=1e-12)


@pytest.mark.parametrize("count", [8, 30])
def test_sign_flips_agree_with_scipy(count):
    terms = np.random.default_rng(count).normal(0.2, 1, size=count)
    expected = scipy.stats.permutation_test(
        (terms, np.zeros(count)),
        lambda x, y, axis: (x - y).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    found = sign_flip_test(terms, permutations=20_000, seed=2)
    assert found.difference == pytest.approx(expected.statistic)
    # 20 000 permutations tell a p-value of a half to 0.0035; 2 ** 8 are all there are
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-12 if count == 8 else 0.02)


def test_random_permutations_come_near_all_of_them(monkeypatch):
    from scanproof.evaluation.statistics import permutation

    terms = np.random.default_rng(3).normal(0.3, 1, size=12)
    every = sign_flip_test(terms)
    monkeypatch.setattr(permutation, "MOST_ENUMERATED", 0)
    some = sign_flip_test(terms, permutations=40_000, seed=1)
    assert (every.permutations, some.permutations) == (4096, 40_001)
    assert some.p_value == pytest.approx(every.p_value, abs=0.01)
    assert sign_flip_test(np.ones(60), permutations=99).p_value == 0.01


def test_level_is_held_for_readers_on_different_scales_and_power_is_there():
    rng = np.random.default_rng(5)
    subjects = np.repeat([f"s{i:02d}" for i in range(30)], 2)
    labels = np.repeat(np.arange(30) % 2, 2)
    rejected = {0.0: 0, 1.5: 0}
    for extra in rejected:
        for study in range(300):
            shared = np.repeat(rng.normal(size=30), 2) + labels
            one = shared + rng.normal(size=60) + extra * labels
            other = np.exp(shared + rng.normal(size=60)) * 100
            found = permutation_test(labels, one, other, subjects, permutations=199, seed=study)
            rejected[extra] += found.p_value <= 0.05
    assert rejected[0.0] / 300 <= 0.09  # 0.05 and three standard errors
    assert rejected[1.5] / 300 >= 0.8


def test_equal_readings_cannot_be_told_apart():
    scores = [0.1, 0.5, 0.9]
    assert permutation_test([0, 1, 1], scores, np.multiply(scores, 7), ["a", "b", "c"]) == (0.0, 1.0, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auroc_contributions([1, 1], [0, 1], [0, 1], ["a", "b"]), "labels must hold both classes, got 1"),
        (lambda: auroc_contributions([0, 1], [0, 1], [[0, 1]], ["a", "b"]), r"others must have the shape .* \(2,\)"),
        (lambda: auroc_contributions([0, 1], [0, 1], [0, 1], ["a"]), "subjects must be 2, one a case, got 1"),
        (lambda: sign_flip_test([]), "contributions must be finite numbers"),
        (lambda: sign_flip_test([np.nan]), "contributions must be finite numbers"),
        (lambda: sign_flip_test([1.0], permutations=0), "permutations must be at least 1, got 0"),
    ],
)
def test_bad_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ScanproofError, match=message):
        call()
