"""Scanner artifacts and other shifts, as MONAI transforms of graded severity.

``SHIFTS`` names them all; the classes are imported when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from scanproof.registry import Registry

if TYPE_CHECKING:
    from scanproof.transforms.base import Shift
    from scanproof.transforms.bias_field import BiasField, BiasFieldd
    from scanproof.transforms.complex_noise import ComplexNoise, ComplexNoised
    from scanproof.transforms.ghosting import Ghosting, Ghostingd
    from scanproof.transforms.rigid_motion import RigidMotion, RigidMotiond

__all__ = [
    "SHIFTS",
    "BiasField",
    "BiasFieldd",
    "ComplexNoise",
    "ComplexNoised",
    "Ghosting",
    "Ghostingd",
    "RigidMotion",
    "RigidMotiond",
]

#: array version of every shift and the module that holds it and its dictionary version; the module's name is the
#: shift's name
_SHIFTS = {
    "BiasField": "bias_field",
    "ComplexNoise": "complex_noise",
    "Ghosting": "ghosting",
    "RigidMotion": "rigid_motion",
}
_MODULES = _SHIFTS | {f"{name}d": module for name, module in _SHIFTS.items()}

#: every shift by name; other packages add theirs through the entry point group ``scanproof.shifts``
SHIFTS: Registry[Shift] = Registry(
    "shift",
    {module: f"{__name__}.{module}:{name}" for name, module in _SHIFTS.items()},
    group="scanproof.shifts",
)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
