from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.space import Choices, Range
from scanproof.tuning.settings import tunable
from scanproof.tuning.space import decode, distributions, encode, narrow, widen
from scanproof.tuning.storage import open_storage

METHODS = ("conv_decoder", "deep_decoder", "deep_image_prior")
MIXED = {
    "size": Choices((None, (4, 4), (8, 4))),
    "norm": Choices(("batch", "none")),
    "skips": Choices((False, True)),
    "averaging": Choices((0.0, 0.9)),
    "layers": Range("int", 4, 10),
    "rate": Range("float", 1e-3, 1e-1, log=True),
}


@pytest.mark.parametrize("storage", ["trials.journal", "sqlite:///{}/trials.db"])
def test_every_value_survives_a_storage(tmp_path: Path, storage: str) -> None:
    options = {"size": (8, 4), "norm": "none", "skips": True, "averaging": 0.9, "layers": 7, "rate": 0.0123}
    url = storage.format(tmp_path) if "://" in storage else None
    for read in (False, True):
        with open_storage(url, default=tmp_path / storage) as opened:
            study = optuna.create_study(study_name="s", storage=opened, load_if_exists=True)
            if not read:
                study.enqueue_trial(dict(encode(options, MIXED)))
                study.tell(study.ask(distributions(MIXED)), 1.0)
            assert decode(study.trials[0].params, MIXED) == options


@given(st.integers(0, 2**31), st.sampled_from(METHODS))
@settings(max_examples=20, deadline=None)
def test_what_is_drawn_is_in_the_space(seed: int, method: str) -> None:
    space = tunable(method).search_space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    drawn = decode(study.ask(distributions(space)).params, space)
    assert list(drawn) == list(space)
    for name, axis in space.items():
        if isinstance(axis, Choices):
            assert any(drawn[name] is value or drawn[name] == value for value in axis.values)
        else:
            assert axis.low <= drawn[name] <= axis.high
            assert isinstance(drawn[name], int if axis.kind == "int" else float)


def test_space_grows_to_hold_the_start() -> None:
    start = {"size": [16, 8], "norm": "batch", "skips": False, "averaging": 0.5, "layers": 12, "rate": 1e-4}
    wide = widen(MIXED, start)
    assert wide["layers"] == Range("int", 4, 12)
    assert wide["rate"] == Range("float", 1e-4, 1e-1, log=True)
    assert wide["norm"] == MIXED["norm"]
    assert decode(encode(start, wide), wide) == start


def test_start_that_is_no_number_is_refused_with_a_way_out() -> None:
    with pytest.raises(ScanproofError, match=r"rate: search must start from a number, got None .*--set rate=null"):
        widen({"rate": MIXED["rate"]}, {"rate": None})


def test_narrow() -> None:
    assert list(narrow(MIXED, only=["rate", "norm"], fixed={})) == ["norm", "rate"]
    assert "rate" not in narrow(MIXED, only=[], fixed={"rate": 1, "other": 2})
    with pytest.raises(ScanproofError, match=r"unknown option that can be searched, got 'rates'.*did you mean 'rate'"):
        narrow(MIXED, only=["rates"], fixed={})
    with pytest.raises(ScanproofError, match="--only: option must be either searched or set, got 'rate'"):
        narrow(MIXED, only=["rate"], fixed={"rate": 1})
    with pytest.raises(ScanproofError, match="at least one option must be searched"):
        narrow(MIXED, only=[], fixed=dict.fromkeys(MIXED))
