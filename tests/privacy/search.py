"""Looks for texts in everything under a folder, whatever it is packed in."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import sqlite3
import urllib.parse
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as parquet
from PIL import Image

_DATA = re.compile(rb"base64,([A-Za-z0-9+/=]{40,})")


def found_in(folder: Path, markers: Iterable[str], *, but: Iterable[Path] = ()) -> list[tuple[str, str]]:
    """Where markers stand: in names and contents of files, inside of databases, archives, tables and pictures.

    Args:
        folder: to search.
        markers: what must not be there; letters are compared without case.
        but: files that are left out.
    """
    left_out, wanted = set(but), [(marker, *spellings(marker)) for marker in markers]
    hits = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        parts = [("name", name.encode())]
        if path.is_file() and path not in left_out:
            parts += list(contents(name, path.read_bytes(), path=path))
        for place, data in parts:
            low = data.lower()
            hits += [(f"{name}: {place}", marker) for marker, *forms in wanted if any(form in low for form in forms)]
    return hits


def found_in_text(text: str, markers: Iterable[str]) -> list[str]:
    """The markers that stand in a text."""
    low = text.lower().encode()
    return [marker for marker in markers if any(form in low for form in spellings(marker))]


def spellings(marker: str) -> list[bytes]:
    """How a text may be written: as it is, in UTF-16, escaped in JSON, in an address, in base64 by itself."""
    forms = {
        marker.encode(),
        marker.encode("utf-16-le"),
        json.dumps(marker)[1:-1].encode(),
        urllib.parse.quote(marker).encode(),
        base64.b64encode(marker.encode()).rstrip(b"=")[:-1],
    }
    return [form.lower() for form in forms]


def contents(place: str, data: bytes, *, path: Path | None = None, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """The bytes of a file, and of all that is packed in it."""
    yield "bytes", data
    if depth > 4:
        return
    inner: list[tuple[str, bytes]] = []
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inner += [(name, name.encode() + b"\n" + archive.read(name)) for name in archive.namelist()]
            inner += [(name, archive.read(name)) for name in archive.namelist()]
    elif data[:2] == b"\x1f\x8b":
        inner.append(("gzip", gzip.decompress(data)))
    elif data[:4] == b"PAR1":
        inner.append(("table", texts_of(data)))
    elif data[:15] == b"SQLite format 3" and path is not None:
        inner += list(rows_of(path))
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        with Image.open(io.BytesIO(data)) as picture:
            inner.append(("picture", repr(picture.info).encode() + repr(dict(picture.getexif())).encode()))
    inner += [("data address", base64.b64decode(blob + b"==")) for blob in _DATA.findall(data)]
    for name, packed in inner:
        for deeper, part in contents(name, packed, depth=depth + 1):
            yield f"{name}: {deeper}", part


def texts_of(data: bytes) -> bytes:
    """Names and values of a table, which parquet packs."""
    file = parquet.ParquetFile(io.BytesIO(data))
    table = pd.read_parquet(io.BytesIO(data))
    words = [repr(file.schema_arrow.metadata), *map(str, table.columns)]
    for column in table:
        if not pd.api.types.is_numeric_dtype(table[column]):
            words += table[column].dropna().astype(str).unique().tolist()
    return "\n".join(words).encode()


def rows_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every row of every table: in the file itself long texts lie in pieces."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608 (names of its own tables)
            yield table, "\n".join(map(repr, rows)).encode()
    database.close()
