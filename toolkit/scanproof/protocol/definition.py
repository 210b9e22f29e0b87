"""What a protocol file holds: a study that was frozen, and what was agreed about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from scanproof.protocol.endpoint import Endpoint
from scanproof.protocol.minimum import Minimum
from scanproof.study.fields import Model, once, plain_name

#: key of the hash over all others
SHA256 = "protocol_sha256"
#: least count of people that is shown in what leaves a site, where a plan does not say another
SMALL_CELL = 5

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


ModelKind = Literal["reconstruction", "classifier"]


class FrozenModel(Model):
    """Weights that a protocol was frozen with.

    Args:
        kind: of the network.
        folder: of the saved model, relative to the protocol file.
        sha256: of the weights (:func:`~scanproof.study.saved_model.hash_weights`).
    """

    kind: ModelKind
    folder: str
    sha256: Hash


class FrozenCode(Model):
    """Code that a protocol was frozen with.

    Args:
        version: of the package.
        parts: hash of the source of each room and module behind the results.
    """

    version: str
    parts: dict[str, Hash]


class Origin(Model):
    """The finished study that was frozen, and the protocol that was renewed for other code, if there is one."""

    study: str
    study_sha256: Hash
    results_sha256: Hash
    renewed_from: Hash | None = None


class Protocol(Model):
    """A frozen study with its endpoints, its minimum and its statistical plan.

    Args:
        protocol: version of the format.
        name: names file, outputs and experiment.
        version: of the protocol.
        title: for people.
        description: likewise.
        study: the definition with every default filled in; its data section says what a site's data are read to.
        labels: what classifiers look for; a site's labels have these names.
        models: weights by name.
        endpoints: one is primary.
        minimum: with fewer, the verdict is ``not enough data``.
        small_cell: least count of people that is shown in what leaves a site.
        statistical_plan: in words; follows from the rest.
        code: that gave the results of the finished study.
        versions: of libraries, at that time.
        origin: the finished study.
        protocol_sha256: over all of this but itself.
    """

    protocol: Literal[1] = 1
    name: str
    version: str = Field(min_length=1)
    title: str = Field(min_length=1)
    description: str = ""
    study: dict[str, Any]
    labels: list[str] = Field(default_factory=list)
    models: dict[str, FrozenModel] = Field(default_factory=dict)
    endpoints: list[Endpoint] = Field(min_length=1)
    minimum: Minimum
    small_cell: int = Field(SMALL_CELL, ge=2)
    statistical_plan: list[str]
    code: FrozenCode
    versions: dict[str, str]
    origin: Origin
    protocol_sha256: Hash

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @model_validator(mode="after")
    def _one_primary(self) -> Self:
        check_roles(self.endpoints)
        return self

    @property
    def primary(self) -> Endpoint:
        """The endpoint that decides."""
        return next(endpoint for endpoint in self.endpoints if endpoint.role == "primary")


def check_roles(endpoints: list[Endpoint]) -> list[Endpoint]:
    """The endpoints, if each has a name of its own and one of them is primary.

    Raises:
        ValueError: they have not.
    """
    once([endpoint.name for endpoint in endpoints], "name of an endpoint")
    primary = [endpoint.name for endpoint in endpoints if endpoint.role == "primary"]
    if len(primary) != 1:
        raise ValueError(f"endpoints must have one of role primary, got {len(primary)}")
    return endpoints


def protocol_hash(content: Mapping[str, object]) -> str:
    """SHA-256 over the content of a protocol but its own hash, as JSON with sorted keys.

    Example:
        >>> protocol_hash({"name": "a", "protocol_sha256": "b"}) == protocol_hash({"name": "a"})
        True
    """
    rest = {key: value for key, value in content.items() if key != SHA256}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
