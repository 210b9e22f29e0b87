"""How images are brought to a classifier that somebody else trained."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from scanproof.classification.classifier import normalise
from scanproof.errors import ScanproofError, unknown_name
from scanproof.external.trust import check_plain

#: what preprocessing may be called
STEPS = ("zero_mean_unit_deviation", "percentiles", "none")
#: rooms of MONAI whose transforms only compute, on arrays
_ROOMS = ("intensity", "spatial", "croppad")
Step = str | Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What happens to an image before a network reads it: size, intensities, channels, in this order.

    Args:
        steps: names (``zero_mean_unit_deviation``, ``percentiles``: the 1st and 99th become 0 and 1, ``none``) or
            transforms of MONAI, ``{"_target_": "monai.transforms.ScaleIntensity", ...}`` with plain arguments.
        spatial_size: of what the network reads; None for images as they are.
        fit: ``resize`` scales to that size; ``pad`` fills up with zeros or crops around the centre.
        channels: the image is repeated so often.

    Raises:
        ScanproofError: an unknown step, one that is random, reads or writes files or evaluates text, or a wrong
            argument.

    Example:
        >>> Preparation(spatial_size=(8, 8), channels=3)(np.ones((2, 1, 4, 4), np.float32)).shape
        torch.Size([2, 3, 8, 8])
    """

    steps: Sequence[Step] = ("zero_mean_unit_deviation",)
    spatial_size: tuple[int, ...] | None = None
    fit: Literal["resize", "pad"] = "resize"
    channels: int = 1

    def __post_init__(self) -> None:
        for number, step in enumerate(self.steps):
            check_step(step, key=f"preprocessing[{number}]")

    def __call__(self, images: np.ndarray) -> Tensor:
        """Images float32 (N, 1, *spatial) as the network reads them, float32 (N, channels, *spatial_size)."""
        prepared = torch.as_tensor(images, dtype=torch.float32)
        if self.spatial_size is not None:
            prepared = _sized(prepared, self.spatial_size, fit=self.fit)
        for step in self.steps:
            prepared = _apply(step, prepared)
        return prepared.expand(-1, self.channels, *prepared.shape[2:]) if self.channels > 1 else prepared


def check_step(step: Step, *, key: str) -> None:
    """Refuse a step of preprocessing that is unknown or does more than compute; errors as :class:`Preparation`."""
    if isinstance(step, str):
        if step not in STEPS:
            raise unknown_name("preprocessing", step, STEPS, key=key)
        return
    for name, value in step.items():
        if name != "_target_":
            check_plain(value, key=f"{key}.{name}")
    _transform(step, key=key)


def _transform(step: Mapping[str, object], *, key: str) -> object:
    from monai.transforms import Randomizable

    target = str(step.get("_target_"))
    module, _, name = target.rpartition(".")
    package = module == "monai.transforms" or module.startswith("monai.transforms.")
    found = getattr(import_module("monai.transforms"), name, None) if package else None
    rooms = tuple(f"monai.transforms.{room}.array" for room in _ROOMS)
    if not inspect.isclass(found) or found.__module__ not in rooms or issubclass(found, Randomizable):
        rule = f"must be a transform of arrays of monai.transforms ({', '.join(_ROOMS)}) that is not random"
        raise ScanproofError(rule, key=f"{key}._target_", value=target)
    try:
        return found(**{name: value for name, value in step.items() if name != "_target_"})
    except (TypeError, ValueError) as error:
        raise ScanproofError(f"must have arguments that {name} takes: {error}", key=key) from None


def _apply(step: Step, images: Tensor) -> Tensor:
    if not isinstance(step, str):
        transform = _transform(step, key="preprocessing")
        return torch.stack([torch.as_tensor(np.asarray(transform(image))) for image in images]).float()  # type: ignore[operator]
    if step == "zero_mean_unit_deviation":
        return normalise(images)
    if step == "percentiles":
        low, high = (_percentile(images, share) for share in (0.01, 0.99))
        return ((images - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return images


def _percentile(images: Tensor, share: float) -> Tensor:
    values = torch.quantile(images.flatten(1), share, dim=1)
    return values.reshape(-1, *[1] * (images.ndim - 1))


def _sized(images: Tensor, size: tuple[int, ...], *, fit: Literal["resize", "pad"]) -> Tensor:
    from monai.transforms import Resize, ResizeWithPadOrCrop

    if len(size) != images.ndim - 2:
        raise ScanproofError(f"must have {images.ndim - 2} numbers", key="spatial_size", value=list(size))
    mode = "bilinear" if len(size) == 2 else "trilinear"
    transform = Resize(size, mode=mode, anti_aliasing=True) if fit == "resize" else ResizeWithPadOrCrop(size)
    return torch.stack([torch.as_tensor(np.asarray(transform(image))) for image in images])
