"""Several energy policies at once: the least cap, the latest start, suspended if any says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.cap_view import CapView
from dcsim.policies.power_view import IdleView, PowerView
from dcsim.policies.views import GridView, JobsView, JobView

__all__ = ["COMBINE", "Combined", "conflict"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COMBINE = "+"
"""Between the names of policies to be combined."""
_FLAGS = ("holds_jobs", "suspends", "scales", "weighs_caps", "recaps", "reads_forecast", "reserves")


def conflict(parts: Sequence[EnergyPolicy]) -> str:
    """Return why policies cannot be combined, as "got -> expected"; "" where they can.

    >>> from dcsim.policies.energy import PowerCap, SleepIdle
    >>> conflict([PowerCap(), SleepIdle()])
    ''
    >>> conflict([SleepIdle(after_s=60.0), SleepIdle()])
    'sleep_idle twice -> expected each policy once'
    """
    names = [part.name for part in parts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"{', '.join(twice)} twice -> expected each policy once"
    if "none" in names and len(names) > 1:
        others = COMBINE.join(name for name in names if name != "none")
        return f"none among others -> expected {others} alone: none changes nothing"
    for what, doing in (
        ("puts idle servers to sleep", [part.name for part in parts if part.sleep_after_s() is not None]),
        ("says how wide jobs are", [part.name for part in parts if part.scales]),
    ):
        if len(doing) > 1:
            return f"{' and '.join(doing)} -> expected one policy that {what}"
    once, always = (
        [part.name for part in parts if getattr(part, flag)] for flag in ("weighs_caps", "recaps")
    )
    if once and always:
        # While jobs run the curves from which it set its caps are no longer told to it.
        return f"{once[0]} and {always[0]} -> expected least_energy_cap in place of {once[0]}"
    return ""


class Combined(EnergyPolicy):
    """Energy policies that act at once, each on what it would see alone.

    Of caps the least holds, of earliest starts the latest, of reserves the largest; a job is suspended if any
    policy says so. At most one policy puts servers to sleep, and one says widths.
    """

    name: ClassVar[str] = "combined"
    optimises: ClassVar[str] = "what its parts do"
    source: ClassVar[str] = "-"

    def __init__(self, parts: Sequence[EnergyPolicy]) -> None:
        """Take the policies.

        Raises:
            PolicyError: fewer than two, or two that cannot act at once.
        """
        wrong = (
            conflict(parts)
            if len(parts) > 1
            else f"{len(parts)} policies -> expected two or more to be combined"
        )
        if wrong:
            raise PolicyError(wrong)
        self.parts = tuple(parts)
        # What is said of a class of policies otherwise is said of this one policy.
        vars(self).update({flag: any(getattr(part, flag) for part in parts) for flag in _FLAGS})
        vars(self).update(
            name=COMBINE.join(part.name for part in parts),
            optimises="; ".join(part.optimises for part in parts),
            source="; ".join(part.source for part in parts),
            needs="; ".join(part.needs for part in parts),
            complexity=" + ".join(part.complexity for part in parts),
        )

    def __repr__(self) -> str:
        return f"<Combined {self.name}>"

    def power_cap_fractions(self, jobs: JobsView) -> Floats:
        """Return each job's least cap."""
        return _least([part.power_cap_fractions(jobs) for part in self.parts])

    def static_caps(self, jobs: JobsView, caps: CapView) -> Floats:
        """Return each job's least cap."""
        return _least([part.static_caps(jobs, caps) for part in self.parts])

    def sleep_after_s(self) -> float | None:
        """Return what the one policy says that puts servers to sleep."""
        said = (part.sleep_after_s() for part in self.parts)
        return next((after_s for after_s in said if after_s is not None), None)

    def eligible_s(self, job: JobView, grid: GridView) -> float:
        """Return the latest start of those that hold jobs back; each lies within the slack, and so does it."""
        said = [part.eligible_s(job, grid) for part in self.parts if part.holds_jobs]
        return max(said, default=job.submit_s)

    def suspended(self, jobs: JobsView, active: ActiveJobs, grid: GridView) -> tuple[Bools, float]:
        """Return whether any policy suspends each job, and when the first of them wants to be asked again."""
        suspended, again_s = np.zeros(len(active), dtype=bool), float("inf")
        for part in self.parts:
            if part.suspends:
                said, then_s = part.suspended(jobs, active, grid)
                suspended, again_s = suspended | said, min(again_s, then_s)
        return suspended, again_s

    def widths(self, jobs: JobsView, active: ActiveJobs, grid: GridView) -> tuple[Ints, float]:
        """Return what the one policy says that says widths."""
        for part in self.parts:
            if part.scales:
                return part.widths(jobs, active, grid)
        return super().widths(jobs, active, grid)

    def caps_now(self, jobs: JobsView, power: PowerView, grid: GridView) -> tuple[Floats, float]:
        """Return each job's least cap, those that never change among them."""
        caps, again_s = [], float("inf")
        for part in self.parts:
            if part.recaps:
                said, then_s = part.caps_now(jobs, power, grid)
                caps.append(np.asarray(said, dtype=np.float64))
                again_s = min(again_s, then_s)
            else:
                caps.append(part.static_caps(_rows(jobs, power.row), _cap_view(power)))
        return _least(caps), again_s

    def awake_reserve(self, idle: IdleView) -> tuple[int, float]:
        """Return the largest reserve, and when the first policy wants to be asked again."""
        said = [part.awake_reserve(idle) for part in self.parts if part.reserves]
        return max((wanted for wanted, _ in said), default=0), min(
            (then_s for _, then_s in said), default=float("inf")
        )


def _least(caps: list[Floats]) -> Floats:
    return np.asarray(np.minimum.reduce(caps), dtype=np.float64)


def _cap_view(power: PowerView) -> CapView:
    """Return running jobs as a policy sees them that decides once: their idle power is not told."""
    return CapView(power.floor_fraction, np.zeros(len(power)), power.speed_at, power.power_at)


def _rows(jobs: JobsView, rows: Ints) -> JobsView:
    """Return the columns of some jobs, not writeable."""
    columns = {column.name: getattr(jobs, column.name)[rows] for column in fields(jobs)}
    for column in columns.values():
        column.flags.writeable = False
    return JobsView(**columns)
