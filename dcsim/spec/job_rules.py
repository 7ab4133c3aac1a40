"""What a scenario says of a kind of generated job besides its work: priority, limit, deadline, elasticity."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import Fraction, Number

__all__ = ["JobRulesSpec"]


class JobRulesSpec(SpecModel):
    """Rules that every job of one kind carries; factors are of its ideal run time or its width."""

    priority: Number = Field(default=0.0, ge=-1e15, le=1e15)
    """Larger goes first under policies that look at it."""
    time_limit_least: Number = Field(default=1.2, gt=0, le=1e6)
    """Least wall-time limit over the ideal run time; sharing and stops lengthen runs, so leave a margin."""
    time_limit_most: Number | None = Field(default=None, gt=0, le=1e6)
    """Greatest; each job's limit is drawn evenly between the two. None: no limit."""
    deadline_factor: Number | None = Field(default=None, gt=0, le=1e6)
    """Deadline: so many ideal run times after the arrival; None: none."""
    elastic_fraction: Fraction = 0.0
    """Share of the jobs that may run at another width."""
    least_width_factor: Number = Field(default=0.5, gt=0, le=1)
    """Least width of an elastic job over the one it asks for; at least one accelerator."""
    most_width_factor: Number = Field(default=2.0, ge=1, le=1_000)
    """Greatest width of an elastic job over the one it asks for."""
    noise_scale_samples: Number | None = Field(default=None, gt=0, le=1e15)
    """Gradient noise scale of an elastic job: batches beyond it buy little progress; None: they buy in proportion."""

    @field_validator("time_limit_most")
    @classmethod
    def _in_order(cls, most: float | None, info: ValidationInfo) -> float | None:
        least = info.data.get("time_limit_least", 0.0)
        if most is not None and most < least:
            raise FieldError(FieldIssue(f"{most:g}", f"at least time_limit_least ({least:g})"))
        return most
