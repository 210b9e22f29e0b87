import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from scanproof.data.demo.anatomy import mni152, sample
from scanproof.data.demo.generator import demo_cohort
from scanproof.data.demo.lesions import MIN_AREA_MM2, VISIBLE_SHARE
from scanproof.data.demo.scanner import RELAXATION, SCANNERS, TISSUES
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


def test_a_larger_cohort_holds_the_smaller(north) -> None:
    larger = demo_cohort("north", subjects={"train": 7}, slices=4, matrix=MATRIX, seed=3)
    assert np.array_equal(larger.images[:24], north.select("train").images)


def test_subjects_lie_in_one_split(north) -> None:
    assert (north.cases.groupby("subject")["split"].nunique() == 1).all()
    assert north.cases["case"].is_unique


def test_labels_say_where_findings_are(north) -> None:
    area = north.findings.sum(axis=(1, 2, 3)) * 4.0
    positive = north.cases["label"].to_numpy() == 1
    assert (area[positive] >= MIN_AREA_MM2).all()
    assert (area[~positive] == 0).all()
    assert 0.2 < positive.mean() < 0.8


def test_lesions_lie_in_white_matter_and_are_bright(north) -> None:
    positive = north.cases["label"].to_numpy() == 1
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
