"""The open loop: runs in which nothing changes a running job's rate, told by starts and servers alone.

Where a job, once started, ends when it must whatever else happens, a run is one pass over the arrivals
with a heap of ends. Everything else (the log, powers, energies, bytes) follows from who started when and
where, in columns (`dcsim.simulation.open_loop_record`). The result has the bytes that the event loop of
`ClusterRun` would give it; where a link turns out to be overbooked, the pass is dropped for that loop.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable
from heapq import heappop, heappush

import numpy as np

from dcsim.errors import GuardError, PolicyError
from dcsim.policies import DecidingPolicy
from dcsim.policies.allocation import AllocationPolicy
from dcsim.policies.backfill import BackfillOrdering
from dcsim.simulation.budgets import watches_power
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.open_loop_kinds import Gang, KindTable, Site
from dcsim.simulation.open_loop_lines import SkippingLine, StrictLine
from dcsim.simulation.open_loop_placing import indexed_placement

__all__ = ["END", "GRANT", "SUBMIT", "OpenLoop", "open_loop_applies"]

SUBMIT, END, GRANT = 0, 1, 2
"""What happened to a job: the two low bits of an entry of `OpenLoop.told`, the job's row above them."""

_JOBS_BETWEEN_PROGRESS = 20_000
_NOBODY = -1


class _OverbookedError(Exception):
    """The shared file system is asked for more than it gives: jobs slow each other down."""


def open_loop_applies(inputs: RunInputs) -> bool:
    """Return whether the open loop may be tried: no rule of the run can change a job once it started.

    Whole accelerators only, nothing else to run out of; a built-in placement that is decided on an
    index; an order known beforehand; servers that never sleep; no job held back, limited in time,
    elastic, in an array or after another; no start-up time, no periodic checkpoints, no neighbours in a server that slow them; links as they were built,
    and input that nothing but them limits; caps that stay, and no power or air that is watched.
    """
    jobs, policies = inputs.jobs, inputs.policies
    ordering, energy, rules = policies.ordering, policies.energy, inputs.scenario.preemption
    limited = rules.enforce_time_limits and bool((jobs.time_limit_s > 0.0).any())
    return (
        len(jobs) > 0
        and not inputs.cpu_memory_binding
        and indexed_placement(policies.placement) is not None
        and not isinstance(ordering, DecidingPolicy | AllocationPolicy | BackfillOrdering)
        and ordering.in_line
        and not ordering.preemptive
        and inputs.scenario.room is None
        and energy.sleep_after_s() is None
        and not energy.suspends
        and not (energy.recaps or energy.reserves)
        and not watches_power(inputs.scenario)
        and not (energy.holds_jobs and bool((jobs.slack_s > 0.0).any()))
        and rules.checkpoint_interval_s is None
        and rules.start_s == 0.0
        and not inputs.costs.starts_up
        and not any(pair.sharing == "server" for pair in inputs.scenario.colocation)
        and not limited
        and not jobs.after
        and not bool(((jobs.array >= 0) & (jobs.array_limit > 0)).any())
        and not bool((jobs.max_accelerators > 0).any())
        and _plain_traffic(inputs)
    )


def _plain_traffic(inputs: RunInputs) -> bool:
    """Return whether what jobs put on links follows from their plans and servers alone."""
    network = inputs.scenario.network
    return (
        inputs.network.is_tree
        and network.contention
        and network.traffic == "fluid"
        and not network.events
        and not any(inputs.links.fabric_bound)
        and inputs.storage.is_plain
    )


