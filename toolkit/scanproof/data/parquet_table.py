"""Parquet from elsewhere: measured before it is unpacked, since a kilobyte can claim a billion rows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from scanproof.errors import ScanproofError

#: rows, columns, cells, and bytes of text that a table may unpack to
MOST_ROWS: Final = 5_000_000
MOST_COLUMNS: Final = 4096
MOST_CELLS: Final = 10**8
MOST_TEXT: Final = 2**29
#: bytes of all its pages; larger ones hold something else than names and numbers
MOST_BYTES: Final = 2**30


def read_parquet(source: Path | bytes, *, file: Path | str, columns: Sequence[str] | None = None) -> Any:
    """Read a table of plain columns: text, numbers and truth values.

    Text is unpacked last: a name that stands in every row is held once until it is known how much all rows take.

    Args:
        source: the file, or its content.
        file: named in errors.
        columns: what the table must have, in this order; without, the plain columns of whatever it has.

    Returns:
        A ``pyarrow.Table`` without nested columns, bytes, dates and dictionaries.

    Raises:
        ScanproofError: a file that cannot be read, other columns, or a table that unpacks to too much.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def opened(text: list[str] | None = None) -> Any:
        return pq.ParquetFile(io.BytesIO(source) if isinstance(source, bytes) else source, read_dictionary=text)

    try:
        with opened() as found:
            names = list(found.schema_arrow.names)
            if columns is not None and names != list(columns):
                raise ScanproofError("table must have its own columns, in their order", file=file, value=names[:40])
            if len(names) > MOST_COLUMNS:
                raise ScanproofError(f"table must have at most {MOST_COLUMNS} columns", file=file, value=len(names))
            plain = [field.name for field in found.schema_arrow if names.count(field.name) == 1 and _is_plain(field)]
            _check_claims(found.metadata, len(plain), file=file)
            text = [field.name for field in found.schema_arrow if field.name in plain and _is_text(field.type)]
        with opened(text) as found:
            table = found.read(columns=plain, use_threads=False).replace_schema_metadata(None)
        _check_text(table, file=file)
        return pa.table({name: _dense(table[name]) for name in table.column_names})
    except ScanproofError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
        reason = (str(error) or type(error).__name__).partition("\n")[0]
        raise ScanproofError(f"table must be a readable Parquet file: {reason}", file=file) from None


def _is_plain(field: Any) -> bool:
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return _is_text(kind) or any(test(kind) for test in tests)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_claims(metadata: Any, columns: int, *, file: Path | str) -> None:
    """Compare what the file says of itself with what a table may be."""
    rows = metadata.num_rows
    if not 0 <= rows <= MOST_ROWS:
        raise ScanproofError(f"table must have at most {MOST_ROWS} rows", file=file, value=rows)
    if rows * columns > MOST_CELLS:
        raise ScanproofError(f"table must have at most {MOST_CELLS} cells", file=file, value=rows * columns)
    size = sum(metadata.row_group(k).total_byte_size for k in range(metadata.num_row_groups))
    if not 0 <= size <= MOST_BYTES:
        raise ScanproofError(f"table must unpack to at most {MOST_BYTES} bytes", file=file, value=size)


def _check_text(table: Any, *, file: Path | str) -> None:
    """How many bytes text takes once each row has its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for column in table.columns:
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            if _is_text(chunk.dictionary.type):
                total += pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices)).as_py() or 0
    if total > MOST_TEXT:
        raise ScanproofError(f"text of a table must unpack to at most {MOST_TEXT} bytes", file=file, value=total)


def _dense(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
