"""Making a decision true: who is stopped, who keeps what it has, who starts and where."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from dcsim.policies.views import Placement
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.ledger import Ledger
from dcsim.simulation.placing import Placer
from dcsim.simulation.running import Phase
from dcsim.simulation.what_if import WhatIf

__all__ = ["Realiser", "Wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """One line of a decision: a job, what it is to hold, and on which type (-1: any)."""

    job: int
    width: int
    kind: int


class Realiser:
    """Stops and starts jobs so that they hold what a decision says, as far as it fits.

    A running job that keeps its width and type stays where it is, unless one that comes before it in
    the decision fits only in its place: then those that come last are stopped first, and only those
    whose servers are used. Stopping may take time (a checkpoint): then nothing is started until all
    that were stopped are gone, so that what was freed goes to whom it was freed for.

    Args:
        skip: jobs that do not fit and may be overtaken in one decision.
        placer: finds where a gang fits.
        attempts: starts and stops jobs.
        ledger: knows the accelerator types.
    """

    def __init__(self, skip: int, placer: Placer, attempts: Attempts, ledger: Ledger) -> None:
        self._skip = skip
        self._placer = placer
        self._attempts = attempts
        self._ledger = ledger
        self.waiting: dict[int, None] = {}
        """Jobs that may be started; whoever starts leaves it."""
        self._draining: tuple[list[Wish], bool] | None = None
        """The decision that waits for stopped jobs to be gone."""

    @property
    def drains(self) -> bool:
        """Whether a decision waits for stopped jobs to be gone."""
        return self._draining is not None

    def go_on(self, active: Container[int]) -> bool:
        """Go on with a decision that waited, for the jobs still there; returns whether there was one."""
        if self._draining is None:
            return False
        if not self._attempts.leaving:
            wishes, preempts = self._draining
            self._draining = None
            self.realise([wish for wish in wishes if wish.job in active], preempts=preempts)
        return True

    def realise(self, wishes: list[Wish], *, preempts: bool) -> None:
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
                del self.waiting[wish.job]
                self._attempts.start(wish.job, placement, wish.width)

    def _release_beyond_capacity(self, book: WhatIf, wishes: list[Wish]) -> None:
        """Release the running jobs for which, counted in order, no devices are left."""
        room = int(self._placer.fleet.total.sum())
        for wish in wishes:
            if wish.width <= room:
                room -= wish.width
            elif book.may_release(wish.job):
                book.release(wish.job)

    def _may_hold(self, wish: Wish) -> bool:
        """Return whether a job is there to be started or kept: a CPU job's width is 0 and means one server."""
        cpu_only = self._placer.width[wish.job] == 0
        here = wish.job in self.waiting or wish.job in self._attempts.running
        return here and (wish.width > 0 or cpu_only)

    def _keeps(self, wish: Wish, width: int, placement: Placement) -> bool:
        kind = self._ledger.rates.type_of_server[placement[0][0]]
        return wish.width == width and wish.kind in (-1, kind)

    def _goes_on(self, book: WhatIf, wish: Wish) -> bool:
        """Return whether a released job keeps what it has, for nobody before it took that."""
        running = self._attempts.running[wish.job]
        same = self._keeps(wish, running.width, running.placement)
        if same and book.fits_back(wish.job):
            book.take_back(wish.job)
            return True
        return False

    def _plan(self, book: WhatIf, wishes: list[Wish], *, preempts: bool) -> list[tuple[Wish, Placement]]:
        """Return who starts where; whom that pushes out is in the book's `released`."""
        starts: list[tuple[Wish, Placement]] = []
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
                if skipped > self._skip:
                    break
                continue
            book.take(wish.job, wish.width, placement)
            starts.append((wish, placement))
        return starts
