from __future__ import annotations

import numpy as np
import pytest

from scanproof.errors import ScanproofError
from scanproof.transforms.severity import GRADINGS, check_severity, parameters


def test_the_table():
    assert parameters("rigid_motion", 1) == {"rotation": 1, "translation": 2, "events": 2}
    assert parameters("rigid_motion", 5) == {"rotation": 5, "translation": 10, "events": 10}
    assert parameters("ghosting", 5) == {"ghosts": 11, "intensity": 1.0}
    assert parameters("bias_field", 2) == {"coefficient": 0.6}
    assert parameters("complex_noise", 4) == {"level": 0.3}
    assert parameters("complex_noise", 0) == {}


@pytest.mark.parametrize("shift", sorted(GRADINGS))
def test_every_parameter_grows_and_has_a_source(shift):
    grading = GRADINGS[shift]
    assert len(grading.levels) == 5
    assert grading.source
    for name in grading.units:
        assert np.all(np.diff([level[name] for level in grading.levels]) > 0)


def test_the_table_cannot_be_changed():
    parameters("ghosting", 1)["ghosts"] = 99
    assert parameters("ghosting", 1)["ghosts"] == 3
    with pytest.raises(TypeError, match="does not support item assignment"):
        GRADINGS["ghosting"].levels[0]["ghosts"] = 99


def test_numpy_integers_are_integers():
    assert type(check_severity(np.int64(4))) is int


def test_unknown_shift():
    with pytest.raises(ScanproofError, match="unknown shift in the table of severities, got 'ghostin'"):
        parameters("ghostin", 1)
