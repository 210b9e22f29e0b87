"""The definition of a study as flat MLflow parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from scanproof.tracking.metrics import part

_LONGEST = 6000  # MLflow's limit


def flatten(definition: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """A nested definition as flat parameters.

    Entries of a list are named by their ``name``, if they have one, else by their place in it; lists of plain values
    stay one parameter.

    Example:
        >>> flatten({"seed": 7, "shifts": ["noise"], "sites": [{"name": "north", "cases": 4}]})
        {'seed': '7', 'shifts': '["noise"]', 'sites.north.name': 'north', 'sites.north.cases': '4'}
    """
    flat: dict[str, str] = {}
    for key, value in definition.items():
        name = f"{prefix}{part(key)}"
        if isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            value = dict(_named(value))
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
            flat[name] = text[:_LONGEST]
    return flat


def _named(items: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, Mapping[str, object]]]:
    names = [str(item.get("name", place)) for place, item in enumerate(items)]
    for place, item in enumerate(items):
        yield names[place] if names.count(names[place]) == 1 else str(place), item
