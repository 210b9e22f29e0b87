"""What all un-trained networks share: members side by side, a fixed random input, seeded weights."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.layers import SpatialDims
from scanproof.seeds import generator

#: weights of one network or of several side by side, by name
Weights = Mapping[str, Tensor]


class UntrainedNetwork(nn.Module, ABC):
    """A generator of images: a random input of its own, and weights that are fitted to one image.

    Args:
        output_channels: of one member's image.
        output_size: spatial size of the image.
        input_channels: of one member's input.
        input_size: spatial size of the input.
        spatial_dims: 2 or 3.
        members: networks side by side; see :mod:`~scanproof.reconstruction.untrained.layers`.
        learn_input: the input is fitted like a weight.

    Raises:
        ScanproofError: sizes that do not fit ``spatial_dims``, numbers below one.
    """

    input: Tensor

    def __init__(
        self,
        *,
        output_channels: int,
        output_size: Sequence[int],
        input_channels: int,
        input_size: Sequence[int],
        spatial_dims: SpatialDims,
        members: int,
        learn_input: bool,
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ScanproofError("spatial_dims must be 2 or 3", value=spatial_dims)
        if len(output_size) != spatial_dims or min(output_size) < 1:
            raise ScanproofError(f"output_size must hold {spatial_dims} positive sizes", value=tuple(output_size))
        for name, value in {"output_channels": output_channels, "channels": input_channels, "members": members}.items():
            if value < 1:
                raise ScanproofError(f"{name} must be at least 1", value=value)
        self.output_channels = output_channels
        self.output_size = tuple(output_size)
        self.spatial_dims: SpatialDims = spatial_dims
        self.members = members
        self.layout = torch.contiguous_format
        values = torch.zeros(members * input_channels, *input_size)
        if learn_input:
            self.input = nn.Parameter(values)
        else:
            self.register_buffer("input", values)

    @abstractmethod
    def compute(self, x: Tensor) -> Tensor:
        """From the input, ``(1, members · input_channels, *input_size)``, to the image's channels."""

    def forward(self, noise: Tensor | None = None) -> Tensor:
        """Generate the images.

        Args:
            noise: added to the input, of its shape ``(members · input_channels, *input_size)``.

        Returns:
            float32 (bfloat16 under autocast) ``(members, output_channels, *output_size)``; channels 2i and 2i + 1 are
            meant as real and imaginary part of image i.
        """
        x = self.input if noise is None else self.input + noise
        image = self.compute(x.unsqueeze(0).contiguous(memory_format=self.layout))
        return image.reshape(self.members, self.output_channels, *self.output_size)

    def use_layout(self, layout: torch.memory_format) -> None:
        """Lay weights and activations out in memory like this."""
        self.layout = layout
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                module.weight.data = module.weight.data.contiguous(memory_format=layout)

    def initialise(self, seeds: Sequence[int]) -> None:
        """Draw the input and all weights of each member from its own seed.

        The input is uniform in [0, 1); convolutions are uniform within 1/√(inputs of a neuron), PyTorch's default;
        normalisations are the identity. A member's weights depend on its seed alone, not on the other members.

        Raises:
            ScanproofError: not one seed a member.
        """
        if len(seeds) != self.members:
            raise ScanproofError(f"seeds must hold {self.members} numbers", value=len(seeds))
        generators = [generator(seed, "un-trained network") for seed in seeds]
        with torch.no_grad():
            _fill(self.input, generators, 0.0, 1.0)
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Conv3d):
                    bound = 1 / math.sqrt(module.weight[0].numel())
                    _fill(module.weight, generators, -bound, bound)
                    if module.bias is not None:
                        _fill(module.bias, generators, -bound, bound)
                elif getattr(module, "weight", None) is not None:
                    nn.init.ones_(module.weight)  # type: ignore[arg-type]
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def parameter_count(self) -> int:
        """Fitted numbers of one member."""
        return sum(p.numel() for p in self.parameters()) // self.members


def _fill(values: Tensor, generators: Sequence[torch.Generator], low: float, high: float) -> None:
    for block, source in zip(values.chunk(len(generators)), generators, strict=True):
        drawn = torch.rand(block.shape, generator=source)
        block.copy_(low + (high - low) * drawn)


def pick(weights: Weights, members: Sequence[int], *, of: int) -> dict[str, Tensor]:
    """The weights of some members, as copies.

    Args:
        weights: of networks side by side; each tensor has the members in its first axis.
        members: which to pick, counted from zero.
        of: how many there are.

    Example:
        >>> pick({"a": torch.arange(6)}, [2, 0], of=3)
        {'a': tensor([4, 5, 0, 1])}
    """
    return {name: torch.cat([value.detach().chunk(of)[m] for m in members]) for name, value in weights.items()}


def stack(weights: Sequence[Weights]) -> dict[str, Tensor]:
    """Weights of networks side by side, from the weights of each.

    Raises:
        ScanproofError: weights of different networks.

    Example:
        >>> stack([{"a": torch.zeros(1)}, {"a": torch.ones(1)}])
        {'a': tensor([0., 1.])}
    """
    first = {name: value.shape for name, value in weights[0].items()}
    for other in weights[1:]:
        if {name: value.shape for name, value in other.items()} != first:
            raise ScanproofError("weights must be those of one architecture and image size")
    return {name: torch.cat([one[name] for one in weights]) for name in first}
