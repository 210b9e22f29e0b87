"""Scanner artifacts and other shifts, as MONAI transforms of graded severity.

``SHIFTS`` names them all. Each comes in four versions, e.g. ``RigidMotion`` for arrays, ``RigidMotiond`` for
dictionaries, and ``RandRigidMotion`` and ``RandRigidMotiond`` for augmentation; the classes are imported when they are
first asked for.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

from scanproof.registry import Registry

if TYPE_CHECKING:
    from scanproof.transforms.base import Shift
    from scanproof.transforms.bias_field import (
        BiasField as BiasField,
        BiasFieldd as BiasFieldd,
        RandBiasField as RandBiasField,
        RandBiasFieldd as RandBiasFieldd,
    )
    from scanproof.transforms.chemical_shift import (
        ChemicalShift as ChemicalShift,
        ChemicalShiftd as ChemicalShiftd,
        RandChemicalShift as RandChemicalShift,
        RandChemicalShiftd as RandChemicalShiftd,
    )
    from scanproof.transforms.coil_dropout import (
        CoilDropout as CoilDropout,
        CoilDropoutd as CoilDropoutd,
        RandCoilDropout as RandCoilDropout,
        RandCoilDropoutd as RandCoilDropoutd,
    )
    from scanproof.transforms.complex_noise import (
        ComplexNoise as ComplexNoise,
        ComplexNoised as ComplexNoised,
        RandComplexNoise as RandComplexNoise,
        RandComplexNoised as RandComplexNoised,
    )
    from scanproof.transforms.composition import Composition as Composition
    from scanproof.transforms.field_strength import (
        FieldStrength as FieldStrength,
        FieldStrengthd as FieldStrengthd,
        RandFieldStrength as RandFieldStrength,
        RandFieldStrengthd as RandFieldStrengthd,
    )
    from scanproof.transforms.gamma import (
        GammaDown as GammaDown,
        GammaDownd as GammaDownd,
        GammaUp as GammaUp,
        GammaUpd as GammaUpd,
        RandGammaDown as RandGammaDown,
        RandGammaDownd as RandGammaDownd,
        RandGammaUp as RandGammaUp,
        RandGammaUpd as RandGammaUpd,
    )
    from scanproof.transforms.ghosting import (
        Ghosting as Ghosting,
        Ghostingd as Ghostingd,
        RandGhosting as RandGhosting,
        RandGhostingd as RandGhostingd,
    )
    from scanproof.transforms.gibbs_phase_encode import (
        GibbsPhaseEncode as GibbsPhaseEncode,
        GibbsPhaseEncoded as GibbsPhaseEncoded,
        RandGibbsPhaseEncode as RandGibbsPhaseEncode,
        RandGibbsPhaseEncoded as RandGibbsPhaseEncoded,
    )
    from scanproof.transforms.gibbs_ringing import (
        GibbsRinging as GibbsRinging,
        GibbsRingingd as GibbsRingingd,
        RandGibbsRinging as RandGibbsRinging,
        RandGibbsRingingd as RandGibbsRingingd,
    )
    from scanproof.transforms.intensity import (
        IntensityDown as IntensityDown,
        IntensityDownd as IntensityDownd,
        IntensityUp as IntensityUp,
        IntensityUpd as IntensityUpd,
        RandIntensityDown as RandIntensityDown,
        RandIntensityDownd as RandIntensityDownd,
        RandIntensityUp as RandIntensityUp,
        RandIntensityUpd as RandIntensityUpd,
    )
    from scanproof.transforms.line_dropout import (
        LineDropout as LineDropout,
        LineDropoutd as LineDropoutd,
        RandLineDropout as RandLineDropout,
        RandLineDropoutd as RandLineDropoutd,
    )
    from scanproof.transforms.noisy_clinic import (
        NoisyClinic as NoisyClinic,
        NoisyClinicd as NoisyClinicd,
        RandNoisyClinic as RandNoisyClinic,
        RandNoisyClinicd as RandNoisyClinicd,
    )
    from scanproof.transforms.nyquist_ghost import (
        NyquistGhost as NyquistGhost,
        NyquistGhostd as NyquistGhostd,
        RandNyquistGhost as RandNyquistGhost,
        RandNyquistGhostd as RandNyquistGhostd,
    )
    from scanproof.transforms.phase_drift import (
        PhaseDrift as PhaseDrift,
        PhaseDriftd as PhaseDriftd,
        RandPhaseDrift as RandPhaseDrift,
        RandPhaseDriftd as RandPhaseDriftd,
    )
    from scanproof.transforms.resolution_loss import (
        RandResolutionLoss as RandResolutionLoss,
        RandResolutionLossd as RandResolutionLossd,
        ResolutionLoss as ResolutionLoss,
        ResolutionLossd as ResolutionLossd,
    )
    from scanproof.transforms.rigid_motion import (
        RandRigidMotion as RandRigidMotion,
        RandRigidMotiond as RandRigidMotiond,
        RigidMotion as RigidMotion,
        RigidMotiond as RigidMotiond,
    )
    from scanproof.transforms.slice_thickness import (
        RandSliceThickness as RandSliceThickness,
        RandSliceThicknessd as RandSliceThicknessd,
        SliceThickness as SliceThickness,
        SliceThicknessd as SliceThicknessd,
    )
    from scanproof.transforms.spike import (
        RandSpike as RandSpike,
        RandSpiked as RandSpiked,
        Spike as Spike,
        Spiked as Spiked,
    )
    from scanproof.transforms.susceptibility import (
        RandSusceptibility as RandSusceptibility,
        RandSusceptibilityd as RandSusceptibilityd,
        Susceptibility as Susceptibility,
        Susceptibilityd as Susceptibilityd,
    )
    from scanproof.transforms.undersampling import (
        RandUndersampling as RandUndersampling,
        RandUndersamplingd as RandUndersamplingd,
        Undersampling as Undersampling,
        Undersamplingd as Undersamplingd,
    )
    from scanproof.transforms.wraparound import (
        RandWraparound as RandWraparound,
        RandWraparoundd as RandWraparoundd,
        Wraparound as Wraparound,
        Wraparoundd as Wraparoundd,
    )
    from scanproof.transforms.zipper import (
        RandZipper as RandZipper,
        RandZipperd as RandZipperd,
        Zipper as Zipper,
        Zipperd as Zipperd,
    )

#: array version of every shift and the module that holds its four versions
_SHIFTS = {
    "BiasField": "bias_field",
    "ChemicalShift": "chemical_shift",
    "CoilDropout": "coil_dropout",
    "ComplexNoise": "complex_noise",
    "FieldStrength": "field_strength",
    "GammaDown": "gamma",
    "GammaUp": "gamma",
    "Ghosting": "ghosting",
    "GibbsPhaseEncode": "gibbs_phase_encode",
    "GibbsRinging": "gibbs_ringing",
    "IntensityDown": "intensity",
    "IntensityUp": "intensity",
    "LineDropout": "line_dropout",
    "NoisyClinic": "noisy_clinic",
    "NyquistGhost": "nyquist_ghost",
    "PhaseDrift": "phase_drift",
    "ResolutionLoss": "resolution_loss",
    "RigidMotion": "rigid_motion",
    "SliceThickness": "slice_thickness",
    "Spike": "spike",
    "Susceptibility": "susceptibility",
    "Undersampling": "undersampling",
    "Wraparound": "wraparound",
    "Zipper": "zipper",
}
_MODULES = {"Composition": "composition"} | {
    f"{random}{name}{dictionary}": module
    for name, module in _SHIFTS.items()
    for random in ("", "Rand")
    for dictionary in ("", "d")
}

__all__ = ["SHIFTS", *_MODULES]


def _name(shift: str) -> str:
    """Name in the registry: ``RigidMotion`` is ``rigid_motion``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", shift).lower()


#: every shift by name; other packages add theirs through the entry point group ``scanproof.shifts``
SHIFTS: Registry[Shift] = Registry(
    "shift",
    {_name(shift): f"{__name__}.{module}:{shift}" for shift, module in _SHIFTS.items()},
    group="scanproof.shifts",
)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
