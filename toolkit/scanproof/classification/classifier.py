"""Training a classifier and reading probabilities from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from scanproof.data.keys import IMAGE, LABEL
from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed
from scanproof.training.engine import Handler, TrainingOptions, TrainingResult, train


def normalise(images: np.ndarray | Tensor) -> Tensor:
    """Bring every image to zero mean and unit standard deviation, as all classifiers here expect.

    Args:
        images: float (N, 1, H, W).

    Returns:
        float32 tensor of the same shape; a constant image becomes zero.
    """
    tensor = torch.as_tensor(images, dtype=torch.float32)
    mean = tensor.mean(dim=(1, 2, 3), keepdim=True)
    spread = tensor.std(dim=(1, 2, 3), keepdim=True)
    return (tensor - mean) / spread.clamp(min=1e-12)


def train_classifier(
    network: nn.Module,
    *,
    training: tuple[np.ndarray, Sequence[int]],
    validation: tuple[np.ndarray, Sequence[int]],
    options: TrainingOptions,
    seed: int,
    handlers: Sequence[Handler] = (),
) -> TrainingResult:
    """Train a binary classifier; the epoch with the best validation AUROC is kept.

    Images are mirrored left to right at random. The loss is the binary cross-entropy, with positives weighted so
    that both labels count the same.

    Args:
        network: (batch, 1, H, W) to logits (batch, 1); trained in place.
        training: images float32 (N, 1, H, W) and labels, 0 or 1.
        validation: likewise.
        options: optimisation settings.
        seed: seed of shuffling, augmentation and dropout.
        handlers: further MONAI handlers.

    Raises:
        ScanproofError: a split without both labels.
    """
    from ignite.metrics import Loss
    from monai.data import Dataset
    from monai.handlers import ROCAUC
    from monai.transforms import Compose, RandFlipd

    for name, (_, labels) in (("training", training), ("validation", validation)):
        if set(labels) != {0, 1}:
            raise ScanproofError(f"{name} split must hold cases of both labels 0 and 1", value=sorted(set(labels)))
    augment = Compose([RandFlipd(keys=IMAGE, prob=0.5, spatial_axis=-1)])
    augment.set_random_state(seed=derive_seed(seed, "augmentation"))
    positive = float(np.mean(np.asarray(training[1])))
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([(1 - positive) / positive]))
    return train(
        network,
        training=Dataset(_items(*training), transform=augment),
        validation=Dataset(_items(*validation)),
        loss=loss,
        score={
            "val_auroc": ROCAUC(output_transform=lambda output: (output["pred"], output["label"])),
            "val_loss": Loss(loss, output_transform=lambda output: (output["pred"], output["label"])),
        },
        options=options,
        seed=seed,
        handlers=handlers,
    )


def probabilities(network: nn.Module, images: np.ndarray, *, batch_size: int = 64) -> np.ndarray:
    """Probability of the positive label, float64 (N,), of images float32 (N, 1, H, W).

    Raises:
        ScanproofError: an image or an output that is not finite.
    """
    if not np.isfinite(images).all():
        raise ScanproofError("images must be finite", value="NaN or infinite")
    network.eval()
    with torch.inference_mode():
        logits = torch.cat([network(batch) for batch in torch.split(normalise(images), batch_size)])
    result = torch.sigmoid(logits.double()).squeeze(1).numpy()
    if not np.isfinite(result).all():
        raise ScanproofError("classifier must give finite probabilities", value="NaN or infinite")
    return result


def _items(images: np.ndarray, labels: Sequence[int]) -> list[dict[str, Tensor]]:
    return [
        {IMAGE: image, LABEL: torch.tensor([float(label)])}
        for image, label in zip(normalise(images), labels, strict=True)
    ]
