"""What the models of a study file share."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Model(BaseModel):
    """Base of all parts of a definition: unknown keys are errors, nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


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
