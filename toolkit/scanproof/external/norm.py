"""Which normalization somebody else's network has, as far as it can be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def norm_of(network: Callable[..., object]) -> str | None:
    """The normalization of a network: batch, group, layer, instance or none; None where it cannot be told.

    Modules tell it, those of TorchScript by their names, and the operators of an exported graph. A network of several
    kinds has none that could be named.

    Example:
        >>> from torch import nn
        >>> norm_of(nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(1, 8)))
        'layer'
    """
    from torch import nn

    if not isinstance(network, nn.Module):
        return None
    kinds = {kind for module in network.modules() if (kind := _kind(module))}
    graph: Any = getattr(network, "graph", None)
    if not kinds and hasattr(graph, "nodes") and not callable(graph.nodes):
        names = {str(node.target).split(".")[1] for node in graph.nodes if str(node.target).startswith("aten.")}
        found = {"batch": "batch_norm", "instance": "instance_norm", "layer": "layer_norm"}
        kinds = {kind for kind, part in found.items() if any(part in name for name in names)}
        if any("group_norm" in name for name in names):
            return None  # of how many channels a group is, only its arguments tell
    if len(kinds) > 1:
        return None
    return next(iter(kinds), "none")


def _kind(module: object) -> str | None:
    name = str(getattr(module, "original_name", type(module).__name__))
    if "BatchNorm" in name:
        return "batch"
    if "InstanceNorm" in name:
        return "instance"
    if name == "LayerNorm":
        return "layer"
    if name == "GroupNorm":
        groups, channels = int(getattr(module, "num_groups", 0)), int(getattr(module, "num_channels", 0))
        return "layer" if groups == 1 else "instance" if groups == channels else "group"
    return None
