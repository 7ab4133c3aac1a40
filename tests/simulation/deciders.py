"""Deciding policies told what to do, and readers of the log, for runs followed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dcsim.policies import ActiveJobs, DecidingPolicy, Decision, EnergyPolicy, JobsView, make_policy
from dcsim.policies.power_view import PowerView
from dcsim.policies.views import GridView
from dcsim.simulation import Policies
from dcsim.simulation.kinds import EVENT_KINDS

__all__ = ["SPENT", "Recapping", "Told", "in_order", "preemption", "spent", "story", "under"]

SPENT = ("productive", "checkpoint", "restore", "redone", "stalled", "waiting")


class Told(DecidingPolicy):
    """Decides what a function of (time, rows, active jobs) says: (order, width, more of a Decision)."""

    name = "told"
    optimises = "nothing: for tests"
    source = "-"

    def __init__(
        self, tell: Callable[[JobsView, ActiveJobs], Decision], round_s: float | None = None, skip: int = 99
    ) -> None:
        super().__init__(skip=skip)
        self._tell = tell
        self.round_s = round_s

    def decide(self, jobs: JobsView, active: ActiveJobs) -> Decision:
        return self._tell(jobs, active)


class Recapping(EnergyPolicy):
    """Caps all running jobs as a function of the time says: (cap, when to be asked again); keeps what it saw."""

    name = "recapping"
    optimises = "nothing: for tests"
    source = "-"
    recaps = True

    def __init__(self, tell: Callable[[float], tuple[float, float]]) -> None:
        self._tell = tell
        self.views: list[PowerView] = []

    @property
    def asked_s(self) -> list[float]:
        """When it was asked."""
        return [view.now_s for view in self.views]

    def caps_now(self, jobs: JobsView, power: PowerView, grid: GridView) -> tuple[Any, float]:
        self.views.append(power)
        cap, again_s = self._tell(power.now_s)
        return np.full(len(power), cap), again_s


def under(ordering: Any, energy: Any = None, placement: str = "first_fit") -> Policies:
    """Return the policies of a run: an ordering object, or its name."""
    made: Any = make_policy("ordering", ordering) if isinstance(ordering, str) else ordering
    where: Any = make_policy("placement", placement)
    power: Any = energy or make_policy("energy", "none")
    return Policies(made, where, power)


def preemption(**changes: Any) -> dict[str, Any]:
    """Return a preemption part in which nothing costs anything, with changes."""
    free = {"on_preempt": "checkpoint", "checkpoint_s": 0.0, "start_s": 0.0, "restore_s": 0.0}
    return free | changes


def story(result: Any, *kinds: str) -> list[tuple[float, str, int]]:
    """Return (time, kind, job) of the log's rows of some kinds (none named: all), grants of one gang once."""
    events = result.events
    told: list[tuple[float, str, int]] = []
    for time_s, kind, job in zip(events["time_s"], events["kind"], events["job"], strict=True):
        row = (float(time_s), EVENT_KINDS[kind], int(job))
        if (not kinds or row[1] in kinds) and (not told or told[-1] != row):
            told.append(row)
    return told


def spent(result: Any, job: int) -> dict[str, float]:
    """Return what a job's accelerator-seconds went on, without the zeros."""
    figures = {name: float(result.jobs[f"{name}_accelerator_s"][job]) for name in SPENT}
    return {name: value for name, value in figures.items() if value}


def in_order(*rows: int) -> Callable[[ActiveJobs], Any]:
    """Return what gives the positions of those of some rows that are present, in that order."""

    def positions(active: ActiveJobs) -> Any:
        at = {row: position for position, row in enumerate(active.row.tolist())}
        return np.array([at[row] for row in rows if row in at], dtype=np.int64)

    return positions
