"""Files that hold the same: one image must not be learned from and tested on."""

from __future__ import annotations

import pandas as pd

from scanproof.data.labels import label_columns
from scanproof.data.problems import Problem, Unit


def find_duplicates(files: pd.DataFrame, *, unit: Unit = "line") -> tuple[list[Problem], list[Problem]]:
    """Files with the same bytes, or with the same values in another compression or format.

    Args:
        files: columns ``subject, site, split, line, listed, content, pixels`` (hashes, missing where unknown) and those
            of labels.
        unit: what ``line`` counts.

    Returns:
        Problems, where two subjects, sites or splits have the same image, or one subject has it with different labels;
        and notes, of copies within a subject.

    Example:
        >>> rows = {"subject": ["a", "b"], "site": "x", "split": None, "line": [2, 3], "listed": ["a.png", "b.png"]}
        >>> problems, _ = find_duplicates(pd.DataFrame({**rows, "content": "c", "pixels": "p"}))
        >>> problems[0].rule, problems[0].line, problems[0].value
        ('files of two subjects must not have the same content as line 2', 3, ['a', 'b'])
    """
    problems, notes = [], []
    same = files["pixels"].fillna(files["content"])
    labels = label_columns(files)
    for _, group in files[same.notna() & same.duplicated(keep=False)].groupby(same, sort=False):
        ordered = group.sort_values("line", kind="stable")
        first = ordered.iloc[0]
        for _, row in ordered.iloc[1:].iterrows():
            what = "content" if row["content"] == first["content"] else "voxels or pixels"
            place = f"as {unit} {first['line']}"
            differs = [name for name in ("subject", "site", "split") if _differ(first[name], row[name])]
            differing = [name for name in labels if _differ(first[name], row[name])]
            if differs:
                rule = f"files of two {differs[0]}s must not have the same {what} {place}"
                found = [_plain(first[differs[0]]), _plain(row[differs[0]])]
                hint = "give both the same subject, or leave one out" if differs[0] == "subject" else "leave one out"
                problems.append(_problem(row, rule, found, hint, unit))
            elif differing:
                rule = f"files with the same {what} {place} must have the same labels"
                found = [_plain(first[differing[0]]), _plain(row[differing[0]])]
                problems.append(_problem(row, rule, found, "leave one out", unit))
            else:
                notes.append(_problem(row, f"has the same {what} {place}, of the same subject", None, None, unit))
    return problems, notes


def _problem(row: pd.Series, rule: str, found: object, hint: str | None, unit: Unit) -> Problem:
    value = () if found is None else (found,)
    return Problem(
        rule=rule, line=int(row["line"]), column="path", found=value, hint=hint, path=str(row["listed"]), unit=unit
    )


def _differ(one: object, other: object) -> bool:
    """Whether two cells differ; one that is missing differs from none."""
    return not (pd.isna(one) or pd.isna(other)) and one != other  # type: ignore[call-overload]


def _plain(value: object) -> object:
    return int(value) if hasattr(value, "__int__") and not isinstance(value, str) else str(value)
