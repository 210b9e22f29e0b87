"""A reconstruction that somebody else trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from scanproof.errors import ScanproofError, unknown_name
from scanproof.external.files import Format, ModelFiles
from scanproof.external.network import Network, open_network
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.base import Reconstructor, as_slices

Takes = Literal["image", "complex_image", "kspace"]


class ExternalReconstructor(Reconstructor):
    """Somebody else's network, from the files of its model.

    Adversarial perturbations are sought through the stand-in of methods that cut gradients off.

    Args:
        format: of the files; see :func:`scanproof.external.files.read_files`.
        takes: what it reads: ``image``, the magnitude of the zero-filled image, (N, 1, H, W); ``complex_image``, its
            real and imaginary part, (N, 2, H, W); or ``kspace``: three arguments, k-space and sensitivities complex64
            (N, coil, H, W), and the mask, bool (N, 1, H, W), True where sampled.
        scale: whether the zero-filled magnitude is brought to a maximum of one before, and what it gives back after.
        definition: JSON of ``_target_`` and arguments of the network, where files are weights alone.

    Raises:
        ScanproofError: unknown choice.
    """

    trainable: ClassVar[bool] = True

    def __init__(self, *, format: Format, takes: Takes = "image", scale: bool = True, definition: str = "") -> None:
        if takes not in get_args(Takes):
            raise unknown_name("input of a reconstruction", takes, get_args(Takes), key="options.takes")
        if format == "mlflow":
            rule = "reconstruction of others must be a file or a MONAI Bundle, not a model of MLflow"
            raise ScanproofError(rule, key="model")
        self.format, self.takes, self.scale = format, takes, scale
        self.definition: Mapping[str, object] | None = json.loads(definition) if definition else None
        self._network: Network | None = None

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Open the model.

        Args:
            weights: its files, each uint8, by name.

        Raises:
            ScanproofError: it does not open.
        """
        contents = {name: tensor.numpy().tobytes() for name, tensor in weights.items()}
        self._network = open_network(ModelFiles(self.format, contents), self.definition)

    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.reconstruct`.

        Raises:
            ScanproofError: the network does not read what it is given, or gives something else than images.
        """
        if self._network is None:
            raise ScanproofError("model must be loaded", key="external")
        batch = kspace.shape[:-3]
        slices, masks, maps = (as_slices(one, batch) for one in (kspace, mask, sensitivities))
        zero_filled = SenseOperator(maps, masks).adjoint(slices)
        scale = torch.ones(len(slices), 1, 1, 1)
        if self.scale:
            scale = zero_filled.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
        image = zero_filled / scale
        arguments: tuple[Tensor, ...] = (image.abs(),)
        if self.takes == "complex_image":
            arguments = (torch.cat([image.real, image.imag], dim=1),)
        if self.takes == "kspace":
            sampled = masks.expand(len(slices), 1, *slices.shape[-2:])
            arguments = (slices / scale, sampled, maps.expand(slices.shape))
        return (self._images(self._network, arguments, image.shape) * scale).reshape(*batch, 1, *kspace.shape[-2:])

    def _images(self, network: Network, arguments: tuple[Tensor, ...], shape: torch.Size) -> Tensor:
        """What the network gives, float32 (N, 1, H, W), magnitude."""
        try:
            with torch.no_grad():
                given: object = network(*arguments)
        except Exception as error:  # whatever foreign code raises
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            shapes = ", ".join(str(tuple(one.shape)) for one in arguments)
            raise ScanproofError(f"reconstruction must read {self.takes} of shape {shapes}", hint=said) from None
        if not isinstance(given, Tensor):
            raise ScanproofError("reconstruction must give a tensor", value=type(given).__name__)
        if given.ndim == 3:
            given = given[:, None]
        if given.shape[1:2] == (2,) and not given.is_complex():
            given = torch.complex(given[:, :1].float(), given[:, 1:].float())
        if given.shape != shape:
            raise ScanproofError(f"reconstruction must give images {tuple(shape)}", value=tuple(given.shape))
        return given.abs().to(torch.float32)
