from __future__ import annotations

import re

import pytest
from hypothesis import given, settings, strategies as st

from scanproof.reporting.sections.comparison import Comparison, pairs, read_comparisons, standing
from scanproof.reporting.sections.findings import caution, finding, p_text, paragraphs
from scanproof.reporting.vocabulary import Chain, Estimate

CHAIN = Chain("unet", 4.0, "resnet18", "group")
CLAIMS = ("lost less", "lost more", "had a higher", "had a lower")


def comparison(
    lower: float, upper: float, *, p_holm: float | None = None, measure: str = "change", shift: str = "ghosting",
    norm: str = "group", site: str = "all",
) -> Comparison:  # fmt: skip
    return Comparison(
        CHAIN._replace(norm=norm), "batch", site, shift, None, measure,  # type: ignore[arg-type]
        Estimate((lower + upper) / 2, lower, upper), p_holm=p_holm,
    )  # fmt: skip


@given(
    ends=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    p_holm=st.none() | st.floats(0, 1),
    measure=st.sampled_from(["quality", "change"]),
    level=st.sampled_from([0.9, 0.95, 0.99]),
)
@settings(max_examples=200, deadline=None)
def test_a_sentence_claims_only_what_its_interval_and_correction_support(
    ends: tuple[float, float], p_holm: float | None, measure: str, level: float
) -> None:
    lower, upper = sorted(ends)
    text = finding(comparison(lower, upper, p_holm=p_holm, measure=measure), level=level)
    claimed = [claim for claim in CLAIMS if claim in text]
    decided = (lower > 0 or upper < 0) and (p_holm is None or p_holm < round(1 - level, 9))
    assert len(claimed) == decided
    assert ("cannot be told apart" in text) is not decided
    if decided:
        better = "lost less" if measure == "change" else "had a higher"
        assert (claimed == [better]) is (lower > 0)
    assert f"{100 * level:g}% interval" in text
    assert ("Holm" in text) is (p_holm is not None)


def test_an_interval_that_touches_zero_claims_nothing() -> None:
    assert "cannot be told apart" in finding(comparison(0.0, 0.1))
    assert "cannot be told apart" in finding(comparison(-0.1, 0.0))
    missing = comparison(0.0, 0.1)._replace(difference=Estimate(0.3))
    assert finding(missing).startswith("No interval tells whether group norm and batch norm differ")


def test_the_correction_overrules_the_interval_and_says_so() -> None:
    text = finding(comparison(0.01, 0.1, p_holm=0.2))
    assert "cannot be told apart" in text
    assert "excludes zero, but not once the number of shifts is accounted for" in text


def test_numbers_of_the_sentence_are_those_of_the_comparison() -> None:
    text = finding(comparison(-0.083, -0.021, p_holm=0.0304))
    assert text.replace("\N{NO-BREAK SPACE}", " ") == (
        "Group norm lost more AUROC than batch norm under ghosting behind unet at R = 4 "
        "(difference −0.052, 95% interval −0.083 to −0.021, Holm-corrected p = 0.030)."
    )


@given(sides=st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(0.001, 0.2), st.floats(0, 1)), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_a_paragraph_counts_every_shift_once(sides: list[tuple[float, float, float]]) -> None:
    rows = [comparison(m - h, m + h, p_holm=p, shift=f"shift_{i}") for i, (m, h, p) in enumerate(sides)]
    [text] = paragraphs(rows, CHAIN._replace(norm=None))
    verdicts = [standing(row, level=0.95) for row in rows]
    patterns = (
        r"lost less under (all )?(\d+) ",
        r"lost more under (all )?(\d+) ",
        r"Under (?:all |the other )?(\d+) shift",
    )
    counts = [int(found.groups()[-1]) if (found := re.search(pattern, text)) else 0 for pattern in patterns]
    tied = verdicts.count("unclear") + verdicts.count("uncorrected")
    if "Under the other shift the two" in text:
        counts[2] = 1
    assert counts == [verdicts.count("better"), verdicts.count("worse"), tied]


def test_the_shorter_list_of_shifts_is_named() -> None:
    pair = CHAIN._replace(norm=None)
    rows = [comparison(0.1, 0.2, shift=f"s_{i}", p_holm=0.001) for i in range(5)]
    [every] = paragraphs(rows, pair)
    assert every == "Corrected for the number of shifts, it lost less under all 5 shifts."
    [most] = paragraphs([*rows[:4], comparison(-0.1, 0.2, shift="s_4", p_holm=0.5)], pair)
    assert "it lost less under 4 of 5 shifts, all but s 4. Under the other shift the two cannot" in most
    [few] = paragraphs([rows[0], *(comparison(-0.2, -0.1, shift=f"s_{i}", p_holm=0.001) for i in (1, 2))], pair)
    assert "it lost less under 1 of 3 shifts: s 0. It lost more under 2 of 3 shifts: s 1 and s 2." in few


def test_a_network_without_norm_is_not_denied() -> None:
    assert finding(comparison(0.1, 0.2, norm="none")).startswith("The network without norm lost less AUROC than batch")


def test_worst_cases_that_no_scanner_makes_are_not_counted() -> None:
    rows = [comparison(0.1, 0.2, shift="adversarial"), comparison(0.1, 0.2, shift="ghosting")]
    assert "1 of 1 shift:" in paragraphs(rows, CHAIN._replace(norm=None))[0]


def test_there_is_a_paragraph_for_each_norm_of_the_study(compared) -> None:  # type: ignore[no-untyped-def]
    found = read_comparisons(compared.comparisons)
    [pair] = pairs(found)
    texts = paragraphs(found, pair)
    assert [text.split(" norm")[0] for text in texts] == ["Group", "Layer"]
    assert all("behind unet" in text for text in texts)
    assert "trained 2 times" in caution(found)
    assert caution([]) == ""


@pytest.mark.parametrize(("value", "text"), [(0.0, "< 0.001"), (0.001, "= 0.001"), (0.05, "= 0.050")])
def test_tiny_p_values_are_not_written_as_zero(value: float, text: str) -> None:
    assert p_text(value) == text
