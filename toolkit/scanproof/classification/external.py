"""A classifier that somebody else trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from scanproof.classification.labels import chances
from scanproof.classification.preparation import Preparation
from scanproof.errors import ScanproofError
from scanproof.external.network import Network

#: probabilities of classes may miss one by rounding alone
_ROUNDING = 1e-3


@dataclass(frozen=True, kw_only=True)
class ExternalClassifier:
    """Somebody else's network, and how it is to be used.

    Args:
        name: of the classifier in the study, for errors.
        network: of what ``preparation`` gives, (batch, channels, *spatial), to (batch, outputs).
        preparation: of the images.
        outputs: how many there must be.
        output: what they are.
        exclusive: a case has exactly one of them: softmax, else sigmoids.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
        >>> reader = ExternalClassifier(name="ours", network=network, outputs=2, exclusive=True)
        >>> bool(np.allclose(reader.probabilities(np.ones((3, 1, 4, 4), np.float32)).sum(axis=1), 1))
        True
    """

    name: str
    network: Network
    preparation: Preparation = field(default_factory=Preparation)
    outputs: int = 1
    output: Literal["logits", "probabilities"] = "logits"
    exclusive: bool = False

    def probabilities(self, images: np.ndarray, *, batch_size: int = 64) -> np.ndarray:
        """Probability of every output, float64 (N, outputs), of images float32 (N, 1, *spatial), not normalised.

        Raises:
            ScanproofError: no image, one that is not finite, or what the network gives has a wrong shape, is not
                finite, or is no probability.
        """
        if not len(images) or not np.isfinite(images).all():
            raise ScanproofError("images must be finite, and at least one", key=self.name)
        with torch.inference_mode():
            batches = torch.split(self.preparation(images), batch_size)
            found = torch.cat([self._read(batch) for batch in batches]).double()
        if self.output == "logits":
            found = chances(found, exclusive=self.exclusive)
        read: np.ndarray = found.numpy()
        self._check(read)
        return read

    def _read(self, batch: Tensor) -> Tensor:
        try:
            given: object = self.network(batch)
        except ScanproofError:
            raise
        except Exception as error:  # whatever foreign code raises
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            rule = f"model must read images of shape {tuple(batch.shape)}"
            raise ScanproofError(rule, key=self.name, hint=said) from None
        if isinstance(given, list | tuple) and len(given) == 1:
            given = given[0]
        if not isinstance(given, Tensor):
            raise ScanproofError("model must give a tensor", key=self.name, value=type(given).__name__)
        if given.ndim == 1 and self.outputs == 1:
            given = given[:, None]
        expected = (len(batch), self.outputs)
        if tuple(given.shape) != expected:
            rule = f"model must give an output for each of its labels, shape {expected}"
            raise ScanproofError(rule, key=self.name, value=tuple(given.shape))
        if not given.isfinite().all():
            raise ScanproofError("model must give finite outputs", key=self.name, value="NaN or infinite")
        return given

    def _check(self, read: np.ndarray) -> None:
        if read.min() < 0 or read.max() > 1:
            hint = "say output: logits if they are"
            worst = float(read.min() if read.min() < 0 else read.max())
            raise ScanproofError("probabilities must be in [0, 1]", key=self.name, value=worst, hint=hint)
        if self.exclusive and np.abs(read.sum(axis=1) - 1).max() > _ROUNDING:
            rule = "probabilities of labels that exclude each other must sum to one"
            raise ScanproofError(rule, key=self.name, value=float(read.sum(axis=1)[0]))


def dry_run(reader: ExternalClassifier, images: np.ndarray) -> None:
    """Try a classifier before anything long begins.

    It reads the images, one that is constant and one of noise; twice, and each alone. Numbers of a case alone and among
    others may differ by rounding.

    Args:
        reader: the classifier.
        images: float32 (N, 1, *spatial), two or more as the study has them.

    Raises:
        ScanproofError: what :meth:`ExternalClassifier.probabilities` refuses; a model that says another thing the
            second time, or of a case among others another than alone.
    """
    noise = np.random.default_rng(0).random(images[:1].shape, np.float32)
    # the sum of halves is exact: the deviation of other constants is rounding, which normalising would blow up
    tried = np.concatenate([images, np.full_like(images[:1], 0.5), noise]).astype(np.float32)
    first, again = reader.probabilities(tried), reader.probabilities(tried)
    if not np.array_equal(first, again):
        rule = "model must say the same of the same images twice"
        hint = "a dropout or other random layer may be in training mode"
        raise ScanproofError(rule, key=reader.name, value=float(np.abs(first - again).max()), hint=hint)
    alone = np.concatenate([reader.probabilities(one[None]) for one in tried])
    if not np.allclose(alone, first, atol=1e-4):
        rule = "model must say of a case alone what it says of it among others"
        hint = "batch normalization may be in training mode"
        raise ScanproofError(rule, key=reader.name, value=float(np.abs(alone - first).max()), hint=hint)
