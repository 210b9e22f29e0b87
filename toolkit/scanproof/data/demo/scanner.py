"""The demo's three sites: field strength, sequence timing, coils, noise, shading and resolution.

Relaxation times of white and grey matter in vivo: at 3 T from Wansapura et al., J Magn Reson Imaging 1999;9:531;
T1 at 1.5 T from Rooney et al., Magn Reson Med 2007;57:308. The other values (T2 at 1.5 T, fluid, lesion, proton
densities) are round numbers within the range that is published.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from scanproof.errors import ScanproofError, unknown_name

Tissue = Literal["white", "grey", "fluid", "lesion"]
TISSUES: tuple[Tissue, ...] = ("white", "grey", "fluid", "lesion")

#: field strength (T) -> tissue -> (T1 ms, T2 ms, proton density relative to water)
RELAXATION: dict[float, dict[Tissue, tuple[float, float, float]]] = {
    1.5: {
        "white": (656.0, 80.0, 0.70),
        "grey": (1188.0, 100.0, 0.82),
        "fluid": (4200.0, 2000.0, 1.0),
        "lesion": (1250.0, 220.0, 0.80),
    },
    3.0: {
        "white": (832.0, 80.0, 0.70),
        "grey": (1331.0, 110.0, 0.82),
        "fluid": (4300.0, 2000.0, 1.0),
        "lesion": (1500.0, 220.0, 0.80),
    },
}


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """One simulated scanner with a fluid-attenuated inversion recovery (FLAIR) sequence.

    Lesions of the white matter are read on such images: they are bright, fluid is dark. How bright depends on the
    timing and the field strength, which is what differs from hospital to hospital.

    Args:
        field_strength: tesla, 1.5 or 3.0.
        tr, te, ti: repetition, echo and inversion time in ms.
        coils: receive coils.
        snr: signal-to-noise ratio of a fully sampled image (see :class:`~scanproof.data.cohort.Acquisition`).
        shading: standard deviation of the log receive field that coil combination leaves.
        blur_mm: standard deviation of the point-spread function.
    """

    field_strength: float
    tr: float
    te: float
    ti: float
    coils: int
    snr: float
    shading: float
    blur_mm: float

    def signal(self, tissue: Tissue) -> float:
        """Magnitude signal of a pure tissue, in units of water's fully relaxed signal.

        Inversion recovery with a spin-echo readout: PD |1 − 2 exp(−TI/T1) + exp(−TR/T1)| exp(−TE/T2).

        Example:
            >>> SCANNERS["north"].signal("lesion") > SCANNERS["north"].signal("white")
            True
        """
        t1, t2, density = RELAXATION[self.field_strength][tissue]
        recovered = abs(1 - 2 * math.exp(-self.ti / t1) + math.exp(-self.tr / t1))
        return density * recovered * math.exp(-self.te / t2)

    def drifted(self, *, te: float = 1.0, ti: float = 1.0) -> Scanner:
        """The same scanner with a sequence whose timing is off the protocol.

        Args:
            te: echo time, in that of the protocol.
            ti: inversion time, in that of the protocol.

        Raises:
            ScanproofError: a time that is not positive, or an inversion that is longer than the repetition.

        Example:
            >>> SCANNERS["north"].drifted(te=0.5).te
            55.0
        """
        for name, factor in (("te", te), ("ti", ti)):
            if not 0 < factor < math.inf:
                raise ScanproofError(f"{name} must be positive and finite", key="contrast", value=factor)
        if self.ti * ti >= self.tr:
            raise ScanproofError(
                f"ti must stay below the repetition time of {self.tr:g} ms", key="contrast", value=self.ti * ti
            )
        return replace(self, te=self.te * te, ti=self.ti * ti)

    def facts(self) -> dict[str, str]:
        """What the report tells about the scanner."""
        return {
            "field strength": f"{self.field_strength:g} T",
            "sequence": f"FLAIR, TR {self.tr:g} ms, TE {self.te:g} ms, TI {self.ti:g} ms",
            "point spread": f"{self.blur_mm:g} mm (s.d.)",
        }


SCANNERS: dict[str, Scanner] = {
    "north": Scanner(field_strength=3.0, tr=9000, te=110, ti=2500, coils=8, snr=50.0, shading=0.06, blur_mm=0.0),
    "south": Scanner(field_strength=1.5, tr=8000, te=90, ti=2200, coils=4, snr=30.0, shading=0.04, blur_mm=1.0),
    "west": Scanner(field_strength=3.0, tr=7500, te=140, ti=2050, coils=12, snr=40.0, shading=0.15, blur_mm=0.5),
}


def scanner(site: str) -> Scanner:
    """The scanner of a demo site.

    Raises:
        ScanproofError: unknown site; the text lists the known ones.
    """
    if site not in SCANNERS:
        raise unknown_name("demo site", site, SCANNERS, key="data.sites")
    return SCANNERS[site]
