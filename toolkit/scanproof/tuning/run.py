"""Running a search from a study to a preset, a table, a page and MLflow runs."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scanproof.errors import ScanproofError
from scanproof.reporting.vocabulary import counted
from scanproof.study.executors.beacon import beacon
from scanproof.study.executors.cluster import Cluster
from scanproof.study.executors.engine import Engine, process_engine
from scanproof.study.kinds import Needs
from scanproof.study.remote_store import open_store
from scanproof.study.store import write_atomically
from scanproof.tracking.kept import results_kept
from scanproof.tuning.importance import importances
from scanproof.tuning.preset_file import preset_text
from scanproof.tuning.search import Request, Search, make_search, read_samples
from scanproof.tuning.storage import open_storage, shared_journal
from scanproof.tuning.trials import FINISHED, Ranking, Record, rank, trial_table
from scanproof.tuning.worker import open_trials, read_records, work

if TYPE_CHECKING:
    import numpy as np
    import optuna
    from numpy.typing import NDArray
    from torch import Tensor

    from scanproof.study.definition import Study

#: seconds between two looks at what other processes have finished
LOOK = 0.5


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long and with what to search; none of it changes what a trial's value means.

    Args:
        trials: in total, those of earlier runs and other processes among them.
        timeout: seconds after which no trial starts.
        workers: processes, on a cluster those that are at work at once.
        seed: of the sampler.
        storage: see :func:`~scanproof.tuning.storage.open_storage`; default a journal under the root.
    """

    trials: int = 50
    timeout: float | None = None
    workers: int = 1
    seed: int = 0
    storage: str | None = None

    def __post_init__(self) -> None:
        for name in ("trials", "workers"):
            if getattr(self, name) < 1:
                raise ScanproofError("must be at least 1", key=f"--{name}", value=getattr(self, name))
        if self.timeout is not None and not self.timeout > 0:
            raise ScanproofError("must be positive", key="--timeout", value=self.timeout)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A finished search.

    Args:
        search: what was searched.
        records: all trials.
        ranking: of those that gave a result.
        importances: see :func:`~scanproof.tuning.importance.importances`.
        command: that repeats it.
        folder: of preset, table and page.
        tracking_uri: where it is tracked; None without tracking.
    """

    search: Search
    records: tuple[Record, ...]
    ranking: Ranking
    importances: dict[str, float]
    command: str
    folder: Path
    tracking_uri: str | None = None

    @property
    def preset(self) -> Path:
        """The best settings."""
        return self.folder / "preset.yaml"

    @property
    def table(self) -> Path:
        """All trials."""
        return self.folder / "trials.csv"

    @property
    def page(self) -> Path:
        """The HTML page."""
        return self.folder / "report.html"


def tune(
    study: Study,
    request: Request,
    effort: Effort,
    *,
    cluster: Cluster | None = None,
    root: Path,
    store_at: str | None = None,
    output: Path | None = None,
    study_file: str = "STUDY",
    tracking_uri: str | None = None,
    on_stage: Callable[[str], None] = lambda text: None,
    on_trial: Callable[[Search, Record], None] = lambda search, record: None,
) -> Tuned:
    """Search until there are enough trials, and write what was found.

    Args:
        study: whose validation slices are used.
        request: what to search.
        effort: how long.
        cluster: Ray cluster that tries the settings; processes of this machine without.
        root: folder of the store and of the default storage and output.
        store_at: see :func:`~scanproof.study.remote_store.open_store`.
        output: folder of preset, table and page; default ``<root>/tuning/<study>-<method>``.
        study_file: the study's file, as the command names it.
        tracking_uri: MLflow; None for no tracking.
        on_stage: told what happens besides trials.
        on_trial: told of every trial that is finished, whichever process ran it.

    Raises:
        ScanproofError: wrong input, a storage that cannot be used, or no trial that gave a result. Finished trials are
            kept and found again by the next run.
    """
    search = make_search(study, request, root=root, store_at=store_at, on_stage=on_stage)
    folder = output or root / "tuning" / search.name
    until = float("inf") if effort.timeout is None else time.time() + effort.timeout
    journal = (root / "tuning" / f"{search.name}.journal").absolute()
    with open_storage(effort.storage, default=journal) as storage:
        trials = open_trials(search, storage, seed=effort.seed)
        told = {record.number for record in read_records(trials, search) if record.state in FINISHED}
        on_stage(_plan(search, effort, finished=len(told)))
        samples = read_samples(search, open_store(store_at, root=root))
        if effort.workers == 1 and cluster is None:
            work(
                search,
                trials,
                samples,
                count=effort.trials,
                until=until,
                on_trial=lambda record: on_trial(search, record),
            )
        else:
            _work_elsewhere(
                search, effort, trials, samples, cluster=cluster, journal=journal, until=until, on_trial=on_trial
            )
        on_stage("writing preset, table and page")
        records = tuple(read_records(trials, search))
        table = trial_table(records, search.objectives, search.settings.space)
        write_atomically(folder / "trials.csv", table.to_csv(index=False).encode())
        tuned = Tuned(
            search=search,
            records=records,
            ranking=rank(records, search.objectives),
            importances=importances(records, search),
            command=command(study_file, request, effort),
            folder=folder,
        )
    kspace: Literal["synthetic", "measured"] = "measured" if study.data.measured else "synthetic"
    return _write(tuned, kspace=kspace, tracking_uri=tracking_uri, root=root, on_stage=on_stage)


def command(study_file: str, request: Request, effort: Effort) -> str:
    """The command that repeats a search; where trials are kept, which may hold a password, is not part of it.

    Example:
        >>> command("a.yaml", Request(method="conv_decoder", only=["layers"]), Effort(trials=9))
        'scanproof tune a.yaml --method conv_decoder --trials 9 --only layers'
    """
    default, usual = Request(method=request.method), Effort()
    parts: list[object] = ["scanproof", "tune", study_file, "--method", request.method, "--trials", effort.trials]
    if tuple(request.objectives) != tuple(default.objectives):
        parts += [part for name in request.objectives for part in ("--objective", name)]
    for name in ("slices", "seconds", "preset"):
        if getattr(request, name) != getattr(default, name):
            parts += [f"--{name}", getattr(request, name)]
    parts += [part for text in request.fixed for part in ("--set", text)]
    parts += [part for name in request.only for part in ("--only", name)]
    for name in ("seed", "workers"):
        if getattr(effort, name) != getattr(usual, name):
            parts += [f"--{name}", getattr(effort, name)]
    return shlex.join(f"{part:g}" if isinstance(part, float) else str(part) for part in parts)


def _plan(search: Search, effort: Effort, *, finished: int) -> str:
    subjects = sum(map(len, search.slices.subjects.values()))
    known = f", {finished} of them finished" if finished else ""
    return (
        f"{counted(effort.trials, 'trial')}{known}, each on {counted(len(search.slices.chosen), 'slice')} of "
        f"{counted(subjects, 'validation subject')}; searching {counted(len(search.settings.space), 'option')}"
    )


def _write(
    tuned: Tuned,
    *,
    kspace: Literal["synthetic", "measured"],
    tracking_uri: str | None,
    root: Path,
    on_stage: Callable[[str], None],
) -> Tuned:
    from scanproof.tuning.page import render

    finished = sum(record.state in FINISHED for record in tuned.records)
    preset = preset_text(tuned.search, tuned.ranking, trials=finished, command=tuned.command)
    write_atomically(tuned.preset, preset.encode())
    page = render(
        tuned.search,
        tuned.records,
        tuned.ranking,
        importances=tuned.importances,
        preset=preset,
        command=tuned.command,
        kspace=kspace,
    )
    write_atomically(tuned.page, page.encode())
    if tracking_uri is None:
        return tuned
    from scanproof.tuning.track import log_search

    on_stage("logging to MLflow")
    with results_kept(tracking_uri, tuned.folder):
        log_search(
            tuned.search,
            tuned.records,
            tuned.ranking,
            importances=tuned.importances,
            command=tuned.command,
            lock=tuned.folder / ".mlflow.lock",
            files=(tuned.preset, tuned.table, tuned.page),
            uri=tracking_uri,
            artifact_root=root / "artifacts",
        )
    return replace(tuned, tracking_uri=tracking_uri)


def _work_elsewhere(
    search: Search,
    effort: Effort,
    trials: optuna.Study,
    samples: Sequence[Mapping[str, Tensor]],
    *,
    cluster: Cluster | None,
    journal: Path,
    until: float,
    on_trial: Callable[[Search, Record], None],
) -> None:
    told = {record.number for record in read_records(trials, search) if record.state in FINISHED}

    def tell() -> None:
        for record in read_records(trials, search):
            if record.state in FINISHED and record.number not in told:
                told.add(record.number)
                on_trial(search, record)

    # slices travel as arrays: acquiring them anew would cost every process seconds of imports
    arrays = [{key: tensor.numpy() for key, tensor in sample.items()} for sample in samples]
    needs = Needs(cpus=search.threads)
    with _engine(effort, cluster, needs, journal=journal) as engine:
        arrays = engine.share(arrays)
        running = {
            engine.submit(needs, _work_here, search, effort, arrays, journal=journal, until=until)
            for _ in range(effort.workers)
        }
        while running:
            done, running = wait(running, timeout=LOOK, return_when=FIRST_EXCEPTION)
            tell()
            for future in done:
                future.result()


@contextmanager
def _engine(effort: Effort, cluster: Cluster | None, needs: Needs, *, journal: Path) -> Iterator[Engine]:
    kept = "finished trials"
    if cluster is None:
        with process_engine(effort.workers, kept=kept, stop_on=BaseException) as engine:
            yield engine
        return
    from scanproof.study.executors.ray_engine import ray_engine
    from scanproof.study.executors.terms import make_terms

    with ExitStack() as stack:
        file = shared_journal(effort.storage, default=journal)
        beacons = [] if file is None else [stack.enter_context(beacon(file.parent))]
        terms = make_terms(["reconstruct"], beacons=beacons)
        yield stack.enter_context(ray_engine(cluster, terms, workers=effort.workers, needs=[needs], kept=kept))


def _work_here(
    search: Search,
    effort: Effort,
    arrays: Sequence[Mapping[str, NDArray[np.generic]]],
    *,
    journal: Path,
    until: float,
) -> None:
    """What a worker process does."""
    import torch

    samples = [{key: torch.from_numpy(array) for key, array in sample.items()} for sample in arrays]
    with open_storage(effort.storage, default=journal) as storage:
        trials = open_trials(search, storage, seed=effort.seed)
        work(search, trials, samples, count=effort.trials, until=until)
