"""What a plan file says: what a researcher agrees on before a finished study is frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from scanproof.errors import ScanproofError
from scanproof.protocol.definition import SMALL_CELL, check_roles
from scanproof.protocol.endpoint import OF_ONE, Endpoint, check_endpoint
from scanproof.protocol.file import checked
from scanproof.protocol.minimum import MinimumPlan
from scanproof.protocol.wording import endpoint_text
from scanproof.study.data_plans import DemoData, ImageData, KspaceData, SiteData, VolumeData
from scanproof.study.definition import ClaimPlan, Study
from scanproof.study.fields import Model, plain_name
from scanproof.study.reading import read_yaml

#: keys of a data section that belong to the site that a study ran at
_LOCAL = {"manifest", "root", "training_sites", "fractions", "show_images", "site", "bids"}

_KINDS: dict[str, type[SiteData]] = {"volumes": VolumeData, "images": ImageData, "kspace": KspaceData}


class FreezePlan(Model):
    """What makes a protocol of a study: title and version, endpoints with their limits, and the minimum."""

    name: str = Field(description="of the protocol")
    version: str = Field("1", min_length=1)
    title: str = Field(min_length=1, description="for people")
    description: str = Field("", description="for people; default: that of the study")
    endpoints: list[Endpoint] = Field([], description="one is primary")
    claims: bool = Field(True, description="the study's claims become secondary endpoints")
    minimum: MinimumPlan = MinimumPlan()
    small_cell: int = Field(SMALL_CELL, ge=2, description="least count of people that is shown in what leaves a site")
    data: dict[str, Any] = Field(
        {}, description="how a site's data are read, where not as in the study: slices, extent, spacing, coils, snr"
    )

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @model_validator(mode="after")
    def _one_primary(self) -> Self:
        check_roles(self.endpoints)
        return self


def read_plan(path: Path) -> FreezePlan:
    """Read a plan file.

    Args:
        path: YAML file.

    Raises:
        ScanproofError: unreadable, an unknown key or a wrong value.
    """
    return checked(FreezePlan, read_yaml(path, what="plan file"), path)


def all_endpoints(plan: FreezePlan, study: Study) -> list[Endpoint]:
    """The plan's endpoints and those of the study's claims, the primary first, with their text and confidence.

    Args:
        plan: to follow.
        study: that is frozen.

    Raises:
        ScanproofError: an endpoint that names what the study does not test.
    """
    claims = [_of_claim(claim, number) for number, claim in enumerate(study.claims)] if plan.claims else []
    found = sorted([*plan.endpoints, *claims], key=lambda endpoint: endpoint.role != "primary")
    check_roles(found)
    for endpoint in found:
        check_endpoint(endpoint, study, key=f"endpoint {endpoint.name}")
    confidence = study.evaluation.confidence
    return [
        endpoint.model_copy(
            update={"text": endpoint_text(endpoint), "confidence": endpoint.confidence or confidence}
            | ({"limit": float(endpoint.bound)} if endpoint.rule in OF_ONE else {})
        )
        for endpoint in found
    ]


def _of_claim(claim: ClaimPlan, number: int) -> Endpoint:
    """A claim of the study as a secondary endpoint; it speaks of the mean of the sites, so of each of them."""
    content = claim.model_dump(exclude={"expect", "site", "margin"}, exclude_none=True)
    margin = {} if claim.expect == "better" else {"margin": claim.margin}
    return Endpoint.model_validate({**content, **margin, "name": f"claim-{number + 1}", "rule": claim.expect})


def site_data(study: Study, plan: FreezePlan) -> dict[str, Any]:
    """The data section of a protocol: how a site's files are read, without where they are.

    A study of the demo cohort is run on volumes; what the cohort does not say has the defaults of volumes.

    Args:
        study: that is frozen.
        plan: whose ``data`` comes first.

    Raises:
        ScanproofError: a key or value that data of this kind do not have.
    """
    data = study.data
    if isinstance(data, DemoData):
        own: dict[str, Any] = {"kind": "volumes", "slices": data.slices, "matrix": data.matrix}
    else:
        own = data.model_dump(mode="json", exclude=_LOCAL)
    kind = _KINDS[str(own["kind"])]
    for key in plan.data:
        if key in _LOCAL or key not in kind.model_fields:
            known = ", ".join(sorted(set(kind.model_fields) - _LOCAL - {"kind"}))
            raise ScanproofError("must be a key of how data are read", key=f"data.{key}", hint=f"known: {known}")
    try:
        section = kind.model_validate({**own, **plan.data, "manifest": "cohort.csv"})
    except ValueError as error:
        raise ScanproofError(f"must say how data are read: {error}", key="data") from None
    return section.model_dump(mode="json", exclude=_LOCAL)
