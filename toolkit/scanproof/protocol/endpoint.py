"""What a protocol asks of the results: endpoints, each with a rule that an interval can decide."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.chains import CLASSIFICATION_METRICS
from scanproof.evaluation.claim import Claim, Measure
from scanproof.evaluation.image_metrics import IMAGE_METRICS
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.study.definition import Study
from scanproof.study.fields import Model, plain_name

Role = Literal["primary", "secondary"]
Rule = Literal["at_least", "at_most", "better", "not_worse", "similar"]

#: rules of one chain, which need a limit; the others compare and are those of claims
OF_ONE: tuple[Rule, ...] = ("at_least", "at_most")


class Endpoint(Model):
    """One question to the results: about one chain (``at_least``, ``at_most``) or a comparison of two.

    Example:
        >>> Endpoint(name="sharp", metric="ssim", reconstruction="unet", rule="at_least")
        Traceback (most recent call last):
        pydantic_core._pydantic_core.ValidationError: 1 validation error for Endpoint
          Value error, limit must be given for at_least ...
    """

    name: str = Field(description="what tables call it")
    role: Role = Field("secondary", description="the primary endpoint decides; a protocol has one")
    text: str = Field("", description="the statement as a reader should meet it; made from the rest where left out")
    metric: str = Field(description="image metric of the study, or auroc or another metric of classification")
    rule: Rule = Field(
        description="at_least and at_most hold one chain against a limit; better, not_worse and similar compare"
    )
    limit: float | None = Field(
        None, allow_inf_nan=False, description="of at_least and at_most, in the unit of the metric"
    )
    margin: float | None = Field(None, gt=0, allow_inf_nan=False, description="of not_worse and similar, likewise")
    compare: str | tuple[str, ...] | None = Field(
        None, description="a reconstruction, or by a metric of classification a normalization"
    )
    against: str | tuple[str, ...] | None = Field(None, description="what it is compared with")
    reconstruction: str | None = Field(None, description="of the chain; left out, the mean over all")
    classifier: str | None = Field(None, description="of the chain; left out, the mean over all")
    norm: str | None = Field(None, description="normalization of the chain; left out, the mean over all")
    shift: str = Field(CLEAN, description="condition: none, a shift of the study, or all (worst cases left out)")
    severity: Annotated[int, Field(ge=1, le=5)] | None = Field(None, description="default: the mean over those tested")
    measure: Measure = Field("quality", description="under the condition, or its change from the clean one to it")
    confidence: float | None = Field(None, gt=0.5, lt=1, description="of the interval; default: that of the study")

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @property
    def compares(self) -> bool:
        """Whether it is about a difference of two rather than about one."""
        return self.rule not in OF_ONE

    @property
    def bound(self) -> float:
        """What the interval is held against: the limit; the margin; 0 where better is asked for."""
        return (self.margin if self.compares else self.limit) or 0.0

    def claim(self) -> Claim:
        """The comparison as a claim.

        Raises:
            ScanproofError: it compares nothing, or what it compares makes no sense.
        """
        if self.compare is None or self.against is None:
            raise ScanproofError(f"compare and against must be given for {self.rule}", key=self.name)
        return Claim(
            text=self.text or self.name,
            compare=self.compare,
            against=self.against,
            metric=self.metric,
            classifier=self.classifier,
            reconstruction=self.reconstruction,
            shift=self.shift,
            severity=self.severity,
            measure=self.measure,
            expect=self.rule,  # type: ignore[arg-type]
            margin=self.margin or 0,
        )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.metric not in (*IMAGE_METRICS, *CLASSIFICATION_METRICS):
            raise unknown_name("metric", self.metric, [*IMAGE_METRICS, *CLASSIFICATION_METRICS], key="metric")
        needs = {"limit": not self.compares, "margin": self.rule in ("not_worse", "similar")}
        for key in ("compare", "against"):
            needs[key] = self.compares
        for key, needed in needs.items():
            if needed != (getattr(self, key) is not None):
                raise ValueError(f"{key} must be {'given' if needed else 'left out'} for {self.rule}")
        if self.compares:
            if self.norm is not None:
                raise ScanproofError("norm must be left out where two are compared", value=self.norm)
            self.claim()
            return self
        for key in ("classifier", "norm"):
            if self.metric in IMAGE_METRICS and getattr(self, key) is not None:
                raise ScanproofError(f"{key} must be left out where the metric is one of images", key=key)
        if self.measure == "change" and self.shift == CLEAN:
            raise ScanproofError("shift must not be none where measure is 'change'", value=self.shift)
        if self.severity is not None and self.shift in (CLEAN, ALL_SHIFTS):
            raise ScanproofError(f"severity must be left out where shift is {self.shift!r}", value=self.severity)
        return self


def check_endpoint(endpoint: Endpoint, study: Study, *, key: str) -> None:
    """Refuse an endpoint that names what a study does not test.

    Args:
        endpoint: to check.
        study: that will give the results.
        key: where the endpoint stands, for the error.

    Raises:
        ScanproofError: an unknown metric, reconstruction, classifier, normalization, shift or severity.
    """
    methods = [plan.name for plan in study.reconstruction]
    norms = sorted({str(norm) for plan in study.classification for norm in plan.norms})
    severities = {shift.name: sorted({c.severity for c in shift.conditions()}) for shift in study.shifts}
    metrics = [*study.evaluation.image_metrics, *(CLASSIFICATION_METRICS if study.classification else [])]
    of_norms = endpoint.metric in CLASSIFICATION_METRICS
    asked: list[tuple[str, str | None, list[str]]] = [
        ("metric", endpoint.metric, metrics),
        ("reconstruction", endpoint.reconstruction, methods),
        ("classifier", endpoint.classifier, [plan.name for plan in study.classification]),
        ("norm", endpoint.norm, norms),
        ("shift", endpoint.shift, [CLEAN, *([ALL_SHIFTS] if severities else []), *severities]),
    ]
    if endpoint.compares:
        claim = endpoint.claim()
        for name, values in (("compare", claim.compared), ("against", claim.opponents)):
            asked += [(name, value, norms if of_norms else methods) for value in values]
    elif not of_norms and endpoint.reconstruction is None:
        raise ScanproofError("reconstruction must be given", key=key, value=None, hint=f"known: {', '.join(methods)}")
    for name, value, known in asked:
        if value is not None and value not in known:
            raise unknown_name(name, value, known, key=f"{key}.{name}")
    if endpoint.severity is not None and endpoint.severity not in severities[endpoint.shift]:
        rule = f"severity of {endpoint.shift} must be one that is tested: {severities[endpoint.shift]}"
        raise ScanproofError(rule, key=f"{key}.severity", value=endpoint.severity)
