from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.scaling.axes import axis
from scanproof.scaling.ladder import FloatArray, Ladder
from scanproof.scaling.simulation import Simulated, simulated_sweep

SIZES = (10, 20, 40, 80, 160, 320, 640, 1280)
Curve = Callable[[FloatArray], FloatArray]


@pytest.fixture
def bootstrap() -> Bootstrap:
    return Bootstrap(seed=3, resamples=200, interval="expanded")


@pytest.fixture
def broken() -> Curve:
    """0.05·N^-0.6 up to 110, then flatter."""
    return lambda n: 0.05 * np.where(n < 110, n**-0.6, 110**-0.6 * (n / 110) ** -0.15)


@pytest.fixture
def exact() -> Callable[..., Ladder]:
    """Makes a ladder of two equal trainings and one case at each size."""

    def make(error: Curve, *, sizes: tuple[int, ...] = SIZES, name: str = "mse") -> Ladder:
        at = np.array(sizes, float)
        values = tuple(np.array([[value], [value]]) for value in error(at))
        return Ladder(axis=axis(name), sizes=at, values=values, subjects=np.array(["a"], object))

    return make


@pytest.fixture
def sweep(broken: Curve) -> pd.DataFrame:
    """A broken law with three widths, of which the middle one is best."""
    return simulated_sweep(Simulated(sizes=SIZES, error=broken, widths=(4, 8, 16), subjects=12), seed=1)


#: a whole sweep, as small as it can be
TINY = {
    "scaling": 1,
    "name": "tiny",
    "seed": 3,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "subjects": {"train": 3, "val": 2, "test": 2},
        "slices": 2,
        "matrix": [32, 32],
    },
    "tasks": [
        {"task": "denoising", "training": {"rate": {"start": 1e-3, "most": 2, "steps": 2}}},
        {"task": "mri", "center_fraction": 0.1, "coils": 2},
    ],
    "examples": [2, 5],
    "widths": [2],
    "seeds": [1, 2],
    "training": {"batch_size": 2, "every": 2, "steps": 4},
    "shifts": [{"name": "ghosting", "severities": [3]}],
}


@pytest.fixture
def tiny() -> dict:
    return yaml.safe_load(yaml.safe_dump(TINY))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict], Path]:
    def write(content: dict) -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write
