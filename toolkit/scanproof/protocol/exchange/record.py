"""What a validation says of itself, ``validation.json``, as it is read from a site and from an export."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from scanproof.errors import ScanproofError
from scanproof.study.fields import plain_name

Verdict = Literal["pass", "fail", "not enough data"]
EndpointVerdict = Literal["pass", "fail", "undecided", "not enough data"]
SHA256 = r"[0-9a-f]{64}"
#: longest text that is taken from another site
LONGEST = 2000


class _Part(BaseModel):
    """Base of all parts: what is not named here is an error, so that nothing else can travel with it."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=LONGEST, protected_namespaces=())


class LabelCounts(_Part):
    """How many have and have not a finding; missing where the number is withheld."""

    positive: int | None = Field(ge=0)
    negative: int | None = Field(ge=0)


class DataFacts(_Part):
    """What a site's data are, in numbers; missing where a number is withheld."""

    kind: str
    kspace: Literal["synthetic", "measured"]
    subjects: int | None = Field(ge=0)
    cases: int | None = Field(ge=0)
    labels: dict[str, LabelCounts] = {}
    data_sha256: str = Field(pattern=SHA256)


class Endpoint(_Part):
    """What a protocol asks, what was found and what decided; numbers are missing where they are withheld.

    ``standard_error`` is that of the estimate, in its units.
    """

    name: str = Field(min_length=1)
    role: Literal["primary", "secondary"]
    text: str
    metric: str
    rule: str
    limit: float | None
    estimate: float | None
    lower: float | None
    upper: float | None
    standard_error: float | None = Field(None, ge=0)
    confidence: float | None = Field(None, gt=0, lt=1)
    subjects: int | None = Field(ge=0)
    cases: int | None = Field(ge=0)
    verdict: EndpointVerdict
    decided_by: str

    @field_validator("limit", "estimate", "lower", "upper", "standard_error")
    @classmethod
    def _finite(cls, value: float | None) -> float | None:
        # a number that could not be computed is as good as none
        return None if value is None or not math.isfinite(value) else value

    @property
    def bounds(self) -> tuple[float, ...]:
        """What intervals are held against: of a comparison, ``limit`` is the margin and counts to one side or both."""
        if self.limit is None:
            return ()
        margins = {"not_worse": (-self.limit,), "similar": (-self.limit, self.limit)}
        return margins.get(self.rule.replace(" ", "_"), (self.limit,))

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        ends = [one for one in (self.lower, self.estimate, self.upper) if one is not None]
        if any(one > other + 1e-9 for one, other in pairwise(ends)):
            raise ValueError("lower <= estimate <= upper must hold")
        return self


class Validation(_Part):
    """A site's answer to a protocol; ``small_cell`` is the threshold that the protocol states, where the site knew."""

    format: Literal[1]
    protocol: str
    protocol_version: str
    protocol_sha256: str = Field(pattern=SHA256)
    site: str = Field(min_length=1, max_length=200)
    scanproof: str
    code_version: str
    other_code: bool
    small_cell: int | None = Field(None, ge=1)
    versions: dict[str, str]
    data: DataFacts
    verdict: Verdict
    endpoints: list[Endpoint] = Field(min_length=1)
    files: dict[str, str] = {}

    @field_validator("protocol")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @field_validator("site")
    @classmethod
    def _printable(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip():
            raise ValueError("must be printable, without spaces at its ends")
        return name

    @model_validator(mode="after")
    def _one_primary(self) -> Self:
        if sum(endpoint.role == "primary" for endpoint in self.endpoints) != 1:
            raise ValueError("exactly one endpoint must be primary")
        names = [endpoint.name for endpoint in self.endpoints]
        if len(set(names)) < len(names):
            raise ValueError("endpoints must differ in name")
        return self

    @property
    def primary(self) -> Endpoint:
        """The endpoint that decides."""
        return next(endpoint for endpoint in self.endpoints if endpoint.role == "primary")


def parse_validation(text: str | bytes, *, file: Path | str, lenient: bool = False) -> Validation:
    """Read a ``validation.json``.

    Args:
        text: of the file.
        file: named in errors.
        lenient: drop what is not known instead of refusing it: at the site that wrote it, which may be newer.

    Raises:
        ScanproofError: not JSON, or a part that is missing, unknown or of another kind.
    """
    try:
        extra: Literal["ignore"] | None = "ignore" if lenient else None
        return Validation.model_validate_json(text, extra=extra)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or None
        raise ScanproofError(f"validation must be readable: {first['msg']}", file=file, key=place) from None
