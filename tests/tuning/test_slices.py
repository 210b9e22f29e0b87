from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
from scanproof.errors import ScanproofError
from scanproof.study.definition import Study
from scanproof.study.tasks.cohort import read_cohort
from scanproof.tuning.search import make_search, read_samples
from scanproof.tuning.slices import choose_slices

COUNTS = st.lists(st.integers(1, 6), min_size=1, max_size=5)


@given(st.fixed_dictionaries({"north": COUNTS}, optional={"east": COUNTS}), st.data())
@settings(max_examples=30, deadline=None)
def test_slices_are_spread_over_subjects(sizes: dict[str, list[int]], data: st.DataObject) -> None:
    cases = {
        site: pd.DataFrame(
            [(f"s{n}", f"{site}-s{n}-{k}") for n, size in enumerate(counts) for k in range(size)],
            columns=["subject", "case"],
        )
        for site, counts in sizes.items()
    }
    total = sum(map(len, cases.values()))
    count = data.draw(st.integers(1, total))
    chosen = choose_slices(cases, count=count)
    assert len({one.case for one in chosen}) == len(chosen) == count
    for one in chosen:
        assert cases[one.site]["case"].iloc[one.place] == one.case
    # a subject has fewer slices than another only if it has no more
    shares = Counter((one.site, one.subject) for one in chosen)
    most = max(shares.values())
    for site, counts in sizes.items():
        for n, size in enumerate(counts):
            assert shares[site, f"s{n}"] >= min(size, most - 1)


def test_heights_differ_between_subjects() -> None:
    table = pd.DataFrame([(f"s{n}", f"s{n}-{k}") for n in range(4) for k in range(8)], columns=["subject", "case"])
    assert [one.case for one in choose_slices({"north": table}, count=4)] == ["s0-1", "s1-3", "s2-5", "s3-7"]


def test_slices_come_from_validation_subjects_alone(lab) -> None:
    search = lab.search(slices=6, objectives=["psnr"])
    key = search.slices.cohorts["north"]
    cohort = read_cohort(lab.store.get(key))
    split = dict(zip(cohort.cases["case"], cohort.cases["split"], strict=True))
    assert {split[one.case] for one in search.slices.chosen} == {"val"}
    assert list(search.slices.cohorts) == ["north"]  # the other site gives no training data
    assert search.slices.acceleration == 2  # the study's first
    samples = read_samples(search, lab.store)
    images = cohort.images[(cohort.cases["split"] == "val").to_numpy()]
    for one, sample in zip(search.slices.chosen, samples, strict=True):
        assert np.array_equal(sample[REFERENCE].numpy(), images[one.place])
        assert 1.5 < sample[MASK].numel() / int(sample[MASK].sum()) < 2.5
        assert not (sample[KSPACE] * ~sample[MASK]).any()


def test_without_need_no_reference_is_read(lab) -> None:
    for sample in read_samples(lab.search(), lab.store):
        assert set(sample) == {KSPACE, MASK, SENSITIVITIES}


def test_wrong_number_of_slices(lab) -> None:
    with pytest.raises(ScanproofError, match=r"--slices: must be in \[1, 6\], the number of validation slices, got 7"):
        lab.search(slices=7)


def test_study_without_validation_slices(lab, tmp_path: Path, study_of: Callable[..., Study]) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for subject, split in (("a", "train"), ("b", "test")):
        nib.save(
            nib.Nifti1Image(rng.random((32, 32, 8), np.float32), np.diag([2, 2, 4, 1])), tmp_path / f"{subject}.nii"
        )
        rows.append({"subject": subject, "site": "here", "path": f"{subject}.nii", "split": split})
    pd.DataFrame(rows).to_csv(tmp_path / "cohort.csv", index=False)
    data = {"kind": "volumes", "manifest": str(tmp_path / "cohort.csv"), "root": str(tmp_path), "matrix": [32, 28]}
    with pytest.raises(ScanproofError, match="data: study must have validation subjects at a training site"):
        make_search(study_of(data=data), lab.request(), root=tmp_path)
