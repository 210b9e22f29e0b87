"""Test-time training: a trained U-Net goes on learning from the very k-space that it reconstructs."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from scanproof.errors import ScanproofError
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.unet import ResidualUnet, UNet
from scanproof.reconstruction.untrained.measurements import held_out_positions
from scanproof.seeds import derive_seed


class UNetTTT(UNet):
    r"""A U-Net whose weights are adapted to each slice before they reconstruct it, without a reference.

    A small share of the sampled k-space is held out. Starting from the trained weights :math:`\theta`, Adam lowers

    .. math:: \lVert M (y - F S f_\theta(M_x y)) \rVert / \lVert M y \rVert

    (sums over positions of the norm over coils), where :math:`M` are the samples that are not held out and the network
    sees :math:`M_x` of them: all (Darestani, Liu and Heckel, ICML 2022, arXiv 2204.07204), or, with ``hidden`` above
    zero, a part that is drawn anew in every step, so that the network cannot win by repeating its input alone (after
    Yaman et al., ICLR 2022, arXiv 2102.07737). The weights of the lowest held-out error reconstruct the slice, from
    all samples. The trained weights count among them: a slice on which nothing is gained keeps them.

    Args:
        adaptation_steps: most steps; 0 leaves the network as it was trained.
        adaptation_rate: learning rate.
        adaptation_patience: steps without a lower held-out error after which to stop.
        hidden: share of the samples outside the centre that the network does not see in a step, in [0, 1).
        held_out: share of the samples outside the centre that says when to stop, in (0, 1).
        check: steps between two looks at the held-out error.
        seed: of what is held out and hidden; every slice meets the same draw.
        initial, features, epochs, batch_size, learning_rate, weight_decay, patience: see
            :class:`~scanproof.reconstruction.unet.UNet`.

    Attributes:
        best_steps: how many steps the weights of each slice of the last call have taken.

    Raises:
        ScanproofError: a value out of range.

    Example:
        >>> UNetTTT(held_out=0.0)
        Traceback (most recent call last):
        scanproof.errors.ScanproofError: held_out must be in (0, 1), got 0.0
    """

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    #: the weights follow the k-space, through a fit
    differentiable: ClassVar[bool] = False

    def __init__(
        self,
        *,
        adaptation_steps: int = 200,
        adaptation_rate: float = 1e-3,
        adaptation_patience: int = 50,
        hidden: float = 0.3,
        held_out: float = 0.05,
        check: int = 5,
        seed: int = 0,
        initial: Literal["zero_filled", "cg_sense"] = "zero_filled",
        features: Sequence[int] = (32, 32, 64, 128, 256, 32),
        epochs: int = 20,
        batch_size: int = 8,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        patience: int = 8,
    ) -> None:
        super().__init__(
            initial=initial,
            features=features,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            patience=patience,
        )
        if not 0 < held_out < 1:
            raise ScanproofError("held_out must be in (0, 1)", value=held_out)
        if not 0 <= hidden < 1:
            raise ScanproofError("hidden must be in [0, 1)", value=hidden)
        if adaptation_steps < 0:
            raise ScanproofError("adaptation_steps must not be negative", value=adaptation_steps)
        for name, count in {"adaptation_patience": adaptation_patience, "check": check}.items():
            if count < 1:
                raise ScanproofError(f"{name} must be at least 1", value=count)
        if not 0 < adaptation_rate < math.inf:
            raise ScanproofError("adaptation_rate must be positive", value=adaptation_rate)
        self.adaptation_steps, self.adaptation_rate = adaptation_steps, adaptation_rate
        self.adaptation_patience, self.check = adaptation_patience, check
        self.hidden, self.held_out = hidden, held_out
        self.seed = seed
        self.best_steps: tuple[int, ...] = ()

    def stand_in(self) -> UNet:
        """The network as it was trained."""
        trained = UNet(initial=self.initial, features=self.features)
        trained.load(self._trained.state_dict())
        return trained

    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.reconstruct`.

        Raises:
            ScanproofError: neither :meth:`fit` nor :meth:`load` came before.
        """
        trained = self._trained
        slices = kspace.reshape(-1, 1, *kspace.shape[-3:])
        masks = mask.expand_as(kspace).reshape(slices.shape)[:, :, :1]
        maps = sensitivities.expand_as(kspace).reshape(slices.shape)
        images, steps = [], []
        for y, m, s in zip(slices, masks, maps, strict=True):
            network, taken = self._adapt(trained, y, m, s)
            with torch.inference_mode():
                images.append(network.estimate(self._start(y, m, s)).abs())
            steps.append(taken)
        self.best_steps = tuple(steps)
        return torch.cat(images).reshape(*kspace.shape[:-3], 1, *kspace.shape[-2:])

    def differentiable_image(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.differentiable_image`; that of the trained network, before it is adapted."""
        return super().differentiable_image(kspace, mask, sensitivities)

    def _adapt(self, trained: ResidualUnet, kspace: Tensor, mask: Tensor, maps: Tensor) -> tuple[ResidualUnet, int]:
        """The network adapted to one slice, (1, coil, H, W), and how many steps it has taken."""
        held = held_out_positions(mask, share=self.held_out, seed=derive_seed(self.seed, "held out"))
        if self.adaptation_steps == 0 or not held.any() or not kspace.any():
            return trained, 0
        fitted = mask & ~held
        seen = self._start(kspace * fitted, fitted, maps)
        with torch.enable_grad():
            network = copy.deepcopy(trained).requires_grad_(True)
            best, best_step = copy.deepcopy(network.state_dict()), 0
            lowest = float(_error(network, seen, kspace, held, maps).detach())
            optimiser = torch.optim.Adam(network.parameters(), lr=self.adaptation_rate)
            for step in range(1, self.adaptation_steps + 1):
                start = seen
                if self.hidden > 0:
                    hidden = held_out_positions(fitted, share=self.hidden, seed=derive_seed(self.seed, "hidden", step))
                    start = self._start(kspace * (fitted & ~hidden), fitted & ~hidden, maps)
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(_error(network, start, kspace, fitted, maps))
                optimiser.step()
                if step % self.check and step < self.adaptation_steps:
                    continue
                with torch.no_grad():
                    error = float(_error(network, seen, kspace, held, maps))
                if error < lowest:
                    best, best_step, lowest = copy.deepcopy(network.state_dict()), step, error
                elif step - best_step >= self.adaptation_patience or not math.isfinite(error):
                    break
        network.load_state_dict(best)
        return network, best_step


def _error(network: ResidualUnet, start: Tensor, kspace: Tensor, where: Tensor, maps: Tensor) -> Tensor:
    """How far the network's image is from the k-space at some positions, relative to the k-space there."""
    generated = SenseOperator(maps, where).forward(network.estimate(start))
    return _size(generated - kspace * where) / _size(kspace * where)


def _size(kspace: Tensor) -> Tensor:
    """Sum over positions of the norm over coils."""
    squared = torch.view_as_real(kspace).square().sum(dim=(-4, -1))
    # the root of zero has no gradient
    return (squared + 1e-20).sqrt().sum()
