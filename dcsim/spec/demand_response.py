"""What a scenario says of demand response: windows in which the grid asks for less."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pydantic import Field, model_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import DurationS, PowerW

__all__ = ["DemandResponseSpec", "demand_response_issues", "import_limits", "it_limits"]


class DemandResponseSpec(SpecModel):
    """One event: from a time on, for a while, no more than so much may be drawn."""

    start_s: DurationS = Field(ge=0)
    """After the run's start."""
    duration_s: DurationS = Field(gt=0)
    """How long it lasts."""
    notice_s: DurationS = Field(default=0.0, ge=0)
    """How long before its start policies know of it."""
    it_limit_w: PowerW | None = Field(default=None, gt=0)
    """What all IT equipment together may draw meanwhile; None: as much as otherwise."""
    import_limit_w: PowerW | None = Field(default=None, gt=0)
    """What may be imported at the meter meanwhile, for the battery to keep; None: as much as otherwise."""

    @property
    def end_s(self) -> float:
        """When it is over, s after the run's start.

        >>> DemandResponseSpec(start_s=3600.0, duration_s=1800.0, it_limit_w=1e6).end_s
        5400.0
        """
        return self.start_s + self.duration_s

    @model_validator(mode="after")
    def _limits_something(self) -> DemandResponseSpec:
        if self.it_limit_w is None and self.import_limit_w is None:
            hint = "say what may be drawn: `it_limit_w`, `import_limit_w` or both"
            raise FieldError(FieldIssue("an event without a limit", "one", hint))
        return self


def it_limits(events: Sequence[DemandResponseSpec]) -> list[tuple[float, float, float]]:
    """Return (from, until, W) of the events that limit IT equipment."""
    return [
        (event.start_s, event.end_s, event.it_limit_w) for event in events if event.it_limit_w is not None
    ]


def import_limits(events: Sequence[DemandResponseSpec]) -> list[tuple[float, float, float]]:
    """Return (from, until, W) of the events that limit what is imported at the meter."""
    return [
        (event.start_s, event.end_s, event.import_limit_w)
        for event in events
        if event.import_limit_w is not None
    ]


def demand_response_issues(
    events: Sequence[DemandResponseSpec], idle_it_w: float, horizon_s: float = math.inf
) -> Iterator[FieldIssue]:
    """Yield what cannot work: limits of IT below what idle servers draw, and events after the run's end.

    What is imported may be less than that: a battery or the sun carries the rest.

    Args:
        events: of the scenario.
        idle_it_w: drawn by all IT equipment with every server idle.
        horizon_s: of the run; infinity: none is given.
    """
    for place, event in enumerate(events):
        limit_w = event.it_limit_w
        if limit_w is not None and limit_w < idle_it_w:
            expected = f"at least what idle servers draw ({idle_it_w:.6g} W)"
            hint = "caps and suspensions spare idle servers"
            yield FieldIssue(f"{limit_w:.6g} W", expected, hint, (place, "it_limit_w"))
        if event.start_s >= horizon_s:
            yield FieldIssue(
                f"{event.start_s:g} s", f"before the run ends ({horizon_s:g} s)", at=(place, "start_s")
            )
