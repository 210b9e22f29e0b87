"""What the tasks of a plan do: pure functions of their parameters and their inputs' payloads."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from scanproof.study.tasks.context import Context, cpu_threads

if TYPE_CHECKING:
    from scanproof.study.store import Payload
    from scanproof.study.tasks.context import Inputs, Params

#: kind of a task to the module and name of its function; a kind's results depend on its own module alone
FUNCTIONS = {
    "cohort": ("cohort", "make_cohort"),
    "fit_reconstruction": ("images", "fit_reconstruction"),
    "load_reconstruction": ("images", "load_reconstruction"),
    "reconstruct": ("images", "reconstruct"),
    "train_classifier": ("readings", "train"),
    "predict": ("readings", "predict"),
    "evaluate": ("results", "evaluate_study"),
    "judge": ("results", "judge"),
}


def run_task(kind: str, key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Compute a task's payload.

    Threads are set to what the definition says, so that the result does not depend on the machine's load or on
    how many workers there are.
    """
    module, name = FUNCTIONS[kind]
    function = getattr(import_module(f"{__name__}.{module}"), name)
    with cpu_threads(int(params["threads"])):
        payload: Payload = function(key, params, inputs, context)
    return payload
