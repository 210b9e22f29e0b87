"""The command line as a report may show it: what to type again, without where a site keeps its data."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

#: options whose values may name a patient, and what stands for them
_PLACES = {"--data": "DIR", "--manifest": "CSV", "--input": "IMAGE"}
#: options whose values may hold a password
_ADDRESSES = ("--tracking-uri",)


def repeatable_command(arguments: Sequence[str]) -> str:
    """A command without names of folders and files of data, which may be a patient's, and without passwords.

    Args:
        arguments: of the command line, after the program's name.

    Example:
        >>> repeatable_command(["run", "a.yaml", "--data", "/data/Doe Jane", "--manifest=doe.csv", "-j", "2"])
        'scanproof run a.yaml --data DIR --manifest=CSV -j 2'
    """
    from scanproof.tracking.uri import redact

    parts, option = ["scanproof"], ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if option in _PLACES:
            argument = _PLACES[option]
        elif option in _ADDRESSES:
            argument = redact(argument)
        elif equals and name in _PLACES:
            argument = f"{name}={_PLACES[name]}"
        elif equals and name in _ADDRESSES:
            argument = f"{name}={redact(value)}"
        option = argument if option not in (*_PLACES, *_ADDRESSES) else ""
        parts.append(argument)
    return shlex.join(parts)
