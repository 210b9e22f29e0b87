"""Training a classifier and reading probabilities from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from scanproof.classification.augmentation import Augmentation
from scanproof.classification.freezing import FreezeStatistics
from scanproof.classification.labels import as_targets, balanced_loss, chances
from scanproof.data.keys import IMAGE, LABEL
from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed
from scanproof.training.batches import shape_of
from scanproof.training.engine import Handler, TrainingOptions, TrainingResult, train

if TYPE_CHECKING:
    from ignite.metrics import Metric


def normalise(images: np.ndarray | Tensor) -> Tensor:
    """Bring every image or volume to zero mean and unit standard deviation, as all classifiers here expect.

    Args:
        images: float (N, 1, H, W) or (N, 1, D, H, W).

    Returns:
        float32 tensor of the same shape; a constant image becomes zero.
    """
    tensor = torch.as_tensor(images, dtype=torch.float32)
    axes = tuple(range(1, tensor.ndim))
    mean = tensor.mean(dim=axes, keepdim=True)
    spread = tensor.std(dim=axes, keepdim=True)
    return (tensor - mean) / spread.clamp(min=1e-12)


def train_classifier(
    network: nn.Module,
    *,
    training: tuple[np.ndarray, npt.ArrayLike],
    validation: tuple[np.ndarray, npt.ArrayLike],
    options: TrainingOptions,
    seed: int,
    exclusive: bool = False,
    augment: Sequence[Augmentation] = (),
    freeze_statistics: float | None = None,
    handlers: Sequence[Handler] = (),
) -> TrainingResult:
    """Train a classifier; the epoch with the best validation AUROC, the mean over targets, is kept.

    Images are mirrored left to right at random. The loss is the cross-entropy, binary for every target or of
    exclusive ones, weighted so that frequent and rare labels count the same.

    Args:
        network: (batch, 1, *spatial) to logits (batch, targets); trained in place.
        training: images float32 (N, 1, H, W) or (N, 1, D, H, W) and labels, 0 or 1, (N,) or (N, targets).
        validation: likewise.
        options: optimisation settings.
        seed: seed of shuffling, augmentation and dropout.
        exclusive: every case has exactly one of the targets.
        augment: artifacts of training images, on the magnitude, in this order; validation images have none.
        freeze_statistics: share of the epochs after which batch normalization keeps its statistics; see
            :class:`~scanproof.classification.freezing.FreezeStatistics`. Only later epochs can be the best then.
        handlers: further MONAI handlers.

    Raises:
        ScanproofError: labels of a wrong shape; a split in which a target lacks a label.
    """
    from ignite.metrics import Loss
    from monai.data import Dataset
    from monai.handlers import ROCAUC

    targets = as_targets(training[1], split="training", exclusive=exclusive)
    seen = as_targets(validation[1], split="validation", exclusive=exclusive)
    if seen.shape[1] != targets.shape[1]:
        raise ScanproofError(f"validation labels must have {targets.shape[1]} targets", value=seen.shape[1])

    def scored(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        return (chances(output["pred"], exclusive=True) if exclusive else output["pred"]), output["label"]

    loss = balanced_loss(targets, exclusive=exclusive)
    freeze = None
    score: dict[str, Metric] = {}
    if freeze_statistics is not None:
        from scanproof.classification.scores import FrozenAUROC

        freeze = FreezeStatistics(network, share=freeze_statistics, epochs=options.epochs)
        score["val_score"] = FrozenAUROC(freeze, output_transform=scored)
    score["val_auroc"] = ROCAUC(output_transform=scored)
    score["val_loss"] = Loss(loss, output_transform=lambda output: (output["pred"], output["label"]))
    try:
        return train(
            network,
            training=_training_data(training[0], targets, augment=augment, seed=seed),
            validation=Dataset(_items(normalise(validation[0]), seen)),
            loss=loss,
            score=score,
            options=options,
            seed=seed,
            handlers=handlers if freeze is None else (freeze, *handlers),
        )
    finally:
        if freeze is not None:
            freeze.release()


def probabilities(
    network: nn.Module, images: np.ndarray, *, exclusive: bool = False, batch_size: int = 64
) -> np.ndarray:
    """Probability of every target, float64 (N, targets), of images float32 (N, 1, H, W) or (N, 1, D, H, W).

    Args:
        network: gives logits (batch, targets); put in evaluation mode.
        images: as they are, not normalised.
        exclusive: every case has exactly one of the targets, so that a row sums to one.
        batch_size: images read at once.

    Raises:
        ScanproofError: no image; an image or an output that is not finite.
    """
    inputs = checked(images)
    network.eval()
    with torch.inference_mode():
        logits = torch.cat([network(batch) for batch in torch.split(inputs, batch_size)])
    return as_probabilities(logits, exclusive=exclusive)


def checked(images: np.ndarray) -> Tensor:
    """Normalised images.

    Raises:
        ScanproofError: no image, or one that is not finite.
    """
    if not len(images):
        raise ScanproofError("images must not be empty")
    if not np.isfinite(images).all():
        raise ScanproofError("images must be finite", value="NaN or infinite")
    return normalise(images)


def as_probabilities(logits: Tensor, *, exclusive: bool) -> np.ndarray:
    """float64 (N, targets).

    Raises:
        ScanproofError: an output that is not finite.
    """
    result: np.ndarray = chances(logits.detach().double(), exclusive=exclusive).numpy()
    if not np.isfinite(result).all():
        raise ScanproofError("classifier must give finite probabilities", value="NaN or infinite")
    return result


def _training_data(images: np.ndarray, targets: np.ndarray, *, augment: Sequence[Augmentation], seed: int) -> Any:
    from monai.data import Dataset
    from monai.transforms import Compose, Lambdad, RandFlipd

    mirror = RandFlipd(keys=IMAGE, prob=0.5, spatial_axis=-1)
    if augment:
        one = Lambdad(keys=IMAGE, func=lambda image: normalise(image[None])[0])
        transform = Compose([*(artifact.transform() for artifact in augment), one, mirror])
        items = _items(torch.as_tensor(images, dtype=torch.float32), targets)
    else:
        transform = Compose([mirror])
        items = _items(normalise(images), targets)
    transform.set_random_state(seed=derive_seed(seed, "augmentation"))
    data = Dataset(items, transform=transform)
    if augment:
        # spares the trainer a look at every image, artifacts and all
        setattr(data, "shapes", [shape_of(item) for item in items])  # noqa: B010 - MONAI's class does not declare it
    return data


def _items(images: Tensor, targets: np.ndarray) -> list[dict[str, Tensor]]:
    labels = torch.as_tensor(targets, dtype=torch.float32)
    return [{IMAGE: image, LABEL: label} for image, label in zip(images, labels, strict=True)]
