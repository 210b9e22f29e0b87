"""What the tasks of a plan do: pure functions of their parameters and their inputs' payloads."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from scanproof.study.tasks.context import Context, cpu_threads

if TYPE_CHECKING:
    from scanproof.study.store import Payload
    from scanproof.study.tasks.context import Inputs, Params


def run_task(function: str, key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Compute a task's payload.

    Threads are set to what the definition says, so that the result does not depend on the machine's load or on
    how many workers there are.

    Args:
        function: of the task's kind, see :class:`scanproof.study.kinds.Kind`.
        key: the task's hash.
        params: its parameters.
        inputs: keys of the results that it reads.
        context: what has no influence on the result.
    """
    module, _, name = function.partition(":")
    with cpu_threads(int(params["threads"])):
        payload: Payload = getattr(import_module(module), name)(key, params, inputs, context)
    return payload
