"""Named settings of un-trained methods, and files with the settings that tuning has found."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from scanproof.errors import ScanproofError, unknown_name
from scanproof.yaml_file import read_yaml_file

#: option name to value
Preset = Mapping[str, object]

#: the public procedure: a fixed number of steps on the squared error, nothing held out, the measured samples put back
_PROCEDURE: Preset = {
    "output": "coils",
    "loss": "mse",
    "learning_rate": 0.008,
    "iterations": 20_000,
    "held_out": 0.0,
    "averaging": 0.0,
    "warmup": 0,
    "check": 1,
    "consistency": 1.0,
    "amplitude": None,
    "precision": "float32",
}

#: ConvDecoder, all from arXiv 2007.02471 and 2102.06103: ``published`` was compared with other un-trained networks,
#: ``published_7_layers`` with a U-Net, ``published_knee`` was tuned on knees and met with shifts, and
#: ``published_brain`` was tuned on brains with coil sensitivities
CONV_DECODER: Mapping[str, Preset] = MappingProxyType(
    {
        "default": {},
        "published": {**_PROCEDURE, "channels": 160, "layers": 8, "input_size": (8, 4)},
        "published_7_layers": {
            **_PROCEDURE,
            "channels": 160,
            "layers": 7,
            "input_size": (8, 4),
            "iterations": 25_000,
        },
        "published_knee": {
            **_PROCEDURE,
            "channels": 256,
            "layers": 8,
            "input_size": (10, 5),
            "bias": True,
            "iterations": 25_000,
        },
        "published_brain": {
            **_PROCEDURE,
            "output": "image",
            "channels": 64,
            "layers": 5,
            "input_size": (10, 5),
            "bias": True,
            "iterations": 25_000,
        },
    }
)

#: as compared with ConvDecoder in arXiv 2007.02471
DEEP_DECODER: Mapping[str, Preset] = MappingProxyType(
    {
        "default": {"iterations": 1000},
        "published": {**_PROCEDURE, "channels": 368, "layers": 10, "input_size": (16, 16)},
    }
)

#: as compared with ConvDecoder in arXiv 2007.02471; its eight scales need images of more than 128 pixels
DEEP_IMAGE_PRIOR: Mapping[str, Preset] = MappingProxyType(
    {
        "default": {"learning_rate": 0.003, "amplitude": 10.0},
        "published": {**_PROCEDURE, "channels": 256, "scales": 8, "skip_channels": (4, 4), "kernel_down": 5},
    }
)


def read_preset(preset: str | Path, *, named: Mapping[str, Preset], options: Collection[str]) -> Preset:
    """The options of a preset.

    Args:
        preset: a name, or the path of a YAML file that maps options to values.
        named: the presets that have names.
        options: what a file may hold.

    Raises:
        ScanproofError: neither a known name nor a readable file; an unknown option in a file.

    Example:
        >>> read_preset("published_brain", named=CONV_DECODER, options=())["channels"]
        64
    """
    if str(preset) in named:
        return named[str(preset)]
    path = Path(preset)
    if path.suffix not in (".yaml", ".yml"):
        raise unknown_name("preset", str(preset), [*named, "a path that ends in .yaml"], key="preset")
    content = read_preset_file(path)
    for name in content:
        if name not in options:
            raise unknown_name("option", name, options, file=path, key=name)
    return content


def read_preset_file(path: Path) -> dict[str, object]:
    """The options in a YAML file.

    Raises:
        ScanproofError: a file that cannot be read or does not map names to values.
    """
    content = read_yaml_file(path, what="preset")
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ScanproofError("preset must map options to values", file=path, value=type(content).__name__)
    return content
