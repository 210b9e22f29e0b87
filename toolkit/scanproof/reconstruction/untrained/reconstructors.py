"""Un-trained networks as reconstruction methods."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from torch import Tensor

from scanproof.errors import ScanproofError, unknown_name
from scanproof.reconstruction.base import Reconstructor
from scanproof.reconstruction.untrained import presets, space
from scanproof.reconstruction.untrained.conv_decoder import ConvDecoderNetwork
from scanproof.reconstruction.untrained.deep_decoder import DeepDecoderNetwork
from scanproof.reconstruction.untrained.deep_image_prior import DeepImagePriorNetwork
from scanproof.reconstruction.untrained.fitting import fit
from scanproof.reconstruction.untrained.measurements import Measurements, Output
from scanproof.reconstruction.untrained.network import UntrainedNetwork, Weights
from scanproof.reconstruction.untrained.options import FitOptions
from scanproof.reconstruction.untrained.run import FitStep, MemberFit
from scanproof.seeds import derive_seed

if TYPE_CHECKING:
    import pandas as pd

WarmStart = Literal["none", "previous_slice"]
#: arguments of a network that follow from the data
_FROM_DATA = ("output_channels", "output_size", "spatial_dims", "members")


class UntrainedReconstructor(Reconstructor):
    """Fits a network of its own to every slice.

    Options are those of the network (see its class), those of :class:`FitOptions`, and the ones below. What is not
    given comes from the preset, and what the preset leaves open from the defaults. A subclass names the network.

    Args:
        preset: a name, or the path of a YAML file that maps options to values.
        seed: of weights, inputs and what is held out. Every slice meets the same draw, so that its image does not
            depend on the slices beside it.
        ensemble: networks a slice, from different seeds; their images are averaged.
        output: ``"image"``: one complex image, seen through the coil sensitivities; ``"coils"``: an image of each coil,
            fitted by its own Fourier transform and combined at the end (published).
        warm_start: ``"previous_slice"`` starts from the weights of the slice before in the same call, so that an
            image depends on the order of slices; for the slices of a volume.

    Attributes:
        initial: weights that every fit starts from, e.g. those of a :class:`MemberFit`.
        progress: is called during a fit.
        fits: fitted networks of the last call, slice by slice.
    """

    network: ClassVar[type[UntrainedNetwork]]
    presets: ClassVar[Mapping[str, presets.Preset]]
    search_space: ClassVar[space.SearchSpace]
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls) -> None:
        # options can be listed and checked without building anything, as the registry does
        super().__init_subclass__()
        own = [
            p
            for p in inspect.signature(UntrainedReconstructor.__init__).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        ]
        network = [p for p in inspect.signature(cls.network).parameters.values() if p.name not in _FROM_DATA]
        fitting = list(inspect.signature(FitOptions).parameters.values())
        cls.__signature__ = inspect.Signature([*own, *network, *fitting])

    def __init__(
        self,
        *,
        preset: str | Path = "default",
        seed: int = 0,
        ensemble: int = 1,
        output: Output | None = None,
        warm_start: WarmStart = "none",
        **options: object,
    ) -> None:
        names = self.__signature__.parameters
        for name in options:
            if name not in names:
                raise unknown_name("option", name, names, key=type(self).__name__)
        if output is not None:
            options["output"] = output
        chosen = {**presets.read_preset(preset, named=self.presets, options=names), **options}
        if ensemble < 1:
            raise ScanproofError("ensemble must be at least 1", value=ensemble)
        if warm_start not in get_args(WarmStart):
            raise unknown_name("warm_start", warm_start, get_args(WarmStart), key="warm_start")
        self.seed = seed
        self.ensemble = ensemble
        self.warm_start: WarmStart = warm_start
        self.output = _output(chosen.pop("output", "image"))
        fitting = {field.name for field in dataclasses.fields(FitOptions)}
        self.options = FitOptions(**{name: value for name, value in chosen.items() if name in fitting})  # type: ignore[arg-type]
        self.network_options = {name: value for name, value in chosen.items() if name not in fitting}
        # wrong network options are refused now, not at the first slice; the meta device allocates nothing
        with torch.device("meta"):
            self._build(channels=2, size=(1024, 1024), members=1)
        self.initial: Weights | None = None
        self.progress: Callable[[FitStep], None] | None = None
        self.fits: tuple[MemberFit, ...] = ()

    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.reconstruct`."""
        batch = kspace.shape[:-3]
        everything = kspace.reshape(-1, *kspace.shape[-3:])
        with torch.enable_grad():
            image = self._fit(
                everything,
                mask.expand_as(kspace).reshape(everything.shape),
                sensitivities.expand_as(kspace).reshape(everything.shape),
            )
        return image.abs().reshape(*batch, 1, *kspace.shape[-2:])

    @property
    def fit_report(self) -> pd.DataFrame:
        """How the fits of the last call ended, one row a network.

        Columns: ``slice``, ``seed``, ``steps``, ``best_step``, ``loss``, ``held_out`` and ``learning_rate``; see
        :class:`MemberFit`. ``held_out`` compares settings without a reference image.
        """
        import pandas as pd

        columns = ["slice", "seed", "steps", "best_step", "loss", "held_out", "learning_rate"]
        return pd.DataFrame([[getattr(one, name) for name in columns] for one in self.fits], columns=columns)

    def _fit(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        build = partial(
            self._build, channels=2 * (kspace.shape[1] if self.output == "coils" else 1), size=tuple(kspace.shape[2:])
        )
        seeds = [derive_seed(self.seed, "member", number) for number in range(self.ensemble)]
        measurements = Measurements(
            kspace,
            mask,
            sensitivities,
            output=self.output,
            loss=self.options.loss,
            held_out=self.options.held_out,
            amplitude=self.options.amplitude or _first_size(build(members=1), seed=seeds[0]),
            seed=self.seed,
        )
        self.fits = tuple(
            fit(
                lambda members: build(members=members),
                measurements,
                options=self.options,
                seeds=seeds,
                initial=self.initial,
                one_by_one=self.warm_start == "previous_slice",
                progress=self.progress,
            )
        )
        coils = kspace.shape[1] if self.output == "coils" else 1
        images = torch.zeros(len(kspace), coils, *kspace.shape[2:], dtype=kspace.dtype, device=kspace.device)
        for one in self.fits:
            images[one.slice] += one.image / self.ensemble
        return measurements.finish(images, consistency=self.options.consistency)

    def _build(self, *, channels: int, size: Sequence[int], members: int) -> UntrainedNetwork:
        options: dict[str, object] = {**self.network_options, "members": members}
        return self.network(output_channels=channels, output_size=size, **options)  # type: ignore[arg-type]


class ConvDecoder(UntrainedReconstructor):
    """ConvDecoder, fitted to each slice: :class:`ConvDecoderNetwork`, :class:`FitOptions`.

    Source: Darestani and Heckel, arXiv 2007.02471. The default is not the published procedure (``preset="published"``
    is): a fifth of the parameters, one image seen through the coil sensitivities, the ℓ1 norm, a held-out share that
    ends the fit, averaging over steps, bfloat16. Measured on simulated brains, it reaches the published procedure's
    quality in a fraction of the time and then exceeds it; ``tests/benchmarks/bench_untrained.py`` says by how much.

    Example:
        >>> from scanproof.physics.coils import birdcage_sensitivities
        >>> maps = birdcage_sensitivities(4, (32, 32))
        >>> kspace, mask = torch.randn(4, 32, 32, dtype=torch.complex64), torch.ones(1, 1, 32, dtype=torch.bool)
        >>> ConvDecoder(channels=8, iterations=10)(kspace, mask, maps).shape
        torch.Size([1, 32, 32])
    """

    network = ConvDecoderNetwork
    presets = presets.CONV_DECODER
    search_space: ClassVar[space.SearchSpace] = {
        **space.FITTING,
        **space.DECODER,
        "skips": space.Choices((False, True)),
        "extra_block": space.Choices((False, True)),
    }


class DeepDecoder(UntrainedReconstructor):
    """Deep Decoder, fitted to each slice: :class:`DeepDecoderNetwork`, :class:`FitOptions`.

    Source: Heckel and Hand, arXiv 1810.03982. As for :class:`ConvDecoder`, the default is not the published procedure.

    Example:
        >>> DeepDecoder(preset="published").network_options["channels"]
        368
    """

    network = DeepDecoderNetwork
    presets = presets.DEEP_DECODER
    search_space: ClassVar[space.SearchSpace] = {**space.FITTING, **space.DECODER}


class DeepImagePrior(UntrainedReconstructor):
    """Deep image prior, fitted to each slice: :class:`DeepImagePriorNetwork`, :class:`FitOptions`.

    Source: Ulyanov et al., arXiv 1711.10925. As for :class:`ConvDecoder`, the default is not the published procedure.

    Example:
        >>> DeepImagePrior(preset="published").network_options["scales"]
        8
    """

    network = DeepImagePriorNetwork
    presets = presets.DEEP_IMAGE_PRIOR
    search_space: ClassVar[space.SearchSpace] = {
        **space.FITTING,
        "channels": space.Range("int", 16, 256, log=True),
        "scales": space.Range("int", 2, 6),
        "skip_channels": space.Choices((0, 4, 16)),
        "kernel_down": space.Choices((3, 5)),
        "kernel_up": space.Choices((3, 5)),
    }


def _output(value: object) -> Output:
    if value not in get_args(Output):
        raise unknown_name("output", str(value), get_args(Output), key="output")
    return "coils" if value == "coils" else "image"


def _first_size(network: UntrainedNetwork, *, seed: int) -> float:
    """Root-mean-square of what a network generates before it is fitted, its channels taken as one vector."""
    network.initialise([seed])
    with torch.no_grad():
        return float(network().square().sum(dim=1).mean().sqrt())
