"""Dictionary versions of the shifts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

from monai.config.type_definitions import KeysCollection
from monai.transforms.transform import MapTransform
from monai.utils.enums import TransformBackends

from scanproof.transforms.base import Shift


class Shiftd(MapTransform):
    """Base of the dictionary versions: applies one shift, with one pattern, to several entries of a sample.

    Args:
        keys: entries to change, each as the array version takes it.
        spacing: voxel size in mm; by default that of each entry's affine, else 1 mm.
        allow_missing_keys: skip keys that a sample does not have.
        options: arguments of the array version, e.g. ``severity=3, seed=1``.

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
        super().__init__(keys, allow_missing_keys)
        self.spacing = spacing
        self.transform = self.shift(**options)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the shift to the entries and return a new dictionary.

        Raises:
            KeyError: an entry is missing and may not be.
            ScanproofError: as the array version.
        """
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key], spacing=self.spacing)
        return result
