from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from scanproof.errors import ScanproofError
from scanproof.tracking.model import TrackedStudy, TrainingRecord


def test_sites_end_with_their_mean(make_study: Callable[..., TrackedStudy]) -> None:
    assert make_study(sites=("south", "north")).sites == ["north", "south", "all"]
    assert make_study(sites=("north",)).sites == ["north"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"report": Path("nowhere.html")}, "nowhere.html: file must exist"),
        ({"data_sha256": {"north": "1"}}, "every site must have a hash of its data, got 'south'"),
        ({"figures": {"../a": Figure()}}, "name of a figure must be a file name, got '../a'"),
        ({"results": pd.DataFrame({"study": ["knees"]})}, "results: "),
    ],
)
def test_wrong_parts_are_named(
    make_study: Callable[..., TrackedStudy], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ScanproofError, match=message.replace("/", ".")):
        make_study(**changes)


def test_empty_results_are_refused(make_study: Callable[..., TrackedStudy]) -> None:
    with pytest.raises(ScanproofError, match="results must not be empty"):
        make_study(results=make_study().results.iloc[:0])


def test_history_needs_its_epochs() -> None:
    history = pd.DataFrame({"loss": [1.0]})
    with pytest.raises(ScanproofError, match=r"must have a column 'epoch', got \['loss'\]"):
        TrainingRecord(key="a", name="unet", kind="reconstruction", params={}, history=history, model_sha256="b")
