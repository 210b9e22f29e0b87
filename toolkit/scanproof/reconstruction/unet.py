"""A trained U-Net that removes what undersampling leaves in the zero-filled image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from scanproof.data.keys import IMAGE, KSPACE, LABEL, MASK, REFERENCE, SENSITIVITIES
from scanproof.errors import ScanproofError
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.base import Reconstructor, Sample
from scanproof.seeds import derive_seed
from scanproof.training.engine import Handler, TrainingOptions, TrainingResult, train


class UNet(Reconstructor):
    """MONAI's ``ComplexUnet`` on the coil-combined zero-filled image, added to it as a residual.

    The image is scaled to a 95th percentile magnitude of one before the network and back after it; training
    minimises the mean absolute error of the magnitude against the reference. Source of the approach: Zbontar et
    al., fastMRI, arXiv 1811.08839; deviations: complex input and output, sensitivity-combined coils, a residual.

    Args:
        features: channels of the six stages of MONAI's ``BasicUNet``.
        epochs, batch_size, learning_rate, weight_decay, patience: see
            :class:`~scanproof.training.engine.TrainingOptions`.
    """

    trainable: ClassVar[bool] = True

    def __init__(
        self,
        *,
        features: Sequence[int] = (32, 32, 64, 128, 256, 32),
        epochs: int = 20,
        batch_size: int = 8,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        patience: int = 8,
    ) -> None:
        if len(features) != 6 or min(features) < 1:
            raise ScanproofError("must be six positive numbers", key="unet.features", value=list(features))
        self.features = tuple(features)
        self.options = TrainingOptions(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            patience=patience,
        )
        self._network: _ResidualUnet | None = None

    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.reconstruct`.

        Raises:
            ScanproofError: neither :meth:`fit` nor :meth:`load` came before.
        """
        if self._network is None:
            raise ScanproofError("method must be trained or given weights first", key="unet")
        image = SenseOperator(sensitivities, mask).adjoint(kspace)
        batch = torch.view_as_real(image.reshape(-1, *image.shape[-3:]))
        with torch.inference_mode():
            magnitude: Tensor = self._network(batch)
        return magnitude.reshape(image.shape)

    def fit(
        self, training: Sequence[Sample], validation: Sequence[Sample], *, seed: int, handlers: Sequence[Handler] = ()
    ) -> TrainingResult:
        """See :meth:`Reconstructor.fit`. The score that chooses the best epoch is the validation loss."""
        from monai.data import Dataset
        from monai.handlers import IgniteMetricHandler

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "initial weights"))
            network = _ResidualUnet(self.features)
        loss = nn.L1Loss()
        result = train(
            network,
            training=Dataset([_pair(sample) for sample in training]),
            validation=Dataset([_pair(sample) for sample in validation]),
            loss=loss,
            score={"val_loss": IgniteMetricHandler(loss_fn=loss, output_transform=lambda o: (o["pred"], o["label"]))},
            options=self.options,
            seed=seed,
            smaller_is_better=True,
            handlers=handlers,
        )
        self._network = network.eval()
        return result

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See :meth:`Reconstructor.load`."""
        network = _ResidualUnet(self.features)
        network.load_state_dict(dict(weights))
        self._network = network.eval()


class _ResidualUnet(nn.Module):
    """Zero-filled image, float32 (batch, 1, H, W, 2), to magnitude, float32 (batch, 1, H, W)."""

    def __init__(self, features: Sequence[int]) -> None:
        super().__init__()
        from monai.apps.reconstruction.networks.nets.complex_unet import ComplexUnet

        self.unet = ComplexUnet(spatial_dims=2, features=features)

    def forward(self, image: Tensor) -> Tensor:
        magnitude = image.norm(dim=-1)
        scale = torch.quantile(magnitude.flatten(1), 0.95, dim=1).clamp(min=1e-12).reshape(-1, 1, 1, 1, 1)
        scaled = image / scale
        restored: Tensor = (scaled + self.unet(scaled)).norm(dim=-1)
        return restored * scale[..., 0]


def _pair(sample: Sample) -> dict[str, Tensor]:
    zero_filled = SenseOperator(sample[SENSITIVITIES], sample[MASK]).adjoint(sample[KSPACE])
    return {IMAGE: torch.view_as_real(zero_filled), LABEL: sample[REFERENCE]}
