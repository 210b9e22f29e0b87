"""The learned part of an unroll: convolutions on a complex image, seen as two real channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scanproof.errors import ScanproofError


class Regulariser(nn.Module):
    """x + F(x), F a network of convolutions without bias, whose last one starts at zero.

    Args:
        spatial_dims: 2 or 3; further axes of an image are batch.

    Raises:
        ScanproofError: another number of dimensions.
    """

    def __init__(self, *, spatial_dims: int) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ScanproofError("spatial_dims must be 2 or 3", value=spatial_dims)
        self.spatial_dims = spatial_dims
        #: convolutions compute in bfloat16; weights and everything else stay float32
        self.mixed = False

    def forward(self, image: Tensor) -> Tensor:
        """Both complex ``(batch, 1, *spatial)``."""
        return image + self.correction(image)

    def correction(self, image: Tensor) -> Tensor:
        """F(x), complex ``(batch, 1, *spatial)``."""
        pairs = torch.view_as_real(image).squeeze(1).movedim(-1, 1)
        with torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=self.mixed):
            changed = self.network(pairs)
        changed = changed.to(pairs.dtype).contiguous()
        return torch.complex(*changed.unbind(dim=1)).unsqueeze(1)

    def network(self, pairs: Tensor) -> Tensor:
        """Float32 ``(batch, 2, *spatial)`` to the same."""
        raise NotImplementedError

    def chain(self) -> tuple[Sequence[Sequence[nn.Module]], nn.Module]:
        """What bounds F: convolutions in a row, in groups that are residual blocks or stand alone, and the last one."""
        raise NotImplementedError

    @torch.no_grad()
    def contract(self, most: float) -> None:
        """Scale convolutions down where it takes that for F to change an image by at most a share of its change.

        The bound is the product of the norms of convolutions (of one plus the product, for a residual block), which
        holds away from the edges, where images are mirrored. Convolutions on their own may have norm 1, blocks
        change by half, and the last convolution takes what is left (Gouk et al., Mach Learn 2021;110:393).

        Args:
            most: Lipschitz constant of F, below one.
        """
        groups, last = self.chain()
        total = 1.0
        for group in groups:
            block = len(group) > 1
            norms = [_clamp(part, 0.5 ** (1 / len(group)) if block else 1.0) for part in group]
            total *= 1 + math.prod(norms) if block else norms[0]
        _clamp(last, most / max(total, 1e-12))

    def _convolution(self, channels_in: int, channels_out: int, *, last: bool = False) -> nn.Module:
        layer = (nn.Conv2d, nn.Conv3d)[self.spatial_dims - 2](
            channels_in, channels_out, 3, padding=1, padding_mode="reflect", bias=False
        )
        if last:
            nn.init.zeros_(layer.weight)
        return layer


class ResidualNetwork(Regulariser):
    """Residual blocks of 2 x (ReLU, 3x3 convolution) between a first and a last convolution.

    Source: the regulariser of the proximal gradient network in GLEAM, arXiv 2207.08393 (100 features, 2 blocks).

    Args:
        features: channels between the convolutions.
        blocks: residual blocks.
        spatial_dims: 2 or 3.

    Example:
        >>> image = torch.randn(3, 1, 8, 6, dtype=torch.complex64)
        >>> torch.equal(ResidualNetwork(features=4)(image), image)  # until it has learned
        True
    """

    def __init__(self, *, features: int = 100, blocks: int = 2, spatial_dims: int = 2) -> None:
        super().__init__(spatial_dims=spatial_dims)
        _check_positive(features=features, blocks=blocks)
        self.first = self._convolution(2, features)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), self._convolution(features, features), nn.ReLU(), self._convolution(features, features)
            )
            for _ in range(blocks)
        )
        self.last = self._convolution(features, 2, last=True)

    def chain(self) -> tuple[Sequence[Sequence[nn.Module]], nn.Module]:
        """See :meth:`Regulariser.chain`."""
        blocks = [[part for part in block.modules() if hasattr(part, "weight")] for block in self.blocks]
        return [[self.first], *blocks], self.last

    def network(self, pairs: Tensor) -> Tensor:
        """See :meth:`Regulariser.network`."""
        found = self.first(pairs)
        for block in self.blocks:
            found = found + block(found)
        changed: Tensor = self.last(found)
        return changed


class PlainNetwork(Regulariser):
    """3x3 convolutions with ReLUs between them.

    Source: the regulariser of MoDL in GLEAM, arXiv 2207.08393 (70 features, 5 convolutions).

    Args:
        features: channels between the convolutions.
        layers: convolutions.
        spatial_dims: 2 or 3.
    """

    def __init__(self, *, features: int = 70, layers: int = 5, spatial_dims: int = 2) -> None:
        super().__init__(spatial_dims=spatial_dims)
        _check_positive(features=features, layers=layers - 1)
        parts: list[nn.Module] = [self._convolution(2, features)]
        for _ in range(layers - 2):
            parts += [nn.ReLU(), self._convolution(features, features)]
        self.layers = nn.Sequential(*parts, nn.ReLU(), self._convolution(features, 2, last=True))

    def chain(self) -> tuple[Sequence[Sequence[nn.Module]], nn.Module]:
        """See :meth:`Regulariser.chain`."""
        *parts, last = [part for part in self.layers if hasattr(part, "weight")]
        return [[part] for part in parts], last

    def network(self, pairs: Tensor) -> Tensor:
        """See :meth:`Regulariser.network`."""
        changed: Tensor = self.layers(pairs)
        return changed


def convolution_norm(weight: Tensor, *, grid: int = 12) -> float:
    """Largest factor by which a convolution enlarges an image that goes round, from its transfer function.

    Sedghi et al., ICLR 2019: the singular values of the channels' matrix at every frequency, here on a grid of them.

    Args:
        weight: ``(out, in, *kernel)``.
        grid: frequencies along each axis.

    Example:
        >>> convolution_norm(torch.full((1, 1, 3, 3), 1 / 9))
        1.0
    """
    axes = tuple(range(2, weight.ndim))
    transfer = torch.fft.rfftn(weight, s=[grid] * len(axes), dim=axes)
    return float(torch.linalg.matrix_norm(transfer.movedim((0, 1), (-2, -1)), ord=2).max())


def _clamp(convolution: nn.Module, most: float) -> float:
    """Scale a convolution down to a norm, if it has more; its norm now."""
    weight = convolution.weight
    assert isinstance(weight, Tensor)  # noqa: S101 (for the type checker)
    norm = convolution_norm(weight)
    if norm > most:
        weight.mul_(most / norm)
    return min(norm, most)


def _check_positive(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ScanproofError(f"{name} must be larger", value=value)
