"""Classifiers: MONAI networks with a choice of normalization, and how they are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanproof.registry import Registry

if TYPE_CHECKING:
    from torch import nn

CLASSIFIERS: Registry[nn.Module] = Registry(
    "classifier",
    {
        "resnet18": "scanproof.classification.networks:resnet18",
        "resnet34": "scanproof.classification.networks:resnet34",
        "resnet50": "scanproof.classification.networks:resnet50",
        "densenet121": "scanproof.classification.networks:densenet121",
    },
    group="scanproof.classifiers",
)
