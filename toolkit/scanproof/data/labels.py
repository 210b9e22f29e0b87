"""Labels of cases: one column a target, with 0, 1 or nothing in every row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError

#: what the name of a label column starts with; the target's name follows
PREFIX: Final = "label:"

#: names of targets stand in tables, file names of figures and metrics of MLflow
_NAME = re.compile(r"\w[\w .-]{0,63}")
NAME_RULE = "must start with a letter or digit and hold at most 64 letters, digits, spaces, '.', '-' and '_'"


def label_column(target: str) -> str:
    """The column of a case table that holds a target's labels.

    Example:
        >>> label_column("lesion")
        'label:lesion'
    """
    return PREFIX + target


def label_columns(cases: pd.DataFrame) -> list[str]:
    """The label columns of a case table, in the order of its targets."""
    return [str(column) for column in cases.columns if str(column).startswith(PREFIX)]


def targets_of(cases: pd.DataFrame) -> tuple[str, ...]:
    """The targets of a case table.

    Example:
        >>> targets_of(pd.DataFrame({"case": ["a"], "label:glioma": [1], "label:healthy": [0]}))
        ('glioma', 'healthy')
    """
    return tuple(column.removeprefix(PREFIX) for column in label_columns(cases))


def labels_of(cases: pd.DataFrame) -> np.ndarray:
    """Labels of a case table, int64 (N, T) of 0 and 1, targets in the order of the columns.

    Raises:
        ScanproofError: a label is missing.

    Example:
        >>> labels_of(pd.DataFrame({"label:left": [1, 0], "label:right": [1, 1]})).tolist()
        [[1, 1], [0, 1]]
    """
    columns = cases[label_columns(cases)]
    for column, missing in columns.isna().sum().items():
        if missing:
            raise ScanproofError("every case needs a label", key=str(column), value=f"{missing} without")
    return columns.to_numpy(dtype=np.int64)


def label_values(targets: Sequence[str], labels: Sequence[int | None]) -> dict[str, int | None]:
    """What a row of a case table says of its labels.

    Example:
        >>> label_values(["left", "right"], [1, None])
        {'label:left': 1, 'label:right': None}
    """
    return {label_column(target): label for target, label in zip(targets, labels, strict=True)}


def is_target_name(name: str) -> bool:
    """Whether a target may have this name; :data:`NAME_RULE` says what must hold.

    Example:
        >>> is_target_name("no tumour"), is_target_name("a/b")
        (True, False)
    """
    return _NAME.fullmatch(name) is not None
