"""What a scaling file may say: tasks, sizes of training sets, widths of networks and how they are trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.image_metrics import IMAGE_METRICS, check_metrics
from scanproof.scaling.networks import POOLINGS, Task
from scanproof.study.acquisition_shifts import check_dimensions
from scanproof.study.data_plans import AnyData, DemoData
from scanproof.study.definition import Compute
from scanproof.study.fields import Model, once, plain_name
from scanproof.transforms import SHIFTS

Metric = Literal["psnr", "ssim", "mse", "nrmse"]


class SearchPlan(Model):
    """The search for a learning rate: it is doubled while the validation loss of short trainings improves."""

    start: float = Field(1e-4, gt=0, description="first rate")
    factor: float = Field(2.0, gt=1, description="what the rate is multiplied by")
    most: int = Field(10, ge=1, le=30, description="rates that are tried at the most")
    steps: int = Field(100, ge=1, description="of each short training, all from the same initial weights")
    at: Literal["each", "largest"] = Field(
        "each", description="each: for every size of the training set; largest: with the largest, for all"
    )


class TrainingPlan(Model):
    """How networks are trained; what is left out is the task's published protocol, or ours where none was published."""

    optimiser: Literal["adam", "rmsprop"] | None = None
    rate: Annotated[float, Field(gt=0)] | SearchPlan | None = Field(
        None, description="first learning rate, or the search for it"
    )
    loss: Literal["mse", "l1", "ssim"] | None = None
    batch_size: int | None = Field(None, ge=1)
    clip: float | None = Field(None, gt=0, description="norm to which larger gradients are cut")
    every: int | None = Field(None, ge=1, description="steps between validations; default: one pass over the examples")
    decay: float | None = Field(None, gt=0, lt=1, description="what the rate is multiplied by on a plateau")
    patience: int | None = Field(None, ge=0, description="validations without a better loss that make a plateau")
    lowest: float | None = Field(None, gt=0, le=1, description="lowest rate, as a share of the first")
    stop: int | None = Field(None, ge=1, description="validations at the lowest rate after which training ends")
    steps: int | None = Field(None, ge=1, description="most steps; default: no limit")

    def over(self, other: TrainingPlan) -> TrainingPlan:
        """The same, with the elements of another plan where this one says nothing."""
        return other.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


#: Published: Adam, the search and its start, x 0.5 and ten rounds at the lowest rate; RMSprop, 1e-3, SSIM, batch 1,
#: clip 1, x 0.1 and patience 5 (arXiv 2209.13435). Ours: the rest, and all of super-resolution but what denoising gives
PROTOCOLS: dict[Task, TrainingPlan] = {
    "denoising": TrainingPlan(
        optimiser="adam", rate=SearchPlan(), loss="mse", batch_size=16, decay=0.5, patience=5, lowest=0.01, stop=10
    ),
    "mri": TrainingPlan(
        optimiser="rmsprop",
        rate=1e-3,
        loss="ssim",
        batch_size=1,
        clip=1.0,
        decay=0.1,
        patience=5,
        lowest=0.01,
        stop=10,
    ),
    "super_resolution": TrainingPlan(
        optimiser="adam", rate=SearchPlan(), loss="mse", batch_size=16, decay=0.5, patience=5, lowest=0.01, stop=10
    ),
}


class TaskPlan(Model):
    """What all tasks have in common."""

    name: str = Field("", description="what results call it; default: the task")
    task: Task
    training: TrainingPlan = Field(TrainingPlan(), description="of this task alone")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, content: Any) -> Any:
        return {"name": content["task"], **content} if isinstance(content, dict) and "task" in content else content

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @property
    def options(self) -> dict[str, object]:
        """Of the degradation."""
        return self.model_dump(mode="json", exclude={"name", "task", "training"})


class DenoisingPlan(TaskPlan):
    """White Gaussian noise on magnitude images."""

    task: Literal["denoising"]
    sigma: float = Field(25 / 255, gt=0, description="standard deviation, in units of an image's maximum")


