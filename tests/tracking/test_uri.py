from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.tracking.uri import (
    ENVIRONMENT,
    check_uri,
    default_tracking_uri,
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


@pytest.mark.parametrize("uri", ["http://host:5000", "https://user@host/", "sqlite:////a/b.db", "databricks"])
def test_uri_without_password_stays(uri: str) -> None:
    assert redact(uri) == uri == check_uri(uri)


def test_password_is_not_shown_even_if_odd() -> None:
    assert redact("mysql+pymysql://me:p@ss:w0rd@host:3306/runs?x=1") == "mysql+pymysql://me:***@host:3306/runs?x=1"
