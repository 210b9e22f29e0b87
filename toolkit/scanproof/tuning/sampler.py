"""A sampler whose draws depend on a trial's number and on the trials before it, not on who draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from scanproof.seeds import derive_seed


class NumberedSampler(BaseSampler):
    """Optuna's tree-structured Parzen estimator, seeded anew for each trial.

    With one generator for all trials, a search that goes on after a break would draw the same settings a second time,
    and several processes would all draw the same. Seeds of trial numbers cannot collide.

    Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011; with several objectives Ozaki et
    al., JAIR 73, 2022; both as in Optuna.

    Args:
        seed: of the search.

    Example:
        >>> import optuna
        >>> before = optuna.logging.get_verbosity()
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> def draw():
        ...     study = optuna.create_study(sampler=NumberedSampler(1))
        ...     return [study.ask().suggest_int("layers", 1, 1000) for _ in range(3)]
        >>> draw() == draw(), len(set(draw()))
        (True, 3)
        >>> optuna.logging.set_verbosity(before)
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._inner: BaseSampler = TPESampler(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed what this trial draws."""
        self._inner = TPESampler(seed=derive_seed(self.seed, trial.number))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See :class:`optuna.samplers.BaseSampler`."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See :class:`optuna.samplers.BaseSampler`."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See :class:`optuna.samplers.BaseSampler`."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """See :class:`optuna.samplers.BaseSampler`."""
        self._inner.after_trial(study, trial, state, values)
