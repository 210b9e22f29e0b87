"""Dictionary versions of the shifts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from monai.config.type_definitions import KeysCollection
from monai.transforms.transform import MapTransform, Randomizable
from monai.utils.enums import TransformBackends

from scanproof.transforms.base import Shift


class Shiftd(Randomizable, MapTransform):
    """Base of the dictionary versions: applies one shift, with one draw, to several entries of a sample.

    Args:
        keys: entries to change, each as the array version takes it.
        spacing: voxel size in mm; by default that of each entry's affine, else 1 mm.
        allow_missing_keys: skip keys that a sample does not have.
        options: arguments of the array version, e.g. ``severity=3``.

    Raises:
        ScanproofError: as the array version.
    """

    #: array version
    shift: ClassVar[type[Shift]]
    backend: ClassVar[list[TransformBackends]] = Shift.backend  # type: ignore[misc]

    def __init__(
        self,
        keys: KeysCollection,
        *,
        spacing: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
        **options: Any,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.spacing = spacing
        self.transform = self.shift(**options)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> Shiftd:
        """Seed the shift, as MONAI does."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(state=self.R)
        return self

    def randomize(self, data: object = None) -> None:
        """Draw the pattern of the next call."""
        self.transform.randomize()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the shift to the entries and return a new dictionary.

        Raises:
            KeyError: an entry is missing and may not be.
            ScanproofError: as the array version.
        """
        result = dict(data)
        self.randomize()
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key], spacing=self.spacing, randomize=False)
        return result
