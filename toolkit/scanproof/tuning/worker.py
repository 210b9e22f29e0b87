"""One process of a search: asks for settings, tries them, tells what came of it, until there are enough trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError
from scanproof.owner import is_alive, this_process
from scanproof.seeds import derive_seed
from scanproof.tuning import trials
from scanproof.tuning.attempt import Outcome, attempt
from scanproof.tuning.scoring import computing, warm_up
from scanproof.tuning.search import Search
from scanproof.tuning.space import distributions, encode
from scanproof.tuning.trials import COUNTED, Record, State, read_record

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from torch import Tensor

#: complete trials before one may be pruned
STARTUP = 5
#: seconds between two looks at a trial that nobody has signed
LOOK = 0.5


def open_trials(search: Search, storage: BaseStorage, *, seed: int = 0) -> optuna.Study:
    """The trials of a search in a storage. The first process queues the settings that the search starts from.

    Args:
        search: which.
        storage: where.
        seed: of the sampler.
    """
    import optuna

    from scanproof.tuning.sampler import NumberedSampler

    study = optuna.create_study(
        study_name=search.optuna_name,
        storage=storage,
        directions=list(search.objectives.directions),
        load_if_exists=True,
        sampler=NumberedSampler(derive_seed(seed, "tuning")),
        # every trial meets the same slices in the same order, so running means after as many slices compare
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP) if search.prunes else optuna.pruners.NopPruner(),
    )
    if not study.get_trials(deepcopy=False):
        start = encode(search.settings.start, search.settings.space)
        study.enqueue_trial(dict(start), user_attrs={trials.START: True}, skip_if_exists=True)
    return study


def read_records(study: optuna.Study, search: Search) -> list[Record]:
    """All trials, by number."""
    return [read_record(trial, search.settings.space) for trial in study.get_trials(deepcopy=False)]


def work(
    search: Search,
    study: optuna.Study,
    samples: Sequence[Mapping[str, Tensor]],
    *,
    count: int,
    until: float = float("inf"),
    on_trial: Callable[[Record], None] = lambda record: None,
) -> None:
    """Run trials until the search has enough of them.

    Any number of processes may work at once. What a process that died has left unfinished is tried again and does not
    count.

    Args:
        search: which.
        study: its trials.
        samples: its slices.
        count: trials in total.
        until: no trial starts after this time, in seconds since 1970.
        on_trial: told of every trial that this process has finished.
    """
    from optuna.exceptions import UpdateFinishedTrialError

    warm = False
    while time.time() < until:
        recover(study)
        if _counted(read_records(study, search)) >= count:
            if _all_signed(study):
                return
            # the process of the last one may have died in the moment between beginning it and signing it
            time.sleep(LOOK)
            continue
        if not warm:
            with computing(search.threads), suppress(ScanproofError):
                warm_up(search.settings.build(search.settings.start), samples[0])
            warm = True
        trial = study.ask(distributions(search.settings.space))
        trial.set_user_attr(trials.OWNER, dict(this_process()))
        if _is_surplus(read_records(study, search), trial.number, count=count):
            _tell(study, trial, Outcome(State.SURPLUS))
            continue
        try:
            outcome = attempt(search, trial, samples)
        except UpdateFinishedTrialError:
            # this process was silent for so long that another one took it for dead
            continue
        except Exception as error:
            _tell(study, trial, Outcome(State.FAILED, f"{type(error).__name__}: {error}"))
            raise
        except BaseException:
            _give_back(study, trial.number)
            raise
        if _tell(study, trial, outcome):
            on_trial(read_records(study, search)[trial.number])


def lost_trials(study: optuna.Study) -> list[int]:
    """Numbers of the trials that processes which died have left unfinished."""
    from optuna.trial import TrialState

    lost = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        seen = float(trial.user_attrs.get(trials.SEEN, began))
        if not is_alive(trial.user_attrs.get(trials.OWNER), seen=seen):
            lost.append(trial.number)
    return lost


def recover(study: optuna.Study) -> list[int]:
    """Queue again what processes that died have left unfinished; returns the numbers of these trials."""
    return [number for number in lost_trials(study) if _give_back(study, number)]


def _all_signed(study: optuna.Study) -> bool:
    from optuna.trial import TrialState

    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return all(trials.OWNER in trial.user_attrs for trial in running)


def _is_surplus(found: Sequence[Record], number: int, *, count: int) -> bool:
    """Whether other processes began the last trial, or queued the start, in the same moment."""
    before = [record for record in found[:number] if record.state in COUNTED]
    return len(before) >= count or (found[number].start and any(record.start for record in before))


def _counted(found: Sequence[Record]) -> int:
    return sum(record.state in COUNTED for record in found)


def _tell(study: optuna.Study, trial: optuna.Trial, outcome: Outcome) -> bool:
    """Tell what became of a trial; False if another process has given it up meanwhile."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    # the sampler learns from all but failures
    states = {State.COMPLETE: TrialState.COMPLETE, State.FAILED: TrialState.FAIL, State.SURPLUS: TrialState.FAIL}
    try:
        trial.set_user_attr(trials.OUTCOME, [str(outcome.state), outcome.reason])
        for name, by in outcome.missed.items():
            trial.set_constraint(name, by)
        study.tell(trial, outcome.values, state=states.get(outcome.state, TrialState.PRUNED))
    except (ValueError, UpdateFinishedTrialError):
        return False
    return True


def _give_back(study: optuna.Study, number: int) -> bool:
    """End a trial without a word about it, which marks it as interrupted, and queue its settings again.

    Returns:
        Whether this process did it: several may find the same trial.
    """
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    trial = study.get_trials(deepcopy=False)[number]
    try:
        study.tell(number, state=TrialState.FAIL)
    except (ValueError, UpdateFinishedTrialError):
        return False
    # queued settings are whole, while those of a process that died may not all have been written
    params = trial.system_attrs.get("fixed_params") or trial.params
    if params:
        start = {trials.START: True} if trial.user_attrs.get(trials.START) else {}
        study.enqueue_trial(dict(params), user_attrs=start)
    return True
