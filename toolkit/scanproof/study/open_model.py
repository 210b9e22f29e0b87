"""Opening a model of another origin, whichever library wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scanproof.external.files import ModelFiles

if TYPE_CHECKING:
    from torch import Tensor

    from scanproof.external.network import Network


def open_model(files: ModelFiles, definition: Mapping[str, object] | None = None) -> Network:
    """The network of a model; arguments and errors as :func:`scanproof.external.network.open_network`."""
    from torch import as_tensor, nn

    from scanproof.external.network import explained, open_network, unpacked

    if files.format != "mlflow":
        return open_network(files, definition)
    from scanproof.tracking.foreign import open_flavour

    with explained(files), unpacked(files) as folder:
        opened = open_flavour(folder)
    if isinstance(opened, nn.Module):
        return opened

    def predict(*arguments: Tensor) -> Tensor:
        return as_tensor(opened(*(one.numpy() for one in arguments)))

    return predict