class MriPlan(TaskPlan):
    """Undersampled multi-coil k-space, synthetic."""

    task: Literal["mri"]
    acceleration: float = Field(4.0, gt=1, le=32)
    center_fraction: float = Field(0.08, gt=0, lt=1)
    mask: Literal["random", "equispaced"] = "equispaced"
    coils: int = Field(8, ge=1, le=128, description="receive coils of the simulated acquisition")
    snr: float = Field(30.0, gt=0, description="signal-to-noise ratio of the simulated acquisition")


class SuperResolutionPlan(TaskPlan):
    """K-space cropped to its centre; ours, as no details were published."""

    task: Literal["super_resolution"]
    factor: float = Field(2.0, gt=1, le=8, description="by which the given image has fewer pixels along either axis")
    sigma: float = Field(0.02, ge=0, description="noise of the given image, in units of the reference's maximum")


AnyTask = Annotated[DenoisingPlan | MriPlan | SuperResolutionPlan, Field(discriminator="task")]


class TestShift(Model):
    """An artifact on the test images: does more data buy robustness?"""

    __test__ = False  # no test of pytest's

    name: str = Field(description="artifact")
    severities: list[Annotated[int, Field(ge=1, le=5)]] = Field([1, 2, 3, 4, 5], min_length=1)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in SHIFTS:
            raise unknown_name("artifact", name, SHIFTS)
        check_dimensions(name, 2)
        return name

    @field_validator("severities")
    @classmethod
    def _unique(cls, values: list[int]) -> list[int]:
        return once(values, "severity")


class Sweep(Model):
    """A scaling study: every task with every size of training set, every width and every seed."""

    scaling: Literal[1] = Field(description="version of this form of file")
    name: str = Field(description="letters, digits, dot, dash and underscore; names the output and the experiment")
    description: str = ""
    seed: int = Field(2024, ge=0, description="seed of everything random")
    data: AnyData = Field(description="its training sites alone are used")
    tasks: list[AnyTask] = Field(min_length=1)
    examples: list[Annotated[int, Field(ge=1)]] = Field(min_length=1, description="training slices; sets are nested")
    widths: list[Annotated[int, Field(ge=1, le=1024)]] = Field(min_length=1, description="channels of the first stage")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [1, 2, 3],
        min_length=1,
        description="one training each, of other weights, batches and noise on other nested sets",
    )
    training: TrainingPlan = Field(TrainingPlan(), description="of all tasks")
    shifts: list[TestShift] = Field([], description="artifacts on test images")
    metrics: list[Metric] = Field(["psnr", "ssim", "mse", "nrmse"], min_length=1)
    compute: Compute = Compute()

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @field_validator("tasks", "shifts")
    @classmethod
    def _unique_names(cls, plans: list[Any]) -> list[Any]:
        once([plan.name for plan in plans], "name")
        return plans

    @field_validator("examples", "widths", "seeds", "metrics")
    @classmethod
    def _unique(cls, values: list[object]) -> list[object]:
        return once(values, "entry")

    @model_validator(mode="after")
    def _images_fit(self) -> Self:
        measured = [name for name in self.metrics if name in IMAGE_METRICS]
        check_metrics(measured, matrix=self.data.matrix, has_findings=False, key="metrics")
        for number, plan in enumerate(self.tasks):
            # instance normalization needs more than one pixel where the image is smallest
            least = 2 ** (POOLINGS[plan.task] + 1)
            if min(self.data.matrix) < least:
                raise ScanproofError(
                    f"{plan.task} needs images of at least {least} x {least} pixels",
                    key=f"tasks[{number}].task",
                    value=" x ".join(map(str, self.data.matrix)),
                )
        return self

    @model_validator(mode="after")
    def _enough_examples(self) -> Self:
        if isinstance(self.data, DemoData):
            data = self.data
            available = data.subjects.train * data.slices * len(data.training_sites)
            check_examples(self.examples, available)
        return self

    def training_of(self, plan: TaskPlan) -> TrainingPlan:
        """How a task's networks are trained: its own elements before those of all tasks, and these before the usual."""
        return plan.training.over(self.training.over(PROTOCOLS[plan.task]))


def check_examples(sizes: list[int], available: int) -> None:
    """Check that there are so many training examples.

    Raises:
        ScanproofError: a size above their number.
    """
    if max(sizes) > available:
        rule = f"must be at most {available}, the training slices that the data have"
        raise ScanproofError(rule, key="examples", value=max(sizes))
