"""What every registered shift must hold. A new entry of ``SHIFTS`` inherits all of it."""

from __future__ import annotations

import importlib
import inspect
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, Flipd, Invertd, Spacingd
from nilearn.datasets import load_mni152_template

import scanproof.transforms
from scanproof.errors import ScanproofError
from scanproof.transforms import SHIFTS
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd
from scanproof.transforms.severity import GRADINGS, parameters

DTYPES = [torch.float16, torch.float32, torch.float64, torch.complex64, torch.complex128]
#: shifts without anything random in them
CERTAIN = {
    "chemical_shift",
    "gamma_down",
    "gamma_up",
    "gibbs_phase_encode",
    "gibbs_ringing",
    "intensity_down",
    "intensity_up",
    "nyquist_ghost",
    "resolution_loss",
    "slice_thickness",
}


@pytest.fixture(params=sorted(SHIFTS))
def name(request) -> str:
    return request.param


@pytest.fixture
def make(name):
    return lambda severity, *, seed=1: SHIFTS.create(name, {"severity": severity, "seed": seed})


@pytest.fixture
def fewest(name) -> int:
    """The smaller of the numbers of spatial axes that the shift works in."""
    return min(SHIFTS.factory(name).dimensions)


@pytest.fixture
def both(fewest) -> list[torch.Tensor]:
    """k-space of three coils and a magnitude image."""
    spatial = (24, 26) if fewest == 2 else (12, 13, 14)
    return [sample((3, *spatial), torch.complex64), sample((1, *spatial), torch.float32)]


def version(name: str, pattern: str) -> type:
    array = SHIFTS.factory(name)
    return getattr(importlib.import_module(array.__module__), pattern.format(array.__name__))


def dictionary_version(name: str) -> type[Shiftd]:
    return version(name, "{}d")


