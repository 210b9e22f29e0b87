from __future__ import annotations

import numpy as np
import pytest

from scanproof.errors import ScanproofError
from scanproof.transforms.severity import GRADINGS, check_severity, parameters


def test_the_table():
    assert parameters("rigid_motion", 1) == {"rotation": 1, "translation": 2, "events": 2}
    assert parameters("rigid_motion", 5) == {"rotation": 5, "translation": 10, "events": 10}
    assert parameters("ghosting", 5) == {"ghosts": 4, "intensity": 1.0}
    assert parameters("resolution_loss", 5) == {"factor": 4.0}
    assert parameters("complex_noise", 4) == {"level": 0.3}
    assert parameters("complex_noise", 0) == {}


@pytest.mark.parametrize("shift", sorted(GRADINGS))
def test_every_parameter_is_monotone_and_has_a_source(shift):
    grading = GRADINGS[shift]
    assert len(grading.levels) == 5
    assert grading.source
    assert all(grading.units.values())
    steps = {name: np.diff([level[name] for level in grading.levels]) for name in grading.units}
    assert all(np.all(values >= 0) or np.all(values <= 0) for values in steps.values())
    # of several parameters one may rest, but not all at once
    assert np.all(np.any([values != 0 for values in steps.values()], axis=0))


def test_the_table_cannot_be_changed():
    parameters("ghosting", 1)["ghosts"] = 99
    assert parameters("ghosting", 1)["ghosts"] == 8
    with pytest.raises(TypeError, match="does not support item assignment"):
        GRADINGS["ghosting"].levels[0]["ghosts"] = 99


def test_numpy_integers_are_integers():
    assert type(check_severity(np.int64(4))) is int


def test_unknown_shift():
    with pytest.raises(ScanproofError, match="unknown shift in the table of severities, got 'ghostin'"):
        parameters("ghostin", 1)
