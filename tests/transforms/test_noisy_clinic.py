from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import poisson

from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed
from scanproof.transforms import SHIFTS
from scanproof.transforms.noisy_clinic import MANY_COILS, ORDER, WEIGHTS, NoisyClinic, _poisson_quantile, draw_mixture
from scanproof.transforms.severity import GRADINGS


def mixture(seed: int, artifacts: float, strongest: int, coils: int = 8) -> dict[str, int]:
    generator = torch.Generator().manual_seed(seed)
    return draw_mixture(artifacts=artifacts, strongest=strongest, coils=coils, generator=generator)


def test_all_artifacts_exist_and_have_a_place() -> None:
    assert set(ORDER) == set(WEIGHTS) <= set(SHIFTS)
    assert len(ORDER) == len(WEIGHTS)
    assert set(WEIGHTS) > MANY_COILS
    assert min(WEIGHTS.values()) > 0


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32),
    st.tuples(st.floats(1, 6), st.floats(1, 6)).map(sorted),
    st.tuples(st.integers(1, 5), st.integers(1, 5)).map(sorted),
    st.sampled_from([1, 8]),
)
def test_a_milder_mixture_is_held_by_a_severer_one(seed, artifacts, strongest, coils) -> None:
    mild, severe = (mixture(seed, a, s, coils) for a, s in zip(artifacts, strongest, strict=True))
    assert mild
    assert mild.keys() <= severe.keys()
    assert all(severe[name] >= severity for name, severity in mild.items())
    assert all(1 <= severity <= strongest[1] for severity in severe.values())
    assert coils > 1 or not MANY_COILS & severe.keys()


def test_severities_of_the_table_are_nested() -> None:
    levels = [(level["artifacts"], int(level["strongest"])) for level in GRADINGS["noisy_clinic"].levels]
    assert levels == sorted(set(levels))
    for seed in range(20):
        drawn = [mixture(seed, *level) for level in levels]
        for mild, severe in itertools.pairwise(drawn):
            assert mild.keys() <= severe.keys()
            assert all(severe[name] >= severity for name, severity in mild.items())


def test_the_number_is_one_more_than_a_poisson_number() -> None:
    for mean in (0.0, 0.2, 1.3, 3.0):
        for level in np.linspace(0.001, 0.999, 57):
            assert _poisson_quantile(level, mean=mean) == min(poisson.ppf(level, mean), len(WEIGHTS))
    counts = [len(mixture(seed, 2.2, 5)) for seed in range(2000)]
    assert np.mean(counts) == pytest.approx(2.2, abs=4 * math.sqrt(1.2 / 2000))


def test_a_single_artifact_is_drawn_by_its_weight() -> None:
    draws = [next(iter(mixture(seed, 1, 1))) for seed in range(4000)]
    for name, weight in WEIGHTS.items():
        expected = weight / sum(WEIGHTS.values())
        assert draws.count(name) / len(draws) == pytest.approx(expected, abs=4 * math.sqrt(expected / 4000))


def test_severities_are_even() -> None:
    drawn = [severity for seed in range(1500) for severity in mixture(seed, 2, 5).values()]
    counts = np.bincount(drawn, minlength=6)[1:]
    assert np.abs(counts / len(drawn) - 0.2).max() < 4 * math.sqrt(0.16 / len(drawn))


def test_draws_do_not_depend_on_what_is_asked_for() -> None:
    states = set()
    for artifacts, strongest, coils in ((1, 1, 1), (5, 5, 8), (2.5, 3, 1)):
        generator = torch.Generator().manual_seed(4)
        draw_mixture(artifacts=artifacts, strongest=strongest, coils=coils, generator=generator)
        states.add(int(torch.randint(2**31, (), generator=generator)))
    assert len(states) == 1


def test_the_mixture_is_its_artifacts_in_order(brain_kspace) -> None:
    for seed in range(3):
        clinic = NoisyClinic(artifacts=3, strongest=4)
        expected = brain_kspace
        drawn = mixture(seed, 3, 4, coils=4)
        for name in sorted(drawn, key=ORDER.index):
            shift = SHIFTS.create(name, {"severity": drawn[name]})
            expected = shift(expected, spacing=(2, 2), seed=derive_seed(seed, "shift", name, 0))
        assert torch.equal(clinic(brain_kspace, spacing=(2, 2), seed=seed), expected)


def test_channels_have_the_same_artifacts(brain) -> None:
    both = NoisyClinic(severity=3, seed=2)(torch.cat([brain, brain]), spacing=(2, 2))
    assert torch.equal(both[0], both[1])
    torch.testing.assert_close(both[:1], NoisyClinic(severity=3, seed=2)(brain, spacing=(2, 2)))


def test_damage_grows_in_the_mean(brain_kspace) -> None:
    seeds = range(12)
    errors = [
        np.mean(
            [
                float((NoisyClinic(severity=s)(brain_kspace, spacing=(2, 2), seed=i) - brain_kspace).norm())
                for i in seeds
            ]
        )
        for s in range(6)
    ]
    assert errors[0] == 0
    assert np.all(np.diff(errors) > 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"artifacts": 0.5, "strongest": 2}, "noisy_clinic: artifacts must be finite and at least 1, got 0.5"),
        ({"artifacts": math.inf, "strongest": 2}, "noisy_clinic: artifacts must be finite and at least 1, got inf"),
        ({"artifacts": 2, "strongest": 6}, r"noisy_clinic: strongest must be in \[1, 5\], got 6"),
        ({"artifacts": 2, "strongest": 2.5}, "noisy_clinic: strongest must be a whole number, got 2.5"),
    ],
)
def test_wrong_parameters_are_named(options: dict, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        NoisyClinic(**options)
