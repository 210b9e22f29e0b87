"""The settings around a search: which method, where it starts from, what is fixed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from scanproof.errors import ScanproofError, unknown_name
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.reconstruction.untrained.space import SearchSpace
from scanproof.tuning.space import narrow, widen

if TYPE_CHECKING:
    from scanproof.reconstruction.untrained.reconstructors import UntrainedReconstructor

#: arguments of a method that a preset cannot hold
_NOT_IN_PRESETS = ("preset", "seed", "ensemble", "warm_start")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is searched and what stays as it is.

    Args:
        method: registered name.
        settled: every option that no trial changes, the method's defaults among them.
        space: what is searched; holds the start.
        start: the options of the space in the settings that the search starts from.
    """

    method: str
    settled: Mapping[str, object]
    space: SearchSpace
    start: Mapping[str, object]

    def options(self, chosen: Mapping[str, object]) -> dict[str, object]:
        """All options of a trial."""
        return {**self.settled, **chosen}

    def build(self, chosen: Mapping[str, object]) -> UntrainedReconstructor:
        """The method with a trial's options.

        Raises:
            ScanproofError: options that the method refuses.
        """
        return tunable(self.method)(**self.options(chosen))  # type: ignore[arg-type]


def tunable(method: str) -> type[UntrainedReconstructor]:
    """The class of a method that has a search space.

    Raises:
        ScanproofError: an unknown method, or one without a search space; the text lists those that have one.
    """
    from scanproof.reconstruction.untrained.reconstructors import UntrainedReconstructor

    found = RECONSTRUCTORS.factory(method, key="--method")
    if isinstance(found, type) and issubclass(found, UntrainedReconstructor):
        return found
    names = [name for name in RECONSTRUCTORS if "untrained" in RECONSTRUCTORS.location(name)]
    raise ScanproofError(
        "method must be an un-trained network",
        key="--method",
        value=method,
        hint=f"can be tuned: {', '.join(names)}",
    )


def make_settings(
    method: str, *, preset: str | Path = "default", fixed: Mapping[str, object], only: Sequence[str] = ()
) -> Settings:
    """Work out what a search changes.

    Args:
        method: registered name.
        preset: settings that the search starts from: a name, or the path of a YAML file.
        fixed: options that take the place of the preset's and are not searched.
        only: options to search; empty for all of the method's space.

    Raises:
        ScanproofError: an unknown method, preset or option; values that the method refuses; nothing left to search.

    Example:
        >>> found = make_settings("conv_decoder", fixed={"iterations": 300}, only=["layers", "norm"])
        >>> found.settled["iterations"], dict(found.start)
        (300, {'norm': 'batch', 'layers': 5})
    """
    factory = tunable(method)
    names = factory.__signature__.parameters
    for name in fixed:
        if name in _NOT_IN_PRESETS:
            raise ScanproofError("option cannot be part of a preset", key="--set", value=name)
        if name not in names:
            raise unknown_name(f"option of {method}", name, set(names) - set(_NOT_IN_PRESETS), key="--set")
    wanted = narrow(factory.search_space, only=only, fixed=fixed)
    try:
        effective = _effective(factory(preset=preset, **fixed))  # type: ignore[arg-type]
    except TypeError as error:
        raise ScanproofError(f"values must have the right types: {error}", key=f"options of {method}") from error
    return Settings(
        method=method,
        settled={name: value for name, value in effective.items() if name not in wanted},
        space=widen(wanted, effective),
        start={name: effective[name] for name in wanted},
    )


def read_assignments(texts: Sequence[str]) -> dict[str, object]:
    """Options from ``name=value`` texts; values are YAML.

    Raises:
        ScanproofError: no equals sign, wrong YAML, an option given twice.

    Example:
        >>> read_assignments(["iterations=300", "input_size=[8, 4]", "learning_rate=1e-3", "norm=group"])
        {'iterations': 300, 'input_size': (8, 4), 'learning_rate': 0.001, 'norm': 'group'}
    """
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not (name and equals):
            raise ScanproofError("must have the form NAME=VALUE", key="--set", value=text)
        if name in found:
            raise ScanproofError("option must be given once", key="--set", value=name)
        found[name] = _read_value(value, text=text)
    return found


def _read_value(value: str, *, text: str) -> object:
    try:
        read: object = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ScanproofError("value must be YAML", key="--set", value=text) from None
    if isinstance(read, list):
        return tuple(read)
    if isinstance(read, str):
        try:
            # YAML 1.1 takes 1e-3, without a dot, for text
            return float(read)
        except ValueError:
            return read
    return read


def _effective(method: UntrainedReconstructor) -> dict[str, object]:
    """Every option of a method that a preset may hold, with the value that it takes."""
    fitting = dataclasses.asdict(method.options)
    found: dict[str, object] = {}
    for name, parameter in method.__signature__.parameters.items():
        if name in _NOT_IN_PRESETS:
            continue
        if name == "output":
            found[name] = method.output
        elif name in fitting:
            found[name] = fitting[name]
        else:
            found[name] = method.network_options.get(name, parameter.default)
    return found
