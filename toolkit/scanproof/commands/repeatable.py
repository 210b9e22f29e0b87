"""The command line as a report may show it: what to type again, without where a site keeps its data, or passwords."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

#: options whose values may name a patient or a machine of the site, and what stands for them
_PLACES = {"--data": "DIR", "--manifest": "CSV", "--input": "IMAGE", "--store": "STORE", "--address": "HOST:PORT"}
#: where passwords can be given instead
ELSEWHERE = "give the address in MLFLOW_TRACKING_URI, or that of trials in SCANPROOF_STORAGE"


def repeatable_command(arguments: Sequence[str]) -> str:
    """A command without names of folders and files of data, which may be a patient's, and without passwords.

    Args:
        arguments: of the command line, after the program's name.

    Example:
        >>> repeatable_command(["run", "a.yaml", "--data", "/data/Doe Jane", "--manifest=doe.csv", "-j", "2"])
        'scanproof run a.yaml --data DIR --manifest=CSV -j 2'
        >>> repeatable_command(["run", "a.yaml", "--tracking-uri", "https://me:word@mlflow.example"])
        "scanproof run a.yaml --tracking-uri 'https://me:***@mlflow.example'"
    """
    parts, option = ["scanproof"], ""
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if option in _PLACES:
            argument = _PLACES[option]
        elif equals and name in _PLACES:
            argument = f"{name}={_PLACES[name]}"
        else:
            argument = _redacted(argument)
        option = argument if option not in _PLACES else ""
        parts.append(argument)
    return shlex.join(parts)


def exposed(arguments: Sequence[str]) -> list[str]:
    """Arguments with a password in them, without it: other users of a machine can list the commands that run.

    Example:
        >>> exposed(["ui", "--tracking-uri=postgresql://me:word@db.example/runs"])
        ['--tracking-uri=postgresql://me:***@db.example/runs']
    """
    return [hidden for argument in arguments if (hidden := _redacted(argument)) != argument]


def _redacted(argument: str) -> str:
    if "://" not in argument:
        return argument
    from scanproof.tracking.uri import redact

    name, equals, value = argument.partition("=")
    return f"{name}={redact(value)}" if equals and name.startswith("--") else redact(argument)
