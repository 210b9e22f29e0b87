"""Reading a scaling file."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from scanproof.errors import ScanproofError
from scanproof.scaling.definition import DenoisingPlan, MriPlan, SearchPlan, SuperResolutionPlan, Sweep
from scanproof.study.data_plans import DemoData, ImageData, VolumeData
from scanproof.study.load import resolve_data
from scanproof.study.reading import explain, read_yaml

#: which model of several a part of an error's location stands for; no key has such a name
_VARIANTS: dict[str, type[BaseModel]] = {
    "demo": DemoData,
    "volumes": VolumeData,
    "images": ImageData,
    "denoising": DenoisingPlan,
    "mri": MriPlan,
    "super_resolution": SuperResolutionPlan,
    "SearchPlan": SearchPlan,
}


def load_sweep(path: Path) -> Sweep:
    """Read and check a scaling file.

    Args:
        path: YAML file.

    Returns:
        The definition, with paths made absolute.

    Raises:
        ScanproofError: unreadable file, YAML error, a study of another form, unknown key or wrong value.
    """
    content = read_yaml(path, what="scaling file")
    if "scaling" not in content:
        hint = "run a study with `scanproof run`"
        raise ScanproofError("scaling file must begin with scaling: 1", file=path, key="scaling", hint=hint)
    try:
        sweep = Sweep.model_validate(content)
    except ValidationError as error:
        raise explain(error, path, root=Sweep, variants=_VARIANTS) from None
    except ScanproofError as error:
        raise ScanproofError(error.rule, file=path, key=error.key, value=error.value, hint=error.hint) from None
    return sweep.model_copy(update={"data": resolve_data(sweep.data, base=path.parent)})
