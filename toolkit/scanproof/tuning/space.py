"""A method's search space in the words of Optuna, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError, unknown_name
from scanproof.reconstruction.untrained.space import Choices, Range, SearchSpace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

#: what Optuna keeps of an option; anything else becomes JSON text
Label = None | bool | int | float | str


def narrow(space: SearchSpace, *, only: Sequence[str], fixed: Mapping[str, object]) -> dict[str, Range | Choices]:
    """The part of a space that is searched.

    Args:
        space: of the method.
        only: options to search; empty for all.
        fixed: options that have a value already.

    Raises:
        ScanproofError: an unknown option, one that is to be searched and fixed, or nothing left to search.
    """
    for name in only:
        if name not in space:
            raise unknown_name("option that can be searched", name, space, key="--only")
        if name in fixed:
            raise ScanproofError("option must be either searched or set", key="--only", value=name)
    left = {name: axis for name, axis in space.items() if name not in fixed and (not only or name in only)}
    if not left:
        raise ScanproofError("at least one option must be searched", key="--set", value=", ".join(fixed))
    return left


def widen(space: SearchSpace, start: Mapping[str, object]) -> dict[str, Range | Choices]:
    """The space with the settings that the search starts from in it.

    Raises:
        ScanproofError: a setting that is no number where numbers are searched.

    Example:
        >>> widen({"layers": Range("int", 4, 10)}, {"layers": 3})
        {'layers': Range(kind='int', low=3, high=10, log=False)}
    """
    wide: dict[str, Range | Choices] = {}
    for name, axis in space.items():
        value = start[name]
        if isinstance(axis, Choices):
            known = [label(choice) for choice in axis.values]
            wide[name] = axis if label(value) in known else Choices((*axis.values, value))
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ScanproofError(
                "search must start from a number",
                key=name,
                value=value,
                hint=f"give one with --set {name}=NUMBER, or keep this value with --set {name}={json.dumps(value)}",
            )
        else:
            wide[name] = Range(axis.kind, min(axis.low, value), max(axis.high, value), log=axis.log)
    return wide


def label(value: object) -> Label:
    """A value as Optuna keeps it.

    Example:
        >>> label((8, 4)), label(None), label("batch")
        ('[8, 4]', None, 'batch')
    """
    return value if isinstance(value, bool | int | float | str | None) else json.dumps(value)


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Optuna's distributions of a space."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for name, axis in space.items():
        if isinstance(axis, Choices):
            found[name] = CategoricalDistribution([label(value) for value in axis.values])
        elif axis.kind == "int":
            found[name] = IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        else:
            found[name] = FloatDistribution(axis.low, axis.high, log=axis.log)
    return found


def encode(options: Mapping[str, object], space: SearchSpace) -> dict[str, Label]:
    """Options of a space as Optuna's parameters."""
    return {name: label(options[name]) for name in space}


def decode(params: Mapping[str, object], space: SearchSpace) -> dict[str, object]:
    """Optuna's parameters as options, in the order of the space.

    Example:
        >>> decode({"input_size": "[8, 4]"}, {"input_size": Choices((None, (8, 4)))})
        {'input_size': (8, 4)}
    """
    return {name: _value(params[name], axis) for name, axis in space.items() if name in params}


def _value(param: object, axis: Range | Choices) -> object:
    if isinstance(axis, Choices):
        return next(value for value in axis.values if label(value) == param)
    return param
