import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform, label, map_coordinates

from scanproof.data.demo.anatomy import mni152, sample
from scanproof.data.demo.generator import demo_cohort
from scanproof.data.demo.lesions import MIN_AREA_MM2, VISIBLE_SHARE
from scanproof.data.demo.scanner import RELAXATION, SCANNERS, TISSUES
from scanproof.data.demo.shape import HeadShape
from scanproof.data.demo.warp import COARSE_MM, random_diffeomorphism, smooth_noise
from scanproof.errors import ScanproofError
from scanproof.seeds import generator

MATRIX = (112, 96)


@pytest.fixture(scope="module")
def north():
    return demo_cohort("north", subjects={"train": 6, "test": 6}, slices=4, matrix=MATRIX, seed=3)


def test_shapes_and_ranges(north) -> None:
    assert north.images.shape == (48, 1, *MATRIX)
    assert north.images.dtype == np.float32
    assert north.images.min() >= 0
    for subject in north.cases["subject"].unique():
        stack = north.images[(north.cases["subject"] == subject).to_numpy()]
        assert np.quantile(stack[stack > 0], 0.99) == pytest.approx(1, abs=1e-3)


def test_same_seed_same_cohort_and_other_seed_another(north) -> None:
    again = demo_cohort("north", subjects={"train": 6, "test": 6}, slices=4, matrix=MATRIX, seed=3)
    assert np.array_equal(again.images, north.images)
    other = demo_cohort("north", subjects={"train": 6, "test": 6}, slices=4, matrix=MATRIX, seed=4)
    assert not np.array_equal(other.images, north.images)


def test_adjacent_slices_are_those_of_a_volume() -> None:
    options = {"subjects": {"test": 2}, "matrix": MATRIX, "seed": 3}
    volumes = demo_cohort("north", slices=8, adjacent=True, **options)
    spread = demo_cohort("north", slices=8, **options)
    assert volumes.acquisition.slice_distance == 2.0
    assert spread.acquisition.slice_distance is None
    assert volumes.volumes() == [slice(0, 8), slice(8, 16)]

    def likeness(cohort) -> float:
        stack = cohort.images[:8, 0].reshape(8, -1)
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(stack)]))

    assert likeness(volumes) > likeness(spread) + 0.02
    with pytest.raises(ScanproofError, match="slices: adjacent slices must be at most 24, got 25"):
        demo_cohort("north", slices=25, adjacent=True, **options)


def test_a_larger_cohort_holds_the_smaller(north) -> None:
    larger = demo_cohort("north", subjects={"train": 7}, slices=4, matrix=MATRIX, seed=3)
    assert np.array_equal(larger.images[:24], north.select("train").images)


def test_subjects_lie_in_one_split(north) -> None:
    assert (north.cases.groupby("subject")["split"].nunique() == 1).all()
    assert north.cases["case"].is_unique


def test_labels_say_where_findings_are(north) -> None:
    area = north.findings.sum(axis=(1, 2, 3)) * 4.0
    positive = north.cases["label:lesion"].to_numpy() == 1
    assert (area[positive] >= MIN_AREA_MM2).all()
    assert (area[~positive] == 0).all()
    assert 0.2 < positive.mean() < 0.8


def test_lesions_lie_in_white_matter_and_are_bright(north) -> None:
    positive = north.cases["label:lesion"].to_numpy() == 1
    images, findings = north.images[positive], north.findings[positive]
    for image, finding in zip(images, findings, strict=True):
        tissue = image > 0.2
        assert tissue[finding].mean() > 0.95
    inside = np.mean([image[finding].mean() for image, finding in zip(images, findings, strict=True)])
    outside = np.mean([image[(image > 0.2) & ~finding].mean() for image, finding in zip(images, findings, strict=True)])
    assert inside > 1.1 * outside


def test_removing_lesions_would_remove_the_label() -> None:
    assert 0 < VISIBLE_SHARE < 1


def test_sites_differ_in_contrast_noise_and_coils() -> None:
    def ratio(name: str) -> float:
        return SCANNERS[name].signal("grey") / SCANNERS[name].signal("white")

    assert len({(s.coils, s.snr) for s in SCANNERS.values()}) == 3
    ratios = sorted(ratio(name) for name in SCANNERS)
    assert ratios[-1] - ratios[0] > 0.1


