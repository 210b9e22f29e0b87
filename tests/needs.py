"""What tests need besides Python packages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

_FOUND = shutil.which("initdb") or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

#: marks of tests that start a PostgreSQL
NEEDS_POSTGRESQL = [
    pytest.mark.postgresql,
    pytest.mark.skipif(not _FOUND, reason="needs PostgreSQL, on Debian apt install postgresql"),
]
