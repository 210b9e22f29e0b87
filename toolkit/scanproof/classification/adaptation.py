"""Batch normalization whose statistics or parameters follow the images it reads, without labels.

What practitioners do at test time to a network that was trained with plain batch normalization. The trained network
is never changed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from scanproof.classification.classifier import as_probabilities, checked, probabilities
from scanproof.classification.moments import channel_moments
from scanproof.classification.norms import BATCH_LAYERS, Norm, check_norm
from scanproof.errors import ScanproofError
from scanproof.seeds import generator

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d

#: images that the training statistics count as in ``batch_condition``: Schneider et al. 2020, of little data
PRIOR = 16
#: most values that statistics are taken from at once, e.g. 520 images of 96 x 80, or 39 of 320 x 320
MOST_VALUES = 4_000_000
#: TENT's optimiser and rate for small images (Wang et al. 2021, section 4)
RATE = 1e-3


def predict_adapted(
    network: nn.Module,
    norm: Norm,
    images: np.ndarray,
    *,
    reference_images: np.ndarray | None = None,
    exclusive: bool = False,
    seed: int = 0,
) -> np.ndarray:
    """Probabilities as a normalization reads them: adapted to the images or the site, or plain.

    - ``batch_site``: :func:`with_statistics_of` the reference images, without a prior (AdaBN, Li et al. 2016,
      arXiv 1603.04779).
    - ``batch_condition``: :func:`with_statistics_of` the very images, where the training statistics count as
      :data:`PRIOR` images (Schneider et al. 2020, arXiv 2006.16971, equation 1).
    - ``batch_entropy``: :func:`predict_with_entropy` (TENT, Wang et al. 2021, arXiv 2006.10726).
    - all others: :func:`~scanproof.classification.classifier.probabilities`.

    Args:
        network: trained with :func:`~scanproof.classification.norms.training_norm` of ``norm``; left as it is.
        norm: how to read.
        images: float32 (N, 1, *spatial), those to be read.
        reference_images: of the site under test, for ``batch_site``; likewise.
        exclusive: every case has exactly one of the targets.
        seed: of the order of images, and of which are taken where there are many.

    Returns:
        float64 (N, targets).

    Raises:
        ScanproofError: unknown normalization; ``batch_site`` without reference images; a rescue of a network without
            batch normalization; images or outputs that are not finite.
    """
    check_norm(norm)
    if norm == "batch_entropy":
        return predict_with_entropy(network, images, exclusive=exclusive, seed=seed)
    if norm == "batch_site":
        if reference_images is None:
            raise ScanproofError("reference images must be given", key=norm)
        network = with_statistics_of(network, reference_images, prior=0, seed=seed)
    elif norm == "batch_condition":
        network = with_statistics_of(network, images, prior=PRIOR, seed=seed)
    return probabilities(network, images, exclusive=exclusive)


def with_statistics_of(network: nn.Module, images: np.ndarray, *, prior: float = 0, seed: int = 0) -> nn.Module:
    """A copy of the network whose batch normalization has statistics of these images.

    A layer's mean and variance become ``(prior x trained + n x found) / (prior + n)``, where ``found`` are those of
    its input over n images and space, once the layers before it have theirs. All images go through at once, so that
    statistics are exact and do not depend on the order. Where they would take too much memory (more than
    :data:`MOST_VALUES` values), as many as fit are drawn at random.

    Args:
        network: with batch normalization.
        images: float32 (N, 1, *spatial).
        prior: number of images that the trained statistics count as, at least 0.
        seed: of the draw.

    Raises:
        ScanproofError: a network without batch normalization, a negative prior, images that are not finite.
    """
    if prior < 0:
        raise ScanproofError("must not be negative", key="prior", value=prior)
    inputs = _drawn(checked(images), seed=seed)
    adapted = copy.deepcopy(network).eval()
    count = len(inputs)

    def take(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        mean, variance = channel_moments(arguments[0])
        places = arguments[0].numel() // len(mean)
        unbiased = variance * places / max(1, places - 1)  # as stored in training
        for held, found in ((layer.running_mean, mean), (layer.running_var, unbiased)):
            held.copy_((prior * held + count * found) / (prior + count))  # type: ignore[operator]

    hooks = [layer.register_forward_pre_hook(take) for layer in batch_layers(adapted)]
    with torch.no_grad():
        adapted(inputs)
    for hook in hooks:
        hook.remove()
    return adapted


def predict_with_entropy(
    network: nn.Module,
    images: np.ndarray,
    *,
    exclusive: bool = False,
    seed: int = 0,
    batch_size: int = 32,
    passes: int = 1,
    learning_rate: float = RATE,
) -> np.ndarray:
    """Probabilities of a network whose scales and offsets learn from its own uncertainty meanwhile: TENT.

    Batches are normalized by their own statistics. After each, Adam takes a step on the scales and offsets of batch
    normalization towards a smaller mean entropy of the predictions: of the softmax, or the sum over targets of those
    of the sigmoids. As in the paper, a prediction is the one before the step. Deviations: batches are drawn in random
    order and of nearly one size, so that neighbouring slices of a subject and a small last batch do no harm; layers
    such as dropout stay as they are in evaluation.

    Args:
        network: with batch normalization; left as it is.
        images: float32 (N, 1, *spatial).
        exclusive: every case has exactly one of the targets.
        seed: of the order of images.
        batch_size: most images a step.
        passes: through all images; the last one gives the probabilities.
        learning_rate: of Adam.

    Returns:
        float64 (N, targets), in the order of the images.

    Raises:
        ScanproofError: a network without batch normalization; images or outputs that are not finite; a batch size or
            number of passes below one.
    """
    for name, value in (("batch_size", batch_size), ("passes", passes)):
        if value < 1:
            raise ScanproofError("must be at least 1", key=name, value=value)
    inputs = checked(images)
    adapted = copy.deepcopy(network).eval().requires_grad_(False)
    layers = batch_layers(adapted)
    for layer in layers:
        # without running statistics, a layer uses those of the batch in evaluation too
        layer.track_running_stats = False
        layer.running_mean = layer.running_var = None
    parameters = [parameter.requires_grad_() for layer in layers for parameter in layer.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate)
    order = torch.randperm(len(inputs), generator=generator(seed, "entropy"))
    uncertainty = softmax_entropy if exclusive else sigmoid_entropy
    for _ in range(passes):
        found = [
            _step(adapted, optimiser, inputs[batch], uncertainty)
            for batch in torch.tensor_split(order, -(-len(inputs) // batch_size))
        ]
    logits = torch.cat(found)
    return as_probabilities(torch.empty_like(logits).index_copy_(0, order, logits), exclusive=exclusive)


def sigmoid_entropy(logits: Tensor) -> Tensor:
    """Sum over targets of the entropy of their sigmoids, in nats, (batch,).

    Example:
        >>> round(sigmoid_entropy(torch.zeros(1, 2)).item(), 4)
        1.3863
    """
    # log(1 + exp(z)) - z p is -p log p - (1 - p) log(1 - p)
    return (functional.softplus(logits) - logits * torch.sigmoid(logits)).sum(dim=1)


def softmax_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax, in nats, (batch,).

    Example:
        >>> round(softmax_entropy(torch.zeros(1, 4)).item(), 4)
        1.3863
    """
    return -(torch.softmax(logits, dim=1) * torch.log_softmax(logits, dim=1)).sum(dim=1)


def batch_layers(network: nn.Module) -> list[BatchNorm]:
    """The batch normalizations of a network.

    Raises:
        ScanproofError: there is none.
    """
    layers = [module for module in network.modules() if isinstance(module, BATCH_LAYERS)]
    if not layers:
        raise ScanproofError("network must have batch normalization to be adapted", value=type(network).__name__)
    return layers


def _step(
    network: nn.Module, optimiser: torch.optim.Optimizer, batch: Tensor, uncertainty: Callable[[Tensor], Tensor]
) -> Tensor:
    with torch.enable_grad():
        logits: Tensor = network(batch)
        optimiser.zero_grad()
        uncertainty(logits).mean().backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return logits.detach()


def _drawn(images: Tensor, *, seed: int) -> Tensor:
    """All images, or as many as fit."""
    most = max(1, MOST_VALUES // images[0].numel())
    if len(images) <= most:
        return images
    return images[torch.randperm(len(images), generator=generator(seed, "statistics"))[:most].sort().values]
