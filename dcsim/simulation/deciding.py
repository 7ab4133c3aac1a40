"""Dispatch by a policy that decides again and again: keeps, stops, moves and starts jobs to its order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dcsim.engine import Engine
from dcsim.errors import PolicyError
from dcsim.policies import DecidingPolicy, JobsView
from dcsim.policies.active import Decision
from dcsim.policies.views import Placement
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.kinds import Order
from dcsim.simulation.ledger import Ledger
from dcsim.simulation.placing import Placer
from dcsim.simulation.running import Phase
from dcsim.simulation.what_if import WhatIf

__all__ = ["DecidingDispatch"]


@dataclass(frozen=True, slots=True)
class _Wish:
    """One line of a decision: a job, what it is to hold, and on which type (-1: any)."""

    job: int
    width: int
    kind: int


class DecidingDispatch:
    """Realises the decisions of a `DecidingPolicy`.

    A running job that keeps its width and type stays where it is, unless one that comes before it in
    the decision fits only in its place: then those that come last are stopped first, and only those
    whose servers are used. Stopping may take time (a checkpoint): then nothing is started until all
    that were stopped are gone, so that what was freed goes to whom it was freed for.

    Args:
        engine: for the time and the calls.
        policy: what decides.
        jobs: columns of all jobs.
        placer: finds where a gang fits.
        attempts: starts and stops jobs.
        ledger: makes the view of the active jobs.
    """

    def __init__(
        self,
        engine: Engine,
        policy: DecidingPolicy,
        jobs: JobsView,
        placer: Placer,
        attempts: Attempts,
        ledger: Ledger,
    ) -> None:
        self._engine = engine
        self._policy = policy
        self._view = jobs
        self._placer = placer
        self._attempts = attempts
        self._ledger = ledger
        self._active: dict[int, None] = {}
        self._waiting: dict[int, None] = {}
        self._due = False
        self._draining: tuple[list[_Wish], bool] | None = None
        """The decision that waits for stopped jobs to be gone."""
        self._round_called = False
        self._again = 0
        """Counts the decisions: a call to decide again made by an older one is stale."""

    # -- what the run tells ------------------------------------------------------------------------

    def add(self, job: int) -> None:
        """A job may be placed from now on."""
        self._active[job] = None
        self._waiting[job] = None
        self._due = True
        self._call_round()

    def gone(self, job: int) -> None:
        """A job ended for good."""
        del self._active[job]
        self._ledger.ended(job)
        self._due = True

    def capacity_freed(self) -> None:
        """Something was freed."""
        self._due = True

    def jobs(self) -> list[int]:
        """Return the waiting jobs by row."""
        return sorted(self._waiting)

    # -- when to decide ----------------------------------------------------------------------------

    def _call_round(self) -> None:
        """Have the next round called: at the next multiple of the round's length, this instant included."""
        round_s = self._policy.round_s
        if round_s is None or self._round_called or not self._active:
            return
        self._round_called = True
        number = math.ceil(self._engine.now / round_s)
        self._engine.call_at(max(number * round_s, self._engine.now), Order.ROUND, 0, self._round, None)

    def _round(self, _: None) -> None:
        self._round_called = False
        self._decide()
        if self._active and self._policy.round_s is not None:
            self._round_called = True
            number = math.floor(self._engine.now / self._policy.round_s) + 1
            self._engine.call_at(number * self._policy.round_s, Order.ROUND, 0, self._round, None)

    def _decide_again(self, number: int) -> None:
        if number == self._again:
            self._due = True

    def serve(self) -> None:
        """Decide if something changed, or go on with a decision that waited for servers to be free."""
        if self._draining is not None:
            if self._attempts.leaving:
                return
            wishes, preempts = self._draining
            self._draining = None
            self._realise([wish for wish in wishes if wish.job in self._active], preempts=preempts)
            return
        if self._due and self._policy.round_s is None:
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
        self._realise(wishes, preempts=decision.preempts)

    def _wishes(self, rows: list[int], decision: Decision) -> list[_Wish]:
        """Return the decision line by line, checked.

        Raises:
            PolicyError: positions, widths or types that do not exist.
        """
        order = np.asarray(decision.order)
        width = np.asarray(decision.width)
        count = len(rows)
        kind = np.full(count, -1) if decision.accelerator_type is None else decision.accelerator_type
        fault = ""
        if width.shape != (count,) or kind.shape != (count,) or width.dtype.kind not in "iu":
            fault = f"widths or types that are not {count} whole numbers"
        elif order.size and (order.min() < 0 or order.max() >= count):
            fault = "positions of jobs that are not there"
        elif len(np.unique(order)) != len(order):
            fault = "a job twice"
        elif width.min(initial=0) < 0 or kind.max(initial=-1) >= len(self._ledger.rates.types):
            fault = "widths below 0, or types that do not exist"
        if fault:
            msg = f"{self._policy.name}: {fault}"
            raise PolicyError(msg)
        return [_Wish(rows[at], int(width[at]), int(kind[at])) for at in order.tolist()]

    def _realise(self, wishes: list[_Wish], *, preempts: bool) -> None:
        """Stop and start jobs so that they hold what the decision says, as far as it fits."""
        wanted = {wish.job: wish for wish in wishes if self._may_hold(wish)}
        book = WhatIf(self._placer, self._attempts)
        for job, running in self._attempts.running.items():
            if running.phase is Phase.LEAVE:
                continue
            wish = wanted.get(job)
            if wish is None or not self._keeps(wish, running.width, running.placement):
                book.release(job)
        live = [wish for wish in wishes if wish.job in wanted]
        if preempts:
            self._release_beyond_capacity(book, live)
        starts = self._plan(book, live, preempts=preempts)
        victims = list(book.released)
        book.undo()
        for job in victims:
            self._attempts.preempt(job)
        if self._attempts.leaving:
            self._draining = (wishes, preempts)
        else:
            for wish, placement in starts:
                del self._waiting[wish.job]
                self._attempts.start(wish.job, placement, wish.width)
        self._due = False

    def _release_beyond_capacity(self, book: WhatIf, wishes: list[_Wish]) -> None:
        """Release the running jobs for which, counted in order, no devices are left."""
        room = int(self._placer.fleet.total.sum())
        for wish in wishes:
            if wish.width <= room:
                room -= wish.width
            elif book.may_release(wish.job):
                book.release(wish.job)

    def _may_hold(self, wish: _Wish) -> bool:
        """Return whether a job is there to be started or kept: a CPU job's width is 0 and means one server."""
        cpu_only = self._placer.width[wish.job] == 0
        here = wish.job in self._waiting or wish.job in self._attempts.running
        return here and (wish.width > 0 or cpu_only)

    def _keeps(self, wish: _Wish, width: int, placement: Placement) -> bool:
        kind = self._ledger.rates.type_of_server[placement[0][0]]
        return wish.width == width and wish.kind in (-1, kind)

    def _goes_on(self, book: WhatIf, wish: _Wish) -> bool:
        """Return whether a released job keeps what it has, for nobody before it took that."""
        running = self._attempts.running[wish.job]
        same = self._keeps(wish, running.width, running.placement)
        if same and book.fits_back(wish.job):
            book.take_back(wish.job)
            return True
        return False

    def _plan(self, book: WhatIf, wishes: list[_Wish], *, preempts: bool) -> list[tuple[_Wish, Placement]]:
        """Return who starts where; whom that pushes out is in the book's `released`."""
        starts: list[tuple[_Wish, Placement]] = []
        refused: set[tuple[object, ...]] = set()
        skipped = 0
        tail = [wish.job for wish in reversed(wishes)] if preempts else []
        place_of = {wish.job: at for at, wish in enumerate(wishes)}
        for at, wish in enumerate(wishes):
            if wish.job in self._attempts.running and wish.job not in book.released:
                continue
            if wish.job in book.released and self._goes_on(book, wish):
                continue
            shape = (self._placer.shape(wish.job), wish.width, wish.kind)
            placement = None
            if shape not in refused:
                mask = None if wish.kind < 0 else self._ledger.rates.mask(wish.kind)
                placement = book.place(wish.job, wish.width, mask)
                if placement is None and preempts:
                    victims = [job for job in tail if place_of[job] > at and book.may_release(job)]
                    placement = book.push_out(wish.job, wish.width, mask, victims)
            if placement is None:
                refused.add(shape)
                skipped += 1
                if skipped > self._policy.skip:
                    break
                continue
            book.take(wish.job, wish.width, placement)
            starts.append((wish, placement))
        return starts
