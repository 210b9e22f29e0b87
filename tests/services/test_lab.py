"""The services as a lab would start them: twice, with another program's look for secrets, and stopped."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from needs import NEEDS_POSTGRESQL
from scanproof.cli import app
from scanproof.errors import ScanproofError
from scanproof.services.cluster import PASSWORD, Cluster
from scanproof.services.lab import Services
from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tuning.storage import open_storage
from tracking.ports import free_port

pytestmark = NEEDS_POSTGRESQL

SECRET = "hunter2:and\\\\more"  # noqa: S105 (no real one)


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    pytest.importorskip("psycopg2", reason="needs psycopg2 (the extra 'postgresql')")
    folder = Path(tempfile.mkdtemp(prefix="scanproof-services-"))
    folder.chmod(0o711)
    found = Services(folder / "lab", free_port(), free_port())
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(PASSWORD, SECRET)
        try:
            yield found.start()
        finally:
            found.stop()
            shutil.rmtree(folder, ignore_errors=True)


def test_runs_and_trials_are_kept_where_the_variables_say(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    variables = services.variables()
    monkeypatch.setenv("PGPASSFILE", variables["PGPASSFILE"])
    prepare(variables["MLFLOW_TRACKING_URI"], experiment="knees")
    with connect(services.cluster.url("mlflow")) as client:  # the server keeps nothing to itself
        assert {one.name for one in client.search_experiments()} == {"Default", "knees"}
    with open_storage(variables["SCANPROOF_STORAGE"], default=tmp_path / "unused") as storage:
        optuna.create_study(study_name="s", storage=storage)
        assert optuna.get_all_study_names(storage) == ["s"]
    monkeypatch.setenv("PGPASSFILE", os.devnull)
    with (
        pytest.raises(ScanproofError, match="storage cannot be used"),
        open_storage(variables["SCANPROOF_STORAGE"], default=tmp_path / "unused"),
    ):
        pass


def test_nobody_else_reads_the_password(services: Services) -> None:
    assert stat.S_IMODE(services.cluster.passfile.stat().st_mode) == 0o600
    assert not any("hunter2" in text for text in services.variables().values())
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"hunter2" not in path.read_bytes()
        except OSError:
            continue  # it has ended
    for path in services.folder.rglob("*"):
        if path.is_file() and path != services.cluster.passfile:
            assert b"hunter2" not in path.read_bytes(), path


def test_commands_can_be_given_again_and_all_is_kept(services: Services) -> None:
    data = ["--data", str(services.folder)]
    command = [sys.executable, "-m", "scanproof", "services", "start", *data, "--port", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # as they run, not as they were asked for a second time
    assert done.stdout == CliRunner().invoke(app, ["services", "status", *data]).stdout
    assert f"export MLFLOW_TRACKING_URI={services.server.address}" in done.stdout
    assert Services.find(services.folder) == services
    result = CliRunner().invoke(app, ["services", "stop", *data])
    assert result.stdout == "stopped: MLflow, PostgreSQL\n"
    assert CliRunner().invoke(app, ["services", "stop", *data]).stdout == "stopped: nothing ran\n"
    result = CliRunner().invoke(app, ["services", "status", *data])
    assert (result.exit_code, result.stdout) == (1, "")
    services.start()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PGPASSFILE", str(services.cluster.passfile))
        with connect(services.server.address) as client:
            assert "knees" in {one.name for one in client.search_experiments()}


def test_port_that_is_taken(services: Services, tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="scanproof-services-"))
    folder.chmod(0o711)
    try:
        other = Cluster(folder, services.postgresql_port)
        with pytest.raises(ScanproofError, match=r"PostgreSQL must start, got 'port \d+' .*in use"):
            other.start()
        assert not other.is_running()
    finally:
        shutil.rmtree(folder)
