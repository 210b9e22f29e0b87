"""The kinds of tasks that a sweep adds to those of a study."""

from __future__ import annotations

from scanproof.study.kinds import Kind

_SOURCES = (
    "data",
    "physics",
    "training",
    "scaling/degradation.py",
    "scaling/examples.py",
    "scaling/networks.py",
    "scaling/tasks.py",
    "scaling/training.py",
    "study/tasks/cohort.py",
)

#: by name
KINDS = {
    "scale_rate": Kind(
        function="scanproof.scaling.tasks:scale_rate",
        sources=(*_SOURCES, "scaling/rates.py"),
        libraries=("torch", "numpy", "monai"),
        cost=300,
        trains=True,
    ),
    "scale_train": Kind(
        function="scanproof.scaling.tasks:scale_train",
        sources=_SOURCES,
        libraries=("torch", "numpy", "monai"),
        cost=1000,
        trains=True,
    ),
    "scale_test": Kind(
        function="scanproof.scaling.tasks:scale_test",
        sources=(
            *_SOURCES,
            "transforms",
            "evaluation/image_metrics.py",
            "evaluation/multiscale.py",
            "evaluation/finding.py",
        ),
        libraries=("torch", "numpy", "monai", "torchmetrics"),
        cost=20,
    ),
    "simulate_risk": Kind(
        function="scanproof.scaling.theory.simulation:simulate_task",
        sources=("scaling/theory",),
        libraries=("numpy", "scipy"),
        cost=5,
    ),
}
