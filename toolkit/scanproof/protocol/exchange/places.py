"""Where validations and imports lie, and which protocol a file is."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from scanproof.errors import ScanproofError, unknown_name
from scanproof.protocol.exchange.record import SHA256, Validation, parse_validation
from scanproof.protocol.exchange.small_cells import USUAL
from scanproof.study.fields import NAME
from scanproof.yaml_file import read_yaml_file


class ProtocolIdentity(NamedTuple):
    """What an exchange needs to know of a protocol."""

    name: str
    sha256: str
    small_cell: int


def read_identity(path: Path) -> ProtocolIdentity:
    """Name, hash and small-cell threshold in a protocol file.

    Raises:
        ScanproofError: a file that cannot be read, or without one of them.
    """
    content = read_yaml_file(path, what="protocol")
    found = content if isinstance(content, dict) else {}
    name, digest, threshold = (found.get(key) for key in ("name", "protocol_sha256", "small_cell"))
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ScanproofError("protocol must have a name", file=path, key="name", value=name)
    if not (isinstance(digest, str) and re.fullmatch(SHA256, digest)):
        hint = "freeze the study first: scanproof protocol freeze"
        raise ScanproofError("protocol must be frozen", file=path, key="protocol_sha256", value=digest, hint=hint)
    return ProtocolIdentity(name, digest, threshold if isinstance(threshold, int) else USUAL)


def slug(name: str) -> str:
    """A name as part of a path: letters and digits of ASCII, and a hash where anything else was in it.

    Example:
        >>> slug("north"), slug("St. Elsewhere")
        ('north', 'St-Elsewhere-87e8e7')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:60] or "site"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def find_validation(root: Path, *, site: str, protocol: str | None) -> tuple[Path, Validation]:
    """The folder of a site's validation, and what it says.

    Args:
        root: folder of the outputs.
        site: name of the site.
        protocol: name of the protocol; to be given where the site followed several.

    Raises:
        ScanproofError: none, or several, of that site and protocol; one that cannot be read.
    """
    found = {}
    for path in sorted((root / "validations").glob("*/*/validation.json")):
        found[path.parent] = parse_validation(path.read_bytes(), file=path, lenient=True)
    if not found:
        hint = "validate first: scanproof validate PROTOCOL --data DIR --site NAME"
        raise ScanproofError("there must be a validation", file=root / "validations", hint=hint)
    own = {folder: one for folder, one in found.items() if one.site == site}
    if not own:
        raise unknown_name("site", site, {one.site for one in found.values()}, key="site")
    if protocol is not None:
        known = {one.protocol for one in own.values()}
        own = {folder: one for folder, one in own.items() if one.protocol == protocol}
        if not own:
            raise unknown_name("protocol", protocol, known, key="protocol")
    if len(own) > 1:
        names = ", ".join(sorted(one.protocol for one in own.values()))
        raise ScanproofError("protocol must be named, the site followed several", key="protocol", hint=names)
    return next(iter(own.items()))
