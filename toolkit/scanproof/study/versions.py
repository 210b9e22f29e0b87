"""What the registry says of a network: tags, aliases and text of a version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.tracking.metrics import part
from scanproof.tracking.register import NewVersion

if TYPE_CHECKING:
    from scanproof.study.classifier_description import ClassifierDescription
    from scanproof.study.model_description import ModelDescription
    from scanproof.tracking.model import TrainingRecord

_ABOUT = "A reconstruction of MR images from undersampled k-space. Not for clinical use."
_ABOUT_CLASSIFIER = (
    "A classifier of MR images, one version a training: the alias `batch-1` is that with batch normalization and "
    "seed 1, so that a study names several as `models:/NAME@{norm}-{seed}`. Not for clinical use."
)


def reconstruction_version(
    name: str, description: ModelDescription, training: TrainingRecord, folder: Path
) -> NewVersion:
    """A reconstruction as it is registered.

    Args:
        name: of the registered model.
        description: what it says of itself.
        training: its training.
        folder: where it is saved.
    """
    sampling = description.sampling
    tags = {
        "method": description.method,
        "options": json.dumps(description.options, sort_keys=True),
        "mask": sampling.mask,
        "acceleration": f"{sampling.acceleration:g}",
        "center_fraction": f"{sampling.center_fraction:g}",
        **_origin(description),
    }
    return NewVersion(
        name=name,
        folder=folder,
        experiment=description.study,
        training=training,
        tags=tags,
        params=_params(tags),
        alias=f"R{sampling.acceleration:g}".replace(".", "_"),
        description=_text(description),
        about=_ABOUT,
    )


def classifier_version(
    name: str, description: ClassifierDescription, training: TrainingRecord, folder: Path
) -> NewVersion:
    """A classifier as it is registered; arguments as in :func:`reconstruction_version`."""
    score = {} if description.best_score is None else {"val_auroc": f"{description.best_score:.4f}"}
    tags = {
        "network": description.network,
        "norm": description.norm,
        "options": json.dumps(description.options, sort_keys=True),
        "targets": ", ".join(description.targets),
        "trained_on": description.images.reconstruction,
        **score,
        **_origin(description),
    }
    return NewVersion(
        name=name,
        kind="classifier",
        folder=folder,
        experiment=description.study,
        training=training,
        tags=tags,
        params=_params(tags),
        alias=f"{description.norm}-{description.training_seed}",
        description=_classifier_text(description),
        about=_ABOUT_CLASSIFIER,
    )


def _params(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if "sha256" not in key}


def _origin(description: ModelDescription | ClassifierDescription) -> dict[str, str]:
    """Which training it was, of what and by which code."""
    tags = {
        "seed": str(description.seed),
        "training_seed": str(description.training_seed),
        "study": description.study,
        "study_sha256": description.study_sha256,
        "model_sha256": description.model_sha256,
        "code_version": description.code_version,
    }
    return tags | {f"data_sha256.{part(site)}": digest for site, digest in description.data_sha256.items()}


def _text(description: ModelDescription) -> str:
    """What the page of a version says."""
    sampling = description.sampling
    score = "" if description.best_score is None else f", validation loss {description.best_score:.4g}"
    return (
        f"{description.method}, trained in study {description.study} at {', '.join(sorted(description.data_sha256))} "
        f"for R = {sampling.acceleration:g} with {sampling.mask} lines and a share of {sampling.center_fraction:g} "
        f"around the centre{score}.\n\n"
        "Weights alone, as safetensors: a study loads them by the name of this version, and nothing in the folder is "
        "executed. Trained on simulated acquisitions; not for clinical use."
    )


def _classifier_text(description: ClassifierDescription) -> str:
    """What the page of a version of a classifier says."""
    score = "" if description.best_score is None else f", validation AUROC {description.best_score:.3f}"
    layers = ", ".join(f"{count} {kind}" for kind, count in description.norm_layers.items())
    images = description.images
    return (
        f"{description.network} with {description.norm} normalization ({layers}), training seed "
        f"{description.training_seed}, trained in study {description.study} at "
        f"{', '.join(sorted(description.data_sha256))} on {images.reconstruction} images of {images.matrix[0]} x "
        f"{images.matrix[1]} for {', '.join(description.targets)}{score}.\n\n"
        "Weights alone, as safetensors: a study loads them by the name of this version, and nothing in the folder is "
        "executed. Not for clinical use."
    )
