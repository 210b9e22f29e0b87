"""The kinds of tasks: what computes them, and which code their results depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scanproof.errors import ScanproofError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What all tasks of a kind have in common.

    Args:
        function: ``module:name`` of what computes them, which is imported where a task is run.
        sources: rooms and modules of the package whose source it runs, its own among them; import-linter holds that
            rooms import no others. A change in them asks for the results anew.
        libraries: distributions whose versions count, too.
        cost: rough, relative to a prediction; it decides what is started first, nothing else.
        trains: it trains a network, on a GPU where one is asked for; all others compute on the CPU.
    """

    function: str
    sources: tuple[str, ...]
    libraries: tuple[str, ...]
    cost: float
    trains: bool = False


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a task takes of a machine.

    Args:
        cpus: threads that it computes with.
        gpus: devices that it trains on; a fraction shares one.
        memory: in bytes; 0 where it is not known.
    """

    cpus: int = 1
    gpus: float = 0
    memory: int = 0


#: kinds of a study's tasks by name, in the order in which they run
KINDS: dict[str, Kind] = {
    "cohort": Kind(
        function="scanproof.study.tasks.cohort:make_cohort",
        sources=("data", "physics", "study/tasks/cohort.py"),
        libraries=("torch", "numpy", "monai", "nibabel", "nilearn", "pillow", "pydicom", "h5py", "ismrmrd"),
        cost=50,
    ),
    "fit_reconstruction": Kind(
        function="scanproof.study.tasks.images:fit_reconstruction",
        sources=(
            "data",
            "physics",
            "training",
            "external",
            "reconstruction",
            "study/acquire.py",
            "study/tasks/images.py",
            "study/tasks/context.py",
        ),
        libraries=("torch", "numpy", "monai", "pytorch-ignite"),
        cost=1000,
        trains=True,
    ),
    "load_reconstruction": Kind(
        function="scanproof.study.tasks.images:load_reconstruction",
        sources=("external/files.py", "study/saved_model.py", "study/model_description.py", "study/tasks/images.py"),
        libraries=("numpy", "safetensors"),
        cost=5,
    ),
    "load_classifier": Kind(
        function="scanproof.study.tasks.saved:load_classifier",
        sources=(
            "external/files.py",
            "study/saved_classifier.py",
            "study/saved_model.py",
            "study/classifier_description.py",
            "study/model_description.py",
            "study/tasks/saved.py",
        ),
        libraries=("numpy", "pandas", "safetensors"),
        cost=5,
    ),
    "reconstruct": Kind(
        function="scanproof.study.tasks.images:reconstruct",
        sources=(
            "data",
            "physics",
            "transforms",
            "training",
            "external",
            "reconstruction",
            "evaluation/image_metrics.py",
            "evaluation/multiscale.py",
            "evaluation/finding.py",
            "study/acquire.py",
            "study/tasks/images.py",
        ),
        libraries=("torch", "numpy", "monai", "torchmetrics"),
        cost=20,
    ),
    "train_classifier": Kind(
        function="scanproof.study.tasks.readings:train",
        sources=(
            "training",
            "physics",
            "transforms",
            "classification",
            "external",
            "study/tasks/readings.py",
            "study/tasks/units.py",
            "study/tasks/context.py",
        ),
        libraries=("torch", "numpy", "monai", "pytorch-ignite"),
        cost=500,
        trains=True,
    ),
    "predict": Kind(
        function="scanproof.study.tasks.readings:predict",
        sources=(
            "classification",
            "external",
            "study/open_model.py",
            "tracking/foreign.py",
            "study/tasks/readings.py",
            "study/tasks/saved.py",
            "study/tasks/units.py",
        ),
        libraries=("torch", "numpy", "monai"),
        cost=1,
    ),
    "evaluate": Kind(
        function="scanproof.study.tasks.results:evaluate_study",
        sources=("evaluation", "study/tasks/results.py", "study/tasks/units.py"),
        libraries=("numpy", "pandas", "scipy"),
        cost=50,
    ),
    "judge": Kind(
        function="scanproof.study.tasks.results:judge",
        sources=("evaluation", "study/tasks/results.py"),
        libraries=("numpy", "pandas"),
        cost=1,
    ),
}


#: kinds of rooms above this one
_ADDED: dict[str, Kind] = {}


def add_kinds(kinds: Mapping[str, Kind]) -> None:
    """Make the kinds of a room above this one known; its tasks then run in every executor.

    Raises:
        ScanproofError: another kind has the name.
    """
    for name, kind in kinds.items():
        if KINDS.get(name, _ADDED.get(name, kind)) != kind:
            raise ScanproofError("kind of a task must have a name of its own", key=name, value=kind.function)
        _ADDED[name] = kind


def find_kind(name: str) -> Kind:
    """The kind of that name, a study's or one that was added.

    Raises:
        ScanproofError: there is none.

    Example:
        >>> find_kind("judge").function
        'scanproof.study.tasks.results:judge'
    """
    known = {**KINDS, **_ADDED}
    if name not in known:
        raise unknown_name("kind of task", name, known)
    return known[name]
