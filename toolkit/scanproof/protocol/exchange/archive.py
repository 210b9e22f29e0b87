"""The file that travels: a zip with a list of what is in it, written the same every time and read with suspicion."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scanproof.errors import ScanproofError
from scanproof.protocol.exchange.record import SHA256

MANIFEST = "manifest.json"
#: files that an export has, and those that it may have
REQUIRED = ("README.txt", "results.parquet", "validation.json")
ALLOWED = (*REQUIRED, "comparisons.parquet", "scores.parquet", "quality.parquet")
#: largest sum of unpacked files, in bytes
MOST = 512 * 2**20
#: largest ratio of unpacked to packed bytes of a file of more than a megabyte
RATIO = 100
_SMALL = 2**20
_WRITTEN = (1980, 1, 1, 0, 0, 0)


class Listed(BaseModel):
    """Size and hash of a file in an export."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=SHA256)
    size: int = Field(ge=0, le=MOST)


class Intervals(BaseModel):
    """How the site made its intervals."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["percentile", "expanded"]
    confidence: float = Field(gt=0, lt=1)
    resamples: int = Field(ge=1)


class Contents(BaseModel):
    """``manifest.json`` of an export: what it is, which rules it was made by, and every file with its hash."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=200, protected_namespaces=())

    format: Literal["scanproof-export"]
    version: Literal[1]
    protocol: str
    protocol_sha256: str = Field(pattern=SHA256)
    site: str
    scanproof: str
    small_cell: int = Field(ge=1)
    per_case: bool
    withheld_rows: int = Field(ge=0)
    intervals: Intervals
    files: dict[str, Listed]

    @property
    def digest(self) -> str:
        """Hash of everything in the export, however it was packed."""
        return hashlib.sha256(manifest_bytes(self)).hexdigest()


def listed(data: bytes) -> Listed:
    """Size and hash of a file."""
    return Listed(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def manifest_bytes(contents: Contents) -> bytes:
    """The manifest as it is written."""
    return (json.dumps(contents.model_dump(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def pack(contents: Contents, files: Mapping[str, bytes]) -> bytes:
    """The export: the same contents give the same bytes, without times, owners or places.

    Files are stored as they are, since tables are compressed already and compressors differ between versions.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted({**files, MANIFEST: manifest_bytes(contents)}.items()):
            entry = zipfile.ZipInfo(name, date_time=_WRITTEN)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def unpack(path: Path) -> tuple[Contents, dict[str, bytes]]:
    """Read an export into memory and check it; nothing is written.

    Packed again by another program, an export stays valid: its files are what counts.

    Raises:
        ScanproofError: naming the file and the reason: not a zip, truncated or damaged, a member that is unknown,
            missing, doubled, encrypted, a link or outside the archive, one that unpacks to too much, a manifest that
            cannot be read or is of another version, or a file without the size and hash that it lists.
    """
    try:
        packed = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, path=path, packed=packed)
            files = {member.filename: _read(archive, member, path=path) for member in members}
    except ScanproofError:
        raise
    except OSError as error:
        raise ScanproofError(f"export must be a readable file: {error.strerror or error}", file=path) from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = "it is damaged or not whole: ask the site to send it again"
        raise ScanproofError(f"export must be an intact zip file: {reason}", file=path, hint=hint) from None
    except Exception as error:  # decompressors raise errors of their own
        reason = f"{type(error).__name__}: {error}"
        raise ScanproofError(f"export must be an intact zip file: {reason}", file=path) from None
    return _checked(files, path)


def _check_members(members: list[zipfile.ZipInfo], *, path: Path, packed: int) -> None:
    names = [member.filename for member in members]
    for member, name in zip(members, names, strict=True):
        if name.startswith(("/", "\\")) or ".." in name or ":" in name or "\\" in member.orig_filename:
            raise ScanproofError("export must have no file outside its folder", file=path, key="member", value=name)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ScanproofError("export must have no links", file=path, key="member", value=name)
        if name not in (*ALLOWED, MANIFEST):
            known = ", ".join(sorted((*ALLOWED, MANIFEST)))
            raise ScanproofError(f"export must hold only {known}", file=path, key="member", value=name[:200])
        if names.count(name) > 1:
            raise ScanproofError("export must hold every file once", file=path, key="member", value=name)
        if member.flag_bits & 0x1:
            raise ScanproofError("export must not be encrypted", file=path, key="member", value=name)
        if member.file_size > max(_SMALL, RATIO * member.compress_size):
            raise ScanproofError(
                f"file must not unpack to more than {RATIO} times its size",
                file=path,
                key=name,
                value=f"{member.compress_size} to {member.file_size} bytes",
            )
    total = sum(member.file_size for member in members)
    if total > MOST or sum(member.compress_size for member in members) > packed:
        raise ScanproofError(f"export must unpack to at most {MOST >> 20} MB", file=path, value=f"{total} bytes")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, path: Path) -> bytes:
    with archive.open(member) as file:
        data = file.read(member.file_size + 1)  # what the archive says of itself need not be true
        if len(data) != member.file_size or file.read(1):
            raise ScanproofError("file must have the size that the zip tells", file=path, key=member.filename)
    return data


def _checked(files: dict[str, bytes], path: Path) -> tuple[Contents, dict[str, bytes]]:
    if MANIFEST not in files:
        raise ScanproofError("export must have a manifest", file=path, key=MANIFEST)
    text = files.pop(MANIFEST)
    try:
        version = json.loads(text).get("version")
        if version != 1:
            hint = "made by another version of scanproof"
            raise ScanproofError("export must be of format 1", file=path, key="version", value=version, hint=hint)
        contents = Contents.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join([MANIFEST, *map(str, first["loc"])])
        raise ScanproofError(f"manifest must be readable: {first['msg']}", file=path, key=place) from None
    except (ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, ScanproofError):
            raise
        raise ScanproofError("manifest must be readable JSON", file=path, key=MANIFEST) from None
    missing = {*REQUIRED, *contents.files} - set(files)
    unlisted = set(files) - set(contents.files)
    if missing or unlisted:
        rule = "export must hold the files that its manifest lists, and no other"
        raise ScanproofError(rule, file=path, key=", ".join(sorted(missing or unlisted)))
    for name, data in files.items():
        if listed(data) != contents.files[name]:
            hint = "it was changed after it was made: ask the site to send it again"
            raise ScanproofError("file must have the hash that the manifest lists", file=path, key=name, hint=hint)
    return contents, files
