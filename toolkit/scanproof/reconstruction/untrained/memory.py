"""How much memory a step of a fit takes."""

from __future__ import annotations

import torch
from torch import Tensor

from scanproof.reconstruction.untrained.network import UntrainedNetwork


def activation_bytes(network: UntrainedNetwork, dtype: torch.dtype = torch.float32) -> int:
    """What a forward pass keeps for the backward pass, all members together.

    It is what limits how many networks fit into memory; their weights, gradients and Adam take 16 bytes a weight.

    Each tensor that autograd saves is counted once; weights, which exist anyway, are not.

    Args:
        network: is run once.
        dtype: of the convolutions.

    Returns:
        Bytes.

    Example:
        >>> from scanproof.reconstruction.untrained.conv_decoder import ConvDecoderNetwork
        >>> small, large = (ConvDecoderNetwork(output_channels=2, output_size=(n, n), channels=8) for n in (32, 64))
        >>> 3 < activation_bytes(large) / activation_bytes(small) < 5
        True
    """
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    device = next(network.parameters()).device.type
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast(device, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16),
    ):
        network()
    return sum(kept.values())
