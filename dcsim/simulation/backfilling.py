"""EASY backfilling: jobs pass the first in line as long as they do not delay it, by the estimates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace

import numpy as np

from dcsim.engine import Engine
from dcsim.errors import PolicyError
from dcsim.policies.backfill import BackfillOrdering
from dcsim.policies.views import Placement
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.backfilling_future import CountedFuture, Future, PlacedFuture
from dcsim.simulation.backfilling_line import ShapedLine
from dcsim.simulation.backfilling_shapes import Shapes, devices_needed
from dcsim.simulation.placing import Placer

__all__ = ["EasyDispatch", "shaped_line", "slots_are_fungible"]


def slots_are_fungible(placer: Placer) -> bool:
    """Return whether, for all jobs of the run, one free device is as good as another."""
    inputs, jobs = placer.inputs, placer.inputs.jobs
    return (
        not inputs.cpu_memory_binding
        and len(inputs.allowed[-1]) <= 1
        and all(kind.accelerator for kind in inputs.fleet.types)
        and bool((jobs.accelerator_types < 0).all())
        and bool((jobs.accelerators > 0).all())
        and bool((jobs.accelerator_share == 1.0).all())
        and bool(((jobs.max_servers == 0) | (jobs.max_servers >= jobs.accelerators)).all())
    )


def shaped_line(policy: BackfillOrdering, placer: Placer, shapes: Shapes) -> ShapedLine:
    """Return an empty line for the jobs of the run.

    Raises:
        PolicyError: an estimate is not a finite number of seconds >= 0.
    """
    inputs = placer.inputs
    count = len(inputs.jobs)
    estimates_s = policy.estimates_s(inputs.view)
    if estimates_s.shape != (count,) or not (np.isfinite(estimates_s) & (estimates_s >= 0.0)).all():
        msg = f"{policy.name}: estimates of shape {estimates_s.shape} -> expected ({count},) finite, >= 0 s"
        raise PolicyError(msg)
    return ShapedLine(inputs.order_keys, shapes.of_job, estimates_s, shapes)


class EasyDispatch:
    """Starts from the front what fits; then, in order, what fits and does not delay the first in line.

    That is: what ends, by its estimate, before the first in line can start, or leaves it room.
    The reservation is that of the first in line alone, made anew when something is free earlier than
    was thought. A shape that was refused is not tried again in the same decision, nor before something
    is freed.

    Args:
        engine: for the time.
        policy: for the estimates.
        placer: finds where a gang fits.
        attempts: starts it.
    """

    def __init__(self, engine: Engine, policy: BackfillOrdering, placer: Placer, attempts: Attempts) -> None:
        self._engine = engine
        self._placer = placer
        self._attempts = attempts
        self._depth = policy.depth or math.inf
        self._shapes = Shapes(placer)
        self._line = shaped_line(policy, placer, self._shapes)
        self._need = devices_needed(placer)
        self._counts = slots_are_fungible(placer)
        self._future: Future = (
            CountedFuture(self._need, placer.fleet.accelerators)
            if self._counts
            else PlacedFuture(self._need, placer)
        )
        self._new: list[int] = []
        self._refusals = 0
        """Jobs placed on trial and refused in this decision."""
        self._freed = True
        self._misfits = self._shapes.refused()
        """Shapes that fit nowhere since something was freed last."""
        self._too_long = self._shapes.refused()
        """Shapes that fit, but not beside the reservation."""

    # -- what the run tells ------------------------------------------------------------------------

    def add(self, job: int) -> None:
        """A job may be placed from now on."""
        self._line.add(job)
        self._new.append(job)

    def gone(self, job: int) -> None:
        """A job ended for good."""
        self._future.ended(job, self._engine.now)

    def capacity_freed(self) -> None:
        """A gang that did not fit may fit now."""
        self._freed = True

    def jobs(self) -> list[int]:
        """Return the waiting jobs in order."""
        return self._line.jobs()

    # -- a decision --------------------------------------------------------------------------------

    def serve(self) -> None:
        """Start what may start."""
        if not (self._freed or self._new):
            return
        freed, new = self._freed, self._new
        self._freed, self._new = False, []
        now_s, running = self._engine.now, self._attempts.running
        if freed:
            self._misfits.clear()
            self._too_long.clear()
            self._future.keep_only(running.__contains__, len(running), now_s)
        head = self._start_from_the_front()
        if head < 0 or len(self._line) == 1:
            return
        if not self._future.stands(head, now_s):
            self._future.reserve(head, now_s)
            self._too_long.clear()
            freed = True
        if freed:
            self._pass_all()
        else:  # nothing that was refused before fares better now
            self._pass(job for job in new if job in self._line)

    def _start_from_the_front(self) -> int:
        """Start jobs in order until one does not fit; return it, or -1."""
        while (job := self._line.head()) >= 0:
            if not self._try(job):
                return job
        return -1

    def _try(self, job: int) -> bool:
        placement = self._placement(job)
        if placement is None:
            return False
        self._start(job, placement)
        return True

    def _placement(self, job: int) -> Placement | None:
        shape = self._line.shape[job]
        if shape in self._misfits:
            return None
        room = self._future.room >= self._need[job]
        placement = self._placer.place(job) if room else None
        if placement is None:
            self._refusals += room
            self._misfits.add(shape)
            if room and self._counts:
                self._stop_counting()
        return placement

    def _stop_counting(self) -> None:
        """Look at the servers from now on: the placement policy refused a gang for which there is room."""
        counted = self._future
        self._counts, self._future = False, PlacedFuture(self._need, self._placer)
        for job, end_s, held in counted.known():
            self._future.started(job, end_s, held)
        if counted.head >= 0:
            self._future.reserve(counted.head, self._engine.now)

    def _start(self, job: int, placement: Placement) -> None:
        now_s, line = self._engine.now, self._line
        line.remove(job)
        self._attempts.start(job, placement, self._placer.width[job])
        self._future.started(job, now_s + line.estimate_s[job], self._attempts.running[job].held)

    # -- who may pass the first in line --------------------------------------------------------------

    def _pass(self, candidates: Iterable[int]) -> None:
        """Start those of some jobs that fit and do not delay the first in line."""
        for job in sorted(candidates, key=self._line.rank.__getitem__):
            self._passes(job)

    def _pass_all(self) -> None:
        """Start, in order, all that fit and do not delay the first in line."""
        line, now_s = self._line, self._engine.now
        heap = []
        for shape in self._shapes.possible(self._future.room):
            if shape not in self._misfits:
                job = line.first(shape)
                heap.append((line.rank[job], job))
        heapify(heap)
        self._refusals = 0
        while heap and self._refusals < self._depth:
            job = heap[0][1]
            shape = line.shape[job]
            self._passes(job)
            following = -1
            if shape not in self._misfits:
                long = shape in self._too_long
                following = line.first(shape, self._future.start_s - now_s) if long else line.first(shape)
            if following >= 0:
                heapreplace(heap, (line.rank[following], following))
            else:
                heappop(heap)

    def _passes(self, job: int) -> None:
        """Start a job if it fits and does not delay the first in line; else note why not."""
        future, shape = self._future, self._line.shape[job]
        long = self._line.estimate_s[job] > future.start_s - self._engine.now
        if long and shape in self._too_long:
            return
        if long and not future.may_admit(job):
            self._too_long.add(shape)
            return
        placement = self._placement(job)
        if placement is None:
            return
        if long and not future.admits(job, placement):
            self._refusals += 1
            self._too_long.add(shape)
            return
        self._start(job, placement)