def sample(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    if dtype.is_complex:
        return torch.randn(*shape, dtype=dtype, generator=generator)
    return (torch.rand(*shape, dtype=torch.float32, generator=generator) + 0.1).to(dtype)


def test_names_and_constructors_agree(name):
    shift = SHIFTS.factory(name)
    assert shift.name == name
    assert shift.acts_on in ("kspace", "lines", "image", "any")
    assert set(shift.dimensions) <= {2, 3}
    arguments = inspect.signature(shift).parameters
    assert all(a.kind is a.KEYWORD_ONLY for a in arguments.values())
    assert set(parameters(name, 1)) < set(arguments)
    assert {"severity", "seed"} < set(arguments)
    assert set(GRADINGS[name].units) == set(parameters(name, 1))
    assert shift.counts <= set(parameters(name, 1))


def test_there_is_no_grading_without_a_shift():
    assert set(GRADINGS) == set(SHIFTS)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_severity_zero_is_an_exact_copy(make, fewest, dtype):
    data = sample((2, 13, 14) if fewest == 2 else (2, 5, 13, 14), dtype)
    result = make(0)(data)
    assert torch.equal(result, data)
    assert result.data_ptr() != data.data_ptr()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("spatial", [(24, 26), (25, 23), (12, 13, 14)], ids=str)
def test_kind_is_kept_and_input_is_not_changed(make, fewest, spatial, dtype):
    if len(spatial) < fewest:
        spatial = (11, 9, 16)
    data = sample((3, *spatial), dtype)
    before = data.clone()
    result = make(3)(data, spacing=(1.0, 1.5, 2.0)[: len(spatial)])
    assert (result.shape, result.dtype, result.device) == (data.shape, data.dtype, data.device)
    assert torch.equal(data, before)
    assert torch.isfinite(result).all()
    assert not torch.allclose(result, data, rtol=1e-3)
    if not dtype.is_complex:
        assert (result >= 0).all()


@pytest.mark.parametrize("name", sorted(SHIFTS))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_shape(name, data):
    shift = SHIFTS.factory(name)
    dims = data.draw(st.sampled_from(shift.dimensions))
    spatial = tuple(data.draw(st.lists(st.integers(12, 29), min_size=dims, max_size=dims)))
    dtype = data.draw(st.sampled_from([torch.float32, torch.complex64]))
    channels = data.draw(st.integers(2, 4))
    severity, seed = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 2**40))
    x = sample((channels, *spatial), dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*there was nothing to change")
        result = SHIFTS.create(name, {"severity": severity})(x, seed=seed)
    assert (result.shape, result.dtype) == (x.shape, dtype)
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_memory_layout_has_no_influence(make, fewest, dtype):
    spatial = (18, 20, 12)[:fewest]
    data = sample((3, *spatial), dtype)
    transposed = data.transpose(-1, -2).contiguous().transpose(-1, -2)
    torch.testing.assert_close(make(3)(transposed), make(3)(data), rtol=1e-4, atol=1e-5)
    if dtype.is_complex:
        torch.testing.assert_close(make(3)(data.conj()), make(3)(data.conj().resolve_conj()))


def test_same_seed_same_result(make, both, name):
    for data in both:
        assert torch.equal(make(3)(data), make(3)(data))
        assert torch.equal(make(3, seed=9)(data), make(3)(data, seed=9))
    others = [[make(3)(data, seed=seed) for seed in range(8)] for data in both]
    differ = any(not torch.equal(first, other) for first, *rest in others for other in rest)
    assert differ == (name not in CERTAIN)


def test_order_has_no_influence(make, both):
    shift = make(4)
    first = [shift(data) for data in both]
    again = [shift(data) for data in reversed(both)]
    assert all(torch.equal(a, b) for a, b in zip(first, reversed(again), strict=True))


def test_bits_do_not_depend_on_the_number_of_threads(make, fewest):
    spatial = (181, 217) if fewest == 2 else (24, 64, 65)
    threads = torch.get_num_threads()
    data = sample((4, *spatial), torch.complex64)
    try:
        torch.set_num_threads(1)
        single = make(5)(data)
        torch.set_num_threads(2)
        assert torch.equal(make(5)(data), single)
    finally:
        torch.set_num_threads(threads)


def test_geometry_is_kept(make, both, fewest):
    affine = torch.diag(torch.tensor([2.0, 1.5, 3.0, 1.0], dtype=torch.float64))
    for data in both:
        meta = MetaTensor(data, affine=affine, meta={"filename_or_obj": "x.nii"})
        result = make(3)(meta)
        assert isinstance(result, MetaTensor)
        assert torch.equal(result.affine, affine)
        assert result.meta["filename_or_obj"] == "x.nii"
        assert torch.equal(result.as_tensor(), make(3)(data, spacing=(2.0, 1.5, 3.0)[:fewest]))
        result.affine = torch.eye(4)
        assert torch.equal(meta.affine, affine)
        assert isinstance(make(0)(meta), MetaTensor)


def test_lazy_resampling_and_its_inverse(name, both, fewest):
    """In a lazy pipeline pending resampling is done first; inverting it skips the artifact."""
    image = MetaTensor(both[1], affine=torch.eye(4))
    steps = [Flipd("image", spatial_axis=0), Spacingd("image", pixdim=(1.0, 1.25, 1.0)[:fewest])]
    steps.append(dictionary_version(name)("image", severity=2, seed=3))
    eager, lazy = (Compose(steps, lazy=lazy) for lazy in (False, True))
    result = eager({"image": image})
    torch.testing.assert_close(lazy({"image": image})["image"], result["image"], rtol=1e-2, atol=1e-2)
    restored = Invertd("image", eager, orig_keys="image", nearest_interp=False)(result)["image"]
    assert restored.shape == image.shape


def test_numpy_arrays_are_taken(make, both):
    for data in both:
        assert torch.equal(make(2)(data.numpy()), make(2)(data))


def test_pickles(make, both):
    shift = make(3)
    clone = pickle.loads(pickle.dumps(shift))  # noqa: S301
    assert all(torch.equal(clone(data), shift(data)) for data in both)
    assert len(pickle.dumps(shift)) < 10_000


@pytest.fixture(scope="session")
def head_volume():
    """The MNI152 head at 4 mm, float32 ``(1, 50, 59, 48)``."""
    volume = torch.from_numpy(load_mni152_template(resolution=2).get_fdata(dtype="float32"))
    small = torch.nn.functional.avg_pool3d(volume[None], 2, ceil_mode=True)
    return small / small.max()


def test_damage_grows_with_severity(make, fewest, brain, brain_kspace, head_volume):
    given = ((brain, 8), (brain_kspace, 3)) if fewest == 2 else ((head_volume, 1),)
    for data, seeds in given:
        errors = [
            np.mean([float((make(s)(data, spacing=(2,) * fewest, seed=i) - data).norm()) for i in range(seeds)])
            / float(data.norm())
            for s in range(6)
        ]
        assert errors[0] == 0
        assert np.all(np.diff(errors) > 0), errors
        assert errors[1] > 0.005


def test_gradients(make, fewest):
    shift = make(3)
    spacing = (1.0, 2.0, 1.5)[:fewest]
    for shape, dtype in (((2, 8, 9), torch.complex128), ((2, 9, 8), torch.float64)):
        data = sample(shape if fewest == 2 else (2, 6, 6, 8), dtype).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: shift(x, spacing=spacing), (data,), fast_mode=True)


