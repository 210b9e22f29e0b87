from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scanproof.commands.common import choose_cluster, cores, count_workers
from scanproof.errors import ScanproofError
from scanproof.study.executor import execute
from scanproof.study.executors.cluster import Cluster
from scanproof.study.executors.terms import check_terms, make_terms
from scanproof.study.plan import Task
from scanproof.study.store import Store


@pytest.mark.parametrize("options", [{"address": "auto"}, {"gpus": 1}, {"memory": 4}])
def test_what_only_ray_can_do_is_refused_of_processes(options: dict) -> None:
    with pytest.raises(ScanproofError, match=f"--{next(iter(options))}.*needs --executor ray"):
        choose_cluster("local", **options)
    assert choose_cluster("local") is None


def test_a_cluster_that_runs_decides_how_much_it_does_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    started = choose_cluster("ray", memory=1.5)
    assert started == Cluster(memory=3 * 2**29)
    assert count_workers(0, None) == count_workers(0, started) == cores()
    assert count_workers(0, choose_cluster("ray", address="host:6379")) == 0
    assert count_workers(3, choose_cluster("ray", address="host:6379")) == 3
    monkeypatch.setenv("RAY_ADDRESS", "host:6379")
    assert Cluster().running == "host:6379"
    assert Cluster(address="local").running is None


@pytest.mark.parametrize("options", [{"gpus": -1}, {"gpus": 1.5}, {"gpus": float("nan")}, {"memory": -1}])
def test_needs_that_no_machine_has_are_refused(options: dict) -> None:
    with pytest.raises(ScanproofError, match=f"{next(iter(options))}: must"):
        Cluster(**options)


def test_a_missing_ray_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    task = Task("cohort", {"threads": 1})
    with pytest.raises(
        ScanproofError, match=r"--executor: Ray must be installed, got 'ray' \(pip install 'scanproof\[ray\]'\)"
    ):
        execute([task], Store(tmp_path), workers=1, cluster=Cluster())
    assert not list(tmp_path.glob("partial/*"))


def test_terms_hold_where_they_were_made(tmp_path: Path) -> None:
    beacon = tmp_path / "beacon"
    with pytest.raises(ScanproofError, match="folder must be shared with the workers"):
        check_terms(make_terms(["predict", "cohort"], beacons=[beacon]))
    beacon.touch()
    check_terms(make_terms(["predict", "cohort"], beacons=[beacon]))


def test_a_task_names_the_files_that_it_reads() -> None:
    several = Task("cohort", {}, local={"paths": {"a": "/data/1.nii", "b": "/data/2.nii"}})
    assert several.files == ["/data/1.nii", "/data/2.nii"]
    assert Task("load_classifier", {}, local={"folder": "/models/a"}).files == ["/models/a"]
    assert Task("scale_train", {}, local={"device": "cuda"}).files == []
