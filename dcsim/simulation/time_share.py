"""Rounds that give every job, type by type, the share of time an allocation policy says it is due.

The mechanism of Gavel (Narayanan et al., OSDI 2020, section 5): within a type jobs go by what they are
due over what they had since the last allocation, then by what they were owed before, then by submission.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dcsim.engine import Engine
from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs
from dcsim.policies.allocation import AllocationPolicy, AllocationView
from dcsim.rng import stream
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.kinds import Order
from dcsim.simulation.ledger import Ledger
from dcsim.simulation.placing import Placer
from dcsim.simulation.realising import Realiser, Wish
from dcsim.simulation.record import RunRecord
from dcsim.simulation.round_times import next_round_s, this_or_next_round_s
from dcsim.simulation.running import Phase

__all__ = ["TimeShareDispatch"]

Floats = npt.NDArray[np.float64]
_STILL_ROUNDS = 1_000
"""So many rounds may go by in which nobody gets on."""
_LEAST_ROUND_S = 1e-6
_HUGE = 1e9
"""Priority over share of a job that has had nothing."""


@dataclass(slots=True)
class _Account:
    """What a job is due and had, by type."""

    had_s: Floats
    """Since the last allocation; starts at half a round, so that nothing is divided by 0."""
    owed_s: Floats
    """Of the allocations before."""
    due: Floats | None = None
    """Shares of time by the last allocation; None: it came after that."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """A job's part in a round."""

    job: int
    kind: int
    start_s: float
    planned_s: float
    """How long it works, the gang's progress being whole steps if so told."""


