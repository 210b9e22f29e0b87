"""The table that a run prints at its end."""

from __future__ import annotations

import io

import pandas as pd
from rich.console import Console

from scanproof.evaluation.table import RESULT_COLUMNS, conform
from scanproof.progress import summary_table


def printed(rows: list[dict]) -> str:
    constant = {
        "study": "s",
        "site": "north",
        "acceleration": 2.0,
        "metric": "ssim",
        "lower": 0.7,
        "upper": 0.9,
        "n": 5,
    }
    table = conform(pd.DataFrame([constant | row for row in rows]), RESULT_COLUMNS)
    console = Console(width=100, file=io.StringIO())
    console.print(summary_table(table))
    return console.file.getvalue()


CLEAN = [
    {"reconstruction": "unet", "shift": "none", "severity": 0, "value": 0.85},
    {"reconstruction": "zero_filled", "shift": "none", "severity": 0, "value": 0.75},
]


def test_without_shifts_it_shows_the_best() -> None:
    text = printed(CLEAN)
    assert "Best by SSIM (site north)" in text
    assert "under shift" not in text
    assert "0.850" in text
    assert text.index("unet") < text.index("zero_filled")


def test_with_shifts_it_shows_the_sturdiest() -> None:
    noise = [{**row, "shift": "complex_noise", "severity": 3, "value": 0.8 - row["value"] / 2} for row in CLEAN]
    text = printed([*CLEAN, *noise])
    assert "Sturdiest chains by SSIM under shift (site north)" in text
    assert text.index("zero_filled") < text.index("unet")
