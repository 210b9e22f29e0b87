from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from needs import NEEDS_POSTGRESQL
from scanproof.errors import ScanproofError
from scanproof.services.cluster import Cluster
from scanproof.tuning.storage import open_storage, public, shared_journal

SECRET = "hunter2"  # noqa: S105 (no real one)


def add(url: str | None, default: Path, *, trials: int) -> int:
    with open_storage(url, default=default) as storage:
        study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True)
        for _ in range(trials):
            study.tell(study.ask(), 1.0)
        return len(study.trials)


def test_default_is_a_journal_whose_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "trials.journal"
    assert add(None, path, trials=2) == 2
    assert add(None, path, trials=1) == 3
    assert add(str(tmp_path / "other.journal"), path, trials=1) == 1


def test_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/trials.db"
    assert add(url, tmp_path / "unused", trials=2) == 2
    assert add(url, tmp_path / "unused", trials=1) == 3
    assert not (tmp_path / "unused").exists()


@pytest.mark.postgresql
@NEEDS_POSTGRESQL[1]
def test_postgresql_may_be_restarted_between_two_trials(postgresql: Cluster, tmp_path: Path) -> None:
    postgresql.make_database("restarted")
    url = postgresql.url("restarted")
    with open_storage(url, default=tmp_path / "unused") as storage:
        study = optuna.create_study(study_name="s", storage=storage)
        for _ in range(3):
            study.tell(study.ask(), 1.0)
            assert postgresql.stop()
            postgresql.start()
        assert len(study.trials) == 3


def test_unfinished_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "trials.journal"
    add(None, path, trials=2)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    assert add(None, path, trials=1) == 3
    assert path.read_bytes().startswith(whole + b'{"op_code"')


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("trials.db", r"--storage: storage must be the URL of a database, or a path that ends in .journal"),
        ("sqlite://", "trials in memory are lost"),
        ("sqlite:///:memory:", "trials in memory are lost"),
        ("sqlite:////no/such/folder/trials.db", "it must answer and accept trials.*unable to open database file"),
        (f"nonsense://me:{SECRET}@host/db", "it must answer and accept trials, got 'nonsense://host/db'"),
        (f"postgresql://me:{SECRET}@127.0.0.1:9/db", "got 'postgresql://127.0.0.1:9/db'"),
        (f"mysql://host/db?password={SECRET}", "its driver must be installed, got 'mysql://host/db'"),
    ],
)
def test_bad_storage_tells_no_secret(tmp_path: Path, url: str, text: str) -> None:
    with pytest.raises(ScanproofError, match=text) as caught, open_storage(url, default=tmp_path / "unused"):
        pass
    assert SECRET not in str(caught.value)
    # an error that was shown with its causes would tell what its text does not
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("content", [b"not a journal\n", b'{"op_code": 99}\n', b"[]\n"])
def test_file_that_is_no_journal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trials.journal"
    path.write_bytes(content)
    with pytest.raises(ScanproofError, match="storage must be a journal of Optuna"), open_storage(None, default=path):
        pass
    assert path.read_bytes() == content


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ScanproofError, match="storage must be writable"),
        open_storage(None, default=tmp_path / "file" / "a.journal"),
    ):
        pass


def test_public_url_has_no_user() -> None:
    assert public(f"mysql+pymysql://me:{SECRET}@[::1]:3306/db?x={SECRET}") == "mysql+pymysql://[::1]:3306/db"
    assert public(f"postgresql://me:a@{SECRET}@host/db") == "postgresql://host/db"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("a.journal", "path of a journal must be absolute, got 'a.journal'"),
        ("sqlite:////data/a.db", "storage must not be SQLite, got 'sqlite:////data/a.db'"),
    ],
)
def test_a_cluster_needs_a_storage_that_all_machines_share(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(ScanproofError, match=f"--storage: on a cluster, {said}"):
        shared_journal(url, default=tmp_path / "b.journal")
    assert shared_journal(None, default=tmp_path / "b.journal") == tmp_path / "b.journal"
    assert shared_journal(str(tmp_path / "a.journal"), default=tmp_path / "b.journal") == tmp_path / "a.journal"
