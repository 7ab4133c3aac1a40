"""Making a decision true: who is stopped, who keeps what it has, who starts and where."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dcsim.policies.views import Placement
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.ledger import Ledger
from dcsim.simulation.placing import Placer
from dcsim.simulation.running import Phase
from dcsim.simulation.what_if import WhatIf

__all__ = ["Realiser", "Wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """One line of a decision: a job, what it is to hold, on which type (-1: any), and whether elsewhere."""

    job: int
    width: int
    kind: int
    moves: bool = False


class _Pushing:
    """Finds places by stopping jobs: first, all at once, those that cannot stay, then the last in order.

    Args:
        wishes: the decision.
        beyond: places in it of the running jobs for which no devices are left.
    """

    def __init__(self, wishes: list[Wish], beyond: list[int]) -> None:
        self._wishes = wishes
        self._beyond = beyond

    def place(self, book: WhatIf, at: int, mask: npt.NDArray[np.bool_] | None) -> Placement | None:
        """Return where the wish at a place in the decision fits by stopping some that come after it, or None."""
        wish = self._wishes[at]
        later = [place for place in self._beyond if place > at]
        self._beyond = [place for place in self._beyond if place < at]
        leave = [self._wishes[place].job for place in later if book.may_release(self._wishes[place].job)]
        for job in leave:
            book.release(job)
        placement = book.place(wish.job, wish.width, mask) if leave else None
        if placement is None:
            tail = (other.job for other in reversed(self._wishes[at + 1 :]))
            victims = [job for job in tail if book.may_release(job)]
            placement = book.push_out(wish.job, wish.width, mask, victims)
        return placement


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
    def leaving(self) -> bool:
        """Whether stopped jobs still hold their servers."""
        return self._attempts.leaving > 0

    def go_on(self, active: Container[int]) -> None:
        """Go on with a decision that waited for stopped jobs, once these are gone, for the jobs still there."""
        if self._draining is not None and not self._attempts.leaving:
            wishes, preempts = self._draining
            self.realise([wish for wish in wishes if wish.job in active], preempts=preempts)

    def realise(self, wishes: list[Wish], *, preempts: bool) -> None:
        """Stop and start jobs so that they hold what the decision says, as far as it fits.

        A decision that waited is dropped for this one.
        """
        self._draining = None
        wanted = {wish.job: wish for wish in wishes if self._may_hold(wish)}
        book = WhatIf(self._placer, self._attempts)
        for job, running in self._attempts.running.items():
            if running.phase is Phase.LEAVE:
                continue
            wish = wanted.get(job)
            if wish is None or wish.moves or not self._keeps(wish, running.width, running.placement):
                book.release(job)
        live = [wish for wish in wishes if wish.job in wanted]
        starts = self._plan(book, live, preempts=preempts)
        victims = list(book.released)
        book.undo()
        for job in victims:
            self._attempts.preempt(job)
        if self._attempts.leaving:
            self._draining = (wishes, preempts)
        for wish, placement in starts:
            self._start(wish, placement)

    def _start(self, wish: Wish, placement: Placement) -> None:
        """Start a job at its place, unless that is not free yet or the job may not start yet."""
        if wish.job not in self.waiting:
            return
        if self._draining is not None and not self._placer.is_free(wish.job, wish.width, placement):
            return
        del self.waiting[wish.job]
        self._attempts.start(wish.job, placement, wish.width)

    def _beyond_capacity(self, wishes: list[Wish]) -> list[int]:
        """Return the places in the decision of the running jobs for which, counted in order, no devices are left."""
        room, skipped = int(self._placer.fleet.total.sum()), 0
        beyond = []
        for at, wish in enumerate(wishes):
            if skipped > self._skip and wish.job in self.waiting:
                continue  # it will not start
            if wish.width <= room:
                room -= wish.width
                continue
            skipped += 1
            if wish.job in self._attempts.running:
                beyond.append(at)
        return beyond

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
        if wish.moves or not self._keeps(wish, running.width, running.placement):
            return False
        return book.take_back(wish.job)

    def _plan(self, book: WhatIf, wishes: list[Wish], *, preempts: bool) -> list[tuple[Wish, Placement]]:
        """Return who starts where; whom that pushes out is in the book's `released`."""
        starts: list[tuple[Wish, Placement]] = []
        refused: set[tuple[object, ...]] = set()
        skipped = 0
        pushing = _Pushing(wishes, self._beyond_capacity(wishes)) if preempts else None
        for at, wish in enumerate(wishes):
            released = wish.job in book.released
            if wish.job in self._attempts.running and not released:
                continue
            if released and self._goes_on(book, wish):
                continue
            if skipped > self._skip and not released:
                continue  # nobody starts any more; who runs may go on
            shape = (self._placer.shape(wish.job), wish.width, wish.kind)
            placement = None
            if shape not in refused:
                mask = None if wish.kind < 0 else self._ledger.rates.mask(wish.kind)
                placement = book.place(wish.job, wish.width, mask)
                if placement is None and pushing is not None:
                    placement = pushing.place(book, at, mask)
            if released and self._stays(book, wish, placement):
                continue
            if placement is None:
                refused.add(shape)
                narrower = self._narrower(book, wish)
                if narrower is None:
                    skipped += 1
                    continue
                wish, placement = narrower  # noqa: PLW2901  what it gets is not what it wished for
            book.take(wish.job, wish.width, placement)
            starts.append((wish, placement))
        return starts

    def _narrower(self, book: WhatIf, wish: Wish) -> tuple[Wish, Placement] | None:
        """Return where an elastic job fits at a lesser width: half way down to its least, and so on to that."""
        least = self._placer.least_width[wish.job]
        width = wish.width
        mask = None if wish.kind < 0 else self._ledger.rates.mask(wish.kind)
        while least and width > least:
            width = (width + least) // 2
            placement = book.place(wish.job, width, mask)
            if placement is not None:
                return replace(wish, width=width), placement
        return None

    def _stays(self, book: WhatIf, wish: Wish, placement: Placement | None) -> bool:
        """Return whether a job to be changed goes on as it is, for there is no place, or no other, for it."""
        running = self._attempts.running[wish.job]
        same = placement == running.placement and wish.width == running.width
        return (placement is None or same) and book.take_back(wish.job)
