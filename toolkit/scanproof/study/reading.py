"""Reading YAML files of a declared form, with errors that name the file, the key, the rule and the value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from scanproof.errors import ScanproofError, unknown_name
from scanproof.yaml_file import read_yaml_file


def read_yaml(path: Path, *, what: str = "study file") -> dict[str, object]:
    """The content of a YAML file.

    Args:
        path: of the file.
        what: it is, for errors.

    Raises:
        ScanproofError: see :func:`~scanproof.yaml_file.read_yaml_file`; no mapping of keys.
    """
    content = read_yaml_file(path, what=what)
    if not isinstance(content, dict):
        raise ScanproofError(f"{what} must hold a mapping of keys", file=path, value=type(content).__name__)
    return content


def explain(
    error: ValidationError, path: Path, *, root: type[BaseModel], variants: Mapping[str, type[BaseModel]]
) -> ScanproofError:
    """The first error in one line, with the number of further ones.

    Args:
        error: what pydantic found.
        path: of the file.
        root: model of its content.
        variants: which model of several a part of an error's location stands for; no key has such a name.
    """
    problems = error.errors(include_url=False)
    first = problems[0]
    location = [part for part in first["loc"] if part not in variants]
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ScanproofError):
        hint = f"{cause.hint or ''}{more}".strip("; ") or None
        return ScanproofError(cause.rule, file=path, key=key or cause.key, value=cause.value, hint=hint)
    if first["type"] == "extra_forbidden":
        known = _keys_at(list(first["loc"][:-1]), root, variants)
        return unknown_name("key", str(first["loc"][-1]), known, file=path, key=key)
    if first["type"] == "missing":
        return ScanproofError("key is required", file=path, key=key, hint=more.strip("; ") or None)
    rule = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    rule = rule[0].lower() + rule[1:]
    if isinstance(cause, ValueError) and ", got " in rule:
        return ScanproofError(rule, file=path, key=key, hint=more.strip("; ") or None)
    return ScanproofError(rule, file=path, key=key, value=first["input"], hint=more.strip("; ") or None)


def _keys_at(location: list[int | str], root: type[BaseModel], variants: Mapping[str, type[BaseModel]]) -> list[str]:
    """Names of the keys that a file knows at a place."""
    model = root
    for part in location:
        if part in variants:
            model = variants[str(part)]
        elif part in model.model_fields:
            found = _models_in(model.model_fields[str(part)].annotation)
            model = found[0] if len(found) == 1 else model  # of several, the next part tells which
    return list(model.model_fields)


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