class TimeShareDispatch:
    """Realises the shares of an `AllocationPolicy`, round by round.

    A gang that is due and fits no servers as they are pushes out those that are due less: these are
    placed elsewhere. Jobs without accelerators are in no program: each round they start first, by row.

    Args:
        engine: for the time and the calls.
        policy: what allocates.
        record: for the inputs, and for the end of jobs.
        placer: finds where a gang fits.
        attempts: starts and stops jobs.
        ledger: makes the view of the active jobs.
    """

    def __init__(
        self,
        engine: Engine,
        policy: AllocationPolicy,
        record: RunRecord,
        placer: Placer,
        attempts: Attempts,
        ledger: Ledger,
    ) -> None:
        inputs = record.inputs
        self._engine = engine
        self._policy = policy
        self._record = record
        self._inputs = inputs
        self._ledger = ledger
        self._attempts = attempts
        self._realiser = Realiser(policy.skip, placer, attempts, ledger)
        self._draws = stream(inputs.seed, "policies", "ordering", policy.name)
        self._active: dict[int, None] = {}
        self._accounts: dict[int, _Account] = {}
        self._types = len(ledger.rates.types)
        self._had_in_all_s = np.zeros(self._types)
        self._given: dict[int, int] = {}
        self._turns: list[_Turn] = []
        self._called = False
        self._changed = True
        """Whether jobs came or ended since the last allocation."""
        self._allocated_s = 0.0
        self._steps_left = math.nan
        """Of all jobs that ran at the last round."""
        self._still_rounds = 0
        """Rounds in a row in which none of them got on."""

    def add(self, job: int) -> None:
        """A job may be placed from now on."""
        if job not in self._active:
            self._active[job] = None
            self._accounts[job] = _Account(
                np.full(self._types, self._policy.round_s / 2.0), np.zeros(self._types)
            )
            self._changed = True
        self._realiser.waiting[job] = None
        if not self._called:
            self._call_round(self._engine.now if self._policy.whole_steps else self._on_grid())

    def gone(self, job: int) -> None:
        """A job ended for good."""
        del self._active[job]
        self._ledger.ended(job)
        self._changed = True

    def capacity_freed(self) -> None:
        """Something was freed: the next round will see it."""

    def jobs(self) -> list[int]:
        """Return the waiting jobs by row."""
        return sorted(self._realiser.waiting)

    def serve(self) -> None:
        """Go on with a round that waited for stopped jobs to be gone."""
        self._realiser.go_on(self._active)

    # -- rounds ------------------------------------------------------------------------------------

    def _on_grid(self) -> float:
        return this_or_next_round_s(self._engine.now, self._policy.round_s)

    def _call_round(self, time_s: float) -> None:
        self._called = True
        self._engine.call_at(time_s, Order.ROUND, 0, self._round, None)

    def _round(self, _: None) -> None:
        self._book()
        if self._active:
            self._begin()
        # Not before: jobs that the round stops wait again, and must not call another at this instant.
        self._called = False
        if self._active:
            self._call_next()

    def _begin(self) -> None:
        """Allocate if it is time, and let the jobs of the round have what they are due."""
        now_s, policy = self._engine.now, self._policy
        rows = np.sort(np.fromiter(self._active, dtype=np.int64, count=len(self._active)))
        on_cores = self._inputs.jobs.accelerators[rows] == 0
        view = self._view(self._ledger.active(rows[~on_cores], now_s))
        if self._changed and (
            now_s - self._allocated_s >= policy.reallocate_after_s
            or self._allocated_s == 0.0
            or all(self._accounts[row].due is None for row in view.row.tolist())
        ):
            self._allocate(view)
        picks = self._pick(view)
        self._turns = self._plan(view, picks)
        wishes = [Wish(row, 0, -1) for row in rows[on_cores].tolist()]
        wishes += [
            Wish(int(view.row[at]), int(view.scale_factor[at]), kind)
            for at, kind in picks
            if self._accounts[int(view.row[at])].due is not None
        ]
        self._realiser.realise(wishes, preempts=True)
        if self._policy.whole_steps:
            self._turns = [self._begun(turn) for turn in self._turns]

    def _begun(self, turn: _Turn) -> _Turn:
        """Return the turn of a job that is to do whole steps: of one that has to be loaded first, a whole round."""
        self._attempts.resume(turn.job)
        running = self._attempts.running.get(turn.job)
        if running is None or running.phase is not Phase.RUN:
            return replace(turn, planned_s=max(turn.planned_s, self._policy.round_s))
        end_s = turn.start_s + turn.planned_s
        self._engine.call_at(end_s, Order.PHASE, turn.job, self._steps_done, turn)
        return turn

    def _steps_done(self, turn: _Turn) -> None:
        """A job has done its whole steps of this round."""
        if turn in self._turns:
            self._attempts.idle(turn.job)

    def _call_next(self) -> None:
        """Have the next round called: on the grid, or when the last job of this one has done its steps.

        Not if it would be this one again: nobody runs, all wait, and what they are due is as it was; or all who
        run stand still, and no link will be repaired.
        """
        now_s, policy = self._engine.now, self._policy
        if (
            not self._changed
            and not self._attempts.running
            and len(self._realiser.waiting) == len(self._active)
        ):
            return
        before, self._steps_left = self._steps_left, self._attempts.steps_left()
        still = self._steps_left == before and now_s > self._attempts.last_event_s
        self._still_rounds = self._still_rounds + 1 if still else 0
        if self._still_rounds > _STILL_ROUNDS:
            return
        if not policy.whole_steps:
            self._call_round(next_round_s(now_s, policy.round_s))
        elif self._turns:
            # A job that is done but for rounding has its end within a microsecond, not at this instant.
            self._call_round(now_s + max(_LEAST_ROUND_S, *(turn.planned_s for turn in self._turns)))
        else:
            self._call_round(now_s + policy.round_s)

    def _book(self) -> None:
        """Account what the jobs of the last round had; jobs that ended are forgotten but for what they had."""
        now_s = self._engine.now
        for turn in self._turns:
            end_s, running = self._record.end_s[turn.job], self._attempts.running.get(turn.job)
            if math.isfinite(end_s):
                had_s = end_s - turn.start_s
            elif running is None or running.phase is Phase.LEAVE:
                continue  # it fitted nowhere, or waits out its delay
            else:
                had_s = now_s - max(turn.start_s, running.granted_s)
            if self._policy.whole_steps:
                had_s = turn.planned_s
            self._had_in_all_s[turn.kind] += had_s
            if turn.job in self._active:
                self._accounts[turn.job].had_s[turn.kind] += had_s
        self._turns = []
        for job in [job for job in self._accounts if job not in self._active]:
            del self._accounts[job]

    def _view(self, active: ActiveJobs) -> AllocationView:
        jobs, rows = self._inputs.jobs, active.row.tolist()
        width = jobs.accelerators[active.row]
        throughput = np.array(
            [
                [active.steps_per_s(row, gang, kind) for kind in range(self._types)]
                for row, gang in zip(rows, width.tolist(), strict=True)
            ]
        ).reshape(len(rows), self._types)
        steps = self._inputs.steps[active.row]
        return AllocationView(
            now_s=active.now_s,
            row=active.row,
            throughput=throughput,
            scale_factor=width,
            capacity=active.type_accelerators,
            weight=active.tenants.weight[jobs.tenant[active.row]],
            steps_left=np.maximum(steps * active.left_fraction, 1e-9),
            steps_done=np.maximum(steps * (1.0 - active.left_fraction), 0.0),
            elapsed_s=active.now_s - jobs.submit_s[active.row],
            running_type=active.accelerator_type,
            given=self._given,
            draw=lambda count: int(self._draws.integers(count)),
        )

    # -- what each job is due ------------------------------------------------------------------------

    def _allocate(self, view: AllocationView) -> None:
        now_s, half_s = view.now_s, self._policy.round_s / 2.0
        elapsed_s = now_s - self._allocated_s
        for row in view.row.tolist():
            account = self._accounts[row]
            due_s = 0.0 if account.due is None else account.due * elapsed_s
            account.owed_s = account.owed_s + (due_s - (account.had_s - half_s))
            account.had_s = np.full(self._types, half_s)
        self._had_in_all_s = np.full(self._types, half_s * len(view.row))
        shares = self._checked(self._policy.allocate(view), view)
        for at, row in enumerate(view.row.tolist()):
            self._accounts[row].due = shares[at]
        best = shares.argmax(axis=1) if self._types else np.zeros(0, dtype=np.int64)
        self._given = {row: int(best[at]) for at, row in enumerate(view.row.tolist()) if shares[at].any()}
        self._allocated_s = now_s
        self._changed = False

    def _checked(self, shares: Floats, view: AllocationView) -> Floats:
        """Return the shares, refused where they are none.

        Raises:
            PolicyError: a wrong shape, or values outside 0..1.
        """
        given = np.asarray(shares, dtype=np.float64)
        expected = view.throughput.shape
        if given.shape != expected:
            msg = f"{self._policy.name}: shares of shape {given.shape} -> expected {expected}, jobs by types"
            raise PolicyError(msg)
        bad = given[~((given >= -1e-9) & (given <= 1.0 + 1e-9))]
        if bad.size:
            msg = f"{self._policy.name}: a share of {bad[0]} -> expected parts of time in [0, 1]"
            raise PolicyError(msg)
        return np.clip(given, 0.0, 1.0)

    def _priority(self, row: int, kind: int, rate: float) -> tuple[float, float, float]:
        """Return what a job goes by on a type, greatest first."""
        account = self._accounts[row]
        due = 0.0 if account.due is None else float(account.due[kind])
        if due == 0.0 or rate == 0.0:
            return 0.0, float(account.owed_s[kind]), due
        in_all_s, had_s = float(self._had_in_all_s[kind]), float(account.had_s[kind])
        fraction = had_s / in_all_s if in_all_s else 0.0
        return (due / fraction if fraction > 0.0 else due * _HUGE), float(account.owed_s[kind]), due

    def _pick(self, view: AllocationView) -> list[tuple[int, int]]:
        """Return (position, type) of the jobs of this round, in the order in which they were picked."""
        rows = view.row.tolist()
        # Who waits out its delay after a stop could not start.
        taken = {
            at
            for at, row in enumerate(rows)
            if row not in self._realiser.waiting and row not in self._attempts.running
        }
        picks: list[tuple[int, int]] = []
        for kind in self._policy.type_order(view):
            left = int(view.capacity[kind])
            rate = view.throughput[:, kind].tolist()
            keys = [self._priority(row, kind, rate[at]) for at, row in enumerate(rows)]
            for at in sorted(range(len(rows)), key=keys.__getitem__, reverse=True):
                if left == 0:
                    break
                idle = keys[at][0] <= 0.0 and not self._policy.work_conserving
                if at in taken or rate[at] <= 0.0 or idle or view.scale_factor[at] > left:
                    continue
                left -= int(view.scale_factor[at])
                taken.add(at)
                picks.append((at, kind))
        return picks

    def _plan(self, view: AllocationView, picks: list[tuple[int, int]]) -> list[_Turn]:
        """Return the turns of a round: those of jobs that came after the last allocation are not taken."""
        turns = []
        round_s = self._policy.round_s
        for at, kind in picks:
            row, rate = int(view.row[at]), float(view.throughput[at, kind])
            if self._accounts[row].due is None:
                continue
            planned_s = round_s
            if self._policy.whole_steps:
                steps = min(math.floor(rate * round_s), float(view.steps_left[at]))
                planned_s = steps / rate if steps > 0.0 else round_s
            turns.append(_Turn(row, kind, view.now_s, planned_s))
        return turns
