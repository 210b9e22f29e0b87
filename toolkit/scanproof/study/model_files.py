"""Which files a saved model may hold: weights are numbers, and nothing that is read may execute code."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scanproof.errors import ScanproofError

#: the one file that weights are read from
WEIGHTS = "weights.safetensors"
#: of a classifier: what its layers saw of validation images
LAYERS = "layers.safetensors"

#: endings of files that are, or may hold, pickles or programs
_EXECUTABLE = frozenset(
    [
        *(".bin", ".ckpt", ".cloudpickle", ".dill", ".h5", ".joblib", ".keras", ".mar", ".model", ".p", ".pickle"),
        *(".pkl", ".pt", ".pt2", ".pth", ".t7", ".tar", ".torchscript", ".whl", ".zip"),
        *(".dll", ".dylib", ".py", ".pyc", ".so"),
    ]
)
# how a pickle and a zip archive, PyTorch's frame around a pickle, begin
_MAGIC = (*(bytes([0x80, protocol]) for protocol in range(2, 6)), b"PK\x03\x04")

_RULE = "must not be in a saved model, because it would execute code when it is read"
_HINT = f"save the weights as {WEIGHTS}: scanproof register"


def refuse_code(folder: Path) -> None:
    """Refuse a folder that holds anything but weights, without reading it any further than its first bytes.

    Args:
        folder: folder of a saved model.

    Raises:
        ScanproofError: a file, in whatever folder below, that is a pickle, an archive or a program.
    """
    for file in sorted(folder.rglob("*")):
        if file.is_file() and is_executable(file):
            raise ScanproofError(_RULE, file=file, hint=_HINT)


def is_executable(file: Path) -> bool:
    """Whether a file's ending or first bytes are those of a pickle, an archive or a program.

    Raises:
        ScanproofError: the file cannot be read.

    Example:
        >>> is_executable(Path("data/model.pth"))
        True
    """
    if file.suffix.lower() in _EXECUTABLE:
        return True
    try:
        with file.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise ScanproofError(f"file of a saved model must be readable: {error.strerror}", file=file) from error
    # safetensors begins with the length of its header, which may look like a pickle's first bytes, and then the header
    return start.startswith(_MAGIC) and not start.endswith(b"{")


def refuse_flavours(flavours: Iterable[str], *, own: str, file: Path) -> None:
    """Refuse a model that was saved to be run by MLflow.

    Args:
        flavours: ways to load it that its ``MLmodel`` names.
        own: the flavour of scanproof.
        file: the ``MLmodel``.

    Raises:
        ScanproofError: the own flavour is missing, or another stands beside it.

    Example:
        >>> refuse_flavours(["python_function"], own="scanproof", file=Path("MLmodel"))
        Traceback (most recent call last):
        scanproof.errors.ScanproofError: MLmodel: flavors: must be scanproof alone, because ... 'python_function' ...
    """
    names = sorted(flavours)
    if names != [own]:
        raise ScanproofError(
            f"must be {own} alone, because a model of another kind would execute code when it is read",
            file=file,
            key="flavors",
            value=", ".join(names),
            hint=_HINT,
        )
