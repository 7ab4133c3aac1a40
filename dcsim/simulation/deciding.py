"""Dispatch by a policy that decides again and again: keeps, stops, moves and starts jobs to its order."""

from __future__ import annotations

import math

import numpy as np

from dcsim.engine import Engine
from dcsim.errors import PolicyError
from dcsim.policies import DecidingPolicy
from dcsim.policies.active import Decision
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.kinds import Order
from dcsim.simulation.ledger import Ledger
from dcsim.simulation.placing import Placer
from dcsim.simulation.realising import Realiser, Wish
from dcsim.simulation.round_times import next_round_s, this_or_next_round_s

__all__ = ["DecidingDispatch"]

_IDLE_ROUNDS = 1_000
"""So many rounds a policy may let go by in which nothing can happen but the next."""


class DecidingDispatch:
    """Realises the decisions of a `DecidingPolicy`.

    Args:
        engine: for the time and the calls.
        policy: what decides.
        inputs: of the run.
        placer: finds where a gang fits.
        attempts: starts and stops jobs.
        ledger: makes the view of the active jobs.
    """

    def __init__(
        self,
        engine: Engine,
        policy: DecidingPolicy,
        inputs: RunInputs,
        placer: Placer,
        attempts: Attempts,
        ledger: Ledger,
    ) -> None:
        self._engine = engine
        self._policy = policy
        self._view = inputs.view
        self._ledger = ledger
        self._realiser = Realiser(policy.skip, placer, attempts, ledger)
        self._active: dict[int, None] = {}
        self._due = False
        self._round_called = False
        self._idle_rounds = 0
        """Rounds in a row with nothing else to come."""
        self._again = 0
        """Counts the decisions: a call to decide again made by an older one is stale."""
        self._gone = 0
        """Counts the jobs that ended."""
        table = inputs.jobs
        self._least = np.where(table.min_accelerators > 0, table.min_accelerators, table.accelerators)
        self._most = np.where(table.max_accelerators > 0, table.max_accelerators, table.accelerators)

    # -- what the run tells ------------------------------------------------------------------------

    def add(self, job: int) -> None:
        """A job may be placed from now on."""
        self._active[job] = None
        self._realiser.waiting[job] = None
        self._due = True
        self._call_round()

    def gone(self, job: int) -> None:
        """A job ended for good."""
        del self._active[job]
        self._ledger.ended(job)
        self._gone += 1
        self._due = True

    def capacity_freed(self) -> None:
        """Something was freed."""
        self._due = True

    def jobs(self) -> list[int]:
        """Return the waiting jobs by row."""
        return sorted(self._realiser.waiting)

    # -- when to decide ----------------------------------------------------------------------------

    def _call_round(self) -> None:
        """Have the next round called: at the next multiple of the round's length, this instant included."""
        round_s = self._policy.round_s
        if round_s is None or self._round_called or not self._active:
            return
        self._call_round_at(this_or_next_round_s(self._engine.now, round_s))

    def _call_round_at(self, time_s: float) -> None:
        self._round_called = True
        self._engine.call_at(time_s, Order.ROUND, 0, self._round, None)

    def _round(self, _: None) -> None:
        # Called until it is over: whom it stops and adds to the waiting calls no second round.
        self._decide()
        self._round_called = False
        # Where nothing else will happen a round is much like the next: who runs has its end on the clock, or
        # stands still.
        self._idle_rounds = 0 if self._engine.peek() < math.inf else self._idle_rounds + 1
        if self._idle_rounds > _IDLE_ROUNDS:
            return
        if self._active and self._policy.round_s is not None:
            self._call_round_at(next_round_s(self._engine.now, self._policy.round_s))

    def _decide_again(self, number: int) -> None:
        if number == self._again:
            self._due = True

    def serve(self) -> None:
        """Decide if something changed; while stopped jobs write their checkpoints, wait until they are gone."""
        realiser = self._realiser
        if self._policy.round_s is not None:
            realiser.go_on(self._active)
            return
        while self._due and not realiser.leaving:
            self._decide()

    # -- a decision --------------------------------------------------------------------------------

    def _decide(self) -> None:
        self._due = False
        self._again += 1
        if not self._active:
            return
        rows = np.sort(np.fromiter(self._active, dtype=np.int64, count=len(self._active)))
        now_s = self._engine.now
        decision = self._policy.decide(self._view, self._ledger.active(rows, now_s))
        wishes = self._wishes(rows.tolist(), decision)
        if now_s < decision.again_s < math.inf:
            self._engine.call_at(decision.again_s, Order.ROUND, 1, self._decide_again, self._again)
        gone = self._gone
        self._realiser.realise(wishes, preempts=decision.preempts)
        self._due = self._gone != gone  # one was done at the very instant at which it was to be stopped

    def _wishes(self, rows: list[int], decision: Decision) -> list[Wish]:
        """Return the decision line by line, checked.

        Raises:
            PolicyError: positions, widths or types that do not exist or that a job cannot have.
        """
        order = np.asarray(decision.order)
        width = np.asarray(decision.width)
        count, at = len(rows), np.array(rows)
        kind = np.full(count, -1) if decision.accelerator_type is None else decision.accelerator_type
        move = np.zeros(count, dtype=bool) if decision.move is None else np.asarray(decision.move)
        fault = ""
        if not width.shape == kind.shape == move.shape == (count,) or width.dtype.kind not in "iu":
            fault = f"widths, types or moves that are not {count} whole numbers"
        elif order.size and (order.min() < 0 or order.max() >= count):
            fault = "positions of jobs that are not there"
        elif len(np.unique(order)) != len(order):
            fault = "a job twice"
        elif width.min(initial=0) < 0 or kind.max(initial=-1) >= len(self._ledger.rates.types):
            fault = "widths below 0, or types that do not exist"
        elif ((width > 0) & ((width < self._least[at]) | (width > self._most[at]))).any():
            fault = "widths that a job cannot have"
        if fault:
            msg = f"{self._policy.name}: {fault}"
            raise PolicyError(msg)
        lines = zip(rows, width.tolist(), kind.tolist(), move.tolist(), strict=True)
        wishes = [Wish(job, devices, code, moves=bool(moves)) for job, devices, code, moves in lines]
        return [wishes[position] for position in order.tolist()]
