"""What every registered shift must hold. A new entry of ``SHIFTS`` inherits all of it."""

from __future__ import annotations

import importlib
import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose

import scanproof.transforms
from scanproof.errors import ScanproofError
from scanproof.transforms import SHIFTS
from scanproof.transforms.base import Shift
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.severity import GRADINGS, parameters

DTYPES = [torch.float16, torch.float32, torch.float64, torch.complex64, torch.complex128]


@pytest.fixture(params=sorted(SHIFTS))
def name(request) -> str:
    return request.param


@pytest.fixture
def make(name):
    def make(severity: int, *, seed: int = 1) -> Shift:
        shift = SHIFTS.create(name, {"severity": severity})
        shift.set_random_state(seed=seed)
        return shift

    return make


def dictionary_version(name: str) -> type[Shiftd]:
    array = SHIFTS.factory(name)
    return getattr(importlib.import_module(array.__module__), f"{array.__name__}d")


def sample(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    if dtype.is_complex:
        return torch.randn(*shape, dtype=dtype, generator=generator)
    return (torch.rand(*shape, dtype=torch.float32, generator=generator) + 0.1).to(dtype)


def test_names_and_constructors_agree(name):
    shift = SHIFTS.factory(name)
    assert shift.name == name
    assert shift.acts_on in ("kspace", "image")
    arguments = inspect.signature(shift).parameters
    assert all(a.kind is a.KEYWORD_ONLY for a in arguments.values())
    assert set(parameters(name, 1)) < set(arguments)
    assert set(GRADINGS[name].units) == set(parameters(name, 1))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_severity_zero_is_an_exact_copy(make, dtype):
    data = sample((2, 13, 14), dtype)
    result = make(0)(data)
    assert torch.equal(result, data)
    assert result.data_ptr() != data.data_ptr()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 24, 26), (3, 25, 23)])
