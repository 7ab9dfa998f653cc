"""What every table of the configuration is made of: strict, frozen, with ranges as types."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]

# TOML has no null: a field that is on by default needs a word for "off", both ways.
PositiveOrOff = Annotated[
    Positive | None,
    BeforeValidator(lambda written: None if written == "off" else written),
    PlainSerializer(lambda value: "off" if value is None else value),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0.0}, {"const": "off"}]},
    ),
]


class Section(BaseModel):
    """A table of the TOML file."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
