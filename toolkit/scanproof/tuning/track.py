"""A search as MLflow runs: one for the search, and nested in it one for each trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.metrics import Point, part
from scanproof.tracking.params import flatten
from scanproof.tracking.runs import KIND, create_run, discard, find_runs, log_params, log_points, open_run
from scanproof.tuning.search import Search
from scanproof.tuning.trials import FINISHED, Ranking, Record, exact

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: tags of a search's run, and of a trial's
SEARCH, TRIAL = "scanproof.search", "scanproof.trial"


def experiment_name(study: str) -> str:
    """The experiment of a study's searches; the runs of the study itself have one of their own.

    Example:
        >>> experiment_name("knees")
        'knees-tuning'
    """
    return f"{study}-tuning"


def log_search(
    search: Search,
    records: Sequence[Record],
    ranking: Ranking,
    *,
    importances: Mapping[str, float],
    command: str,
    files: Sequence[Path],
    lock: Path,
    uri: str,
    artifact_root: Path | None = None,
) -> str:
    """Log a search, or what is new about one that is logged already.

    The search's run holds its definition as parameters, the best trial's values, time and options, the shares of the
    options (``importance/<option>``), counts of trials, and the files. A trial's run holds its options as parameters,
    its values and time, and the quality of each slice as a metric whose step is the slice. A trial that an earlier call
    has logged is left as it is.

    Args:
        search: what was searched.
        records: all trials.
        ranking: of those that gave a result.
        importances: share of each option.
        command: that made it.
        files: artifacts of the search's run.
        lock: file that keeps processes that finish at the same time from logging a trial twice.
        uri: tracking URI.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        Id of the experiment.

    Raises:
        ScanproofError: the database or server cannot be used.
    """
    experiment_id = prepare(uri, experiment=experiment_name(search.study), artifact_root=artifact_root)
    with _one_at_a_time(lock), connect(uri) as client, _search_run(client, experiment_id, search) as parent:
        logged = _logged_trials(client, experiment_id, parent)
        # MLflow shows the newest runs first
        for record in records:
            if record.state in FINISHED and str(record.number) not in logged:
                _log_trial(client, experiment_id, search, record, parent)
        _log_best(client, parent, search, records, ranking, importances, command)
        for file in files:
            client.log_artifact(parent, str(file))
    return experiment_id


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Hold a lock among the processes of this machine, where the system has such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _search_run(client: MlflowClient, experiment_id: str, search: Search) -> Iterator[str]:
    """The run of a search, made when it is logged first."""
    tags = {KIND: "search", SEARCH: search.identity}
    found = find_runs(client, experiment_id, tags)
    if found:
        run_id = str(found[0].info.run_id)
    else:
        run_id = str(create_run(client, experiment_id, name=search.name, tags=tags).info.run_id)
    try:
        log_params(client, run_id, flatten(search.definition()))  # which a killed process may have left out
        yield run_id
    except BaseException:
        with suppress(Exception):  # the first error tells more than that its run could not be marked either
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _logged_trials(client: MlflowClient, experiment_id: str, parent: str) -> set[str]:
    """Numbers of the trials that are logged; what a killed process has left half logged is discarded."""
    runs = find_runs(client, experiment_id, {"mlflow.parentRunId": parent})
    discard(client, [run for run in runs if run.info.status == "RUNNING"])
    return {run.data.tags[TRIAL] for run in runs if run.info.status != "RUNNING"}


def _log_trial(client: MlflowClient, experiment_id: str, search: Search, record: Record, parent: str) -> None:
    tags = {KIND: "trial", TRIAL: str(record.number), "state": str(record.state), "reason": record.reason}
    with open_run(client, experiment_id, name=f"trial {record.number}", tags=tags, parent=parent) as run_id:
        log_params(client, run_id, {part(name): exact(value) for name, value in record.options.items()})
        log_points(client, run_id, _trial_points(search, record))


def _trial_points(search: Search, record: Record) -> list[Point]:
    points = [Point(name, value) for name, value in zip(search.objectives.names, record.values or (), strict=False)]
    if record.seconds is not None and not search.objectives.seconds:
        points.append(Point("seconds", record.seconds))
    points += [Point(f"slice_{search.objectives.quality}", score, n) for n, score in enumerate(record.scores)]
    return points


def _log_best(
    client: MlflowClient,
    run_id: str,
    search: Search,
    records: Sequence[Record],
    ranking: Ranking,
    importances: Mapping[str, float],
    command: str,
) -> None:
    best = ranking.best
    points = [Point(f"best_{point.key}", point.value) for point in _trial_points(search, best) if point.step == 0]
    points = [point for point in points if not point.key.startswith("best_slice_")]
    if ranking.start is not None:
        names = zip(search.objectives.names, ranking.start.values or (), strict=True)
        points += [Point(f"start_{name}", value) for name, value in names]
    points += [Point(f"importance/{part(name)}", share) for name, share in importances.items()]
    points += [Point(f"trials/{part(state)}", sum(r.state is state for r in records)) for state in FINISHED]
    log_points(client, run_id, points)
    # parameters of a run cannot change, the best settings can
    tags = {
        "best_trial": str(best.number),
        "command": command,
        **{f"best/{part(name)}": exact(value) for name, value in best.options.items()},
        "mlflow.note.content": _note(search, ranking),
    }
    for key, value in tags.items():
        client.set_tag(run_id, key, value)


def _note(search: Search, ranking: Ranking) -> str:
    values = ", ".join(
        f"{name} **{value:.4g}**"
        for name, value in zip(search.objectives.names, ranking.best.values or (), strict=True)
    )
    return (
        f"Best trial: {ranking.best.number}, {values}.\n\n"
        "Each run nested in this one is a trial. `report.html`, `preset.yaml` and `trials.csv` are among the "
        "artifacts.\n\nSimulated, not scanner-acquired; not for clinical use."
    )
