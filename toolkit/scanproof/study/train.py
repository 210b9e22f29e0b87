"""Training a study's reconstructions ahead of its run, in the foreground and, under torchrun, in several processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from scanproof.errors import ScanproofError, unknown_name
from scanproof.study.definition import Study
from scanproof.study.executor import Tracking, compute, execute_and_read, keep, missing_tasks, request_for
from scanproof.study.plan import Plan, Task
from scanproof.study.record import training_records
from scanproof.study.run import Workspace, plan_study
from scanproof.study.store import DamagedEntryError, Store
from scanproof.tracking.kept import results_kept
from scanproof.training.processes import Processes


@dataclass(frozen=True)
class Trained:
    """A trained reconstruction.

    Args:
        name: the reconstruction and its acceleration.
        key: of its task.
        epochs: how many it was trained.
        best_epoch: whose weights it has.
        val_loss: of that epoch, where the method reports one.
        before: it was in the store already.
    """

    name: str
    key: str
    epochs: int
    best_epoch: int
    val_loss: float | None
    before: bool

    def __str__(self) -> str:
        when = " (trained before)" if self.before else ""
        loss = "" if self.val_loss is None else f", validation loss {self.val_loss:.4g}"
        return f"{self.name}: best epoch {self.best_epoch} of {self.epochs}{loss}{when}"


def train_study(
    study: Study,
    workspace: Workspace,
    *,
    names: Sequence[str] = (),
    tracking_uri: str | None,
    on_start: Callable[[Sequence[Task]], None] = lambda tasks: None,
    on_done: Callable[[Task], None] = lambda task: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> list[Trained]:
    """Train what is not in the store yet, where a run of the study finds it.

    All processes of ``torch.distributed``'s default group call this alike and work on one training after the other
    together; the first alone makes what trainings need, writes and tracks. Their number and the device have no part in
    a task's key: the store keeps what came first, and greedy learning on the CPU gives the same bits in any number of
    processes, other trainings the same up to rounding.

    Args:
        study: the definition.
        workspace: where to read and write.
        names: reconstructions to train; all that can be trained without.
        tracking_uri: MLflow; None for no tracking.
        on_start: see :func:`scanproof.study.executor.execute`.
        on_done: likewise.
        on_stage: told what happens.

    Returns:
        One a training, in the order of the study.

    Raises:
        ScanproofError: a name that the study does not train, or wrong input. Finished trainings are kept, and one that
            is interrupted goes on where it was.
    """
    processes, store = Processes.now(), workspace.store
    on_stage("reading data and planning")
    plan = _planned(study, workspace, processes)
    fits = trainings(study, plan, names)
    tracking = None
    with processes.together():
        if processes.first:
            store.sweep()
            if tracking_uri is not None:
                from scanproof.tracking.experiment import prepare

                prepare(tracking_uri, experiment=study.name, artifact_root=workspace.root / "artifacts")
                tracking = Tracking(uri=tracking_uri, experiment=study.name)
    missing = processes.tell([name for name, task in fits.items() if not _is_whole(task.key, store)])
    with processes.together():
        if processes.first:
            _bring_inputs(plan, [fits[name] for name in missing], store, on_start=on_start, on_done=on_done)
    together = f" in {processes.count} processes" if processes.several else ""
    for name in missing:
        on_stage(f"training {name}{together}")
        request = request_for(fits[name])
        payload = compute(request, store, tracking)
        with processes.together():
            if processes.first:
                keep(store, request, payload)
        on_done(fits[name])
    with processes.together():
        if tracking is not None:
            from scanproof.tracking.training import log_training

            records = training_records(replace(plan, fits=list(fits.values()), classifiers=[]), store)
            with results_kept(tracking.uri, store.root):
                log_training(records, tracking.uri, experiment=study.name, artifact_root=workspace.root / "artifacts")
        return [_trained(name, task.key, store, before=name not in missing) for name, task in fits.items()]


def trainings(study: Study, plan: Plan, names: Sequence[str] = ()) -> dict[str, Task]:
    """The trainings of reconstructions, by reconstruction and acceleration; each once.

    Args:
        study: the definition.
        plan: its plan.
        names: reconstructions; all that are trained without.

    Raises:
        ScanproofError: a name that the study does not train, or a study that trains none.
    """
    known = [method.name for method in study.reconstruction]
    found: dict[str, Task] = {}
    for (name, acceleration), task in plan.networks.items():
        trained = task.kind == "fit_reconstruction" and task.key not in {one.key for one in found.values()}
        if trained and (not names or name in names):
            found[f"{name}, R = {acceleration:g}"] = task
    for name in names:
        if name not in known:
            raise unknown_name("reconstruction", name, known, key="reconstruction")
        own = [task.key for (network, _), task in plan.networks.items() if network == name]
        if not {task.key for task in found.values()}.intersection(own):
            raise ScanproofError("must name a reconstruction that is trained", key="reconstruction", value=name)
    if not found:
        raise ScanproofError("study must have a reconstruction that is trained", key=study.name, value=known)
    return found


def _planned(study: Study, workspace: Workspace, processes: Processes) -> Plan:
    """The plan, which the first process makes before the others: it may write the key of a site's pseudonyms."""
    with processes.together():
        plan = plan_study(study, workspace) if processes.first else None
    with processes.together():
        return plan or plan_study(study, workspace)


def _bring_inputs(
    plan: Plan,
    missing: Sequence[Task],
    store: Store,
    *,
    on_start: Callable[[Sequence[Task]], None],
    on_done: Callable[[Task], None],
) -> None:
    """Compute what trainings need, and make sure that it can be read."""
    inputs: Mapping[str, Task] = {child.key: child for task in missing for cs in task.inputs.values() for child in cs}
    behind = {task.key: plan.tasks[: number + 1] for number, task in enumerate(plan.tasks)}
    pending = {task.key: task for key in inputs for task in missing_tasks(behind[key], store)}
    on_start([*pending.values(), *missing])
    for key in inputs:
        execute_and_read(behind[key], store, partial(store.get, key), workers=1, on_done=on_done)


def _is_whole(key: str, store: Store) -> bool:
    """Whether a result is there and not damaged; if it is, it is removed."""
    try:
        store.get(key)
    except DamagedEntryError:
        return False
    return True


def _trained(name: str, key: str, store: Store, *, before: bool) -> Trained:
    payload = store.get(key)
    history, best = payload.tables["history"], int(str(payload.facts["best_epoch"]))
    return Trained(
        name=name,
        key=key,
        epochs=len(history),
        best_epoch=best,
        val_loss=float(history["val_loss"].iloc[best - 1]) if "val_loss" in history else None,
        before=before,
    )
