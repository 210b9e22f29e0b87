"""Tables in Markdown, and estimates as their cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from scanproof.reporting.vocabulary import Estimate

# the end of a cell, the beginning of a tag, and where the text of a link turns into its address
_MARKUP = re.compile(r"\||<(?=[A-Za-z/!?])|\](?=[(\[])")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table in Markdown; what stands in a cell can neither end it nor its row, nor be HTML, a link or a picture.

    Example:
        >>> print(markdown_table(["site"], [["<img src=x>"], ["[a](b)"], ["p < 0.05"]]))
        | site |
        | --- |
        | \<img src=x> |
        | [a\](b) |
        | p < 0.05 |
        >>> print(markdown_table(["norm", "AUROC"], [["group", "0.9"]]))
        | norm | AUROC |
        | --- | --- |
        | group | 0.9 |
    """

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_MARKUP.sub(r"\\\g<0>", cell).replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in rows)])


def estimate_cell(estimate: Estimate | None, digits: int, *, bold: bool = False) -> str:
    """A value with its interval.

    Example:
        >>> estimate_cell(Estimate(0.04, 0.01, 0.07), 2, bold=True), estimate_cell(None, 2)
        ('**0.04** (0.01 to 0.07)', '–')
    """
    if estimate is None or estimate.value != estimate.value:
        return "–"
    number, interval = estimate.number(digits), estimate.interval(digits)
    number = f"**{number}**" if bold else number
    return f"{number} ({interval})" if interval else number
