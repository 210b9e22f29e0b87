"""Classifiers: networks with a choice of normalization, and how they are trained."""

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
        "preact_resnet18": "scanproof.classification.networks:preact_resnet18",
        "seresnet50": "scanproof.classification.networks:seresnet50",
        "densenet121": "scanproof.classification.networks:densenet121",
        "efficientnet_b0": "scanproof.classification.networks:efficientnet_b0",
    },
    group="scanproof.classifiers",
)
