"""Reading and writing a protocol file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from scanproof.errors import ScanproofError, unknown_name
from scanproof.protocol.definition import SHA256, Protocol, protocol_hash
from scanproof.study.reading import read_yaml

M = TypeVar("M", bound=BaseModel)

_HEAD = "# A frozen protocol: any change of it is found by its hash. Written by scanproof protocol freeze.\n"


def read_protocol(path: Path) -> Protocol:
    """Read a protocol that is as it was frozen.

    Args:
        path: the file.

    Raises:
        ScanproofError: no such file, wrong content, or content that was changed after freezing.
    """
    content = read_yaml(path, what="protocol file")
    if "protocol" not in content:
        hint = "scanproof protocol freeze makes one of a finished study"
        raise ScanproofError("must be a protocol file, with a key 'protocol'", file=path, hint=hint)
    try:
        found, stated = protocol_hash(content), content.get(SHA256)
    except (TypeError, ValueError) as error:  # of what JSON does not know
        raise ScanproofError(f"protocol must hold plain values under keys of text: {error}", file=path) from None
    if found != stated:
        rule = f"protocol must be as it was frozen, with sha256 {stated}"
        hint = "the protocol file was changed; get the original, or freeze a new version"
        raise ScanproofError(rule, file=path, value=found, hint=hint)
    return checked(Protocol, content, path)


def protocol_text(protocol: Protocol) -> str:
    """The text of a protocol file; the same protocol gives the same text."""
    content = protocol.model_dump(mode="json")
    for key in ("endpoints", "minimum", "origin"):  # a study's options may be none and mean it
        content[key] = _given(content[key])
    content[SHA256] = protocol_hash(content)
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return _HEAD + text


def _given(content: object) -> object:
    """Content without what is left out."""
    if isinstance(content, list):
        return [_given(part) for part in content]
    if isinstance(content, dict):
        return {key: _given(value) for key, value in content.items() if value is not None}
    return content


def checked(model: type[M], content: dict[str, object], path: Path) -> M:
    """Content of a file as a model, with errors that name file and key.

    Raises:
        ScanproofError: an unknown key or a wrong value.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, ScanproofError):
            raise ScanproofError(cause.rule, file=path, key=key, value=cause.value, hint=cause.hint) from None
        if first["type"] == "extra_forbidden":
            name = str(first["loc"][-1])
            known = model.model_fields if len(first["loc"]) == 1 else []
            raise unknown_name("key", name, known, file=path, key=key) from None
        rule = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise ScanproofError(rule[0].lower() + rule[1:], file=path, key=key or None) from None
    except ScanproofError as error:
        raise ScanproofError(error.rule, file=path, key=error.key, value=error.value, hint=error.hint) from None
