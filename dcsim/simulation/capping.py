"""Caps of running jobs that change: an energy policy's, after the hall's latency, and those of hot devices."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.engine import Engine
from dcsim.errors import PolicyError
from dcsim.policies.power_view import PowerView
from dcsim.policies.views import GridView
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.budgets import Budgets
from dcsim.simulation.cap_curves import CAP_STEPS as _STEPS
from dcsim.simulation.cap_curves import CapCurves, CapKind
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.kinds import LogKind, Order
from dcsim.simulation.rack_powers import RackPowers
from dcsim.simulation.record import RunRecord
from dcsim.simulation.running import Phase, RunningJob
from dcsim.simulation.ticks import is_tick, next_tick_s

__all__ = ["Capping"]

Floats = npt.NDArray[np.float64]
_CAP = int(LogKind.CAP)
_IDLE_ASKS = 1_000
"""So many times in a row a policy is asked again at its wish though no job has got on meanwhile."""


@dataclass(slots=True)
class _Capped:
    """A running job as caps see it."""

    running: RunningJob
    kind: CapKind
    asked: int
    """Thousandths that the policy wants."""
    wanted: int
    """Thousandths that come into force after the latency."""
    in_force: int
    thermal: int = _STEPS
    since_s: float = 0.0


class Capping:
    """Keeps what each running job is capped at, and tells its plan.

    Args:
        engine: for the time and the calls.
        record: gets log rows and the mean cap of each job.
        attempts: whose jobs are capped.
        budgets: that policies see.
        racks: their powers; None: nobody asks for them.
        grid: makes the forecast at an instant.
        share: (N,) part of one device that each job takes; 1 for whole ones.
    """

    def __init__(
        self,
        engine: Engine,
        record: RunRecord,
        attempts: Attempts,
        budgets: Budgets,
        racks: RackPowers | None,
        grid: Callable[[float], GridView],
        share: array[float],
    ) -> None:
        self._engine = engine
        self._record = record
        self._inputs: RunInputs = record.inputs
        self._attempts = attempts
        self._budgets = budgets
        self._racks = racks
        self._grid = grid
        self._share = share
        self._policy = self._inputs.policies.energy
        self._recaps = self._policy.recaps
        spec = self._inputs.scenario.power
        self._latency_s, self._interval_s = spec.cap_latency_s, spec.telemetry_interval_s
        self._jobs: dict[int, _Capped] = {}
        self._last: dict[int, int] = {}
        """Thousandths in force when hot devices gave a job up: the log tells of another cap when it starts again."""
        self._capped_s = [0.0] * len(self._inputs.jobs)
        self._due = False
        self._asked_w = math.nan
        self._next_s = -math.inf
        """Before then no policy sees powers again."""
        self._again = 0
        self._called_s = -math.inf
        """When it is next called by itself; in the past: it is not."""
        self._numbers = 0
        self._rack = self._inputs.fleet.rack.tolist()
        self._curves = CapCurves(attempts.plans)
        self._idle_asks = 0
        self._steps_left = math.nan
        """Of all running jobs, when last asked again."""

    # -- jobs come and go ----------------------------------------------------------------------------

    def granted(self, running: RunningJob) -> None:
        """A job was granted its servers: note its cap, and what it would be without any."""
        job, width = running.index, running.width
        if not width or self._share[job] < 1.0 or running.plan.busy_power_w <= 0.0:
            return
        plans, costs = self._attempts.plans, self._inputs.costs
        accelerator = costs.accelerators[plans.accelerator(running.placement)]
        cap = math.floor(plans.cap[job] * _STEPS + 1e-9)
        least = min(_STEPS, math.floor(costs.least_cap(accelerator) * _STEPS) + 1)
        running.alone = plans.at_cap(job, running.placement, width, 1.0)
        kind = self._curves.join(running, least)
        self._jobs[job] = _Capped(running, kind, cap, cap, cap, since_s=self._engine.now)
        if self._last.pop(job, cap) != cap:
            self._record.log.add(self._engine.now, _CAP, job, -1, cap / _STEPS)
        running.cap_lag_s = _lag_s(running)
        self._due = True

    def released(self, running: RunningJob) -> None:
        """A job gave its servers back."""
        capped = self._jobs.pop(running.index, None)
        if capped is not None:
            self._count(capped)
            self._curves.leave(capped.kind)
            self._due = True
            if capped.in_force != capped.wanted:  # heat stays with the servers
                self._attempts.plans.cap[running.index] = capped.wanted / _STEPS
                self._last[running.index] = capped.in_force

    def _count(self, capped: _Capped) -> None:
        """Add the time at the cap in force to the job's mean."""
        now_s, job = self._engine.now, capped.running.index
        held_s = now_s - capped.since_s
        if held_s > 0.0:
            total_s = self._capped_s[job] + held_s
            mean, new = self._record.cap_fraction[job], capped.in_force / _STEPS
            weight = held_s / total_s
            self._record.cap_fraction[job] = (
                new if self._capped_s[job] == 0.0 else mean + weight * (new - mean)
            )
            self._capped_s[job] = total_s
        capped.since_s = now_s

    def account(self) -> None:
        """At the end of the run: count the caps in force up to now."""
        for capped in self._jobs.values():
            self._count(capped)

    # -- caps come into force --------------------------------------------------------------------------

    def set_thermal_cap(self, job: int, fraction: float) -> None:
        """Let hot devices of a job hold it to a cap at once; 1: no longer.

        Args:
            job: row; one that is not capped at all (on CPUs, or on part of a device) is left as it is.
            fraction: of peak power, raised to what its accelerators can hold.
        """
        capped = self._jobs.get(job)
        if capped is not None:
            capped.thermal = (
                max(capped.kind.least, math.floor(fraction * _STEPS + 1e-9)) if fraction < 1.0 else _STEPS
            )
            self._enforce(capped)

    def _enforce(self, capped: _Capped) -> None:
        """Let a job go by the cap that is now in force."""
        cap = min(capped.wanted, capped.thermal)
        if cap == capped.in_force:
            return
        self._count(capped)
        capped.in_force = cap
        running, attempts = capped.running, self._attempts
        attempts.plans.cap[running.index] = cap / _STEPS
        self._record.log.add(self._engine.now, _CAP, running.index, -1, cap / _STEPS)
        if running.phase is Phase.RUN and running.finish_s != self._engine.now:
            attempts.work.renew(running, self._recapped)
        elif running.phase is not Phase.RUN:
            self._take(running)

    def _take(self, running: RunningJob) -> None:
        """Give a job the plan of its cap."""
        attempts = self._attempts
        plan = running.own = attempts.plans.make(running.index, running.placement, running.width)[0]
        if attempts.neighbours is not None and attempts.neighbours.concerns(running.index):
            plan = attempts.neighbours.plan(running, attempts.plans.accelerator(running.placement))
        running.plan = running.ample = plan
        running.cap_lag_s = _lag_s(running)
        if plan.extrapolated:
            self._record.extrapolated[running.index] = True

    def _recapped(self, running: RunningJob) -> None:
        self._take(running)
        self._attempts.flows.prepare(running)

    def _enforce_all(self, caps: list[tuple[_Capped, int]]) -> None:
        for capped, cap in caps:
            if self._jobs.get(capped.running.index) is capped:
                capped.wanted = cap
                self._enforce(capped)

    # -- the policy decides ------------------------------------------------------------------------------

    def settle(self) -> None:
        """At the end of an instant: ask the policy if something it may look at has changed."""
        if not self._recaps:
            return
        now_s, it_w = self._engine.now, self._attempts.it_power_w
        if not self._due and it_w == self._asked_w:
            return
        if now_s < self._next_s:  # its turn comes
            self._due = True
            if not now_s < self._called_s <= self._next_s:
                self._call(self._next_s)
            return
        self._due = False
        if self._interval_s > 0.0:
            self._next_s = next_tick_s(now_s, self._interval_s)
            if not is_tick(now_s, self._interval_s):
                self._call(self._next_s)
                self._due = True
                return
        if self._jobs:
            self._ask()
        self._asked_w = self._attempts.it_power_w

    def _call(self, time_s: float) -> None:
        self._again += 1
        self._called_s = time_s
        self._engine.call_at(time_s, Order.CAP, 0, self._wake, self._again)

    def _wake(self, number: int) -> None:
        if number == self._again:
            self._due, self._next_s = True, -math.inf

    def _ask(self) -> None:
        jobs = list(self._jobs.values())
        view = self._view(jobs)
        caps, again_s = self._policy.caps_now(self._inputs.view, view, self._grid(self._engine.now))
        wanted = np.asarray(caps, dtype=np.float64)
        if wanted.shape != (len(jobs),) or not ((wanted > 0.0) & (wanted <= 1.0)).all():
            msg = f"{self._policy.name}: caps -> expected ({len(jobs)},) numbers in (0, 1]"
            raise PolicyError(msg)
        steps = np.floor(wanted * _STEPS + 1e-9).astype(np.int64).tolist()
        changed = []
        for capped, step in zip(jobs, steps, strict=True):
            cap = max(capped.kind.least, step)
            if cap != capped.asked:
                capped.asked = cap
                changed.append((capped, cap))
        if changed and self._latency_s > 0.0:
            self._numbers += 1
            due_s = self._engine.now + self._latency_s
            self._engine.call_at(due_s, Order.CAP, self._numbers, self._enforce_all, changed)
        elif changed:
            self._enforce_all(changed)
            self._attempts.work.settle()
        self._call_again(min(float(again_s), view.budget_changes_s))

    def _call_again(self, again_s: float) -> None:
        """Ask again when the policy wishes, unless its wishes are all that keeps the clock going."""
        if not self._engine.now < again_s < math.inf:
            return
        attempts = self._attempts
        left = math.fsum(attempts.work.steps_left(job) for job in attempts.running.values())
        # Jobs that stand still, on links that failed for good, do so under any cap. Once one goes on, it draws
        # power, and the policy is asked for that.
        still = left == self._steps_left or self._engine.peek() == math.inf
        self._idle_asks = self._idle_asks + 1 if still else 0
        self._steps_left = left
        if self._idle_asks <= _IDLE_ASKS:
            self._call(again_s)

    # -- what the policy sees ------------------------------------------------------------------------------

    def _view(self, jobs: list[_Capped]) -> PowerView:
        now_s = self._engine.now
        budget_w, changes_s = self._budgets.at(now_s)
        running = [capped.running for capped in jobs]
        racks = self._racks
        none = np.full(len(self._budgets.rack_w), math.nan)
        kinds = [(capped.running, capped.kind) for capped in jobs]
        speed_at, power_at = self._curves.seen(kinds)
        return PowerView(
            now_s=now_s,
            row=np.array([job.index for job in running], dtype=np.int64),
            width=np.array([job.width for job in running], dtype=np.int64),
            cap_fraction=np.array([capped.in_force / _STEPS for capped in jobs]),
            floor_fraction=np.array([capped.kind.least / _STEPS for capped in jobs]),
            power_w=np.array([self._attempts.work.power_of(job) for job in running]),
            progress_fraction=np.array([self._attempts.work.progress_of(job) for job in running]),
            speed_at=speed_at,
            power_at=power_at,
            rack=np.array([self._rack[job.placement[0][0]] for job in running], dtype=np.int64),
            it_power_w=self._attempts.it_power_w,
            budget_w=budget_w,
            budget_changes_s=changes_s,
            rack_power_w=none if racks is None else racks.power_w.copy(),
            rack_budget_w=self._budgets.rack_w.copy(),
            **self._pdus(),
            thermal_cap_fraction=np.array([capped.thermal / _STEPS for capped in jobs]),
            parts=self._parts(running),
            kind_notes=tuple(kind.notes for _, kind in kinds),
        )

    def _parts(
        self, running: list[RunningJob]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats] | None:
        """Return where jobs draw that lie over several racks; None where nobody asks for the racks' powers."""
        if self._racks is None:
            return None
        found = [(place, self._racks.parts_of(job)) for place, job in enumerate(running)]
        rows = [
            (place, rack, count / sum(n for _, n in parts)) for place, parts in found for rack, count in parts
        ]
        job, rack, part = zip(*rows, strict=True) if rows else ((), (), ())
        return np.array(job, dtype=np.int64), np.array(rack, dtype=np.int64), np.array(part, dtype=np.float64)

    def _pdus(self) -> dict[str, Any]:
        """Return what is told of PDUs."""
        tree, racks = self._record.tree, len(self._budgets.rack_w)
        if tree is None:
            return {
                "pdu_of_rack": np.full(racks, -1),
                "pdu_power_w": np.zeros(0),
                "pdu_budget_w": np.zeros(0),
            }
        hall = len(tree.tree.names) - 1
        above = np.array(tree.tree.parent[:racks], dtype=np.int64)
        if self._racks is not None:
            for rack in self._racks.dirty:
                tree.tree.set_rack(rack, float(self._racks.power_w[rack]))
        drawn_w, may_w = tree.tree.pdu_limits()
        return {
            "pdu_of_rack": np.where(above < hall, above - racks, -1),
            "pdu_power_w": drawn_w,
            "pdu_budget_w": may_w,
        }


def _lag_s(running: RunningJob) -> float:
    return max(0.0, 1.0 / running.own.rate - 1.0 / running.alone.rate)
