from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from scanproof.reconstruction.untrained.stopping import EarlyStop


@settings(max_examples=30, deadline=None)
@given(
    errors=st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=60),
    window=st.integers(1, 6),
    patience=st.integers(1, 8),
)
def test_stops_where_the_sliding_mean_has_had_its_minimum(errors, window: int, patience: int) -> None:
    """Against NumPy's sliding windows over the whole series."""
    rule = EarlyStop(window=window, patience=patience)
    stopped = next((n for n, error in enumerate(errors) if rule.update(error)), None)
    expected = None
    if len(errors) >= window:
        means = [sum(part.tolist()) / window for part in np.lib.stride_tricks.sliding_window_view(errors, window)]
        for n in range(len(means)):
            # the first position of the lowest mean so far
            if n - means.index(min(means[: n + 1])) >= patience:
                expected = n + window - 1
                break
    assert stopped == expected


def test_an_error_that_falls_never_stops() -> None:
    rule = EarlyStop(window=5, patience=1)
    assert not any(rule.update(1 / (n + 1)) for n in range(500))


def test_one_outlier_does_not_stop() -> None:
    rule = EarlyStop(window=10, patience=15)
    assert not any(rule.update(1 / (n + 1) + (n == 50)) for n in range(200))
