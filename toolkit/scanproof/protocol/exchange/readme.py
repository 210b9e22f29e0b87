"""The text in every export, for the person at the site who answers for data protection."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from scanproof.protocol.exchange.record import Validation

_WHAT = {
    "README.txt": "this text",
    "manifest.json": "size and SHA-256 of every file, and the rules by which they were made",
    "validation.json": "the site's name, the numbers of subjects and cases, the verdict and its endpoints",
    "results.parquet": "table of means over the whole site: image quality and accuracy under each condition",
    "comparisons.parquet": "table of differences between models over the whole site",
    "scores.parquet": "SINGLE CASES: label and predicted probability of each case, under new pseudonyms",
    "quality.parquet": "SINGLE CASES: image quality of each case, under new pseudonyms",
}


def readme(validation: Validation, facts: Mapping[str, object], files: Mapping[str, bytes]) -> str:
    """What an export holds and what it does not, in plain words.

    Args:
        validation: as it is in the export.
        facts: ``small_cell``, ``per_case`` and ``withheld_rows``.
        files: names of what else is in it.
    """
    names = sorted({*files, "README.txt", "manifest.json"})
    listed = "\n".join(f"  {name:<20} {_WHAT[name]}" for name in names)
    threshold, per_case = facts["small_cell"], bool(facts["per_case"])
    parts = [
        f"Results of {validation.site} for the protocol {validation.protocol}, version {validation.protocol_version}",
        "In this file",
        listed,
        "Not in this file",
        "No images and no pictures of them. No names, no numbers of patients or examinations, no dates, no names of "
        "files or folders, nothing of the headers of image files, no report, no secret of this installation"
        + (
            ". No pseudonyms that are used anywhere else."
            if per_case
            else ", and no row about a single person or image, under a pseudonym or not."
        ),
        "Small numbers",
        f"No number is given from which a group of fewer than {threshold} people could be worked out: "
        f"{facts['withheld_rows']} rows of the tables were left out for that reason, some of them only because they "
        "would have given away others. This holds for this file by itself. Whoever gets two files about nearly the "
        "same people can form their difference: do not send a new one for each patient who is added.",
    ]
    if per_case:
        parts += [
            "Single cases",
            "The person who made this file asked for rows about single cases. Their pseudonyms were made with a random "
            "secret that was not kept, for this file alone, and their order is one of chance. Small groups can be "
            "counted in these rows. Rows about one person can be told to belong together. They are pseudonymous data: "
            "check that your agreement covers them.",
        ]
    parts += [
        "How to check",
        "The tables are Parquet files; `scanproof export --dry-run` prints what would be sent before it is "
        "written, and any program that reads Parquet shows the same. The name of the site is in the file on purpose.",
    ]
    return "\n\n".join(part if "\n" in part else textwrap.fill(part, 100) for part in parts) + "\n"
