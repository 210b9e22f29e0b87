"""What a study file may say of a model that somebody else trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from scanproof.external.files import Format
from scanproof.study.fields import Model

Definition = dict[str, JsonValue]


class ExternalKeys(Model):
    """How a classifier of another origin is opened, fed and understood."""

    format: Format | None = Field(None, description="of a model of another origin; found by looking at it")
    network_def: Definition | None = Field(
        None,
        description="network of weights alone (state_dict or safetensors): {_target_: class, and its arguments}",
    )
    preprocessing: list[str | Definition] | None = Field(
        None,
        description="of a model of another origin: zero_mean_unit_deviation (default), percentiles, none, or "
        "transforms of MONAI, {_target_: monai.transforms.ScaleIntensity}, one after the other",
    )
    spatial_size: list[Annotated[int, Field(ge=1, le=4096)]] | None = Field(
        None, min_length=2, max_length=3, description="of the images that it reads; default: those of the study"
    )
    fit: Literal["resize", "pad"] | None = Field(None, description="how images get spatial_size; default resize")
    channels: Annotated[int, Field(ge=1, le=16)] | None = Field(None, description="the image is repeated so often")
    output: Literal["logits", "probabilities"] | None = Field(None, description="what it gives; default logits")
    exclusive: bool | None = Field(
        None, description="a case has exactly one of its labels (softmax); default: as in the data"
    )


#: keys that a model of scanproof itself must not be told
EXTERNAL_KEYS = tuple(ExternalKeys.model_fields)
