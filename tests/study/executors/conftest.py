from __future__ import annotations

import pytest
import yaml

from executors_lab import TINY, Lab, tables


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return Lab(folder, folder / "tiny.yaml")


@pytest.fixture(scope="module")
def local(lab: Lab) -> dict[str, bytes]:
    """What one process of this machine finds, file by file."""
    return tables(lab.run("local", None, workers=1))
