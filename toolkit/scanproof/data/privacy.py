"""Pseudonyms: nothing that identifies a patient leaves this room."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path


def site_key(path: Path) -> bytes:
    """The secret key of an installation, made on first use and readable by its owner alone.

    The key stays at the site: without it, pseudonyms cannot be linked to subject identifiers by trying them out.

    Args:
        path: file that holds the key.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text())
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    return bytes.fromhex(path.read_text())


def pseudonym(subject: str, key: bytes) -> str:
    """A subject's pseudonym: the first 48 bits of a keyed hash (HMAC-SHA-256) of its identifier.

    Example:
        >>> pseudonym("Jane Doe", b"secret") == pseudonym("Jane Doe", b"secret")
        True
        >>> pseudonym("Jane Doe", b"secret") == pseudonym("Jane Doe", b"other secret")
        False
    """
    return "s" + hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()[:12]
