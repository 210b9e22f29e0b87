"""Which code a task's result depends on."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import scanproof

_ROOT = Path(scanproof.__file__).parent

#: rooms (and single modules) whose source a kind of task runs; import-linter holds that they import no others
ROOMS: dict[str, tuple[str, ...]] = {
    "cohort": ("data",),
    "fit_reconstruction": ("data", "physics", "training", "reconstruction", "study/acquire.py"),
    "load_reconstruction": ("study/saved_model.py", "study/model_description.py"),
    "reconstruct": (
        "data",
        "physics",
        "transforms",
        "training",
        "reconstruction",
        "evaluation/image_metrics.py",
        "evaluation/multiscale.py",
        "evaluation/finding.py",
        "study/acquire.py",
    ),
    "train_classifier": ("training", "physics", "transforms", "classification"),
    "predict": ("classification",),
    "evaluate": ("evaluation",),
    "judge": ("evaluation",),
}
#: modules of the tasks themselves
_TASKS: dict[str, tuple[str, ...]] = {
    "cohort": ("cohort",),
    "fit_reconstruction": ("images", "context"),
    "load_reconstruction": ("images",),
    "reconstruct": ("images",),
    "train_classifier": ("readings", "units", "context"),
    "predict": ("readings", "units"),
    "evaluate": ("results", "units"),
    "judge": ("results",),
}

_LIBRARIES: dict[str, tuple[str, ...]] = {
    "cohort": ("torch", "numpy", "monai", "nibabel", "nilearn", "pillow"),
    "fit_reconstruction": ("torch", "numpy", "monai", "pytorch-ignite"),
    "load_reconstruction": ("numpy", "safetensors"),
    "reconstruct": ("torch", "numpy", "monai", "torchmetrics"),
    "train_classifier": ("torch", "numpy", "monai", "pytorch-ignite"),
    "predict": ("torch", "numpy", "monai"),
    "evaluate": ("numpy", "pandas", "scipy"),
    "judge": ("numpy", "pandas"),
}


@cache
def code_fingerprint(kind: str) -> str:
    """Hash of the source and library versions behind a kind of task.

    A change in the report leaves every trained network valid; a change in the training loop does not.
    """
    tasks = [f"study/tasks/{name}.py" for name in _TASKS[kind]]
    sources = {name: _source_hash(name) for name in (*ROOMS[kind], *tasks, "seeds.py")}
    return _digest({"sources": sources, "libraries": library_versions(*_LIBRARIES[kind])})


def code_version() -> str:
    """The package's version and a hash of all its source, e.g. ``0.1.0+3f2a9c1d``."""
    return f"{scanproof.__version__.partition('+')[0]}+{_source_hash('.')[:8]}"


def library_versions(*names: str) -> dict[str, str]:
    """Installed versions of distributions; a build suffix such as ``+cpu`` is kept."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def method_version(factory: str) -> str | None:
    """Version of the package of a method that another package registered; None for our own methods."""
    package = factory.partition(":")[0].partition(".")[0]
    if package == "scanproof":
        return None
    names = packages_distributions().get(package, [])
    return json.dumps(library_versions(*sorted(names)), sort_keys=True)


@cache
def _source_hash(name: str) -> str:
    path = _ROOT / name
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return _digest({str(file.relative_to(_ROOT)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files})


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
