"""Where MLflow keeps the runs: names of databases and servers, checked before anything is written."""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scanproof.errors import ScanproofError, unknown_name

#: environment variable that names the tracking server or database
ENVIRONMENT = "MLFLOW_TRACKING_URI"

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https", "databricks", "databricks-uc", "uc")
# SQLAlchemy reads both as part of the URI's syntax, and 2.0 and 2.1 differ in how they could be escaped
_NOT_IN_SQLITE_PATHS = "%?"
# options that hold a secret, by their names
_OPTION = re.compile(r"(?i)((?:^|[?&;])[^=&?;]*(?:pass|pwd|secret|token|key|credential|signature)[^=&?;]*=)([^&;]+)")
_HIDDEN = r"\1***"


def default_tracking_uri(root: Path) -> str:
    """The URI of the SQLite database ``root/mlflow.db``, with an absolute path.

    Args:
        root: folder that holds the database, usually ``mlruns``. It need not exist.

    Raises:
        ScanproofError: the absolute path holds a character that a database URI cannot carry.

    Example:
        >>> default_tracking_uri(Path("/data/mlruns"))
        'sqlite:////data/mlruns/mlflow.db'
    """
    path = (root / "mlflow.db").absolute()
    if any(character in str(path) for character in _NOT_IN_SQLITE_PATHS):
        raise ScanproofError(
            f"path of a tracking database must not hold any of {' '.join(_NOT_IN_SQLITE_PATHS)}",
            value=str(path),
            hint=f"name another database with {ENVIRONMENT}",
        )
    return f"sqlite:///{path.as_posix()}"


def resolve_tracking_uri(explicit: str | None, root: Path) -> str:
    """The tracking URI to use: the explicit one, else ``MLFLOW_TRACKING_URI``, else the default under ``root``.

    Only the form is checked here, which costs nothing; :func:`scanproof.tracking.experiment.prepare` finds out
    whether the database or server answers.

    Args:
        explicit: what the user asked for, ``None`` or empty for nothing.
        root: folder of the default database.

    Returns:
        A URI that MLflow accepts; the path of an SQLite database is absolute, so that worker processes with another
        working folder find the same one.

    Raises:
        ScanproofError: a folder or ``file:`` URI, which MLflow no longer writes to, an unknown scheme, or an SQLite
            database in memory.

    Example:
        >>> resolve_tracking_uri("http://tracking.example:5000", Path("mlruns"))
        'http://tracking.example:5000'
    """
    for key, uri in (("tracking URI", explicit), (ENVIRONMENT, os.environ.get(ENVIRONMENT))):
        if uri:
            return check_uri(uri, key=key)
    return default_tracking_uri(root)


def check_uri(uri: str, *, key: str = "tracking URI") -> str:
    """Check the form of a tracking URI and make the path of an SQLite database absolute.

    Args:
        uri: the URI.
        key: where it came from, as an error names it.

    Raises:
        ScanproofError: see :func:`resolve_tracking_uri`.

    Example:
        >>> check_uri("mlruns")
        Traceback (most recent call last):
            ...
        scanproof.errors.ScanproofError: tracking URI: must name a database or a server, not a folder, got 'mlruns' ...
    """
    scheme = _scheme(uri)
    if scheme in ("", "file"):
        folder = urlsplit(uri).path if scheme else uri
        instead = default_tracking_uri(Path(folder.partition("?")[0].replace("%", "_")))
        raise ScanproofError(
            "must name a database or a server, not a folder",
            key=key,
            value=redact(uri),
            hint=f"MLflow no longer keeps runs in folders: use {instead} or http://HOST:PORT",
        )
    known = {*_DATABASES, *_SERVERS, *(point.name for point in entry_points(group="mlflow.tracking_store"))}
    if scheme not in known - {"file"}:
        raise unknown_name("scheme of a tracking URI", scheme, known - {"file"}, key=key)
    try:
        _ = urlsplit(uri).port
    except ValueError:
        # what could not be read may be a piece of the password
        raise ScanproofError(
            "must be a URI whose host and port can be read",
            key=key,
            value=redact(uri),
            hint="in a password write %40 for @, %2F for /, %3A for :, %3F for ? and %23 for #",
        ) from None
    path = sqlite_path(uri)
    if path is None:
        if scheme == "sqlite":
            raise ScanproofError(
                "must name a file, because runs in memory are lost when the program ends",
                key=key,
                value=uri,
                hint="use sqlite:///PATH",
            )
        return uri
    if path.is_absolute():
        return uri
    prefix, _, query = uri.partition("?")
    absolute = f"{prefix.partition(':')[0]}:///{path.absolute().as_posix()}"
    return f"{absolute}?{query}" if query else absolute


