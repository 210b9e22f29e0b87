"""What an endpoint's interval is held against."""

import pytest

from scanproof.protocol.exchange.record import Endpoint


@pytest.mark.parametrize(
    ("rule", "limit", "bounds"),
    [
        ("at_least", 0.6, (0.6,)),
        ("at_most", 0.2, (0.2,)),
        ("better", 0.0, (0.0,)),
        ("not_worse", 0.1, (-0.1,)),
        ("not worse", 0.1, (-0.1,)),
        ("similar", 0.1, (-0.1, 0.1)),
        ("at_least", None, ()),
    ],
)
def test_margins_of_comparisons_count_to_their_side(rule: str, limit: float | None, bounds: tuple[float, ...]) -> None:
    endpoint = Endpoint(
        name="e", role="primary", text="t", metric="auroc", rule=rule, limit=limit, estimate=0.0, lower=-0.1,
        upper=0.1, subjects=30, cases=60, verdict="undecided", decided_by="d",
    )  # fmt: skip
    assert endpoint.bounds == bounds
