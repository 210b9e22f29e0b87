"""What is said when results are complete and MLflow does not take them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanproof.errors import ScanproofError
from scanproof.tracking.uri import redact


class NotLoggedError(ScanproofError):
    """Results are complete and written, but their runs could not be logged."""


@contextmanager
def results_kept(uri: str, place: Path) -> Iterator[None]:
    """Tell of an error in the block that results are kept, and how to log them later.

    Args:
        uri: tracking URI.
        place: where the results lie.

    Raises:
        NotLoggedError: in place of any :class:`~scanproof.errors.ScanproofError` of the block.

    Example:
        >>> with results_kept("sqlite:///mlflow.db", Path("out")):
        ...     raise ScanproofError("database must be writable")
        Traceback (most recent call last):
            ...
        scanproof.tracking.kept.NotLoggedError: sqlite:///mlflow.db: results were not logged, but are complete ...
    """
    try:
        yield
    except ScanproofError as error:
        raise NotLoggedError(
            f"results were not logged, but are complete and kept in {place}",
            file=redact(uri),
            hint=f"{error}; run the same again to log them, which computes nothing",
        ) from error