def is_database(uri: str) -> bool:
    """Whether the URI names a database that this program opens itself, rather than a server.

    Example:
        >>> is_database("postgresql+psycopg2://host/runs"), is_database("https://host")
        (True, False)
    """
    return _scheme(uri) in _DATABASES


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite URI; ``None`` for any other URI and for a database in memory.

    Example:
        >>> sqlite_path("sqlite:////data/mlflow.db").as_posix()
        '/data/mlflow.db'
        >>> sqlite_path("sqlite:///:memory:") is None
        True
    """
    if _scheme(uri) != "sqlite":
        return None
    _, _, rest = uri.partition("://")
    path = rest.partition("?")[0].removeprefix("/")
    return Path(path) if path and path != ":memory:" else None


def redact(uri: str) -> str:
    """The URI without passwords and tokens, for messages; it need not be one that can be read.

    What stands before the last ``@`` is the password, whatever it holds, and so is a user of a server without one: that
    is how tokens are given. Of the options those are hidden that are named like a secret.

    Example:
        >>> redact("postgresql://runs:secret@db.example/mlflow?sslmode=require&sslpassword=other")
        'postgresql://runs:***@db.example/mlflow?sslmode=require&sslpassword=***'
        >>> redact("https://token@tracking.example")
        'https://***@tracking.example'
    """
    scheme, separator, rest = uri.partition("://")
    given, place = split_credentials(rest)
    user, colon, _ = given.partition(":")
    if colon:
        given = f"{user}:***"
    elif given and scheme.lower() in ("http", "https"):
        given = "***"
    return f"{scheme}{separator}{given}{'@' if given else ''}{_OPTION.sub(_HIDDEN, place)}" if separator else uri


def split_credentials(rest: str) -> tuple[str, str]:
    """User and password, and what follows their ``@``, of what stands behind the scheme of a URI.

    A password may hold any character, escaped or not, also one that ends it for most readers of URIs.

    Example:
        >>> split_credentials("me:a/b@c@host/runs?x=1"), split_credentials("host/runs")
        (('me:a/b@c', 'host/runs?x=1'), ('', 'host/runs'))
    """
    if rest.startswith("/"):
        return "", rest  # a file
    before, mark, options = rest.partition("?")
    if "@" not in before:  # a question mark that belongs to the password, or options that hold an @
        before, mark, options = rest, "", ""
    given, _, place = before.rpartition("@")
    return given, place + mark + options


def hide(text: str, uri: str) -> str:
    """A text, such as a driver's error, without the secrets of a URI, also where it repeats them in part.

    Example:
        >>> hide('no host "word@db"', "postgresql://me:pass@word@db/runs")
        'no host "***@db"'
        >>> hide("nothing to hide", "http://db")
        'nothing to hide'
    """
    given, place = split_credentials(uri.partition("://")[2])
    user, colon, password = given.partition(":")
    found = [password if colon else user, *(value for _, value in _OPTION.findall(place))]
    text = text.replace(uri, redact(uri))
    for secret in {form for value in found for form in (value, unquote(value))}:
        # a reader that ended the password at one of these would repeat what it took for something else
        for part in sorted({secret, *re.split(r"[@:/?#]", secret)}, key=len, reverse=True):
            text = text.replace(part, "***") if len(part) > 2 or (part and part == password) else text
    return text


def _scheme(uri: str) -> str:
    """Scheme in lower case without a database driver; empty for a path."""
    if uri.partition(":")[0] in ("databricks", "databricks-uc", "uc"):
        return uri.partition(":")[0]
    if uri.startswith("file:"):
        return "file"
    scheme, separator, _ = uri.partition("://")
    return scheme.partition("+")[0].lower() if separator else ""
