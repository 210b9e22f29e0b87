"""What is said of files beside each other: copies, geometry, intensity, balance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanproof.data.check.balance import balances, shares
from scanproof.data.check.duplicates import find_duplicates
from scanproof.data.check.inspect import FileFacts
from scanproof.data.check.intensity import measure_intensity
from scanproof.data.check.outliers import find_geometries, odd_geometries, odd_intensities


def table(**columns: object) -> pd.DataFrame:
    rows = pd.DataFrame(columns)
    count = len(rows)
    given = {"subject": [f"s{k}" for k in range(count)], "site": ["x"] * count, "split": [None] * count}
    named = {"line": range(2, count + 2), "listed": [f"{k}.nii" for k in range(count)]}
    for name, values in {**given, **named}.items():
        if name not in rows:
            rows[name] = list(values)
    return rows


def test_copies_are_judged_by_whose_they_are() -> None:
    files = table(
        content=["a", "b", "c", "d", "d", "e", "f", None],
        pixels=["1", "1", "1", "2", "2", None, "3", None],
        subject=["p", "p", "q", "r", "r", "t", "u", "v"],
        split=["train", "train", "train", "train", "test", "val", "val", "val"],
    )
    problems, notes = find_duplicates(files)
    assert [(p.line, p.value) for p in problems] == [(4, ["p", "q"]), (6, ["train", "test"])]
    assert [(n.line, n.rule) for n in notes] == [(3, "has the same voxels or pixels as line 2, of the same subject")]


def test_copies_with_other_labels_contradict() -> None:
    files = table(content=["a", "a"], pixels=["1", "1"], subject=["p", "p"])
    files["label:cyst"] = pd.array([0, 1], dtype="Int64")
    problems, notes = find_duplicates(files)
    assert "must have the same labels" in problems[0].rule
    assert notes == []


def test_files_that_cannot_be_read_are_compared_by_bytes() -> None:
    problems, _ = find_duplicates(table(content=["a", "a"], pixels=[None, None]))
    assert len(problems) == 1


def fact(shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> FileFacts:
    return FileFacts(gives="volumes", format="NIfTI", shape=shape, spacing=spacing)


def test_nearly_equal_geometries_stand_together() -> None:
    facts = [fact((64, 64, 20 + k % 3), (1.0 + 0.001 * k, 1.0, 3.0)) for k in range(12)]
    facts += [fact((64, 64, 20), (2.0, 2.0, 3.0)), FileFacts()]
    files = table(site=["x"] * 14)
    groups = find_geometries(files["site"], facts)
    assert [len(group.rows) for group in groups] == [12, 1]
    assert groups[0].slices == (20, 22)
    notes = odd_geometries(groups, files)
    assert [note.line for note in notes] == [14]


def test_few_files_tell_nothing_of_what_is_usual() -> None:
    facts = [fact((64, 64, 20), (1.0, 1.0, 3.0))] * 5 + [fact((9, 9, 9), (1.0, 1.0, 3.0))]
    assert odd_geometries(find_geometries(table(site=["x"] * 6)["site"], facts), table(site=["x"] * 6)) == []


def with_values(scale: float, *, seed: int, negative: bool = False, clip: float = np.inf) -> FileFacts:
    voxels = scale * np.minimum(np.random.default_rng(seed).rayleigh(100, (24, 24, 4)), clip)
    intensity = measure_intensity((voxels - 50 * negative).astype(np.float32))
    return FileFacts(gives="volumes", format="NIfTI", shape=(24, 24, 4), intensity=intensity)


def test_values_far_from_the_sites_are_named() -> None:
    facts = [with_values(1.0, seed=k) for k in range(20)]
    facts += [with_values(40.0, seed=20), with_values(1.0, seed=21, negative=True), with_values(1.0, seed=22, clip=120)]
    notes = odd_intensities(table(site=["x"] * 23), facts)
    named = {note.line: note.rule for note in notes}
    assert set(named) == {22, 23, 24}
    assert "99th percentile" in named[22]
    assert "not negative" in named[23]
    assert any("clipped" in note.rule for note in notes if note.line == 24)


def test_two_sites_are_not_compared_with_each_other() -> None:
    facts = [with_values(1.0 if k < 10 else 40.0, seed=k) for k in range(20)]
    assert odd_intensities(table(site=["x"] * 10 + ["y"] * 10), facts) == []


@pytest.mark.parametrize("seed", range(3))
def test_counts_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    files = table(
        subject=rng.choice(list("abcdef"), 40).tolist(),
        site=rng.choice(["x", "y"], 40).tolist(),
        split=rng.choice(["train", "val", "test"], 40).tolist(),
        broken=rng.random(40) < 0.2,
        size=rng.integers(1, 99, 40),
    )
    files["label:cyst"] = pd.array(rng.choice([0, 1, pd.NA], 40), dtype="Int64")
    parts = shares(files)
    assert sum(part.files for part in parts) == 40
    assert sum(part.size for part in parts) == files["size"].sum()
    assert [part.split for part in parts if part.site == "x"] == ["train", "val", "test"]
    for row in balances(files):
        here = files[(files["site"] == row.site) & (files["split"] == row.split)]
        assert row.positive == (here["label:cyst"] == 1).sum()
        assert row.missing == here["label:cyst"].isna().sum()
        assert row.positive + row.negative + row.missing == len(here)
        assert row.subjects == here.loc[(here["label:cyst"] == 1).fillna(False), "subject"].nunique()
