from __future__ import annotations

from pathlib import Path

import pytest
import yaml

#: a whole study, as small as it can be
SMALL = {
    "name": "small",
    "description": "test",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north", "south"],
        "subjects": {"train": 8, "val": 6, "test": 6},
        "slices": 3,
        "matrix": [48, 40],
    },
    "acquisition": {"accelerations": [2]},
    "shifts": [{"name": "ghosting", "severities": [3]}, {"name": "complex_noise", "severities": [2, 5]}],
    "reconstruction": [
        {"name": "fully_sampled"},
        {"name": "unet", "options": {"features": [4, 4, 4, 4, 4, 4], "epochs": 1}},
    ],
    "classification": [
        {
            "name": "resnet18",
            "norms": ["batch", "layer"],
            "seeds": [1, 2],
            "options": {"width": 0.0625},
            "training": {"epochs": 2, "batch_size": 8},
        }
    ],
    "evaluation": {"resamples": 100},
}

#: claims that the small study can make
CLAIMS = [
    {"text": "Noise costs more without lines to spare.", "compare": "fully_sampled", "against": "unet"}
    | {"metric": "ssim", "shift": "complex_noise", "measure": "change"},
    {"text": "They are alike at south.", "compare": "unet", "against": "fully_sampled", "metric": "nrmse"}
    | {"site": "south", "expect": "similar", "margin": 0.01},
]


@pytest.fixture(scope="session")
def claims() -> list[dict]:
    return yaml.safe_load(yaml.safe_dump(CLAIMS))


@pytest.fixture(scope="session")
def small_text() -> str:
    return yaml.safe_dump(SMALL)


@pytest.fixture
def small(small_text: str) -> dict:
    return yaml.safe_load(small_text)


@pytest.fixture
def write_study(tmp_path: Path):
    def write(content: dict | str, name: str = "study.yaml") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return path

    return write
