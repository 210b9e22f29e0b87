"""Trials of real fits, in one process and in several, with ends that nobody planned."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import torch

from needs import NEEDS_POSTGRESQL
from programs import Program
from scanproof.errors import ScanproofError
from scanproof.tuning import trials as keys
from scanproof.tuning.importance import importances
from scanproof.tuning.search import Search, read_samples
from scanproof.tuning.storage import open_storage
from scanproof.tuning.trials import FINISHED, Record, State, rank
from scanproof.tuning.worker import open_trials, read_records, recover, work

from .conftest import TINY

#: takes part in a search when it is told to begin
PROCESS = """
import pickle, sys, time
from pathlib import Path
search, samples, url, count, folder = pickle.loads(Path(sys.argv[1]).read_bytes())
from scanproof.tuning.storage import open_storage
from scanproof.tuning.worker import open_trials, work
import torch
torch.set_num_threads(1)
with open_storage(url, default=folder / "trials.journal") as storage:
    trials = open_trials(search, storage)
    (folder / f"ready-{sys.argv[2]}").touch()
    while not (folder / "begin").exists():
        time.sleep(0.01)
    work(search, trials, samples, count=count)
"""


def wait_for(condition, *, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


class Processes:
    """Processes of one search."""

    def __init__(self, lab, folder: Path, search: Search, *, url: str | None, count: int) -> None:
        import pickle

        self.folder, self.search, self.url = folder, search, url
        self.job = folder / "job"
        self.job.write_bytes(pickle.dumps((search, read_samples(search, lab.store), url, count, folder)))
        self.running: list[Program] = []

    def start(self) -> Program:
        name = str(len(self.running))
        self.running.append(Program("-c", PROCESS, self.job, name))
        return self.running[-1]

    def begin(self) -> None:
        wait_for(lambda: all((self.folder / f"ready-{n}").exists() for n in range(len(self.running))))
        (self.folder / "begin").touch()

    def trials(self):
        with open_storage(self.url, default=self.folder / "trials.journal") as storage:
            return open_trials(self.search, storage).get_trials()

    def records(self) -> list[Record]:
        with open_storage(self.url, default=self.folder / "trials.journal") as storage:
            return read_records(open_trials(self.search, storage), self.search)


def facts(records: list[Record]) -> list[tuple[object, ...]]:
    """All but measured times."""
    return [(r.number, r.state, r.options, r.values, r.scores, r.steps, r.start) for r in records]


@pytest.fixture(scope="module")
def in_one_go(lab, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return lab.run(lab.search(), tmp_path_factory.mktemp("worker") / "trials.journal", count=14)


def test_first_trial_is_the_start(lab, in_one_go: list[Record]) -> None:
    search = lab.search()
    assert [record.number for record in in_one_go] == list(range(14))
    assert [record.number for record in in_one_go if record.start] == [0]
    assert in_one_go[0].options == search.settings.start
    assert rank(in_one_go, search.objectives).best.values <= in_one_go[0].values


def test_trials_that_fall_behind_are_ended(lab, in_one_go: list[Record]) -> None:
    ended = [record for record in in_one_go if record.state is State.PRUNED]
    assert ended
    assert len(ended) < 10
    for record in ended:
        slices = len(record.scores)
        assert slices < 3
        assert record.reason == f"worse than the median of the others after {slices} of 3 slices"
        others = [r for r in in_one_go[: record.number] if r.state is State.COMPLETE]
        assert len(others) >= 5
        means = sorted(sum(r.scores[:slices]) / slices for r in others)
        assert sum(record.scores) / slices > means[(len(means) - 1) // 2]
    complete = [record for record in in_one_go if record.state is State.COMPLETE]
    for record in complete:
        assert len(record.scores) == len(record.times) == 3
        assert record.values == (pytest.approx(sum(record.scores) / 3),)
        assert record.seconds > 0


def test_a_search_that_goes_on_gives_the_same_trials(lab, in_one_go: list[Record], tmp_path: Path) -> None:
    for count in (1, 6, 9):
        found = lab.run(lab.search(), tmp_path / "trials.journal", count=count)
        assert facts(found) == facts(in_one_go[:count])
    # there are enough already
    assert len(lab.run(lab.search(), tmp_path / "trials.journal", count=4)) == 9


def test_another_seed_or_storage(lab, in_one_go: list[Record], tmp_path: Path) -> None:
    found = lab.run(lab.search(), f"sqlite:///{tmp_path}/trials.db", count=3)
    assert facts(found) == facts(in_one_go[:3])
    other = lab.run(lab.search(), tmp_path / "other.journal", count=2, seed=1)
    assert other[0].options == in_one_go[0].options
    assert other[1].options != in_one_go[1].options


def test_other_searches_are_kept_apart(lab, tmp_path: Path) -> None:
    searches = [
        lab.search(),
        lab.search(slices=2),
        lab.search(objectives=["psnr"]),
        lab.search(objectives=["held_out", "seconds"]),
        lab.search(seconds=60.0),
        lab.search(fixed=[*TINY, "averaging=0"]),
        lab.search(only=["learning_rate"]),
        lab.search(method="deep_decoder"),
        lab.search(only=["learning_rate"], preset="published_brain", fixed=[*TINY, "held_out=0.05", "amplitude=30"]),
    ]
    assert len({search.identity for search in searches}) == len(searches)
    assert lab.search().identity == searches[0].identity
    path = tmp_path / "trials.journal"
    for search in searches[:3]:
        assert [record.number for record in lab.run(search, path, count=1)] == [0]


def test_settings_that_cannot_be_are_recorded(lab, tmp_path: Path) -> None:
    fixed = ["channels=2", "iterations=5", "warmup=0", "check=5", "precision=float32"]
    # five halvings of 28 columns leave one pixel
    search = lab.search(method="deep_image_prior", only=["scales"], fixed=fixed, slices=1)
    records = lab.run(search, tmp_path / "trials.journal", count=8)
    refused = [record for record in records if record.state is State.INFEASIBLE]
    assert {record.options["scales"] for record in refused} & {5, 6}
    assert all("scales must" in record.reason for record in refused)
    assert not {record.options["scales"] for record in refused} & {
        record.options["scales"] for record in records if record.state is State.COMPLETE
    }


def test_a_slice_has_its_time(lab, tmp_path: Path) -> None:
    search = lab.search(seconds=1e-4, slices=1, fixed=[*TINY[:3], "iterations=200", "check=5"])
    records = lab.run(search, tmp_path / "trials.journal", count=3)
    assert [record.state for record in records] == [State.OVER_TIME] * 3
    assert records[0].reason.startswith("a slice must take at most 0.0001 s, got '0.")
    with pytest.raises(ScanproofError, match=r"at least one trial must give a result, got '3 without' \(over time: a"):
        rank(records, search.objectives)


def test_a_fit_that_starts_again_with_a_lower_rate_is_a_fact_about_its_trial(lab, tmp_path: Path) -> None:
    search = lab.search(
        only=["learning_rate"], slices=1, fixed=[*TINY[:3], "iterations=40", "norm=none", "loss=mse", "amplitude=1e30"]
    )
    record = lab.run(search, tmp_path / "trials.journal", count=1)[0]
    assert record.state is State.INFEASIBLE
    assert "fit must stay finite" in record.reason
    assert "starts again with a learning rate" in record.warnings[0]


def test_time_as_second_objective(lab, tmp_path: Path) -> None:
    search = lab.search(objectives=["psnr", "seconds"], slices=2)
    records = lab.run(search, tmp_path / "trials.journal", count=7)
    assert all(record.state is State.COMPLETE for record in records)  # nothing is pruned
    for record in records:
        assert record.values == (pytest.approx(sum(record.scores) / 2), pytest.approx(record.seconds))
    best, start = rank(records, search.objectives).best, records[0]
    assert best.values[0] >= start.values[0]
    assert best.values[1] <= start.values[1]


def test_importance_is_that_of_the_one_option_that_counts(lab) -> None:
    search = lab.search()
    rng = torch.Generator().manual_seed(0)
    records = []
    for number in range(40):
        rate = float(10 ** (-3 + 1.3 * torch.rand(1, generator=rng)))
        norm = ("batch", "group", "layer", "instance", "none")[number % 5]
        options = {**search.settings.start, "learning_rate": rate, "norm": norm}
        scores = (rate, 2 * rate) if number % 3 else (rate,)
        state = State.COMPLETE if number % 3 else State.PRUNED
        records.append(Record(number=number, state=state, options=options, scores=scores))
    shares = importances(records, search)
    assert sum(shares.values()) == pytest.approx(1)
    assert next(iter(shares)) == "learning_rate"
    assert shares["learning_rate"] > 0.95
    assert importances(records[:9], search) == {}
    assert shares == importances(records, search)


def test_error_of_the_program_ends_the_search_but_is_recorded(lab, tmp_path: Path) -> None:
    search = lab.search(objectives=["psnr"])
    with open_storage(None, default=tmp_path / "trials.journal") as storage:
        trials = open_trials(search, storage)
        without_reference = read_samples(lab.search(), lab.store)
        with pytest.raises(KeyError):
            work(search, trials, without_reference, count=2)
        (record,) = read_records(trials, search)
    assert (record.state, record.reason) == (State.FAILED, "KeyError: 'reference'")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=NEEDS_POSTGRESQL)])
def test_processes_share_the_trials_and_one_is_killed(
    lab, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/trials.db"
    if kind == "postgresql":
        cluster = request.getfixturevalue("postgresql")
        cluster.make_database("trials")
        url = cluster.url("trials")
    search = lab.search(slices=1, fixed=[*TINY[:3], "iterations=150", "warmup=150", "precision=float32"])
    processes = Processes(lab, tmp_path, search, url=url, count=6)
    # they make the tables at the same time
    killed, *survivors = (processes.start() for _ in range(3 if kind == "postgresql" else 2))
    processes.begin()

    def worked_on() -> dict[int, int]:
        signed = [t for t in processes.trials() if keys.OWNER in t.user_attrs]
        return {t.user_attrs[keys.OWNER]["pid"]: t.number for t in signed}

    wait_for(lambda: worked_on().keys() == {process.pid for process in processes.running})
    killed.kill()
    assert [survivor.wait(600) for survivor in survivors] == [0] * len(survivors)
    assert killed.wait() == -signal.SIGKILL
    records = processes.records()
    assert [record.number for record in records] == list(range(len(records)))
    assert sum(record.state in FINISHED for record in records) == 6
    assert {record.state for record in records} <= {*FINISHED, State.INTERRUPTED, State.SURPLUS}
    # no settings were tried twice to the end, those that both processes start from among them
    tried = [str(record.options) for record in records if record.state in FINISHED]
    assert len(set(tried)) == len(tried)
    assert sum(record.start for record in records if record.state in FINISHED) == 1
    # what the killed one has left was tried again by another
    assert {str(r.options) for r in records if r.state is State.INTERRUPTED and r.options} <= set(tried)


def test_killed_in_the_middle_of_a_trial_and_run_again(lab, tmp_path: Path) -> None:
    search = lab.search(slices=2, fixed=[*TINY[:3], "iterations=400", "warmup=400", "precision=float32"])
    processes = Processes(lab, tmp_path, search, url=None, count=2)
    process = processes.start()
    processes.begin()
    wait_for(lambda: any(r.state is State.RUNNING and r.scores for r in processes.records()))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    (running,) = [record for record in processes.records() if record.state is State.RUNNING]
    records = lab.run(search, tmp_path / "trials.journal", count=2)
    assert records[running.number].state is State.INTERRUPTED
    assert sum(record.state in FINISHED for record in records) == 2
    # its settings were tried again, and the start is still among the trials
    again = [r for r in records if r.options == records[running.number].options and r.state in FINISHED]
    assert len(again) == 1
    finished = [record for record in records if record.start and record.state in FINISHED]
    assert [record.options for record in finished] == [search.settings.start]


def test_killed_before_a_trial_is_signed(lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scanproof import owner

    monkeypatch.setattr(owner, "UNSIGNED", 1.0)
    search = lab.search(slices=1)
    with open_storage(None, default=tmp_path / "trials.journal") as storage:
        open_trials(search, storage).ask()
    records = lab.run(search, tmp_path / "trials.journal", count=1)
    assert [record.state for record in records] == [State.INTERRUPTED, State.COMPLETE]
    assert records[1].options == search.settings.start


def test_trial_of_a_living_process_is_left_alone(lab, tmp_path: Path) -> None:
    from scanproof.owner import this_process

    search = lab.search()
    with open_storage(None, default=tmp_path / "trials.journal") as storage:
        trials = open_trials(search, storage)
        trial = trials.ask()
        trial.set_user_attr(keys.OWNER, dict(this_process()))
        assert recover(trials) == []
        trial.set_user_attr(keys.OWNER, {**this_process(), "started": "earlier"})
        assert recover(trials) == [0]
        assert recover(trials) == []
        states = [record.state for record in read_records(trials, search)]
    assert states == [State.INTERRUPTED, State.WAITING]
