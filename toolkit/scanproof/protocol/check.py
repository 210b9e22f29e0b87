"""Whether what is here is what a protocol was frozen with; each difference has a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scanproof.errors import ScanproofError
from scanproof.protocol.definition import FrozenCode, Protocol
from scanproof.protocol.models import found_weights
from scanproof.study.fingerprint import code_version, library_versions, source_hashes
from scanproof.study.kinds import KINDS as ALL_KINDS

#: kinds of tasks that a site runs: it trains nothing, and the protocol decides in place of claims
KINDS = tuple(kind for kind in ALL_KINDS if not kind.startswith(("fit_", "train_")) and kind != "judge")
#: libraries whose versions are told; another version changes last digits everywhere, so it is named and not refused
LIBRARIES = (
    *("scanproof", "torch", "monai", "numpy", "scipy", "pandas", "torchmetrics", "nibabel", "pydicom", "h5py"),
    *("pillow", "safetensors", "mlflow"),
)


@dataclass(frozen=True)
class Departure:
    """Something that is not as it was frozen.

    Args:
        kind: weights and code decide results; libraries change last digits.
        name: which weights, which part of the code, which library.
        frozen: what the protocol says.
        here: what was found.
    """

    kind: Literal["weights", "code", "library"]
    name: str
    frozen: str
    here: str

    def __str__(self) -> str:
        """The difference as a line.

        Example:
            >>> print(Departure("library", "numpy", "2.1.0", "2.2.0"))
            library numpy: frozen with 2.1.0, here 2.2.0
        """
        return f"{self.kind} {self.name}: frozen with {self.frozen}, here {self.here}"


def present_code() -> FrozenCode:
    """The code that is installed, as a protocol keeps it."""
    return FrozenCode(version=code_version(), parts=source_hashes(KINDS))


def departures(protocol: Protocol, *, path: Path) -> list[Departure]:
    """All that is not as it was frozen; the file itself is checked when it is read.

    Args:
        protocol: that was read.
        path: its file, beside which the models lie.
    """
    return [*_weights(protocol, path), *_code(protocol.code, present_code()), *_libraries(protocol)]


def refuse(found: Sequence[Departure], *, path: Path, allow_other_code: bool) -> None:
    """Refuse other weights, and other code unless it is allowed.

    Args:
        found: of :func:`departures`.
        path: the protocol file.
        allow_other_code: other code is only named.

    Raises:
        ScanproofError: naming the weights or the parts of the code.
    """
    weights = [one for one in found if one.kind == "weights"]
    if weights:
        hint = "get the folder of models that was handed out with the protocol"
        raise ScanproofError(
            f"weights of {', '.join(one.name for one in weights)} must be those that the protocol was frozen with, "
            f"sha256 {weights[0].frozen}",
            file=path,
            value=weights[0].here,
            hint=hint,
        )
    code = [one for one in found if one.kind == "code"]
    if code and not allow_other_code:
        version, parts = code[0], [one.name for one in code[1:]]
        hint = f"other code: {', '.join(parts)}; install the version, or run with --allow-other-code, which the verdict"
        raise ScanproofError(
            f"code must be that which the protocol was frozen with, {version.frozen}",
            file=path,
            value=version.here,
            hint=f"{hint} then says",
        )


def _weights(protocol: Protocol, path: Path) -> list[Departure]:
    found = []
    for name, model in protocol.models.items():
        here = found_weights(path.parent / model.folder, model.kind)
        if here != model.sha256:
            found.append(Departure("weights", name, model.sha256, here))
    return found


def _code(frozen: FrozenCode, here: FrozenCode) -> list[Departure]:
    names = sorted({*frozen.parts, *here.parts})
    parts = [
        Departure("code", name, frozen.parts.get(name, "none")[:12], here.parts.get(name, "none")[:12])
        for name in names
        if frozen.parts.get(name) != here.parts.get(name)
    ]
    # code that has no part in results, such as that of the report, may be another
    return [Departure("code", "version", frozen.version, here.version), *parts] if parts else []


def _libraries(protocol: Protocol) -> list[Departure]:
    here = library_versions(*protocol.versions)
    return [
        Departure("library", name, version, here[name])
        for name, version in protocol.versions.items()
        if name != "scanproof" and here[name] != version
    ]