def test_kind_is_kept_and_input_is_not_changed(make, shape, dtype):
    data = sample(shape, dtype)
    before = data.clone()
    result = make(3)(data, spacing=(1.0, 1.5))
    assert (result.shape, result.dtype, result.device) == (data.shape, data.dtype, data.device)
    assert torch.equal(data, before)
    assert torch.isfinite(result).all()
    assert not torch.allclose(result, data, rtol=1e-3)
    if not dtype.is_complex:
        assert (result >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_volumes(make, dtype):
    data = sample((2, 12, 13, 14), dtype)
    result = make(5)(data)
    assert result.shape == data.shape
    assert not torch.allclose(result, data, rtol=1e-3)


def test_same_seed_same_result(make, kspace, image):
    for data in (kspace, image):
        assert torch.equal(make(3)(data), make(3)(data))
        others = [make(3, seed=seed)(data) for seed in range(8)]
        assert any(not torch.equal(others[0], other) for other in others[1:])


def test_draws_do_not_depend_on_severity_or_shape(make, kspace, image):
    states = []
    for severity, data in [(0, kspace), (1, kspace), (5, kspace), (5, image), (2, image[..., :9])]:
        shift = make(severity)
        for _ in range(3):
            shift(data)
        states.append(shift.R.randint(2**31))
    assert len(set(states)) == 1


def test_bits_do_not_depend_on_the_number_of_threads(make):
    data = sample((4, 181, 217), torch.complex64)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = make(5)(data)
        torch.set_num_threads(2)
        assert torch.equal(make(5)(data), single)
    finally:
        torch.set_num_threads(threads)


def test_repeats_without_randomizing(make, kspace):
    shift = make(4)
    first = shift(kspace)
    assert torch.equal(shift(kspace, randomize=False), first)
    results = [shift(kspace) for _ in range(8)]
    assert any(not torch.equal(first, result) for result in results)


def test_geometry_is_kept(make, kspace, image):
    affine = torch.diag(torch.tensor([2.0, 1.5, 3.0, 1.0], dtype=torch.float64))
    for data in (kspace, image):
        meta = MetaTensor(data, affine=affine, meta={"filename_or_obj": "x.nii"})
        result = make(3)(meta)
        assert isinstance(result, MetaTensor)
        assert torch.equal(result.affine, affine)
        assert result.meta["filename_or_obj"] == "x.nii"
        assert torch.equal(result.as_tensor(), make(3)(data, spacing=(2.0, 1.5)))
        result.affine = torch.eye(4)
        assert torch.equal(meta.affine, affine)
        assert isinstance(make(0)(meta), MetaTensor)


def test_numpy_arrays_are_taken(make, image):
    assert torch.equal(make(2)(image.numpy()), make(2)(image))


def test_pickles(make, kspace):
    shift = make(3)
    clone = pickle.loads(pickle.dumps(shift))  # noqa: S301
    assert torch.equal(clone(kspace), shift(kspace))
    assert len(pickle.dumps(shift)) < 10_000


def test_damage_grows_with_severity(make, brain, brain_kspace):
    for data, seeds in ((brain, 8), (brain_kspace, 3)):
        errors = [
            np.mean([float((make(s, seed=i)(data, spacing=(2, 2)) - data).norm() / data.norm()) for i in range(seeds)])
            for s in range(6)
        ]
        assert errors[0] == 0
        assert np.all(np.diff(errors) > 0), errors
        assert errors[1] > 0.005


def test_gradients(make):
    shift = make(3)
    shift.randomize()

    def apply(x: torch.Tensor) -> torch.Tensor:
        return shift(x, spacing=(1.0, 2.0), randomize=False)

    assert torch.autograd.gradcheck(apply, (sample((1, 8, 9), torch.complex128).requires_grad_(),), fast_mode=True)
    assert torch.autograd.gradcheck(apply, (sample((2, 9, 8), torch.float64).requires_grad_(),), fast_mode=True)


def test_empty_image_stays_empty(make):
    shift = make(3)
    if shift.name == "complex_noise":
        with pytest.warns(UserWarning, match="no noise was added"):
            result = shift(torch.zeros(1, 12, 12))
    else:
        result = shift(torch.zeros(1, 12, 12))
    assert torch.equal(result, torch.zeros(1, 12, 12))


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


@pytest.mark.parametrize(
    ("data", "spacing", "text"),
    [
        (torch.full((1, 8, 8), torch.nan), None, "data must be finite everywhere"),
        (torch.full((1, 8, 8), torch.inf + 0j), None, "data must be finite everywhere"),
        (torch.ones(1, 8, 8, dtype=torch.int32), None, "must be complex k-space or a floating-point image, got 'torch"),
        (torch.ones(8, 8), None, r"a coil or channel axis and at least two spatial axes, got \(8, 8\)"),
        (-torch.ones(1, 8, 8), None, r"without negative values, got -1.0 \(apply shifts before"),
        (torch.ones(1, 8, 8), (1.0,), r"spacing must hold 2 positive numbers of mm, got \(1.0,\)"),
        (torch.ones(1, 8, 8), (1.0, 0.0), r"spacing must hold 2 positive numbers of mm, got \(1.0, 0.0\)"),
    ],
)
@pytest.mark.parametrize("severity", [0, 3])
def test_bad_data(make, severity, data, spacing, text):
    with pytest.raises(ScanproofError, match=text):
        make(severity)(data, spacing=spacing)


def test_dictionary_version_draws_once(name, kspace, image):
    shift = dictionary_version(name)(["image", "kspace", "again", "absent"], severity=3, allow_missing_keys=True)
    shift.set_random_state(seed=4)
    given = {"image": image, "kspace": kspace, "again": image, "label": 1}
    result = shift(given)
    assert set(result) == set(given)
    assert result["label"] == 1
    assert given["image"] is image
    assert torch.equal(result["image"], result["again"])
    array = SHIFTS.create(name, {"severity": 3})
    array.set_random_state(seed=4)
    assert torch.equal(result["image"], array(image))
    assert torch.equal(result["kspace"], array(kspace, randomize=False))
    assert not torch.equal(shift(given)["kspace"], result["kspace"]) or name == "ghosting"
    with pytest.raises(KeyError, match="absent"):
        dictionary_version(name)("absent", severity=3)(given)


def test_dictionary_version_is_exported(name):
    for version in (SHIFTS.factory(name), dictionary_version(name)):
        assert getattr(scanproof.transforms, version.__name__) is version
        assert version.__name__ in scanproof.transforms.__all__
        assert version.__doc__


def chain() -> Compose:
    return Compose([dictionary_version(name)("kspace", severity=2) for name in sorted(SHIFTS)])


def test_compose_is_seeded(kspace):
    results = [chain().set_random_state(seed=6)({"kspace": kspace})["kspace"] for _ in range(2)]
    assert torch.equal(*results)
    assert not torch.equal(results[0], chain().set_random_state(seed=7)({"kspace": kspace})["kspace"])


def test_data_loader_with_workers(kspace):
    data = Dataset([{"kspace": kspace}] * 4, transform=chain())
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


def test_unknown_names():
    with pytest.raises(ScanproofError, match=r"unknown shift, got 'ghost'.*bias_field, complex_noise, ghosting"):
        SHIFTS.create("ghost", {"severity": 1})
    with pytest.raises(ScanproofError, match=r"unknown option of shift 'ghosting', got 'gosts'.*did you mean 'ghosts'"):
        SHIFTS.create("ghosting", {"gosts": 1})
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = scanproof.transforms.Nothing
