import numpy as np
import pytest
import torch
from nilearn import datasets
from scipy import ndimage

from scanproof.data.demo import generator
from scanproof.data.demo.findings import COUNTED_AREA_MM2, FINDINGS, LARGE_AREA_MM2, MIDLINE, read_findings
from scanproof.data.demo.generator import demo_cohort
from scanproof.data.demo.lesions import MIN_AREA_MM2
from scanproof.data.demo.shape import HeadShape
from scanproof.errors import ScanproofError

OPTIONS = {"subjects": {"test": 16}, "slices": 4, "matrix": (112, 96), "seed": 3}


@pytest.fixture(scope="module")
def cohort():
    return demo_cohort("north", **OPTIONS, labels=list(FINDINGS))


def test_further_labels_change_no_image(cohort) -> None:
    usual = demo_cohort("north", **OPTIONS)
    assert usual.targets == ("lesion",)
    assert cohort.targets == tuple(FINDINGS)
    assert np.array_equal(usual.images, cohort.images)
    assert usual.cases["label:lesion"].equals(cohort.cases["label:lesion"])


def test_findings_are_what_the_lesion_maps_show(cohort) -> None:
    """Sizes of lesions by another way through SciPy: sums of each labelled part."""
    for finding, row in zip(cohort.findings[:, 0], cohort.cases.to_dict("records"), strict=True):
        parts, count = ndimage.label(finding, ndimage.generate_binary_structure(2, 2))
        areas = 4 * np.asarray(ndimage.sum_labels(finding, parts, range(1, count + 1)))
        assert row["label:lesion"] == (4 * finding.sum() >= MIN_AREA_MM2)
        assert row["label:large_lesion"] == (areas >= LARGE_AREA_MM2).any()
        assert row["label:several_lesions"] == ((areas >= COUNTED_AREA_MM2).sum() > 1)


def test_every_finding_is_seen_and_missed_and_no_two_are_the_same(cohort) -> None:
    labels = cohort.cases[[f"label:{name}" for name in FINDINGS]].astype(int)
    assert labels.mean().between(0.05, 0.8).all()
    assert labels.T.drop_duplicates().shape[0] == len(FINDINGS)
    assert (labels.drop(columns="label:lesion").max(axis=1) <= labels["label:lesion"]).all()


def test_left_is_left(cohort) -> None:
    """The first axis of the template runs to the right, and the middle of the head lies at the midline."""
    affine = datasets.load_mni152_template(resolution=2).affine
    assert affine[0, 0] > 0
    assert abs((affine @ [MIDLINE, 0, 0, 1])[0]) <= 1
    # columns run from left to right, up to a turn and a shift of the head by a few millimetres
    for side, far in (("left", np.s_[:, :40]), ("right", np.s_[:, -40:])):
        area = np.array([4 * finding[far].sum() for finding in cohort.findings[:, 0]])
        seen = cohort.cases[f"label:{side}_lesion"].to_numpy(bool)
        assert (area >= MIN_AREA_MM2).any()
        assert seen[area >= MIN_AREA_MM2].all()


def test_another_head_shape_keeps_the_findings(cohort) -> None:
    small = demo_cohort("north", **OPTIONS, labels=list(FINDINGS), shape=HeadShape(size=0.75, ventricles=1.4))
    assert small.cases.equals(cohort.cases)
    assert not np.array_equal(small.findings, cohort.findings)


def test_thresholds_and_corners() -> None:
    x = torch.full((3, 12, 12), MIDLINE - 5)
    share = torch.zeros(3, 12, 12)
    share[0, 0, :12] = 1  # exactly 48 mm²
    share[1, 0, :11] = 1  # less
    share[2, :3, :2] = share[2, 3:6, 2:4] = 1  # two of 24 mm² that touch at a corner are one
    found = read_findings(share, torch.stack([x, x, x], dim=-1))
    assert found["lesion"].tolist() == found["left_lesion"].tolist() == [True, False, True]
    assert not found["right_lesion"].any()
    assert not found["several_lesions"].any()
    share[2, 3:6, 3:5], share[2, 3:6, 2] = 1, 0
    assert read_findings(share, torch.stack([x, x, x], dim=-1))["several_lesions"].tolist() == [False, False, True]


def test_unknown_findings_list_the_known_ones() -> None:
    with pytest.raises(ScanproofError, match=r"unknown finding of the demo cohort, got 'lesoin' \(did you mean 'les"):
        generator.demo_cohort("north", **OPTIONS, labels=["lesoin"])
