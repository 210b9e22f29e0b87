from __future__ import annotations

from pathlib import Path

import optuna

from scanproof.doctor.finding import Finding
from scanproof.doctor.searches import check_searches
from scanproof.owner import this_process
from scanproof.tuning import trials
from scanproof.tuning.storage import open_storage


def search(place: str, *, started: str | None = None) -> None:
    """Two finished trials and one that runs, in a process that began then."""
    with open_storage(place, default=Path("unused")) as storage:
        study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True)
        for _ in range(2):
            study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 1.0)
        if started is not None:
            trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
            trial.set_user_attr(trials.OWNER, {**this_process(), "started": started})


def check(root: Path, storage: str | None = None, *, repair: bool = False) -> list[tuple[str, str]]:
    found: list[Finding] = list(check_searches(root, storage, repair=repair))
    return [(str(finding.state), finding.line) for finding in found]


def test_trials_of_processes_that_are_gone_are_queued_again(tmp_path: Path) -> None:
    assert check(tmp_path) == [("ok", "none yet")]
    (tmp_path / "tuning").mkdir()
    for place in (str(tmp_path / "tuning" / "a.journal"), f"sqlite:///{tmp_path}/trials.db"):
        search(place, started="earlier")
        named = place if "://" in place else None
        ((state, text),) = [one for one in check(tmp_path, named) if place in one[1]]
        assert state == "warning"
        assert "3 trials of 1 searches, 1 of processes that are gone (s 2)" in text
        repaired = check(tmp_path, named, repair=True)
        assert ("ok", f"{place}: 3 trials of 1 searches; queued 1 again, whose process is gone") in repaired
        assert ("ok", f"{place}: 4 trials of 1 searches") in check(tmp_path, named)


def test_trial_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tuning" / "a.journal"
    search(str(path), started=this_process()["started"])
    assert check(tmp_path, repair=True) == [("ok", f"{path}: 3 trials of 1 searches")]


def test_torn_line_and_damaged_line(tmp_path: Path) -> None:
    path = tmp_path / "tuning" / "a.journal"
    search(str(path))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    assert check(tmp_path) == [
        ("warning", f"the last line of {path} is unfinished: --repair or the next search cuts it off")
    ]
    assert path.read_bytes() != whole
    assert check(tmp_path, repair=True) == [("ok", f"{path}: 2 trials of 1 searches")]
    assert path.read_bytes() == whole
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\0" * 30 + b"\n", *lines[2:]]))
    ((state, text),) = check(tmp_path, repair=True)
    assert state == "problem"
    assert "has a line that is none of Optuna's: 3" in text


def test_a_database_that_is_not_there_is_not_made_and_a_damaged_one_is_found(tmp_path: Path) -> None:
    path = tmp_path / "trials.db"
    url = f"sqlite:///{path}"
    assert check(tmp_path, url) == [("ok", f"nothing at {url} yet")]
    assert not path.exists()
    path.write_bytes(b"no database " * 1000)
    ((state, text),) = check(tmp_path, url, repair=True)
    assert state == "problem"
    assert "is damaged: file is not a database" in text
