"""A trained U-Net that removes what undersampling leaves in a simple reconstruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from scanproof.data.keys import IMAGE, KSPACE, LABEL, MASK, REFERENCE, SENSITIVITIES
from scanproof.errors import ScanproofError, unknown_name
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.base import Reconstructor, Sample
from scanproof.reconstruction.cg_sense import CgSense
from scanproof.reconstruction.supervised import train_on_references
from scanproof.training.engine import Handler, TrainingOptions, TrainingResult


class UNet(Reconstructor):
    """MONAI's ``BasicUNet`` on a simple reconstruction (real and imaginary part), added to it as a residual.

    The image is scaled to a 95th percentile magnitude of one before the network and back after it; training
    minimises the mean absolute error of the magnitude against the reference. Source of the approach: Zbontar et
    al., fastMRI, arXiv 1811.08839; deviations: complex input and output, sensitivity-combined coils, a residual that
    starts at zero.

    Args:
        initial: the reconstruction it starts from: ``"zero_filled"`` as in the source, or ``"cg_sense"``, which
            leaves it less to learn.
        features: channels of the six stages of MONAI's ``BasicUNet``.
        epochs, batch_size, learning_rate, weight_decay, patience: see
            :class:`~scanproof.training.engine.TrainingOptions`.
    """

    trainable: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)

    def __init__(
        self,
        *,
        initial: Literal["zero_filled", "cg_sense"] = "zero_filled",
        features: Sequence[int] = (32, 32, 64, 128, 256, 32),
        epochs: int = 20,
        batch_size: int = 8,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        patience: int = 8,
    ) -> None:
        if len(features) != 6 or min(features) < 1:
            raise ScanproofError("must be six positive numbers", key="unet.features", value=list(features))
        if initial not in ("zero_filled", "cg_sense"):
            raise unknown_name("initial reconstruction", initial, ("zero_filled", "cg_sense"), key="unet.initial")
        self.initial = initial
        self.features = tuple(features)
        self.options = TrainingOptions(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            patience=patience,
        )
        self._network: ResidualUnet | None = None

    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.reconstruct`.

        Raises:
            ScanproofError: neither :meth:`fit` nor :meth:`load` came before.
        """
        with torch.inference_mode():
            return self.estimate(kspace, mask, sensitivities).abs()

    def differentiable_image(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.differentiable_image`."""
        return self.estimate(kspace, mask, sensitivities).abs()

    def estimate(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """The complex image behind :meth:`reconstruct`, complex64 (..., 1, *spatial); gradients flow.

        Raises:
            ScanproofError: see :meth:`reconstruct`.
        """
        image = self._start(kspace, mask, sensitivities)
        return self._trained.estimate(image.reshape(-1, *image.shape[-self.spatial_dims - 1 :])).reshape(image.shape)

    def fit(
        self,
        training: Sequence[Sample],
        validation: Sequence[Sample],
        *,
        seed: int,
        handlers: Sequence[Handler] = (),
        checkpoint: Path | None = None,
    ) -> TrainingResult:
        """See :meth:`Reconstructor.fit`. The score that chooses the best epoch is the validation loss."""
        self._network, result = train_on_references(
            lambda: ResidualUnet(self.features, spatial_dims=self.spatial_dims),
            [self._pair(sample) for sample in training],
            [self._pair(sample) for sample in validation],
            options=self.options,
            seed=seed,
            handlers=handlers,
            checkpoint=checkpoint,
        )
        return result

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See :meth:`Reconstructor.load`."""
        network = ResidualUnet(self.features, spatial_dims=self.spatial_dims)
        network.load_state_dict(dict(weights))
        self._network = network.eval()

    @property
    def _trained(self) -> ResidualUnet:
        if self._network is None:
            raise ScanproofError("method must be trained or given weights first", key="unet")
        return self._network

    def _start(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        if self.initial == "cg_sense":
            return CgSense().in_dimensions(self.spatial_dims).solve(kspace, mask, sensitivities)
        return SenseOperator(sensitivities, mask, spatial_dims=self.spatial_dims).adjoint(kspace)

    def _pair(self, sample: Sample) -> dict[str, Tensor]:
        image = self._start(sample[KSPACE], sample[MASK], sample[SENSITIVITIES])
        return {IMAGE: torch.view_as_real(image), LABEL: sample[REFERENCE]}


class ResidualUnet(nn.Module):
    """The network of :class:`UNet`; the last convolution starts at zero, so training starts from the initial image."""

    def __init__(self, features: Sequence[int], *, spatial_dims: int = 2) -> None:
        super().__init__()
        from monai.networks.nets.basic_unet import BasicUNet

        self.unet = BasicUNet(spatial_dims=spatial_dims, in_channels=2, out_channels=2, features=features)
        for parameter in self.unet.final_conv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Tensor:
        """From the initial image, float32 (batch, 1, *spatial, 2), to magnitude, float32 (batch, 1, *spatial)."""
        return self.estimate(torch.view_as_complex(image)).abs()

    def estimate(self, image: Tensor) -> Tensor:
        """From the initial image to the corrected one, both complex64 (batch, 1, *spatial)."""
        pairs = torch.view_as_real(image).squeeze(1).movedim(-1, 1)
        scale = torch.quantile(pairs.norm(dim=1).flatten(1), 0.95, dim=1).clamp(min=1e-12)
        scale = scale.reshape(-1, *(1,) * (pairs.ndim - 1))
        scaled = pairs / scale
        spatial = scaled.shape[2:]
        # the network halves the image four times
        padded = nn.functional.pad(scaled, [amount for size in reversed(spatial) for amount in (0, -size % 16)])
        correction: Tensor = self.unet(padded)[..., *(slice(size) for size in spatial)]
        restored = (scaled + correction) * scale
        return torch.complex(*restored.unbind(dim=1)).unsqueeze(1)
