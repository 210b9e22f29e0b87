from __future__ import annotations

import numpy as np
import pytest
import torch

from scanproof.atlas.sources import COILS, MATRIX, PLANES, measured, shown
from scanproof.errors import ScanproofError


def test_the_demo_shows_a_lesion_and_measures_all_sites():
    gallery, table = shown(), measured()
    assert gallery.slices[0].reference.shape == (1, 1, *MATRIX)
    assert gallery.volumes[0].reference.shape == (1, 1, 95, 117)
    names = [anatomy.name for anatomy in table.slices]
    assert len(set(names)) == len(names) == 12
    assert {name.split("-")[0] for name in names} == {"north", "south", "west"}
    assert len(table.volumes[0].reference) == PLANES
    assert all(float(anatomy.reference.min()) >= 0 for anatomy in (*table.slices, *table.volumes))


def test_a_volume_gives_its_middle_slice_in_its_own_voxels(nifti):
    path = nifti((30, 24, 20))
    found = shown(path)
    (anatomy,), (volume,) = found.slices, found.volumes
    assert anatomy.reference.shape == (1, 1, 24, 30)
    assert anatomy.pixel == (2.0, 1.0)
    assert volume.reference.shape == (1, 1, 20, 24)
    assert volume.pixel == (3.0, 2.0)
    assert found.text.startswith("Axial slice 10 of the given image, voxels of 1 × 2 × 3 mm")
    assert "sagittal planes of its volume" in found.text
    # rows run from anterior to posterior
    import nibabel as nib

    data = np.asarray(nib.load(path).dataobj, dtype=np.float32)
    plane = data[:, ::-1, 10].T / np.percentile(data[data > 0], 99)
    np.testing.assert_allclose(anatomy.reference[0, 0].numpy(), plane, rtol=1e-5)
    assert not torch.equal(shown(path, index=6).slices[0].reference, anatomy.reference)


def test_several_slices_of_a_volume_are_measured(nifti):
    found = measured(nifti((30, 24, 20)))
    assert len(found.slices) == 5
    assert len({anatomy.name for anatomy in found.slices}) == 5
    assert found.volumes[0].reference.shape == (PLANES, 1, 20, 24)
    assert found.slices[0]._kspace.shape[0] == COILS


@pytest.mark.parametrize("shape", [(30, 24), (30, 24, 4), (30, 24, 1, 1)])
def test_images_too_thin_for_shifts_of_volumes_leave_these_to_the_template(nifti, shape):
    found = shown(nifti(shape, zooms=(1.0, 1.0, 5.0)))
    assert found.slices[0].reference.shape == (1, 1, 24, 30)
    assert found.volumes[0].name == "MNI152"
    assert "MNI152 template, as the image has too few slices" in found.text


@pytest.mark.parametrize(
    ("shape", "index", "message"),
    [
        ((30, 24, 20), 20, r"doe_jane.nii.gz: slice: slice must be in \[0, 19\], got 20"),
        ((30, 24, 20), -1, r"slice must be in \[0, 19\], got -1"),
        ((30, 8, 20), None, r"slices must have at least 11 x 11 pixels, got \(30, 8, 20\)"),
    ],
)
def test_bad_images_say_what_is_wrong(nifti, shape, index, message):
    with pytest.raises(ScanproofError, match=message):
        shown(nifti(shape), index=index)


def test_an_empty_slice_is_refused(tmp_path):
    import nibabel as nib

    data = np.ones((20, 20, 20), np.float32)
    data[:, :, 10] = 0
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ScanproofError, match=r"a.nii: slice: slice must have positive voxels, got 10"):
        shown(tmp_path / "a.nii")


def test_a_slice_is_chosen_of_a_given_image_only():
    with pytest.raises(ScanproofError, match=r"slice: a slice can be chosen only of an image that is given, got 3"):
        shown(index=3)
