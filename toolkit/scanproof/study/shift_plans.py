"""What a study file may say about shifts: single ones and compositions of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.study.acquisition_shifts import ACQUISITION_SHIFTS, ALONE, severities, study_shifts
from scanproof.study.conditions import Condition, Part
from scanproof.study.fields import Model, once, plain_name

Severity = Annotated[int, Field(ge=1, le=5)]


def _known(name: str) -> str:
    if name not in study_shifts():
        raise unknown_name("shift", name, study_shifts())
    return name


def _check_severity(name: str, severity: int) -> None:
    known = severities(name)
    if severity not in known:
        raise ScanproofError(f"severity of {name} must be one of {known}", value=severity)


class ShiftPlan(Model):
    """One shift and the severities at which it is applied (0, the clean condition, is always tested)."""

    name: str = Field(
        description="an artifact, or a change of the test acquisition while reconstructions and classifiers stay as "
        "they were trained: acceleration, mask_type, coil_count, snr (mismatch of a trained reconstruction), with the "
        "demo cohort contrast and anatomy, and adversarial, a worst case for each reconstruction"
    )
    severities: list[Severity] = Field([1, 2, 3, 4, 5], min_length=1, description="default: all that the shift has")

    @model_validator(mode="before")
    @classmethod
    def _all_severities(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or "severities" in content:
            return content
        name = content.get("name")
        return {**content, "severities": severities(name) if name in study_shifts() else [1, 2, 3, 4, 5]}

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _known(name)

    @field_validator("severities")
    @classmethod
    def _unique(cls, values: list[int]) -> list[int]:
        return once(values, "severity")

    @model_validator(mode="after")
    def _exist(self) -> Self:
        for severity in self.severities:
            _check_severity(self.name, severity)
        return self

    def conditions(self) -> list[Condition]:
        """Its conditions, mildest first."""
        return [Condition(self.name, s, (Part(self.name, s),)) for s in sorted(self.severities)]


class PartPlan(Model):
    """One shift within a composition."""

    name: str
    severity: Severity | None = Field(None, description="leave out to take the severity of the composition")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name in ALONE:
            raise ScanproofError(
                "shift must stand alone: it is a worst case, not something that a scanner does, and its name says so",
                value=name,
                hint="list it beside the composition",
            )
        return _known(name)

    @model_validator(mode="after")
    def _exists(self) -> Self:
        if self.severity is not None:
            _check_severity(self.name, self.severity)
        return self


class CompositionPlan(Model):
    """Several shifts at once; artifacts act in the order in which they are listed.

    Without ``severities`` every part has its own severity: one condition, shown at the largest of them. With
    ``severities``, parts without a severity take that of the condition.
    """

    name: str = Field(description="what results show; must not be the name of a shift")
    compose: list[PartPlan] = Field(min_length=2)
    severities: list[Severity] | None = Field(None, min_length=1)

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in study_shifts():
            raise ValueError("name of a composition must not be that of a shift")
        if name in (CLEAN, ALL_SHIFTS):
            raise ValueError(f"must not be {CLEAN!r} or {ALL_SHIFTS!r}, which have a meaning in the results")
        return plain_name(name)

    @field_validator("severities")
    @classmethod
    def _unique(cls, values: list[int] | None) -> list[int] | None:
        return values if values is None else once(values, "severity")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        once([part.name for part in self.compose if part.name in ACQUISITION_SHIFTS], "change of the acquisition")
        graded = [part.name for part in self.compose if part.severity is None]
        if self.severities is None and graded:
            raise ScanproofError(
                "every part of a composition without severities must have a severity", value=", ".join(graded)
            )
        if self.severities is not None and not graded:
            raise ScanproofError(
                "a composition with severities must have a part without one",
                value=self.name,
                hint="leave out the severity of the parts that grow, or the composition's severities",
            )
        for name in graded:
            for severity in self.severities or []:
                _check_severity(name, severity)
        return self

    def conditions(self) -> list[Condition]:
        """Its conditions, mildest first."""
        if self.severities is None:
            levels = [max(part.severity or 0 for part in self.compose)]
        else:
            levels = sorted(self.severities)
        return [
            Condition(self.name, level, tuple(Part(part.name, part.severity or level) for part in self.compose))
            for level in levels
        ]


def _tag(content: Any) -> str:
    composed = "compose" in content if isinstance(content, Mapping) else isinstance(content, CompositionPlan)
    return "composition" if composed else "single"


AnyShiftPlan = Annotated[
    Annotated[ShiftPlan, Tag("single")] | Annotated[CompositionPlan, Tag("composition")], Discriminator(_tag)
]
