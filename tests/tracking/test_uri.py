from __future__ import annotations

import re
import traceback
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.tracking.client import connect
from scanproof.tracking.uri import (
    ENVIRONMENT,
    check_uri,
    default_tracking_uri,
    hide,
    redact,
    resolve_tracking_uri,
    sqlite_path,
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)


def test_explicit_wins_over_environment_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_tracking_uri(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv(ENVIRONMENT, "http://server:5000")
    assert resolve_tracking_uri(None, tmp_path) == "http://server:5000"
    assert resolve_tracking_uri("", tmp_path) == "http://server:5000"
    assert resolve_tracking_uri("postgresql://db/runs", tmp_path) == "postgresql://db/runs"


def test_default_is_absolute_wherever_the_root_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_tracking_uri(Path("mlruns")) == f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def test_relative_sqlite_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_uri("sqlite:///runs.db") == f"sqlite:///{tmp_path}/runs.db"
    assert check_uri("sqlite+pysqlite:///runs.db?timeout=3") == f"sqlite+pysqlite:///{tmp_path}/runs.db?timeout=3"


@pytest.mark.parametrize("folder", ["mlruns", "/data/mlruns", "file:///data/mlruns", "file:mlruns", "./50 %?"])
def test_folders_are_refused_with_what_to_use_instead(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, folder)
    with pytest.raises(ScanproofError, match=rf"^{ENVIRONMENT}: must name a database or a server") as caught:
        resolve_tracking_uri(None, Path("mlruns"))
    assert "use sqlite:////" in str(caught.value)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
def test_memory_is_refused(uri: str) -> None:
    with pytest.raises(ScanproofError, match="lost when the program ends"):
        check_uri(uri)


def test_unknown_scheme_lists_the_known_ones() -> None:
    with pytest.raises(ScanproofError, match=r"got 'postgres'.*postgresql.*sqlite"):
        check_uri("postgres://db/runs")


@pytest.mark.parametrize("name", ["50%", "why?"])
def test_root_that_no_uri_can_carry(name: str, tmp_path: Path) -> None:
    with pytest.raises(ScanproofError, match="must not hold any of % \\?"):
        default_tracking_uri(tmp_path / name)


@given(st.text(st.characters(categories=("L", "N"), include_characters=" -_.#@:+"), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_path_survives_the_uri(name: str) -> None:
    root = Path("/data") / name
    uri = default_tracking_uri(root)
    assert check_uri(uri) == uri
    assert sqlite_path(uri) == root / "mlflow.db"


@pytest.mark.parametrize("uri", ["http://host:5000", "sqlite:////a/b.db", "databricks"])
def test_uri_without_password_stays(uri: str) -> None:
    assert redact(uri) == uri == check_uri(uri)


CANARY = "CNRY7c1f"


@pytest.mark.parametrize(
    "password", [CANARY, f"p@ss{CANARY}", f"a/b{CANARY}", f"a?b{CANARY}", f"a#b{CANARY}", f"%2F{CANARY}"]
)
@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql", "http"])
def test_no_password_is_shown_whatever_it_holds(scheme: str, password: str) -> None:
    uri = f"{scheme}://me:{password}@127.0.0.1:9/runs"
    assert redact(uri) == f"{scheme}://me:***@127.0.0.1:9/runs"
    piece = re.split("[@/?#]", unquote(password))[-1]  # what a reader takes for a host that ended the password before
    assert CANARY not in hide(f"refused: {uri}, {password}, {unquote(password)}, no host '{piece}@127.0.0.1'", uri)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (f"postgresql://host/db?user=me&password={CANARY}&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        (f"mysql://host/db?ssl_key={CANARY}", "mysql://host/db?ssl_key=***"),
        (f"https://{CANARY}@host/", "https://***@host/"),
        (f"http://me:{CANARY}@[::1", "http://me:***@[::1"),
        ("sqlite:////data/me:x@home/a.db", "sqlite:////data/me:x@home/a.db"),
    ],
)
def test_other_places_of_secrets(uri: str, shown: str) -> None:
    assert redact(uri) == shown


@pytest.mark.parametrize("rest", [f"me:a/{CANARY}@host/db", f"me:{CANARY}@host:port/db", f"me:{CANARY}@[::1/db"])
def test_a_uri_that_cannot_be_read_is_refused_without_its_password(rest: str) -> None:
    with pytest.raises(ScanproofError, match=r"whose host and port can be read.*write %40 for @") as caught:
        check_uri(f"postgresql://{rest}")
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("rest", [f"://me:{CANARY}@127.0.0.1:9/db", f"://127.0.0.1:9/db?password={CANARY}"])
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+nosuchdriver", "http"])
def test_neither_errors_nor_their_causes_tell_a_secret(scheme: str, rest: str) -> None:
    with pytest.raises(ScanproofError, match=r"\*\*\*") as caught, connect(scheme + rest):
        pass
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_password_is_not_shown_even_if_odd() -> None:
    assert redact("mysql+pymysql://me:p@ss:w0rd@host:3306/runs?x=1") == "mysql+pymysql://me:***@host:3306/runs?x=1"
