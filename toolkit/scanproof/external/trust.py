"""Which models would execute code that came with them, and who may say that this is wanted.

What was tried with PyTorch 2.13 (tests/external/test_trust.py does it again):

- ``torch.export.load`` reads weights that their archive declares as pickled by ``torch.load(weights_only=False)``:
  whoever wrote the file chooses what is executed.
- ``torch.jit.load`` executes nothing by itself, but a TorchScript module is a program: its ``forward`` can map any file
  into memory and create or change it (``torch.from_file``).
- a MONAI Bundle's configuration evaluates every text that begins with ``$``, and imports what ``_target_`` names.
- MLflow unpickles what its flavours for Python and PyTorch have stored.
- ``torch.load(weights_only=True)`` and safetensors build nothing but tensors.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError
from scanproof.external.files import Format

if TYPE_CHECKING:
    from torch import nn

_EXECUTES: dict[Format, str] = {
    "monai_bundle": "the configuration of a MONAI Bundle is a program",
    "torch_export": "a torch.export archive may hold pickles",
    "torchscript": "a TorchScript file is a program",
    "mlflow": "MLflow unpickles models of other kinds than scanproof",
}
#: packages whose networks are built unasked
KNOWN_PACKAGES = ("torch.nn", "monai.networks")
_TARGET = "_target_"


def executes(format: Format, definition: Mapping[str, object] | None = None) -> str | None:
    """Why opening a model executes code that came with it or that it names; None if it does not.

    Args:
        format: of its files.
        definition: ``_target_`` and arguments of the network, for weights alone.

    Raises:
        ScanproofError: the definition names no ``_target_``, or holds what must be evaluated.

    Example:
        >>> executes("safetensors", {"_target_": "monai.networks.nets.DenseNet121"}) is None
        True
        >>> executes("state_dict", {"_target_": "ours.net.Network"})
        '_target_ ours.net.Network is no network of torch.nn or monai.networks'
    """
    if format in _EXECUTES:
        return _EXECUTES[format]
    target = check_definition(definition)
    if target.startswith(tuple(f"{package}." for package in KNOWN_PACKAGES)) and _is_network(target):
        return None
    return f"_target_ {target} is no network of {' or '.join(KNOWN_PACKAGES)}"


def check_definition(definition: Mapping[str, object] | None) -> str:
    """The class that a definition names.

    Args:
        definition: ``_target_`` and arguments, plain values.

    Raises:
        ScanproofError: it names none, or an argument is an expression, an object or weights to load from elsewhere.
    """
    target = (definition or {}).get(_TARGET)
    if not isinstance(target, str) or "." not in target:
        hint = "such as {_target_: monai.networks.nets.DenseNet121, spatial_dims: 2, in_channels: 1, out_channels: 2}"
        raise ScanproofError("must name the network of the weights", key="network_def", value=target, hint=hint)
    for name, value in (definition or {}).items():
        if name == "pretrained" and value:
            raise ScanproofError(
                "must be left out: weights come from the model", key=f"network_def.{name}", value=value
            )
        if name != _TARGET:
            check_plain(value, key=f"network_def.{name}")
    return target


def check_plain(value: object, *, key: str) -> None:
    """Refuse values that would have to be evaluated.

    Raises:
        ScanproofError: a text that begins with ``$`` or ``@``, or a mapping with ``_target_``, however deep.
    """
    if isinstance(value, str) and value[:1] in ("$", "@"):
        raise ScanproofError("must be a plain value, not an expression or reference", key=key, value=value)
    if isinstance(value, Mapping):
        if _TARGET in value:
            raise ScanproofError("must be a plain value, not an object", key=key, value=value[_TARGET])
        for name, one in value.items():
            check_plain(one, key=f"{key}.{name}")
    if isinstance(value, list | tuple):
        for one in value:
            check_plain(one, key=key)


def find_class(target: str) -> type[nn.Module]:
    """Import the class behind a ``_target_``.

    Raises:
        ScanproofError: there is none, or it is no network.
    """
    from torch import nn

    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        rule = f"must name a class that can be imported: {error}"
        raise ScanproofError(rule, key="network_def._target_", value=target) from None
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise ScanproofError("must name a class of networks", key="network_def._target_", value=target)
    return found


def _is_network(target: str) -> bool:
    """Whether a name below the known packages is a network that one of them defines itself."""
    found = find_class(target)
    return found.__module__.startswith(tuple(f"{package}." for package in KNOWN_PACKAGES))