def test_empty_image_stays_empty(make, fewest):
    empty = torch.zeros(1, *(12,) * fewest)
    with pytest.warns(UserWarning, match="there was nothing to change in this image"):
        result = make(3)(empty)
    assert torch.equal(result, empty)


def test_severity_or_parameters(name):
    level = parameters(name, 2)
    shift = SHIFTS.create(name, level)
    assert shift.parameters == level == SHIFTS.create(name, {"severity": 2}).parameters
    assert SHIFTS.create(name, {"severity": 0}).parameters == {}
    names = " and ".join(level)
    with pytest.raises(ScanproofError, match=f"^{name}: give either severity or {names}, not both$"):
        SHIFTS.create(name, {"severity": 2, **level})
    with pytest.raises(ScanproofError, match=f"^{name}: give either severity or {names}, got {{}}$"):
        SHIFTS.create(name)
    for parameter, value in level.items():
        if len(level) > 1:
            with pytest.raises(ScanproofError, match=f"^{name}: give either severity or {names}, got {{'{parameter}'"):
                SHIFTS.create(name, {parameter: value})
        for bad in (-1, float("nan")):
            with pytest.raises(ScanproofError, match=f"^{name}: {parameter} must be .*, got {bad}"):
                SHIFTS.create(name, level | {parameter: bad})


@pytest.mark.parametrize(
    ("severity", "text"),
    [
        (7, r"severity must be in \[0, 5\], got 7"),
        (-1, r"severity must be in \[0, 5\], got -1"),
        (2.5, "severity must be an integer, got 2.5"),
        (True, "severity must be an integer, got True"),
    ],
)
def test_bad_severity(name, severity, text):
    with pytest.raises(ScanproofError, match=text):
        SHIFTS.create(name, {"severity": severity})


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_bad_seed(name, make, both, seed):
    with pytest.raises(ScanproofError, match="seed must be an integer of at least 0, got"):
        SHIFTS.create(name, {"severity": 1, "seed": seed})
    with pytest.raises(ScanproofError, match="seed must be an integer of at least 0, got"):
        make(1)(both[0], seed=seed)


@pytest.mark.parametrize(
    ("data", "spacing", "text"),
    [
        (torch.full((1, 8, 8), torch.nan), None, "data must be finite everywhere"),
        (torch.full((1, 8, 8), torch.inf + 0j), None, "data must be finite everywhere"),
        (torch.ones(1, 8, 8, dtype=torch.int32), None, "must be complex k-space or a floating-point image, got 'torch"),
        (torch.ones(8, 8), None, r"a coil or channel axis and at least two spatial axes, got \(8, 8\)"),
        (torch.ones(0, 8, 8), None, r"data must not be empty, got \(0, 8, 8\)"),
        (torch.ones(1, 1, 8, 8, 8, 8), None, r"data must have (2 or )?3 spatial axes, got \(1, 1, 8, 8, 8, 8\)"),
        (-torch.ones(1, 8, 8), None, r"without negative values, got -1.0 \(apply shifts before"),
        (torch.ones(1, 8, 8, 8), (1.0,), r"spacing must hold 3 positive numbers of mm, got \(1.0,\)"),
        (torch.ones(1, 8, 8, 8), (1.0, 1.0, 0.0), r"spacing must hold 3 positive numbers of mm, got \(1.0, 1.0, 0.0\)"),
    ],
)
@pytest.mark.parametrize("severity", [0, 3])
def test_bad_data(make, severity, data, spacing, text):
    with pytest.raises(ScanproofError, match=text):
        make(severity)(data, spacing=spacing)


def test_dictionary_version(name, both):
    kspace, image = both
    shift = dictionary_version(name)(["image", "kspace", "absent"], severity=3, seed=4, allow_missing_keys=True)
    given = {"image": image, "kspace": kspace, "label": 1}
    result = shift(given)
    assert set(result) == set(given)
    assert result["label"] == 1
    assert given["image"] is image
    array = SHIFTS.create(name, {"severity": 3, "seed": 4})
    assert torch.equal(result["image"], array(image))
    assert torch.equal(result["kspace"], array(kspace))
    with pytest.raises(KeyError, match="absent"):
        dictionary_version(name)("absent", severity=3)(given)


def test_random_version(name, both):
    random: type[RandShift] = version(name, "Rand{}")
    augment = random(0.6, severity=(1, 3)).set_random_state(seed=2)
    kspace = both[0]
    seen, severities = [], set()
    for _ in range(20):
        result = augment(kspace)
        seen.append(torch.equal(result, kspace))
        severities.add(augment.transform.severity)
        if not seen[-1]:
            assert torch.equal(result, augment.transform(kspace))
            assert torch.equal(result, augment(kspace, randomize=False))
    assert 2 <= sum(seen) <= 14
    assert severities == {1, 2, 3}
    again = random(0.6, severity=(1, 3)).set_random_state(seed=2)
    assert [torch.equal(again(kspace), kspace) for _ in range(20)] == seen


