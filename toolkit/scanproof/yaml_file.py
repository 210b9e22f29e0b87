"""YAML files, read with suspicion: whoever wrote one can neither run code nor fill the memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from yaml.constructor import ConstructorError

from scanproof.errors import ScanproofError

#: larger files are refused before they are parsed; a megabyte takes seconds
MAX_BYTES: Final = 2**20
#: values that a file may hold, each counted wherever an alias (``*name``) repeats it, and how deep they may lie
MAX_VALUES, MAX_DEPTH = 100_000, 100


class _Loader(yaml.SafeLoader):
    """Refuses keys that stand twice, which YAML allows and which is always a mistake, and aliases that grow.

    The loader of libyaml would be faster, but ends the process on ``[[[[…``.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _measure(node, {}, 1)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int | float | bool):
                if key in seen:
                    raise ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = int(super().construct_yaml_int(node))
        if not -(2**63) <= value < 2**64:  # larger ones cannot even be written in an error
            raise ConstructorError(None, None, "whole numbers must fit into 64 bits", node.start_mark)
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None], depth: int) -> tuple[int, int]:
    """How many values a node holds once its aliases are written out, and how deep they lie."""
    if id(node) not in known and depth <= MAX_DEPTH:
        known[id(node)] = None  # until it is counted
        count, height = 1, 0
        for part in node.value if isinstance(node, yaml.CollectionNode) else ():
            for one in part if isinstance(part, tuple) else (part,):
                inside, below = _measure(one, known, depth + 1)
                count, height = count + inside, max(height, below)
        known[id(node)] = (count, height + 1)
    found = known.get(id(node), (1, 1))
    if found is None:
        raise ConstructorError(None, None, "an alias must not stand in what it names", node.start_mark)
    if depth + found[1] - 1 > MAX_DEPTH:
        raise ConstructorError(None, None, f"values may lie at most {MAX_DEPTH} deep", node.start_mark)
    if found[0] > MAX_VALUES:
        rule = f"it may hold at most {MAX_VALUES} values, each counted wherever an alias repeats it"
        raise ConstructorError(None, None, rule, node.start_mark)
    return found


def read_yaml_file(path: Path, *, what: str = "file") -> object:
    """The content of a YAML file, whatever it is: plain values, lists and mappings.

    Args:
        path: of the file.
        what: it is, for errors.

    Raises:
        ScanproofError: no such file, no text, too large, no YAML, a key that stands twice, or aliases that grow.

    Example:
        >>> read_yaml_file(Path("nowhere.yaml"))
        Traceback (most recent call last):
        scanproof.errors.ScanproofError: nowhere.yaml: file must exist
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ScanproofError(f"{what} must have at most {MAX_BYTES} bytes", file=path)
        text = data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise ScanproofError(f"{what} must exist", file=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScanproofError(f"{what} must be readable UTF-8 text: {error}", file=path) from None
    try:
        content: object = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
        raise ScanproofError(f"must be valid YAML: {error.problem}", file=path, key=where) from None
    except RecursionError:
        raise ScanproofError(f"must be valid YAML: values may lie at most {MAX_DEPTH} deep", file=path) from None
    # what a tag such as !!bool promises need not be so, and PyYAML raises whatever comes of it
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        raise ScanproofError(f"must be valid YAML: {error}", file=path) from None
    return content
