"""What is tracked: a finished study and the trainings behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import (
    ALL_SITES,
    PREDICTION_COLUMNS,
    check_table,
    conform,
    predictions_schema,
    results_schema,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRecord:
    """One training, as it is stored.

    Args:
        key: hash of the training task; a key is tracked once an experiment.
        name: what a reader calls it, e.g. ``"resnet18/batch/seed 1"``.
        kind: what was trained.
        params: settings of the training.
        history: one row an epoch: ``epoch`` (from 1) and one numeric column a metric; missing values are left out.
        model_sha256: hash of the weights.

    Raises:
        ScanproofError: the history has no column ``epoch``.

    Example:
        >>> history = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.7, 0.5]})
        >>> TrainingRecord(
        ...     key="a1", name="unet", kind="reconstruction", params={}, history=history, model_sha256="f0"
        ... ).name
        'unet'
    """

    key: str
    name: str
    kind: Literal["classifier", "reconstruction"]
    params: Mapping[str, object]
    history: pd.DataFrame
    model_sha256: str

    def __post_init__(self) -> None:
        if "epoch" not in self.history:
            raise ScanproofError("training history must have a column 'epoch'", key=self.name, value=list(self.history))


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackedStudy:
    """A finished study with everything that its runs hold.

    Args:
        study: name of the study, which names the experiment.
        description: shown with the experiment.
        study_sha256: hash of the resolved definition.
        results_sha256: hash of the results table.
        data_sha256: site to hash of its data.
        code_version: version of the code that computed the results.
        claims: what the results say of the study's claims, if it makes any.
        protocol: name of the frozen protocol, if the study follows one.
        protocol_sha256: hash of that protocol.
        tags: further tags of the runs of sites, e.g. the verdict.
        definition: the resolved definition; its leaves become the parameters of the site runs.
        lock_file: ``study.lock.yaml``.
        report: HTML report.
        figures: file name without suffix to figure.
        results: results table, ``RESULT_COLUMNS``.
        predictions: per-case probabilities, ``PREDICTION_COLUMNS``; empty for a study without classification.
        comparisons: normalizations against each other, ``COMPARISON_COLUMNS``.
        layers: how far the layers of classifiers drift.
        kspace: ``"synthetic"`` when k-space was computed from magnitude images, ``"measured"`` otherwise.
        cohorts: site to one row a case: pseudonymous ids, labels and, if there is a column ``split``, whether the
            case was for ``train``, ``val`` or ``test``. Of these tables MLflow stores names of columns and numbers
            of rows, not the rows.
        training: the trainings behind the study.

    Raises:
        ScanproofError: a table that breaks its schema, a file that does not exist, a site without a hash of its
            data, or a figure name that is not a file name.
    """

    study: str
    description: str
    study_sha256: str
    results_sha256: str
    data_sha256: Mapping[str, str]
    code_version: str
    definition: Mapping[str, object]
    lock_file: Path
    report: Path
    results: pd.DataFrame
    predictions: pd.DataFrame = field(default_factory=lambda: conform(pd.DataFrame(), PREDICTION_COLUMNS))
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    layers: pd.DataFrame = field(default_factory=pd.DataFrame)
    claims: pd.DataFrame | None = None
    protocol: str | None = None
    protocol_sha256: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    kspace: Literal["synthetic", "measured"] = "synthetic"
    cohorts: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    training: Sequence[TrainingRecord] = ()

    def __post_init__(self) -> None:
        check_table(self.results, results_schema(), name="results")
        check_table(self.predictions, predictions_schema(), name="predictions")
        if self.results.empty:
            raise ScanproofError("results must not be empty", key=self.study)
        for file in (self.lock_file, self.report):
            if not file.is_file():
                raise ScanproofError("file must exist", file=file)
        for site in self.sites:
            if site != ALL_SITES and site not in self.data_sha256:
                raise ScanproofError("every site must have a hash of its data", key="data_sha256", value=site)
        for name in self.figures:
            if not re.fullmatch(r"[\w-][\w.-]*", name):
                raise ScanproofError("name of a figure must be a file name", key="figures", value=name)

    @property
    def sites(self) -> list[str]:
        """Sites of the results in alphabetical order, the mean over them last if there are several."""
        named = set(self.results["site"].unique())
        sites = sorted(named - {ALL_SITES})
        return [*sites, ALL_SITES] if ALL_SITES in named and len(sites) > 1 else sites
