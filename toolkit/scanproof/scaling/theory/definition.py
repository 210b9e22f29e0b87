"""What a simulation of linear estimators may say: the model behind its YAML."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from scanproof.scaling.theory.subspace import Subspace
from scanproof.study.fields import Model, once, plain_name

Count = Annotated[int, Field(ge=1, le=2**20)]


class Setting(Model):
    """Signals of dimension d in n dimensions, in noise."""

    d: int = Field(ge=1, description="dimension of the signals")
    n: int = Field(ge=2, le=20_000, description="dimension of what is seen")
    sigma: float = Field(gt=0, description="standard deviation of the noise; that of a signal's dimensions is one")
    examples: list[Count] | None = Field(None, min_length=1, description="numbers of examples, instead of the study's")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.model()
        return self

    def model(self) -> Subspace:
        """The setting, checked."""
        return Subspace(self.d, self.n, self.sigma)


class TheoryStudy(Model):
    """A simulation of how the risk of linear estimators falls with the number of examples."""

    scaling: Literal["theory"]
    name: str = Field(description="letters, digits, dot, dash and underscore; names the output")
    description: str = ""
    seed: int = Field(2024, ge=0, description="seed of everything random")
    settings: list[Setting] = Field(min_length=1)
    examples: list[Count] = Field(min_length=1, description="numbers of training examples")
    runs: int = Field(5, ge=1, le=1000, description="draws of subspace and examples at each number")

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @field_validator("examples")
    @classmethod
    def _once(cls, values: list[int]) -> list[int]:
        return sorted(once(values, "number of examples"))

    @model_validator(mode="after")
    def _settings_once(self) -> Self:
        once([(setting.d, setting.n, setting.sigma) for setting in self.settings], "setting")
        return self

    def points(self) -> list[tuple[Setting, int, int]]:
        """Every setting, number of examples and run, the largest last."""
        return [
            (setting, examples, run)
            for setting in self.settings
            for examples in sorted(setting.examples or self.examples)
            for run in range(self.runs)
        ]