@pytest.mark.parametrize("site", SCANNERS)
def test_lesions_are_brighter_than_white_matter_at_every_site(site: str) -> None:
    machine = SCANNERS[site]
    assert machine.signal("lesion") > 1.3 * machine.signal("white")
    assert machine.signal("fluid") < machine.signal("white")


def test_signal_equation_by_bloch_integration() -> None:
    """Longitudinal relaxation after inversion, stepped in time, against the closed form of the signal."""
    machine = SCANNERS["north"]
    for tissue in TISSUES:
        t1, t2, density = RELAXATION[machine.field_strength][tissue]
        step, magnetisation = 0.5, 1.0
        for _ in range(3):  # repetitions until the steady state; the 90 degree pulse leaves nothing along z
            magnetisation = -magnetisation
            for _ in range(int(machine.ti / step)):
                magnetisation += step / t1 * (1 - magnetisation)
            signal = abs(magnetisation) * density * np.exp(-machine.te / t2)
            magnetisation = 0.0
            for _ in range(int((machine.tr - machine.ti) / step)):
                magnetisation += step / t1 * (1 - magnetisation)
        assert machine.signal(tissue) == pytest.approx(signal, abs=0.01)


def test_template_maps_are_shares() -> None:
    white, grey, fluid, texture = mni152().maps
    total = white + grey + fluid
    assert total.max() <= 1 + 1e-5
    assert total[49, 58, 50] == pytest.approx(1, abs=0.02)
    assert 0.7 < float(texture.min()) <= float(texture.max()) < 1.3


def test_sampling_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(7, 8, 9)).astype(np.float32)
    points = rng.uniform(0, 6, size=(50, 3)).astype(np.float32)
    ours = sample(torch.from_numpy(volume)[None], torch.from_numpy(points))[0].numpy()
    theirs = map_coordinates(volume, points.T, order=1)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_warps_keep_the_topology() -> None:
    """The Jacobian determinant of the map is positive everywhere: no folding."""
    for seed in range(4):
        field = random_diffeomorphism(
            (99, 117, 95), amplitude_mm=3.5, width_mm=20.0, generator=generator(seed, "warp")
        ).numpy()
        gradient = np.stack([np.stack(np.gradient(component, COARSE_MM)) for component in field])
        jacobian = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3)
        assert np.linalg.det(jacobian).min() > 0.2
        assert 1 < np.abs(field).max() < 30


def test_smooth_noise_has_unit_spread() -> None:
    field = smooth_noise((2, 40, 40), width=3.0, generator=generator(1, "noise"))
    assert field.std() == pytest.approx(1, abs=1e-5)
    assert np.abs(np.diff(field.numpy(), axis=-1)).mean() < 0.3


SMALLER = HeadShape(size=0.71, aspect=1.15, ventricles=1.6)


@pytest.fixture(scope="module")
def pairs():
    """The same test subjects as usual, with another head and with another sequence."""
    options = {"subjects": {"test": 6}, "slices": 4, "matrix": MATRIX, "seed": 3}
    return tuple(
        demo_cohort("north", **options, **changes) for changes in ({}, {"shape": SMALLER}, {"te": 0.6, "ti": 0.9})
    )


def test_other_heads_and_sequences_show_the_same_cases(pairs, north) -> None:
    usual, head, sequence = pairs
    assert np.array_equal(usual.images, north.select("test").images)
    for other in (head, sequence):
        assert other.cases.equals(usual.cases)
        assert (other.acquisition.coils, other.acquisition.snr) == (usual.acquisition.coils, usual.acquisition.snr)
        assert other.images.shape == usual.images.shape
        assert np.abs(other.images - usual.images).mean() > 0.02
    positive = usual.cases["label:lesion"].to_numpy() == 1
    for cohort in pairs:  # who has lesions shows them, who has none shows none
        assert cohort.findings[positive].any(axis=(1, 2, 3)).all()
        assert not cohort.findings[~positive].any()
    assert np.array_equal(sequence.findings, usual.findings)


