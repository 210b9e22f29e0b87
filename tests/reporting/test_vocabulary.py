from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from scanproof.reporting.vocabulary import METRICS, Chain, Estimate, joined, metric, norm_label, ordered, signed


def test_every_listed_metric_is_explained_and_its_chance_lies_within_its_limits() -> None:
    for name, wording in METRICS.items():
        assert wording.meaning, name
        if wording.chance is not None and wording.lowest is not None and wording.highest is not None:
            assert wording.lowest < wording.chance < wording.highest


def test_an_unlisted_metric_is_shown_under_its_own_name_after_the_listed_ones() -> None:
    assert metric("lesion_volume").title == "lesion volume"
    assert ordered(["lesion_volume", "psnr", "auroc"]) == ["auroc", "psnr", "lesion_volume"]


@given(value=st.floats(-100, 100), digits=st.integers(0, 4))
@settings(max_examples=30, deadline=None)
def test_written_numbers_read_back_and_zero_has_no_sign(value: float, digits: int) -> None:
    text = signed(value, digits)
    assert float(text.replace("−", "-")) == pytest.approx(value, abs=0.51 * 10**-digits)
    assert not (float(text.replace("−", "-")) == 0 and text.startswith("−"))


def test_an_interval_needs_both_ends() -> None:
    assert Estimate(0.5, 0.4, None).interval() == ""
    assert not Estimate(0.5, None, 0.6).has_interval
    assert Estimate(-0.5, -0.75, 0.25).interval(2) == "−0.75 to 0.25"


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        (Chain("zero_filled", 1.0), "zero filled at R = 1"),
        (Chain("unet", 2.5, "densenet121", "none"), "unet at R = 2.5 read by densenet121 with no norm"),
        (Chain("unet", 8.0, "site_model"), "unet at R = 8 read by site model"),
    ],
)
def test_chains_are_written_as_words(chain: Chain, text: str) -> None:
    assert str(chain).replace("\N{NO-BREAK SPACE}", " ") == text


def test_small_words() -> None:
    assert joined([]) == ""
    assert joined(["a", "b"]) == "a and b"
    assert norm_label(None) == "norm not stated"
