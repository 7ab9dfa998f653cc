"""What every event carries, and how a number that is not finite travels."""

from __future__ import annotations

from math import isfinite
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

Severity = Literal["note", "warning", "critical"]
SplitName = Literal["train", "val", "test"]


class Event(BaseModel):
    """The envelope that every event carries."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    seq: int = 0
    """1, 2, 3 and so on in one run, without gaps, across attempts."""
    at: float = 0.0
    """Wall clock, unix seconds."""
    since_start: float = 0.0
    """Monotonic seconds since the engine of this attempt started."""
    nonfinite: tuple[str, ...] = ()
    """Names of the fields that were NaN or infinite, and so are null."""

    @model_validator(mode="before")
    @classmethod
    def _null_what_is_not_finite(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        bad = [
            name
            for name, value in fields.items()
            if isinstance(value, float) and not isfinite(value)
        ]
        if not bad:
            return fields
        return {**fields, **dict.fromkeys(bad), "nonfinite": tuple(bad)}


class Record(BaseModel):
    """A frozen part of an event."""

    model_config = ConfigDict(frozen=True, extra="ignore")
