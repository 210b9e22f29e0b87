"""Scanner artifacts at random on training images."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from scanproof.data.keys import IMAGE
from scanproof.errors import ScanproofError
from scanproof.transforms import SHIFTS

if TYPE_CHECKING:
    from scanproof.transforms.random import RandShiftd


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """An artifact that training images have at random.

    It acts on the magnitude image, before that is normalised.

    Args:
        name: of :data:`scanproof.transforms.SHIFTS`.
        probability: that an image has it, in (0, 1].
        severities: the lowest and highest of a uniform draw, 1 to 5.

    Raises:
        ScanproofError: unknown artifact, one without a random version, a probability or severities out of range.

    Example:
        >>> augmentation = Augmentation(name="ghosting", probability=0.5, severities=(1, 3))
        >>> type(augmentation.transform()).__name__
        'RandGhostingd'
    """

    name: str
    probability: float = 0.5
    severities: tuple[int, int] = (1, 5)

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise ScanproofError("probability must be in (0, 1]", key=f"augment.{self.name}", value=self.probability)
        if not 1 <= self.severities[0] <= self.severities[1] <= 5:
            rule = "severities must be (lowest, highest) in [1, 5]"
            raise ScanproofError(rule, key=f"augment.{self.name}", value=self.severities)
        self.transform()

    def transform(self) -> RandShiftd:
        """The transform of ``image`` in a dictionary; seed it with ``set_random_state``."""
        module, _, shift = SHIFTS.location(self.name, key="augment").partition(":")
        random = getattr(import_module(module), f"Rand{shift}d", None)
        if random is None:
            raise ScanproofError(f"shift must have a random version, Rand{shift}d", key="augment", value=self.name)
        made: RandShiftd = random(IMAGE, prob=self.probability, severity=self.severities)
        return made