class OpenLoop:
    """Who starts when and where.

    Args:
        inputs: of a run to which `open_loop_applies`; the fleet is not changed.
        horizon_s: last instant simulated; None: until all jobs are done.
        progress: called now and then with (jobs ended, jobs).
    """

    def __init__(
        self,
        inputs: RunInputs,
        horizon_s: float | None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        placement = indexed_placement(inputs.policies.placement)
        if placement is None:
            raise ValueError(f"{inputs.policies.placement.name} is not decided on an index")
        count = len(inputs.jobs)
        self.kinds = KindTable(inputs)
        self.told = array("q")
        """What happened, in order: the job's row times 4, plus SUBMIT, END or GRANT."""
        self.start_s = [math.nan] * count
        self.server = array("i", [-1]) * count
        """Of a job on one server; -1: it has several, or none yet."""
        self.where: list[Site | Gang | None] = [None] * count
        """What a started job has, for good."""
        self.now_s = 0.0
        """Where the clock stands."""
        self._progress = progress
        self._horizon_s = horizon_s
        self._single, self._gang = placement.single, placement.gang
        self._kind = self.kinds.kind_of_jobs()
        self._submit_s: list[float] = [*inputs.jobs.submit_s.tolist(), math.inf]
        self._steps = inputs.steps.tolist()
        # Waiting jobs are ranks: in the order of their keys, ties by row, as `WaitingLine` sorts them.
        order = np.lexsort((np.arange(count), inputs.order_keys))
        rank = np.empty(count, dtype=np.int64)
        rank[order] = np.arange(count)
        by_rank, self._rank = order.tolist(), rank.tolist()
        skip = inputs.policies.ordering.skip
        self._line: StrictLine | SkippingLine = (
            SkippingLine(by_rank, self._kind, skip, self._start) if skip else StrictLine(by_rank, self._start)
        )
        self._ends: list[tuple[float, int]] = [(math.inf, _NOBODY)]
        self._completed = 0
        self._booked = 0
        """Bytes/s that running jobs want of the shared file system."""
        self._capacity = inputs.storage.capacity_bytes_per_s[inputs.storage.shared_link]

    def run(self) -> bool:
        """Run all jobs, or through the horizon; returns False where the open loop cannot tell the run.

        That is: the shared file system is overbooked, jobs wait that can never start or end, or one is put
        where it makes no progress.
        """
        try:
            coming_s = self._run()
        except (_OverbookedError, PolicyError):
            return False
        if self._horizon_s is not None:
            self.now_s = self._horizon_s
        endless = sum(end_s == math.inf for end_s, _ in self._ends) > 1  # one entry is nobody's
        stuck = len(self._line) > 0 and self._ends[0][0] == coming_s == math.inf
        return not (endless or stuck)

    def _run(self) -> float:
        """Go from instant to instant; returns when the first job comes that did not come in time."""
        submit_s, ends, rank, tell = self._submit_s, self._ends, self._rank, self.told.append
        join, serve = self._line.join, self._line.serve
        last_s = sys.float_info.max if self._horizon_s is None else self._horizon_s
        coming, coming_s = 0, submit_s[0]
        while True:
            end_s = ends[0][0]
            now_s = end_s if end_s < coming_s else coming_s  # noqa: FURB136  min() takes three times as long
            if now_s > last_s:
                return coming_s
            if end_s == now_s:
                self._end(now_s)
            while coming_s == now_s:
                tell(coming << 2)
                join(rank[coming])
                coming += 1
                coming_s = submit_s[coming]
            serve(now_s, freed=end_s == now_s)

    def _end(self, now_s: float) -> None:
        """Free what the jobs hold that end now, in the order of their rows."""
        ends, tell = self._ends, self.told.append
        while ends[0][0] == now_s:
            job = heappop(ends)[1]
            tell((job << 2) + END)
            at = self.where[job]
            server = self.server[job]
            if at is None:
                raise GuardError(f"row {job} ends and never started")
            index = at.index
            if server >= 0:
                index.give(server, self._kind[job].need)
            elif isinstance(at, Gang):
                for part, count in at.placement:
                    index.give(part, count)
            self._booked -= at.usage
            self._completed += 1
            if self._progress is not None and self._completed % _JOBS_BETWEEN_PROGRESS == 0:
                self._progress(self._completed, len(self._kind))
        self.now_s = now_s

    def _start(self, job: int, now_s: float) -> bool:
        """Start a job now if it fits."""
        kind = self._kind[job]
        need = kind.need
        for site in kind.sites:
            index = site.index
            server = self._single(index, need)
            at: Site | Gang
            if server >= 0:
                if site.number < 0:
                    self.kinds.settle_site(kind, site, server)
                index.take(server, need)
                self.server[job] = server
                at = site
            else:
                placement = self._gang(index, need, kind.limit) if need > 1 else None
                if placement is None:
                    continue
                for part, count in placement:
                    index.take(part, count)
                at = self.kinds.gang(kind, site, placement)
            self.where[job] = at
            self._booked += at.usage
            if self._booked > self._capacity:
                raise _OverbookedError
            self.start_s[job] = now_s
            self.told.append((job << 2) + GRANT)
            heappush(self._ends, (now_s + self._steps[job] / at.rate, job))
            return True
        return False
