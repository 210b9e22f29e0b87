"""Pseudonyms: nothing that identifies a patient leaves this room."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tempfile
import time
from pathlib import Path
from typing import Final

from scanproof.errors import ScanproofError

#: seconds in which a process that makes the key has written it
_PATIENCE: Final = 2.0
_HINT: Final = (
    "restore the file from a backup; a new key gives every subject another pseudonym, so that stored results of "
    "local data are computed again: delete the file only if there is no backup"
)


def site_key(path: Path) -> bytes:
    """The secret key of an installation, made on first use and readable by its owner alone.

    The key stays at the site: without it, pseudonyms cannot be linked to subject identifiers by trying them out. Any
    number of processes may ask for it at the same time: all get the same one.

    Args:
        path: file that holds the key.

    Returns:
        The 32 bytes of the key.

    Raises:
        ScanproofError: the file cannot be read or made, or holds no whole key.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     len(site_key(Path(folder) / "site.key"))
        32
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make(path)
        end = time.monotonic() + _PATIENCE
        content = path.read_bytes()
        while not content and time.monotonic() < end:  # being written, where there are no hard links
            time.sleep(0.01)
            content = path.read_bytes()
    except OSError as error:
        rule = f"site key must be readable, and its folder writable: {error.strerror or error}"
        raise ScanproofError(rule, file=path) from error
    text = content.strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        # what is left of a key is a secret, too
        found = f"{len(text)} characters"
        raise ScanproofError("site key must be 64 hexadecimal digits", file=path, value=found, hint=_HINT)
    return bytes.fromhex(text.decode())


def _make(path: Path) -> None:
    """Write a new key beside its place, then give it its name, unless another process was faster."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # for its owner alone
    draft = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        except OSError:  # no hard links here, as on some network shares
            _make_in_place(path, draft.read_text())
    finally:
        draft.unlink(missing_ok=True)


def _make_in_place(path: Path, key: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(key)


def pseudonym(subject: str, key: bytes) -> str:
    """A subject's pseudonym: the first 48 bits of a keyed hash (HMAC-SHA-256) of its identifier.

    Example:
        >>> pseudonym("Jane Doe", b"secret") == pseudonym("Jane Doe", b"secret")
        True
        >>> pseudonym("Jane Doe", b"secret") == pseudonym("Jane Doe", b"other secret")
        False
    """
    return "s" + hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()[:12]
