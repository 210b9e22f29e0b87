"""Unrolled networks as reconstruction methods."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from scanproof.data.keys import IMAGE, KSPACE, LABEL, MASK, REFERENCE, SENSITIVITIES
from scanproof.errors import ScanproofError, unknown_name
from scanproof.reconstruction.base import Reconstructor, Sample, as_slices
from scanproof.reconstruction.supervised import train_on_references
from scanproof.reconstruction.unrolled.greedy import GreedyLearner
from scanproof.reconstruction.unrolled.memory import Keep
from scanproof.reconstruction.unrolled.network import UnrolledNetwork
from scanproof.reconstruction.unrolled.pipeline import PipelinedLearner
from scanproof.reconstruction.unrolled.regularisers import Regulariser
from scanproof.reconstruction.unrolled.unrolls import ModlStep, ProximalStep, Unroll
from scanproof.reconstruction.unrolled.variational import VariationalStep
from scanproof.training.engine import Handler, TrainingOptions, TrainingResult
from scanproof.training.learner import Backpropagation, Learner
from scanproof.training.processes import Processes
from scanproof.training.samples import Mapped

Training = Literal["end_to_end", "checkpointing", "invertible", "greedy"]
Precision = Literal["float32", "bfloat16"]
_KEEP: dict[Training, Keep] = {
    "end_to_end": "everything",
    "checkpointing": "inputs",
    "invertible": "nothing",
    "greedy": "everything",
}


class UnrolledReconstructor(Reconstructor):
    """An unrolled network, trained on the mean absolute error of its magnitude; a subclass names the unroll.

    Args:
        unrolls: how many.
        training: ``"end_to_end"``; ``"checkpointing"`` and ``"invertible"``, the same with less memory and more time
            (the latter with unrolls that can be undone: shorter steps, exact data consistency, and weights that are
            scaled down after a step where a regulariser would be no contraction any more); or ``"greedy"``, each
            module by its own loss (GLEAM, arXiv 2207.08393).
        modules: of greedy learning, consecutive unrolls each; without it, one an unroll.
        shared: all unrolls have the same weights.
        precision: of convolutions.
        epochs, batch_size, learning_rate, weight_decay, patience, clip: see
            :class:`~scanproof.training.engine.TrainingOptions`.

    Raises:
        ScanproofError: a value out of range, options that exclude each other.
    """

    trainable: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls) -> None:
        # options of a subclass and those of all can be listed and checked without building anything
        super().__init_subclass__()
        options = [
            p
            for init in (cls.__init__, UnrolledReconstructor.__init__)
            for p in inspect.signature(init).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        ]
        cls.__signature__ = inspect.Signature(options)

    def __init__(
        self,
        *,
        unrolls: int = 8,
        training: Training = "end_to_end",
        modules: int | None = None,
        shared: bool = False,
        precision: Precision = "float32",
        epochs: int = 20,
        batch_size: int = 4,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        patience: int = 8,
        clip: float | None = 1.0,
    ) -> None:
        _check_name("training", training, get_args(Training))
        _check_name("precision", precision, get_args(Precision))
        if modules is not None and training != "greedy":
            raise ScanproofError("modules are of greedy training", key="modules", value=modules)
        if training == "invertible" and precision != "float32":
            raise ScanproofError("invertible training must compute in float32", key="precision", value=precision)
        self.unrolls, self.training, self.shared, self.precision = unrolls, training, shared, precision
        self.modules = (modules or unrolls) if training == "greedy" else 1
        self.options = TrainingOptions(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            patience=patience,
            clip=clip,
        )
        self._network: UnrolledNetwork | None = None
        with torch.device("meta"):
            self.build()  # wrong options are refused now

    @abstractmethod
    def unroll(self) -> Unroll:
        """Make one unroll."""

    def build(self) -> UnrolledNetwork:
        """The network, not trained."""
        network = UnrolledNetwork(
            self.unroll,
            unrolls=self.unrolls,
            shared=self.shared,
            modules=self.modules,
            keep=_KEEP[self.training],
            spatial_dims=self.spatial_dims,
        )
        for part in network.modules():
            if isinstance(part, Regulariser):
                part.mixed = self.precision == "bfloat16"
        return network

    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.reconstruct`.

        Raises:
            ScanproofError: neither :meth:`fit` nor :meth:`load` came before.
        """
        with torch.no_grad():
            return self.estimate(kspace, mask, sensitivities).abs()

    def differentiable_image(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.differentiable_image`."""
        return self.estimate(kspace, mask, sensitivities).abs()

    def estimate(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """The complex image behind :meth:`reconstruct`, complex64 (..., 1, *spatial)."""
        if self._network is None:
            raise ScanproofError("method must be trained or given weights first", key=type(self).__name__)
        dims = self.spatial_dims
        batch = kspace.shape[: -dims - 1]
        slices = (as_slices(one, batch, spatial_dims=dims) for one in (kspace, mask, sensitivities))
        return self._network.estimate(*slices).reshape(*batch, 1, *kspace.shape[-dims:])

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
            self.build,
            Mapped(_pair, training),
            Mapped(_pair, validation),
            options=self.options,
            seed=seed,
            handlers=handlers,
            checkpoint=checkpoint,
            learner=self.learner,
        )
        return result

    def learner(self, network: UnrolledNetwork) -> Learner:
        """What teaches a network of this method."""
        if self.modules == 1:
            whole = Backpropagation(network, network.measure, self.options)
            if self.training == "invertible":
                whole.optimisers[0].register_step_post_hook(lambda *_: network.contract())
            return whole
        learner = GreedyLearner(network, self.options.optimiser, clip=self.options.clip)
        processes = Processes.now()
        return PipelinedLearner(learner, processes) if processes.several else learner

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See :meth:`Reconstructor.load`."""
        network = self.build()
        network.load_state_dict(dict(weights))
        self._network = network.eval()


class ProximalGradient(UnrolledReconstructor):
    """Unrolled proximal gradient: :class:`ProximalStep`.

    Args:
        features, blocks: see :class:`~scanproof.reconstruction.unrolled.regularisers.ResidualNetwork`.
        options: see :class:`UnrolledReconstructor`.

    Example:
        >>> ProximalGradient(features=8, unrolls=4, training="greedy").modules
        4
    """

    def __init__(self, *, features: int = 32, blocks: int = 2, **options: object) -> None:
        self.features, self.blocks = features, blocks
        super().__init__(**options)  # type: ignore[arg-type]

    def unroll(self) -> Unroll:
        """See :meth:`UnrolledReconstructor.unroll`."""
        return ProximalStep(features=self.features, blocks=self.blocks, spatial_dims=self.spatial_dims)


class Modl(UnrolledReconstructor):
    """MoDL: :class:`ModlStep`.

    Args:
        features, layers, weight, iterations, implicit: see :class:`ModlStep`.
        options: see :class:`UnrolledReconstructor`.
    """

    def __init__(
        self,
        *,
        features: int = 32,
        layers: int = 5,
        weight: float = 0.05,
        iterations: int = 10,
        implicit: bool = False,
        **options: object,
    ) -> None:
        self.step: dict[str, int | float | bool] = {
            "features": features,
            "layers": layers,
            "weight": weight,
            "iterations": iterations,
            "implicit": implicit,
        }
        super().__init__(**options)  # type: ignore[arg-type]

    def unroll(self) -> Unroll:
        """See :meth:`UnrolledReconstructor.unroll`."""
        return ModlStep(**self.step, spatial_dims=self.spatial_dims)  # type: ignore[arg-type]


class VarNet(UnrolledReconstructor):
    """The end-to-end variational network of MONAI: :class:`VariationalStep`.

    It is ``VariationalNetworkModel`` with sensitivities that are given, not learned, and coils that are combined by
    them at the end. It cannot be trained as an invertible network.

    Args:
        features: channels of the six stages of the U-Net in every unroll.
        options: see :class:`UnrolledReconstructor`.
    """

    def __init__(self, *, features: Sequence[int] = (8, 8, 16, 32, 64, 8), **options: object) -> None:
        if len(features) != 6 or min(features) < 1:
            raise ScanproofError("features must be six positive numbers", value=list(features))
        self.features = tuple(features)
        super().__init__(**options)  # type: ignore[arg-type]

    def unroll(self) -> Unroll:
        """See :meth:`UnrolledReconstructor.unroll`."""
        return VariationalStep(features=self.features, spatial_dims=self.spatial_dims)


def _check_name(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise unknown_name(name, value, known, key=name)


def _pair(sample: Sample) -> dict[str, object]:
    return {IMAGE: (sample[KSPACE], sample[MASK], sample[SENSITIVITIES]), LABEL: sample[REFERENCE]}
