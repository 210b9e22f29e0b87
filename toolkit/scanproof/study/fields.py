"""What the models of a study file share."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")

#: options of a method, as YAML gives them
Options = dict[str, bool | int | float | str | list[bool | int | float | str] | None]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Model(BaseModel):
    """Base of all parts of a definition: unknown keys are errors, nothing changes once it is read."""

    # pydantic below 2.10 warns of fields such as model_sha256
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, protected_namespaces=())


def once(values: list[T], what: str) -> list[T]:
    """The values, if none of them stands twice.

    Raises:
        ValueError: one does.
    """
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{what} must be listed once, got {value!r} twice")
    return values


def plain_name(name: str) -> str:
    """A name that may name files and metrics.

    Raises:
        ValueError: it may not.
    """
    if not NAME.fullmatch(name):
        raise ValueError("must start with a letter or digit and hold only letters, digits, '.', '-' and '_'")
    return name
