from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from scanproof.errors import ScanproofError
from scanproof.transforms import RandComplexNoise, RandGhosting, RandRigidMotion, RandRigidMotiond


def test_default_severities(image):
    augment = RandComplexNoise(1.0).set_random_state(seed=0)
    severities = []
    for _ in range(500):
        augment.randomize()
        severities.append(augment.transform.severity)
    counts = np.bincount(severities, minlength=6)[1:]
    assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_probability():
    augment = RandComplexNoise(0.3).set_random_state(seed=1)
    applied = 0
    for _ in range(400):
        augment.randomize()
        applied += augment._do_transform
    assert scipy.stats.binomtest(applied, 400, 0.3).pvalue > 0.001


def test_ranges_are_uniform():
    augment = RandRigidMotion(1.0, rotation=(1, 3), translation=4.0, events=(2, 4)).set_random_state(seed=2)
    drawn = []
    for _ in range(300):
        augment.randomize()
        drawn.append(augment.transform.parameters)
    rotations = [values["rotation"] for values in drawn]
    assert scipy.stats.kstest(rotations, scipy.stats.uniform(1, 2).cdf).pvalue > 0.001
    assert {values["translation"] for values in drawn} == {4.0}
    assert scipy.stats.chisquare(np.bincount([values["events"] for values in drawn])[2:]).pvalue > 0.001


def test_draws_do_not_depend_on_what_is_applied(image):
    states = []
    for prob, data in ((0.2, image), (1.0, image), (0.5, image[..., :9])):
        augment = RandComplexNoise(prob).set_random_state(seed=3)
        for _ in range(4):
            augment(data)
        states.append(augment.R.randint(2**31))
    assert len(set(states)) == 1


def test_options_are_handed_on():
    augment = RandGhosting(1.0, severity=2, axis=-2, center_fraction=0.1)
    assert (augment.transform.axis, augment.transform.center_fraction) == (-2, 0.1)


def test_handed_through(image):
    augment = RandComplexNoise(1e-9).set_random_state(seed=0)
    assert torch.equal(augment(image), image)
    assert isinstance(augment(image.numpy()), torch.Tensor)


def test_a_probability_of_zero_warns():
    with pytest.warns(UserWarning, match="ghosting: with prob=0 no image is ever changed"):
        RandGhosting(0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"prob": 1.5}, r"ghosting: prob must be in \[0, 1\], got 1.5"),
        ({"severity": (1, 7)}, r"severity must be in \[0, 5\], got 7"),
        ({"severity": (3, 1)}, r"ghosting: severity must be a number or a pair \(low, high\) that rises, got \(3, 1\)"),
        ({"severity": (1, 2, 3)}, r"severity must be a number or a pair"),
        ({"severity": (1.5, 2)}, r"severity must be an integer, got 1.5"),
        ({"ghosts": (2, 5)}, r"ghosting: give either severity or ghosts and intensity, got"),
        ({"ghosts": (1, 5), "intensity": 1}, "ghosting: ghosts must be at least 2, got 1"),
        ({"ghosts": (2, 5), "intensity": (0.5, 1.5)}, r"intensity must be in \(0, 1\], got 1.5"),
        ({"ghosts": 2, "intensity": 1, "severity": 1}, "give either severity or ghosts and intensity, not both"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        RandGhosting(**{"prob": 0.5, **options})


def test_unknown_option():
    with pytest.raises(TypeError, match="speed"):
        RandRigidMotiond("image", speed=3)
