"""The key behind the pseudonyms of a site's subjects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from scanproof.data.privacy import site_key
from scanproof.doctor.finding import Finding, State


def check_site_key(path: Path, *, repair: bool = False) -> Iterator[Finding]:
    """Whether the key is whole and secret; one that is lost cannot be repaired.

    Args:
        path: its file.
        repair: let nobody but the owner read it.

    Raises:
        ScanproofError: it is damaged or cannot be read.
    """
    if not path.exists():
        yield Finding("site key", State.OK, "none yet; the first run on local data makes it")
        return
    site_key(path)
    readable = os.name == "posix" and path.stat().st_mode & 0o077
    if readable and repair:
        path.chmod(0o600)
        yield Finding("site key", State.OK, "whole; from now on its owner alone can read it")
    elif readable:
        text = "others than its owner can read it, and find subjects by their pseudonyms"
        yield Finding("site key", State.WARNING, text, f"chmod 600 {path}, or --repair")
    else:
        yield Finding("site key", State.OK, "whole; keep a copy in a safe place, as a lost key changes all pseudonyms")