def test_a_smaller_head_holds_the_same_anatomy(pairs) -> None:
    """Magnified by its size, it is the usual head: without wider ventricles up to interpolation."""
    options = {"subjects": {"test": 2}, "slices": 4, "matrix": MATRIX, "seed": 3}
    small = demo_cohort("north", **options, shape=HeadShape(size=0.8))
    for image, usual in zip(small.images[:, 0], pairs[0].images, strict=False):
        middle = (np.array(MATRIX) - 1) / 2
        back = affine_transform(image, np.diag([0.8, 0.8]), offset=middle - 0.8 * middle, order=1)
        assert np.corrcoef(back.ravel(), usual[0].ravel())[0, 1] > 0.97
        assert (image > 0.1).sum() / (usual[0] > 0.1).sum() == pytest.approx(0.64, rel=0.03)


def test_a_broader_head_is_wider_and_shorter(pairs) -> None:
    usual, head, _ = pairs
    for image, reference in zip(head.images[:, 0] > 0.1, usual.images[:, 0] > 0.1, strict=True):
        (length, width), (usual_length, usual_width) = (
            [np.ptp(np.flatnonzero(mask.any(axis=1 - axis))) for axis in (0, 1)] for mask in (image, reference)
        )
        assert (width / usual_width) / (length / usual_length) == pytest.approx(1.15, abs=0.06)


def test_wider_ventricles_hold_more_fluid_and_fold_nothing() -> None:
    y, x = torch.meshgrid(torch.arange(117.0), torch.arange(99.0), indexing="ij")
    points = torch.stack([x, y, torch.full_like(x, 47)], dim=-1)
    areas = []
    for factor in (1, 1.3, 1.6):
        moved = HeadShape(ventricles=factor).template(points)
        maps = sample(mni152().maps, moved)
        # the lateral ventricles are the fluid that lies within the brain, not at its surface
        parts, count = label((maps[2] > 0.6).numpy())
        areas.append(
            sum((parts == k).sum() for k in range(1, count + 1) if abs((parts == k).nonzero()[1] - 49).max() < 18)
        )
        step = [np.gradient(moved[..., axis].numpy(), axis=1 - axis) for axis in (0, 1)]
        assert min(s.min() for s in step) > 0
        assert torch.equal(moved[..., 2], points[..., 2])
        brain = maps[:3].sum(dim=0) > 0.5
        if factor == 1:
            usual = brain
        else:  # magnified in the middle by what was asked for; the surface of the brain stays
            assert 1 / step[0][58, 49] == pytest.approx(factor, rel=0.02)
            assert (brain ^ usual).sum() < 0.005 * usual.sum()
    assert areas[1] > 1.2 * areas[0]
    assert areas[2] > 1.2 * areas[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"te": 0}, "contrast: te must be positive and finite, got 0"),
        ({"ti": float("nan")}, "contrast: ti must be positive and finite, got nan"),
        ({"ti": 4}, r"contrast: ti must stay below the repetition time of 9000 ms, got 10000"),
    ],
)
def test_wrong_timing_is_named(change: dict, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        demo_cohort("north", subjects={"test": 1}, slices=1, matrix=MATRIX, seed=1, **change)


@pytest.mark.parametrize("name", ["size", "aspect", "ventricles"])
def test_wrong_heads_are_named(name: str) -> None:
    for value in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ScanproofError, match=f"anatomy: {name} must be "):
            HeadShape(**{name: value})


def test_unknown_site_lists_known_ones() -> None:
    with pytest.raises(ScanproofError, match=r"unknown demo site, got 'nroth' \(did you mean 'north'"):
        demo_cohort("nroth", subjects={"test": 1}, slices=1, matrix=MATRIX, seed=1)


def test_template_is_the_same_bit_for_bit_wherever_it_lies_in_memory() -> None:
    """Results are compared bit for bit, so nothing under them may depend on where memory was free."""
    first, blocks = mni152().maps, []
    for size in (1_000, 33_333, 250_001):
        blocks.append(bytearray(size))
        mni152.cache_clear()
        assert torch.equal(mni152().maps, first)
    assert len(blocks) == 3
