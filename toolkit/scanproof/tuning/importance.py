"""How much of the differences between trials each option explains."""

from __future__ import annotations

from collections.abc import Sequence

from scanproof.tuning.search import Search
from scanproof.tuning.space import distributions, encode
from scanproof.tuning.trials import Record, State

#: trials from which something can be said at all
ENOUGH = 10


def importances(records: Sequence[Record], search: Search) -> dict[str, float]:
    """Share of the variance of the quality over the search space that each option explains, largest first.

    Trials that were ended because others were better count, too: compared is the mean over those slices that all of
    them reconstructed. Trials that were refused or took too long do not.

    Source: functional ANOVA on a random forest, Hutter, Hoos and Leyton-Brown, ICML 2014, as in Optuna, whose other
    measure (PED-ANOVA) looks at the best tenth of the trials, which are too few here. The forest is seeded.

    Args:
        records: all trials.
        search: that they belong to.

    Returns:
        Shares that sum to one; empty for fewer than :data:`ENOUGH` trials, and where all are equally good.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    seen = [record for record in records if record.state in (State.COMPLETE, State.PRUNED) and record.scores]
    common = min((len(record.scores) for record in seen), default=0)
    values = [sum(record.scores[:common]) / common for record in seen]
    if len(seen) < ENOUGH or len(set(values)) == 1:
        return {}
    axes = distributions(search.settings.space)
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.create_trial(
                params=dict(encode(record.options, search.settings.space)), distributions=axes, value=value
            )
            for record, value in zip(seen, values, strict=True)
        ]
    )
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(share) for name, share in found.items()}
