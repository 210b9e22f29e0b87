"""Labels as a manifest writes them: findings that each stand for themselves, or one class a row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from scanproof.data.labels import NAME_RULE, is_target_name, label_column
from scanproof.data.problems import Problem

#: the column of a single finding, or of the class; several findings stand in columns with this and their name
COLUMN: Final = "label"
PREFIX: Final = "label_"

_NUMBER = re.compile(r"[+-]?\d*\.?\d*(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a manifest says of the labels of its rows.

    Args:
        table: one column a target, Int64, in alphabetical order; what breaks a rule is missing.
        exclusive: the targets are classes, of which a row has one.
        problems: all rules that are broken, by column and line.
    """

    table: pd.DataFrame
    exclusive: bool
    problems: tuple[Problem, ...] = ()


def read_labels(table: pd.DataFrame, *, labelled: bool) -> Labels:
    """Labels of the rows of a manifest.

    ``label`` with 0 and 1 is one target of that name; with anything else, each of its values is a class, and every row
    has one of them. Columns ``label_NAME`` with 0 and 1 are targets that stand each for itself, called NAME.

    Args:
        table: the manifest, all text, without its header; the index says where a row stands.
        labelled: whether labels are needed; otherwise they may be missing, in some rows or in all.

    Example:
        >>> labels = read_labels(pd.DataFrame({"label": ["glioma", "none", "glioma"]}, dtype="string"), labelled=True)
        >>> labels.table["label:glioma"].tolist(), labels.exclusive
        ([1, 0, 1], True)
    """
    nothing = pd.DataFrame(index=table.index)
    columns = sorted(str(name) for name in table.columns if str(name).startswith(PREFIX))
    if COLUMN in table.columns:
        if columns:
            rule = f"labels must stand in {COLUMN}, or in {PREFIX}NAME for several findings, not in both"
            problem = Problem(rule=rule, place="columns", found=([COLUMN, *columns],))
            return Labels(table=nothing, exclusive=False, problems=(problem,))
        columns = [COLUMN]
    if not columns:
        rule = "manifest must have this column"
        missing = Problem(rule=rule, column=COLUMN, found=(list(table.columns),))
        return Labels(table=nothing, exclusive=False, problems=(missing,) if labelled else ())
    texts = {column: table[column].str.strip().mask(lambda text: text == "") for column in columns}
    problems = [problem for text in texts.values() for problem in _empty(text)] if labelled else []
    if columns == [COLUMN]:
        values = set(texts[COLUMN].dropna())
        if not values:
            return Labels(table=nothing, exclusive=False, problems=tuple(problems))
        if not values <= {"0", "1"}:
            found, wrong = _classes(texts[COLUMN], labelled=labelled)
            return Labels(table=found, exclusive=len(found.columns) != 1, problems=(*problems, *wrong))
    targets = {}
    for column, text in texts.items():
        name = column.removeprefix(PREFIX)
        if not is_target_name(name):
            rule = f"name of a finding {NAME_RULE}"
            problems.append(Problem(rule=rule, column=column, place=f"column {column!r}", found=(name,)))
            continue
        odd = text[text.notna() & ~text.isin(["0", "1"])]
        rule = f"{column} must be 0 or 1"
        problems += _named(odd, dict.fromkeys(odd, rule))
        targets[label_column(name)] = pd.to_numeric(text.drop(odd.index)).astype("Int64").reindex(table.index)
    return Labels(table=pd.DataFrame(targets, index=table.index), exclusive=False, problems=tuple(problems))


def _empty(text: pd.Series) -> list[Problem]:
    rule, hint = f"{text.name} must not be empty", "NA, None, null and nan are read as empty, too"
    rows = text.index[text.isna()].tolist()
    return [Problem(rule=rule, line=row, column=str(text.name), place=f"line {row}", hint=hint) for row in rows]


def _named(text: pd.Series, rules: Mapping[str, str]) -> list[Problem]:
    """A problem for each row, by the rule that its text breaks."""
    rows = zip(text.index.tolist(), text, strict=True)
    return [Problem(rule=rules[value], line=row, column=str(text.name), found=(value,)) for row, value in rows]


def _classes(text: pd.Series, *, labelled: bool) -> tuple[pd.DataFrame, list[Problem]]:
    """One column a class, missing where a row names none; and what is wrong."""
    names = pd.Series(text.dropna().unique())
    count = text.value_counts()
    numbers = names[[_NUMBER.fullmatch(name) is not None for name in names]]
    words = names[~names.isin(numbers)]
    # what most rows hold is meant
    odd = set(words if count[numbers].sum() >= count[words].sum() else numbers)
    odd = odd or {name for name in numbers if not name.isdecimal()}
    wrong = dict.fromkeys(odd, f"{COLUMN} must be 0 or 1 in every row, or the name or whole number of a class")
    spelled: dict[str, str] = {}
    for name in names[~names.isin(odd)]:  # in the order of the rows
        usual = spelled.setdefault(name.casefold(), name)
        if not is_target_name(name):
            wrong[name] = f"name of a class {NAME_RULE}"
        elif usual != name:
            wrong[name] = f"a class must be spelled in one way, not also {usual!r}"
    rows = text[text.isin(list(wrong))]
    problems = _named(rows, wrong)
    classes = sorted(set(names) - set(wrong))
    if labelled and not problems and len(classes) < 2:
        rule = f"{COLUMN} must be 0 or 1 in every row, or name at least two classes"
        problems.append(Problem(rule=rule, column=COLUMN, found=(classes,)))
    unknown = text.isna() | text.isin(list(wrong))
    if wrong and set(classes) <= {"0", "1"}:  # a slip among the labels of a single finding
        binary = (text == "1").astype("Int64").mask(unknown)
        return pd.DataFrame({label_column(COLUMN): binary}, index=text.index), problems
    columns = {label_column(name): (text == name).astype("Int64").mask(unknown) for name in classes}
    return pd.DataFrame(columns, index=text.index), problems
