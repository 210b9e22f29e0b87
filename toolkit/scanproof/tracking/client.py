"""The one way to MLflow: quiet, without telemetry, and never waiting for minutes."""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scanproof.errors import ScanproofError
from scanproof.tracking import sqlite
from scanproof.tracking.uri import check_uri, hide, is_database, redact, sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: seconds that a server gets to answer the first request
PATIENCE = 5

# MLflow's own defaults wait two minutes for an answer and ask seven times
_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "30", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
_FIRST_CONTACT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(PATIENCE),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
}
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
#: stops every call home of MLflow, in this process and in those it starts
NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


@contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Environment variables for the length of a block; ``None`` takes one away.

    Example:
        >>> with environment(SCANPROOF_EXAMPLE="1"):
        ...     os.environ["SCANPROOF_EXAMPLE"]
        '1'
        >>> "SCANPROOF_EXAMPLE" in os.environ
        False
    """
    before = {name: os.environ.get(name) for name in values}
    _set_environment(values)
    try:
        yield
    finally:
        _set_environment(before)


def import_mlflow() -> None:
    """Import MLflow with its telemetry off and its progress messages silenced; its warnings and errors stay.

    Telemetry is forced off even where the environment asks for it. Waiting times are set only where the
    environment sets none.
    """
    os.environ.update(NO_TELEMETRY)
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name, value in _LIMITS.items():
        os.environ.setdefault(name, value)
    imported_before = "mlflow" in sys.modules
    with quiet():
        import mlflow
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 (imported here, where its warnings are known)
        from mlflow.telemetry import set_telemetry_client
    if imported_before:
        set_telemetry_client()  # type: ignore[no-untyped-call]  # reads the environment again
    sqlite.wait_longer()
    # these two announce every table they create; alembic is already silent below warnings
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    # and this one, that it waits for a model version that is there already
    logging.getLogger("mlflow.store.model_registry.abstract_store").setLevel(logging.WARNING)


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore the warnings that MLflow causes in its own libraries and that no caller can act on."""
    with warnings.catch_warnings():
        # SQLAlchemy 2.1 about a relation that MLflow 3.17 declares
        warnings.filterwarnings("ignore", message="The ``noload`` loader strategy is deprecated")
        # pandas 3 about MLflow's way to look for images in a table and to read its types
        warnings.filterwarnings("ignore", message="For backward compatibility, 'str' dtypes are included")
        warnings.filterwarnings("ignore", message="Starting with pandas version 4.0 all arguments of all")
        # advice about the signatures of served models, given for every table with whole numbers
        warnings.filterwarnings("ignore", message="Hint: Inferred schema contains integer column")
        yield


@contextmanager
def connect(uri: str) -> Iterator[MlflowClient]:
    """A client of a tracking database or server that answers.

    At the end of the block the connections to a database are closed, and an error of MLflow inside the block becomes
    one that says where it happened.

    Args:
        uri: tracking URI.

    Raises:
        ScanproofError: wrong URI; a database that is locked, read-only, not a database or made by another version of
            MLflow; a server that does not answer within five seconds; any refusal of MLflow inside the block.
    """
    uri = check_uri(uri)
    _check_answers(uri)
    import_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with quiet():
            client = MlflowClient(tracking_uri=uri)
        if not is_database(uri):
            with environment(**_FIRST_CONTACT):
                client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, ImportError) as error:
        raise _refusal(uri, error) from _told(uri, error)
    try:
        yield client
    except (MlflowException, SQLAlchemyError) as error:
        raise _refusal(uri, error) from _told(uri, error)
    except OSError as error:
        raise ScanproofError(
            "artifacts of the runs must be stored", value=redact(uri), hint=hide(str(error), uri)
        ) from error
    finally:
        close(client)


def close(client: MlflowClient) -> None:
    """Close the connections of a client to its database; they are opened anew when it is used again.

    MLflow offers no public way to do it, and SQLite files with open connections cannot be moved on some systems.
    """
    for part in ("_tracking_client", "_registry_client_lazy"):
        store = getattr(getattr(client, part, None), "store", None)
        engine = getattr(store, "engine", None)
        if engine is not None:
            engine.dispose()


def _check_answers(uri: str) -> None:
    """Refuse a database that cannot be reached, which MLflow would try to open for 100 seconds."""
    path = sqlite_path(uri)
    if path is not None:
        sqlite.check_writable(path)
        return
    parts = urlsplit(uri)
    port = parts.port or _PORTS.get(parts.scheme.partition("+")[0])
    if not is_database(uri) or parts.hostname is None or port is None:
        return  # a server, which is asked over HTTP, or a database named in its driver's own configuration
    try:
        socket.create_connection((parts.hostname, port), timeout=PATIENCE).close()
    except OSError as error:
        raise ScanproofError(
            f"tracking database must answer within {PATIENCE} s", value=redact(uri), hint=str(error)
        ) from _told(uri, error)


def _refusal(uri: str, error: Exception) -> ScanproofError:
    text = str(error)
    path = sqlite_path(uri)
    if path is not None and "is locked" in text:
        return sqlite.locked(path)
    if "out-of-date database schema" in text:
        return ScanproofError(
            "tracking database must have the tables of the installed MLflow",
            value=redact(uri),
            hint=f"take a copy of it, then run: mlflow db upgrade {redact(uri)}",
        )
    # of a failed request only the cause is news to the reader
    line = next(iter(text.strip().splitlines()), type(error).__name__).rpartition("Caused by ")[2]
    what = "tracking database must accept the runs" if is_database(uri) else "tracking server must accept the runs"
    return ScanproofError(what, value=redact(uri), hint=hide(line, uri)[:400])


def _told(uri: str, error: Exception) -> Exception | None:
    """The cause of an error, unless a traceback of it would tell what the error does not."""
    return error if redact(uri) == uri else None


def _set_environment(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
