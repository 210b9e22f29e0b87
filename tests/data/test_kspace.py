from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kspace_files import write_fastmri, write_ismrmrd, xml_header
from scanproof.data.kspace import chosen_slices, kspace_cohort, kspace_reader
from scanproof.data.manifest import LabelledFile
from scanproof.data.scans import ArrayFile
from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.simulate import synthetic_kspace

SHAPE = (48, 40)


def scan(*, slices: int = 3, coils: int = 4, noise: float = 0.002, seed: int = 1, shape=SHAPE) -> np.ndarray:
    """Raw data of a disc that grows from slice to slice, in units of a scanner."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, shape[0]), torch.linspace(-1, 1, shape[1]), indexing="ij")
    found = []
    for place in range(slices):
        disc = (x**2 + y**2 < 0.3 + 0.05 * place).float() + 0.5 * ((x - 0.2) ** 2 + y**2 < 0.05).float()
        generator = torch.Generator().manual_seed(seed + place)
        maps = birdcage_sensitivities(coils, shape)
        found.append(synthetic_kspace(disc[None], maps, generator=generator, noise_std=noise))
    return 1e-6 * torch.stack(found).numpy()


def files(*paths: Path) -> list[LabelledFile]:
    return [LabelledFile(f"s{n}", str(path), (n % 2,), "test") for n, path in enumerate(paths)]


def cohort(folder: Path, *paths: Path, **options: object):
    settings = {"slices": 2, "extent": (0.0, 1.0), "matrix": SHAPE} | options
    return kspace_cohort("site", files(*paths), folder=folder, targets=("lesion",), **settings)


def test_references_and_maps_are_those_of_the_object(tmp_path: Path) -> None:
    raw = scan(noise=1e-4)
    found = cohort(tmp_path, write_fastmri(tmp_path / "a.h5", raw), slices=3)
    assert found.images.shape == (3, 1, *SHAPE)
    assert found.images.dtype == np.float32
    # the coils' root-sum-of-squares is one, so without noise it is the object
    expected = root_sum_of_squares(kspace_to_image(torch.from_numpy(raw)), dim=1).numpy()
    scale = np.percentile(found.images[found.images > 0], 99)
    assert scale == pytest.approx(1, rel=1e-3)
    inside = found.images[:, 0] > 0.3
    ratio = expected[inside] / found.images[:, 0][inside]
    assert ratio.std() / ratio.mean() < 0.01
    for case in range(3):
        kspace, maps = found.scans[case]
        assert kspace.dtype == maps.dtype == torch.complex64
        combined = (maps.conj() * kspace_to_image(kspace)).sum(dim=0).abs()
        torch.testing.assert_close(combined, torch.from_numpy(found.images[case, 0]), atol=1e-6, rtol=1e-5)
        rss = root_sum_of_squares(maps, dim=0)
        torch.testing.assert_close(rss, (rss > 0.5).float(), atol=1e-5, rtol=0)
    assert list(found.cases["case"]) == ["s0-0-0", "s0-0-1", "s0-0-2"]
    assert found.acquisition.facts["k-space"] == "measured"
    assert found.acquisition.facts["echo time (ms)"] == "12.5"


def test_arrays_are_mapped_files(tmp_path: Path) -> None:
    found = cohort(tmp_path, *(write_fastmri(tmp_path / f"{n}.h5", scan(seed=n)) for n in range(3)))
    assert isinstance(found.scans.kspace, np.memmap)
    assert found.scans.kspace.shape == found.scans.sensitivities.shape == (6, 4, *SHAPE)
    some = found.scans.select(np.array([False, True] * 3))
    assert some.kspace is found.scans.kspace
    assert len(some) == 3
    torch.testing.assert_close(some[1][0], found.scans[3][0])


def test_the_signal_to_noise_ratio_is_found(tmp_path: Path) -> None:
    loud = cohort(tmp_path, write_fastmri(tmp_path / "a.h5", scan(noise=0.04, shape=(96, 80))), matrix=(96, 80))
    assert loud.acquisition.snr == pytest.approx(1 / 0.04, rel=0.25)


def test_matrix_and_oversampling(tmp_path: Path) -> None:
    raw = scan()
    path = write_fastmri(tmp_path / "a.h5", raw, header=xml_header(SHAPE, pixel=(1.5, 2.5)))
    found = cohort(tmp_path, path, matrix=(40, 48))
    assert found.images.shape == (2, 1, 40, 48)
    assert found.acquisition.facts["phase encoding"] == "40 lines, made 48 in the image domain"
    assert found.acquisition.spacing == pytest.approx((1.5, 2.5))
    whole = cohort(tmp_path, path)
    assert "phase encoding" not in whole.acquisition.facts
    np.testing.assert_allclose(found.images[:, 0, :, 4:44], whole.images[:, 0, 4:44], atol=0.03)


def test_coils_are_compressed(tmp_path: Path) -> None:
    paths = [
        write_fastmri(tmp_path / "a.h5", scan(coils=8, noise=1e-4)),
        write_fastmri(tmp_path / "b.h5", scan(coils=6, noise=1e-4)),
    ]
    few = cohort(tmp_path, *paths, coils=4)
    assert few.scans.kspace.shape[1] == few.acquisition.coils == 4
    assert few.acquisition.facts["coil compression"] == "to 4 virtual coils, which hold at least 100.0 % of the energy"
    all_coils = cohort(tmp_path, paths[0])
    inside = all_coils.images > 0.3
    np.testing.assert_allclose(few.images[:2][inside] / all_coils.images[inside], 1, atol=0.1)
    with pytest.raises(ScanproofError, match=r"b.h5: coils: .* same number of coils, 8, got 6 \(data.coils: 6"):
        cohort(tmp_path, *paths)
    with pytest.raises(ScanproofError, match=r"b.h5: coils: file must have at least 7 coils"):
        cohort(tmp_path, *paths, coils=7)


def test_a_single_coil_has_no_maps_to_find(tmp_path: Path) -> None:
    raw = scan(coils=1)[:, 0]
    found = cohort(tmp_path, write_fastmri(tmp_path / "a.h5", raw))
    assert (found.scans.sensitivities == 1).all()
    expected = kspace_to_image(torch.from_numpy(raw[[0, 2]])).abs().numpy()
    np.testing.assert_allclose(found.images[:, 0] * expected.max() / found.images.max(), expected, atol=1e-9)


def test_undersampled_files_have_no_reference(tmp_path: Path) -> None:
    mask = np.zeros(40, bool)
    mask[::4] = mask[16:24] = True
    path = write_fastmri(tmp_path / "a.h5", scan() * mask, mask=mask)
    with pytest.raises(ScanproofError, match=r"a.h5: phase encoding: k-space must be fully sampled.* got '16 of 40"):
        cohort(tmp_path, path)
    # partial Fourier: one band about the centre
    band = np.arange(40) >= 10
    assert len(cohort(tmp_path, write_fastmri(tmp_path / "b.h5", scan() * band)).cases) == 2
    with pytest.raises(ScanproofError, match="got '16 of 40 lines'"):
        cohort(tmp_path, write_fastmri(tmp_path / "c.h5", scan() * (np.arange(40) >= 24)))


def test_formats_may_be_mixed(tmp_path: Path) -> None:
    raw = scan()
    lines = (
        {"data": raw[place, :, :, column], "line": column, "slice": place} for place in range(3) for column in range(40)
    )
    paths = [
        write_fastmri(tmp_path / "a.h5", raw, header=xml_header(SHAPE)),
        write_ismrmrd(tmp_path / "b.mrd", lines, header=xml_header(SHAPE)),
    ]
    found = cohort(tmp_path, *paths)
    np.testing.assert_array_equal(found.images[:2], found.images[2:])


def test_files_that_are_not_raw_data(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("text")
    with pytest.raises(ScanproofError, match=r"a.h5: file must hold k-space: fastMRI HDF5 or ISMRMRD"):
        kspace_reader(tmp_path / "a.h5")
    with pytest.raises(ScanproofError, match=r"b.h5: file must exist"):
        kspace_reader(tmp_path / "b.h5")


def test_pixel_sizes_that_are_not_told_must_be_given(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = scan()
    with pytest.raises(ScanproofError, match=r"file must tell the size of a pixel \(give data.spacing"):
        cohort(tmp_path, tmp_path / "a.h5")
    assert cohort(tmp_path, tmp_path / "a.h5", spacing=(1.0, 2.0)).scans.spacing_of(1) == (1.0, 2.0)


def test_slices_are_spread() -> None:
    assert chosen_slices(10, slices=2, extent=(0, 1)) == [2, 7]
    assert chosen_slices(3, slices=8, extent=(0, 1)) == [0, 1, 2]
    assert chosen_slices(1, slices=5, extent=(0.3, 0.7)) == [0]


def test_rows_of_a_file_are_counted(tmp_path: Path) -> None:
    with ArrayFile(tmp_path / "a.npy", (2, 3)) as file:
        file.append(np.ones((2, 3), np.complex64))
        with pytest.raises(ScanproofError, match=r"a.npy: must be rows of \(2, 3\), got \(1, 3\)"):
            file.append(np.ones((1, 3), np.complex64))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.ones((2, 3)))


def test_the_measured_phantom(shared_data: Path, tmp_path: Path) -> None:
    raw = np.load(shared_data / "kspace" / "phantom_2coil_gre_full.npy").swapaxes(-1, -2)[None]
    path = write_fastmri(tmp_path / "a.h5", raw)
    found = cohort(tmp_path, path, matrix=(160, 160))
    combined = root_sum_of_squares(kspace_to_image(torch.from_numpy(raw[0])), dim=0).numpy()
    inside = found.images[0, 0] > 0.3
    assert np.corrcoef(combined[inside], found.images[0, 0][inside])[0, 1] > 0.99
    assert 5 < found.acquisition.snr < 100
