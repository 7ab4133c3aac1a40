"""What a scenario says of links that fail, slow down and are mended."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import DurationS, Fraction

__all__ = ["LinkEventSpec"]


class LinkEventSpec(SpecModel):
    """One change of one link, or of all links of a pattern."""

    at_s: DurationS = Field(ge=0)
    """When."""
    link: Annotated[str, Field(min_length=1, max_length=200)]
    """Name of a link (`rack 3 up`), or a pattern with `*` for any letters (`rack 3 *`, `server * up`)."""
    action: Literal["fail", "degrade", "repair"]
    """fail: it carries nothing, and traffic takes other ways where there are any; degrade: it carries a part, and
    traffic stays; repair: it is as it was built."""
    fraction: Fraction | None = Field(default=None, validate_default=True)
    """Of its bandwidth that is left; given with degrade only, > 0 and < 1."""

    @field_validator("fraction")
    @classmethod
    def _with_degrade_only(cls, fraction: float | None, info: ValidationInfo) -> float | None:
        action = info.data.get("action")
        if action is None or (fraction is None and action != "degrade"):
            return fraction
        if fraction is None:
            hint = "add `fraction: 0.5` for half of the bandwidth"
            raise FieldError(FieldIssue("missing", "the part of the bandwidth that is left", hint))
        if action != "degrade":
            raise FieldError(FieldIssue(f"{fraction:g}", f"nothing with action: {action}", "leave it out"))
        if not 0.0 < fraction < 1.0:
            hint = "write `action: fail`" if fraction == 0.0 else "write `action: repair`"
            raise FieldError(FieldIssue(f"{fraction:g}", "more than 0 and less than 1", hint))
        return fraction
