"""Small versions of every classifier and an easy task, shared by the tests of this room."""

from __future__ import annotations

import numpy as np

#: narrow versions, quick to build
OPTIONS: dict[str, dict[str, object]] = {
    "resnet18": {"width": 0.125},
    "resnet34": {"width": 0.125},
    "resnet50": {"width": 0.125},
    "preact_resnet18": {"width": 0.125},
    "seresnet50": {"width": 0.125},
    "densenet121": {"growth_rate": 4, "init_features": 8},
    "efficientnet_b0": {"width": 0.125},
}
#: normalization layers of the published architectures, counted by hand: one after every convolution (ResNet, SE-ResNet:
#: 1 + 3 x 16 + 4), before every one of a residual path and at the end (pre-activation: 8 x 2 + 1), stem + 2 x 58 + 3
#: transitions + last (DenseNet), stem + 2 + 15 x 3 + head (EfficientNet, whose first block does not expand)
LAYERS = {
    "resnet18": 20,
    "resnet34": 36,
    "resnet50": 53,
    "preact_resnet18": 17,
    "seresnet50": 53,
    "densenet121": 121,
    "efficientnet_b0": 49,
}
NARROW: dict[str, object] = {"width": 0.125, "stem_kernel": 3, "stem_stride": 1}


def blobs(count: int, *, seed: int, size: tuple[int, ...] = (24, 24)) -> tuple[np.ndarray, list[int]]:
    """Noise, half of it with a bright block somewhere."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, 1, *size)).astype(np.float32)
    labels = [i % 2 for i in range(count)]
    for image, label in zip(images, labels, strict=True):
        if label:
            brighten(image, rng, 2.0)
    return images, labels


def brighten(image: np.ndarray, rng: np.random.Generator, amount: float) -> None:
    """Add a block to an image (1, *spatial) in place."""
    corner = [int(rng.integers(2, length - 8)) for length in image.shape[1:]]
    image[(0, *(slice(start, start + 6) for start in corner))] += amount
