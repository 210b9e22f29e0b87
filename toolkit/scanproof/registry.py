"""Named methods that a study file can ask for, imported only when they are used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from scanproof.errors import ScanproofError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of methods and where their factories live.

    A factory is a class or function given as ``"module:attribute"``, so that listing names costs no import of
    PyTorch or MONAI. Other packages add theirs through an entry point group.

    Args:
        kind: what the methods are, as a user reads it in an error, e.g. ``"reconstruction"``.
        factories: name to ``"module:attribute"``.
        group: entry point group in which other packages register methods, e.g. ``"scanproof.reconstructors"``.
        unlisted: methods that are made by name as the others are, but that nobody asks for by it.

    Example:
        >>> numbers = Registry[float]("number", {"fraction": "fractions:Fraction"})
        >>> numbers.create("fraction", {"numerator": 1, "denominator": 4})
        Fraction(1, 4)
    """

    def __init__(
        self,
        kind: str,
        factories: Mapping[str, str],
        *,
        group: str | None = None,
        unlisted: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self._unlisted = dict(unlisted or {})
        self._factories = dict(factories)
        self._group = group
        self._plugins_read = group is None

    def __iter__(self) -> Iterator[str]:
        self._read_plugins()
        return iter(sorted(self._factories))

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def register(self, name: str, factory: str) -> None:
        """Add a method.

        Raises:
            ScanproofError: when the name is taken by another factory.
        """
        taken = {**self._unlisted, **self._factories}.get(name, factory)
        if taken != factory:
            raise ScanproofError(f"{self.kind} name is already registered as {taken}", key=name, value=factory)
        self._factories[name] = factory

    def factory(self, name: str, *, file: Path | str | None = None, key: str | None = None) -> Callable[..., T]:
        """Import the class or function behind a name.

        Raises:
            ScanproofError: unknown name; the text lists the known ones.
        """
        module, _, attribute = self.location(name, file=file, key=key).partition(":")
        found: Callable[..., T] = getattr(import_module(module), attribute)
        return found

    def check_options(
        self,
        name: str,
        options: Mapping[str, object],
        *,
        file: Path | str | None = None,
        key: str | None = None,
    ) -> None:
        """Compare option names with the factory's arguments, without building anything.

        Raises:
            ScanproofError: unknown method, or an option that the method does not have.
        """
        signature = inspect.signature(self.factory(name, file=file, key=key))
        if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
            return
        for option in options:
            if option not in signature.parameters:
                what = f"option of {self.kind} {name!r}"
                where = f"{key}.{option}" if key else option
                raise unknown_name(what, option, signature.parameters, file=file, key=where)

    def create(self, name: str, options: Mapping[str, object] | None = None) -> T:
        """Build the method with these options.

        Raises:
            ScanproofError: unknown name or option.
        """
        options = options or {}
        self.check_options(name, options)
        return self.factory(name)(**options)

    def location(self, name: str, *, file: Path | str | None = None, key: str | None = None) -> str:
        """Where the factory lives, as ``"module:attribute"``.

        Raises:
            ScanproofError: unknown name.
        """
        self._read_plugins()
        if name in self._unlisted:
            return self._unlisted[name]
        if name not in self._factories:
            raise unknown_name(self.kind, name, self._factories, file=file, key=key)
        return self._factories[name]

    def _read_plugins(self) -> None:
        if self._plugins_read:
            return
        self._plugins_read = True
        for point in entry_points(group=self._group or ""):
            self.register(point.name, point.value)
