"""Views of a study's runs: which rows and columns MLflow's pages show first.

MLflow 3 keeps named views of an experiment in its tags: a name, a time, and the state of the page as JSON. They are
listed behind the button "Views" and opened by their key in the address of the page. An MLflow that knows none of this
shows its own columns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

#: tags that hold views, followed by their key
PREFIX = "mlflow.sharedViewState."
#: of a column in pixels: as many as fit, with numbers of three digits and names still told apart
WIDTH = 104
#: key of the view that a study's address opens
FIRST = "scanproof-first"

_READ = (
    *("auroc_shifted", "auroc_clean", "auroc_drop", "auroc_worst", "mce", "relative_mce"),
    *("change_to_batch", "change_to_batch_lower", "change_to_batch_upper", "gap_to_batch"),
)
_IMAGES = ("ssim_shifted", "ssim_clean", "psnr_shifted", "psnr_clean", "nrmse_shifted", "nrmse_clean")
_SITE_TAGS = ("best_chain", "worst_shift", "best_norm", "worst_norm", "claims")
_SITE_READ = ("worst_auroc", "auroc_clean.best", "auroc_shifted.best", "auroc_shifted.worst", "auroc_drop.best")


@dataclass(frozen=True, kw_only=True)
class View:
    """Rows and columns of a list of runs.

    Args:
        key: of the view in addresses.
        name: that readers choose it by.
        runs: filter in MLflow's language.
        tags: columns of tags.
        metrics: columns of metrics, after the tags.
        order: metric by which runs are sorted; the newest first without.
        ascending: whether the smallest comes first.
    """

    key: str
    name: str
    runs: str
    tags: Sequence[str] = ()
    metrics: Sequence[str] = ()
    order: str | None = None
    ascending: bool = False

    @property
    def tag(self) -> str:
        """The tag of the experiment that holds it."""
        return f"{PREFIX}{self.key}"

    def state(self, *, created: int) -> str:
        """Value of the tag.

        Args:
            created: time in milliseconds; of several views the newest is listed first.

        Example:
            >>> view = View(key="a", name="A", runs="", tags=["norm"], metrics=["mce"], order="mce")
            >>> json.loads(json.loads(view.state(created=0))["state"])["selectedColumns"]
            ['tags.`norm`', 'metrics.`mce`']
        """
        columns = [*(f"tags.`{name}`" for name in self.tags), *(f"metrics.`{name}`" for name in self.metrics)]
        content = {
            "searchFilter": self.runs,
            "orderByKey": "attributes.start_time" if self.order is None else f"metrics.`{self.order}`",
            "orderByAsc": self.ascending,
            "selectedColumns": columns,
            "columnOrder": columns,
            "columnWidths": dict.fromkeys(columns, WIDTH),
            "runsHiddenMode": "FIRST_20_RUNS",
        }
        return json.dumps({"name": self.name, "createdAt": created, "state": json.dumps(content)})


def study_views(site: str, *, read: bool) -> list[View]:
    """The views of a study, the one to look at first last.

    Args:
        site: whose runs are shown first: the mean over sites, or the only one.
        read: whether the study has classifiers.

    Example:
        >>> [view.name for view in study_views("all", read=False)]
        ['Trained networks', 'Sites', 'At every site', 'The best first']
    """
    kind = "chain" if read else "reconstruction"
    # a name may hold quotes, which a filter cannot hold both of
    quote = '"' if "'" in site else "'"
    there = f" and tags.site = {quote}{site}{quote}" if quote not in site else ""
    # runs are named by all of their parts
    tags = ("reconstruction", "norm") if read else ("reconstruction", "acceleration")
    metrics, order = (_READ, "auroc_shifted") if read else (_IMAGES, "ssim_shifted")
    return [
        View(
            key="scanproof-trainings",
            name="Trained networks",
            runs="tags.`scanproof.kind` = 'training'",
            tags=("scanproof.trained", "model_sha256"),
            metrics=("auroc", "train_loss"),
        ),
        View(
            key="scanproof-sites",
            name="Sites",
            runs="tags.`scanproof.kind` like '%site%'",
            tags=_SITE_TAGS,
            metrics=_SITE_READ if read else [f"{name}.best" for name in _IMAGES],
        ),
        View(
            key="scanproof-everywhere",
            name="At every site",
            runs=f"tags.`scanproof.kind` = '{kind}'",
            tags=("site", *tags),
            metrics=metrics,
            order=order,
        ),
        View(
            key=FIRST,
            name="The best first",
            runs=f"tags.`scanproof.kind` = '{kind}'{there}",
            tags=(*tags, *(("worst_shift",) if read else ())),
            metrics=metrics,
            order=order,
        ),
    ]


def sweep_views(axis: str | None) -> list[View]:
    """The views of a sweep, the one to look at first last.

    Args:
        axis: that the claim is judged on; None where nothing could be fitted.

    Example:
        >>> [view.name for view in sweep_views("mse")]
        ['Trained networks', 'Every width', 'Sweeps']
    """
    metrics = [] if axis is None else [f"{axis}/{name}" for name in ("exponent", "exponent_lower", "exponent_upper")]
    return [
        View(
            key="scanproof-trainings",
            name="Trained networks",
            runs="tags.`scanproof.kind` = 'training'",
            tags=("scanproof.trained", "model_sha256"),
            metrics=("val_loss", "train_loss", "learning_rate", "step"),
        ),
        View(
            key="scanproof-curves",
            name="Every width",
            runs="tags.`scanproof.kind` = 'scaling-curve'",
            tags=("task", "width", "parameters"),
            metrics=("test/psnr", "test/ssim", "test/mse", "test/nrmse", "seconds"),
        ),
        View(
            key=FIRST,
            name="Sweeps",
            runs="tags.`scanproof.kind` like 'scaling%' and tags.`scanproof.kind` != 'scaling-curve'",
            tags=("verdict", "form", "best_width", "robustness"),
            metrics=metrics,
        ),
    ]
