from __future__ import annotations

from pathlib import Path

import pytest

from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.there import _in_service, are_there
from scanproof.tracking.uri import default_tracking_uri


def test_runs_are_there_until_they_or_their_experiment_are_deleted(tmp_path: Path) -> None:
    uri = default_tracking_uri(tmp_path)
    experiment = prepare(uri, experiment="knees")
    with connect(uri) as client:
        runs = [client.create_run(experiment).info.run_id for _ in range(3)]
        for run in runs[:2]:
            client.set_terminated(run, "FINISHED")

        def both(asked: list[str]) -> bool:
            """A file is read directly and through MLflow; the answer is one."""
            found = {are_there(uri, asked), _in_service(uri, asked)}
            assert len(found) == 1
            return found.pop()

        assert both(runs[:2])
        assert both([runs[0]])
        assert not both(runs)
        assert not both([runs[0], "0" * 32])
        client.delete_run(runs[1])
        assert not both(runs[:2])
        client.delete_experiment(experiment)
        assert not are_there(uri, [runs[0]])


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_where_no_runs_can_be_found_there_are_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "mlflow.db").write_bytes(content)
    assert not are_there(default_tracking_uri(tmp_path), ["0"])