def test_random_version_of_physical_parameters(name, both):
    mild, strong = parameters(name, 2), parameters(name, 4)
    ranges = {key: tuple(sorted((mild[key], strong[key]))) for key in mild}
    augment = version(name, "Rand{}")(1.0, **ranges).set_random_state(seed=3)
    drawn = []
    for _ in range(6):
        assert not torch.equal(augment(both[0]), both[0])
        drawn.append(augment.transform.parameters)
        for key, (low, high) in ranges.items():
            assert low <= drawn[-1][key] <= high
            if key in augment.shift.counts:
                assert float(drawn[-1][key]).is_integer()
    assert any(values != drawn[0] for values in drawn)


def test_random_dictionary_version_draws_once(name, both):
    kspace, image = both
    random: type[RandShiftd] = version(name, "Rand{}d")
    augment = random(["image", "kspace", "absent"], prob=0.5, severity=3, allow_missing_keys=True)
    augment.set_random_state(seed=4)
    changed = []
    for _ in range(12):
        result = augment({"image": image, "kspace": kspace, "label": 1})
        changed.append(not torch.equal(result["kspace"], kspace))
        assert changed[-1] == (not torch.equal(result["image"], image))
        if changed[-1]:
            assert torch.equal(result["image"], augment.transform.transform(image))
    assert 0 < sum(changed) < 12


def test_versions_are_exported(name):
    for pattern in ("{}", "{}d", "Rand{}", "Rand{}d"):
        found = version(name, pattern)
        assert getattr(scanproof.transforms, found.__name__) is found
        assert found.__name__ in scanproof.transforms.__all__
        assert found.__doc__


def chain(*, random: bool = False) -> Compose:
    names = [name for name in sorted(SHIFTS) if 2 in SHIFTS.factory(name).dimensions]
    if random:
        return Compose([version(name, "Rand{}d")("kspace", prob=0.3, severity=(1, 2)) for name in names])
    return Compose([dictionary_version(name)("kspace", severity=1) for name in names])


# an artifact may find its lines lost to another one already
@pytest.mark.filterwarnings("ignore:.*there was nothing to change")
def test_compose_is_seeded(kspace):
    assert torch.equal(*(chain()({"kspace": kspace})["kspace"] for _ in range(2)))
    results = [chain(random=True).set_random_state(seed=6)({"kspace": kspace})["kspace"] for _ in range(2)]
    assert torch.equal(*results)
    assert not torch.equal(results[0], chain(random=True).set_random_state(seed=7)({"kspace": kspace})["kspace"])


@pytest.mark.filterwarnings("ignore:.*there was nothing to change")
def test_data_loader_with_workers(kspace):
    data = Dataset([{"kspace": kspace}] * 4, transform=chain(random=True))
    loader = DataLoader(data, batch_size=1, num_workers=2)
    batches = []
    for _ in range(2):
        torch.manual_seed(0)  # MONAI's loader seeds the transforms of its workers from PyTorch's seed
        batches.append(torch.cat([batch["kspace"] for batch in loader]))
    assert batches[0].shape == (4, *kspace.shape)
    assert torch.equal(*batches)
    assert not torch.equal(batches[0][0], batches[0][1])


def test_listing_shifts_imports_neither_torch_nor_monai():
    code = (
        "import sys, scanproof.transforms as t; list(t.SHIFTS); print({'torch', 'monai', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_static_imports_name_what_exists():
    """What an editor is told is what there is."""
    source = inspect.getsource(scanproof.transforms)
    told = {name for name, again in re.findall(r"(\w+) as (\w+)\b", source) if name == again}
    assert told == set(scanproof.transforms.__all__) - {"SHIFTS"}


def test_unknown_names():
    with pytest.raises(ScanproofError, match=r"unknown shift, got 'ghost'.*bias_field, chemical_shift"):
        SHIFTS.create("ghost", {"severity": 1})
    with pytest.raises(ScanproofError, match=r"unknown option of shift 'ghosting', got 'gosts'.*did you mean 'ghosts'"):
        SHIFTS.create("ghosting", {"gosts": 1})
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = scanproof.transforms.Nothing


def test_docstring_tells_the_levels(name):
    """The severities that a class documents are those of the table."""
    text = inspect.getdoc(SHIFTS.factory(name)).partition("Severity:")[2].partition("\n\n")[0]
    told = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}
    assert {float(value) for level in GRADINGS[name].levels for value in level.values()} <= told
