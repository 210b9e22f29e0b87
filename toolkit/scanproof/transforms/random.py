"""Random versions of the shifts, for augmentation."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.transforms.transform import MapTransform, RandomizableTransform
from monai.utils.enums import TransformBackends

from scanproof.errors import ScanproofError
from scanproof.transforms.base import Shift

Span = float | tuple[float, float]


class RandShift(RandomizableTransform):
    """Base of the random versions: with a probability, a shift of random strength and pattern.

    Randomness comes from ``self.R`` alone, so from MONAI's ``set_random_state``. A call takes the same amount of it
    whether the shift is applied or not, and whatever the data.

    Args:
        prob: probability that a call changes the image, in [0, 1]; 0 warns.
        severity: a severity, or the lowest and highest of a uniform draw. Default (1, 5), unless physical
            parameters are given.
        options: arguments of the deterministic version. For a physical parameter, a pair of numbers is the range of a
            uniform draw (of whole numbers where the parameter is one); everything else is handed on.

    Attributes:
        transform: the deterministic version as last drawn, for a look at its ``parameters``.

    Raises:
        ScanproofError: as the deterministic version; a probability out of range; a pair that does not rise.

    Example:
        >>> from scanproof.transforms import RandRigidMotion
        >>> augment = RandRigidMotion(prob=1, rotation=(0.5, 3), translation=(1, 5), events=(2, 6))
        >>> image = torch.rand(1, 32, 32)
        >>> _ = augment.set_random_state(seed=0)
        >>> augment(image).shape, 2 <= augment.transform.parameters["events"] <= 6
        (torch.Size([1, 32, 32]), True)
    """

    #: deterministic version
    shift: ClassVar[type[Shift]]
    backend: ClassVar[list[TransformBackends]] = Shift.backend  # type: ignore[misc]

    def __init__(self, prob: float = 0.1, *, severity: int | tuple[int, int] | None = None, **options: Any) -> None:
        name = self.shift.name
        if not 0 <= prob <= 1:
            raise ScanproofError("prob must be in [0, 1]", key=name, value=prob)
        if prob == 0:
            warnings.warn(f"{name}: with prob=0 no image is ever changed", stacklevel=2)
        super().__init__(prob)
        physical = set(self.shift.graded(1))
        if severity is None and not physical & options.keys():
            severity = (1, 5)
        self._severity = None if severity is None else _span(severity, name=name, key="severity")
        self._spans = {key: _span(options[key], name=name, key=key) for key in options.keys() & physical}
        self._options = {key: value for key, value in options.items() if key not in physical}
        # both ends are tried now, so that a bad value is told here and not in the middle of a training
        self._build([0.0] * len(self._drawn), seed=0)
        self.transform = self._build([1.0] * len(self._drawn), seed=0)

    @property
    def _drawn(self) -> list[str]:
        return sorted(self._spans) if self._severity is None else ["severity", *sorted(self._spans)]

    def _build(self, units: Sequence[float], *, seed: int) -> Shift:
        """The deterministic version at these places of the ranges, each in [0, 1]."""
        whole = {"severity", *self.shift.counts}
        values: dict[str, Any] = dict(self._options)
        for key, unit in zip(self._drawn, units, strict=True):
            low, high = self._severity if key == "severity" and self._severity else self._spans[key]
            if key in whole and float(low).is_integer() and float(high).is_integer():
                values[key] = min(int(low) + int(unit * (high - low + 1)), int(high))
            else:
                values[key] = low + unit * (high - low)
        return self.shift(seed=seed, **values)

    def randomize(self, data: object = None) -> None:
        """Draw whether the next call changes the image, how strongly and with which pattern."""
        super().randomize(None)
        units = self.R.rand(len(self._drawn)).tolist()
        self.transform = self._build(units, seed=int(self.R.randint(2**32, dtype=np.uint32)))

    def __call__(
        self,
        data: torch.Tensor | np.ndarray[tuple[int, ...], np.dtype[np.generic]],
        *,
        spacing: Sequence[float] | None = None,
        randomize: bool = True,
    ) -> torch.Tensor:
        """Apply the shift, or hand the data through.

        Args:
            data: k-space ``(coil, *spatial)``, complex, or magnitude images ``(channel, *spatial)``, real.
            spacing: voxel size along the spatial axes in mm; by default that of a ``MetaTensor``'s affine, else 1.
            randomize: draw anew; False repeats what the last call or :meth:`randomize` drew.

        Returns:
            Tensor of the same kind.

        Raises:
            ScanproofError: as the deterministic version.
        """
        if randomize:
            self.randomize()
        return self.transform(data, spacing=spacing) if self._do_transform else torch.as_tensor(data)


class RandShiftd(RandomizableTransform, MapTransform):
    """Base of the random dictionary versions: one draw for all entries of a sample.

    Args:
        keys: entries to change, each as the array version takes it.
        prob: probability that a call changes the sample, in [0, 1].
        spacing: voxel size in mm; by default that of each entry's affine, else 1 mm.
        allow_missing_keys: skip keys that a sample does not have.
        options: arguments of the array version, e.g. ``severity=(1, 3)``.

    Raises:
        ScanproofError: as the array version.

    Example:
        >>> from scanproof.transforms import RandGhostingd
        >>> augment = RandGhostingd("image", prob=0.5, severity=(1, 3)).set_random_state(seed=1)
        >>> augment({"image": torch.rand(1, 32, 32), "label": 1})["image"].shape
        torch.Size([1, 32, 32])
    """

    #: array version
    transform_class: ClassVar[type[RandShift]]
    backend: ClassVar[list[TransformBackends]] = Shift.backend  # type: ignore[misc]

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.1,
        *,
        spacing: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
        **options: Any,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        self.spacing = spacing
        self.transform = self.transform_class(prob, **options)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandShiftd:
        """Seed the draws, as MONAI does."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(state=self.R)
        return self

    def randomize(self, data: object = None) -> None:
        """Draw whether the next call changes the sample, how strongly and with which pattern."""
        self.transform.randomize()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the shift to the entries, or to none, and return a new dictionary.

        Raises:
            KeyError: an entry is missing and may not be.
            ScanproofError: as the array version.
        """
        result = dict(data)
        self.randomize()
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key], spacing=self.spacing, randomize=False)
        return result


def _span(value: Any, *, name: str, key: str) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2 or not pair[0] <= pair[1]:
        raise ScanproofError(f"{key} must be a number or a pair (low, high) that rises", key=name, value=value)
    return pair
