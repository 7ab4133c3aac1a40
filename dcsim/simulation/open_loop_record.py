"""From who started when and where to the record of a run: the same numbers, by columns.

Every expression is evaluated in the order in which the event loop evaluates it for one job, and powers
are whole steps of 2^-22 W, whose sums are exact in any order: so the bytes are the same too.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dcsim.facility.servers import quantised_w
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.kinds import LogKind
from dcsim.simulation.open_loop import END, GRANT, SUBMIT, OpenLoop, open_loop_applies
from dcsim.simulation.open_loop_gangs import gang_weights
from dcsim.simulation.open_loop_kinds import Gang
from dcsim.simulation.open_loop_links import GrantRows, links_hold
from dcsim.simulation.open_loop_traffic import GangTraffic, log_traffic
from dcsim.simulation.record import RunRecord

__all__ = ["run_open_loop"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STEPS_PER_W = 2.0**22
"""Powers are whole steps (`quantised_w`)."""
_EXACT_STEPS = 2**53
"""Whole numbers up to here are exact in a float."""
_LOG_KIND = np.zeros(3, dtype=np.int16)
_LOG_KIND[[SUBMIT, END, GRANT]] = [LogKind.SUBMIT, LogKind.END, LogKind.GRANT]


def run_open_loop(
    inputs: RunInputs, horizon_s: float | None, progress: Callable[[int, int], object] | None = None
) -> RunRecord | None:
    """Return the record of a run, or None where only the event loop can tell it; the fleet stays as it is.

    Args:
        inputs: from `prepare`.
        horizon_s: last instant simulated; None: until all jobs are done.
        progress: called now and then with (jobs ended, jobs).
    """
    if not open_loop_applies(inputs):
        return None
    loop = OpenLoop(inputs, horizon_s, progress)
    record = _Columns(inputs, loop).record() if loop.run() else None
    if record is None:
        inputs.costs.forget()
    return record


class _Columns:
    """What a finished open loop tells, by columns: of all N jobs, of the R parts of gangs, of the E events."""

    def __init__(self, inputs: RunInputs, loop: OpenLoop) -> None:
        self._inputs, self._loop = inputs, loop
        told = np.frombuffer(loop.told, dtype=np.int64)
        self._kind, self._job = told & 3, told >> 2
        granted, ended = self._kind == GRANT, self._kind == END
        self._starts = self._job[granted]
        """(G,) rows of the started jobs, in the order of their starts."""
        self._start_s = np.array(loop.start_s)
        self._ended = np.zeros(len(loop.start_s), dtype=bool)
        self._ended[self._job[ended]] = True
        self._granted_at = np.flatnonzero(granted)
        freed = np.full(len(loop.start_s), -1, dtype=np.int64)
        freed[self._job[ended]] = np.flatnonzero(ended)
        self._freed_at = freed[self._starts]
        at = [loop.where[job] for job in self._starts.tolist()]
        plan = np.full(len(loop.start_s), -1, dtype=np.int64)
        plan[self._starts] = np.fromiter((a.number for a in at if a is not None), dtype=np.int64)
        self._plan = plan
        """(N,) number of the plan; -1: not started, then what is read from the columns of plans is not used."""
        self._plans = loop.kinds.plan_columns()
        self._parts([a for a in at if isinstance(a, Gang)])
        self._first = np.append(0, np.cumsum(self._sizes))
        """(G + 1,) where the parts of each gang begin."""
        self._weights = gang_weights(
            inputs, loop.kinds.shapes, plan[self._starts], self._first, self._server, self._count
        )

    def _parts(self, gangs: list[Gang]) -> None:
        """Lay out the parts of all gangs, one on each of its servers, in the order of their grants."""
        starts = self._starts
        server = np.frombuffer(self._loop.server, dtype=np.int32)[starts].astype(np.int64)
        several = server < 0
        sizes = np.ones(len(starts), dtype=np.int64)
        sizes[several] = [len(gang.placement) for gang in gangs]
        self._sizes = sizes
        """(G,) servers of each gang."""
        self._gang = np.repeat(np.arange(len(starts)), sizes)
        self._server = np.repeat(server, sizes)
        self._count = np.repeat(self._inputs.jobs.accelerators[starts], sizes)
        parts = np.repeat(several, sizes)
        self._server[parts] = [part for gang in gangs for part, _ in gang.placement]
        self._count[parts] = [count for gang in gangs for _, count in gang.placement]

    def _of_plan(self, name: str) -> Floats:
        """Return (N,) a column of the plans for each job; of no meaning for those not started."""
        return self._plans[name][self._plan]

    def record(self) -> RunRecord | None:
        """Return the record, or None where a link was overbooked or powers are too large to add exactly."""
        inputs, record = self._inputs, RunRecord(self._inputs)
        if len(self._starts) and not links_hold(inputs, self._grant_rows()):
            return None
        base_w = quantised_w(inputs.network.power_w + inputs.storage.power_w)
        record.base_power_w = base_w + float(inputs.fleet.idle_power_w.sum())
        record.now_s = self._loop.now_s
        end_s = np.full(len(self._start_s), np.nan)
        power_w = np.zeros(len(self._start_s))
        if len(self._starts):
            rate = self._of_plan("rate")
            end_s = np.where(self._ended, self._start_s + inputs.steps / rate, np.nan)
            power_w = self._power_w(rate)
            self._work(record, end_s, power_w, rate)
            self._carry(record, end_s, rate)
        record.start_s, record.end_s = _doubles(self._start_s), _doubles(end_s)
        submit_s = inputs.jobs.submit_s
        until_s = np.where(self._plan >= 0, self._start_s, np.maximum(record.now_s, submit_s))
        record.queue_s = _doubles(until_s - submit_s)
        time_s = np.empty(len(self._job))
        for kind, column in ((SUBMIT, inputs.jobs.submit_s), (GRANT, self._start_s), (END, end_s)):
            rows = self._kind == kind
            time_s[rows] = column[self._job[rows]]
        self._tell(record, time_s)
        return record if self._log_power(record, time_s, power_w) else None

    def _grant_rows(self) -> GrantRows:
        """Return what each part asks of the links."""
        plans, plan = self._plans, self._plan[self._starts]
        asked = [plans[f"{what}_bytes_per_step"] * plans["rate"] for what in ("network", "stream")]
        # As flows are made: whole bytes/s, at least one where there is any.
        network, feed = (np.where(a > 0.0, np.maximum(1.0, np.ceil(a)), 0.0)[plan] for a in asked)
        gang = self._gang
        return GrantRows(
            gang=gang,
            server=self._server,
            count=self._count,
            granted=self._granted_at[gang],
            freed=self._freed_at[gang],
            network=network[gang],
            weights=self._weights,
            feed=feed[gang],
            local=plans["local"][plan][gang],
        )

    def _power_w(self, rate: Floats) -> Floats:
        """Return (N,) the draw of each job above idle."""
        inputs, fleet = self._inputs, self._inputs.fleet
        job = self._starts[self._gang]
        kind = np.array(fleet.type_of)[self._server]
        specs = [kind_of.spec for kind_of in fleet.types]
        cores_of = np.array([spec.cpu_cores for spec in specs], dtype=np.float64)[kind]
        range_w = np.array([spec.peak_power_w - spec.idle_power_w for spec in specs])[kind]
        devices = np.array([spec.accelerators for spec in specs])[kind]
        asked, width = inputs.jobs.cpu_cores[job], inputs.jobs.accelerators[job]
        # CPU-only servers have no devices, and no part of a gang.
        cores = np.where(asked > 0.0, asked * self._count / width, cores_of * self._count / devices)
        part_w = range_w * np.minimum(1.0, cores / cores_of)
        # One after the other, as the event loop adds them.
        cpu_w = np.bincount(job, weights=part_w, minlength=len(rate))
        power_w = cpu_w + self._of_plan("busy_energy_per_step_j") * rate
        return np.asarray(np.rint(power_w * _STEPS_PER_W) / _STEPS_PER_W)

    def _work(self, record: RunRecord, end_s: Floats, power_w: Floats, rate: Floats) -> None:
        """Fill in what each job did, used and drew, up to the end of the run."""
        inputs, jobs, ended = self._inputs, self._inputs.jobs, self._ended
        started = self._plan >= 0
        run_s = np.where(started, np.where(ended, end_s, record.now_s) - self._start_s, 0.0)
        worked = run_s > 0.0
        left = np.where(worked, np.maximum(0.0, inputs.steps - rate * run_s), inputs.steps)
        left[ended] = 0.0
        done = inputs.steps - left
        servers = np.zeros(len(rate), dtype=np.int64)
        servers[self._starts] = self._sizes
        own_s = done / rate

        def fill(values: Floats) -> array[float]:
            return _doubles(np.where(started, values, 0.0))

        record.energy_j = fill(np.where(worked, power_w * run_s, 0.0))
        record.steps_done = fill(done)
        record.network_bytes = fill(self._of_plan("sent_bytes_per_step") * done)
        record.input_bytes = fill(self._of_plan("input_bytes_per_step") * done)
        record.productive = fill(own_s * jobs.accelerators)
        stalled_s = np.maximum(0.0, run_s - own_s)  # rounding
        record.stalled = fill(stalled_s * jobs.accelerators)
        parts = {name: self._of_plan(name) for name in ("compute_s", "throttled_s", "communication_s")}
        step_s = parts["compute_s"] + parts["throttled_s"] + parts["communication_s"]
        for name, part in parts.items():
            setattr(record, name, fill(own_s * (part / step_s)))
        record.network_stall_s = fill(stalled_s)
        record.attempts = _ints(started)
        record.servers_used = _ints(servers)
        record.extrapolated = bytearray((started & (self._of_plan("extrapolated") > 0.0)).tobytes())
        first = np.cumsum(self._sizes) - self._sizes
        first_server = np.full(len(rate), -1, dtype=np.int64)
        first_server[self._starts] = self._server[first]
        record.first_server = _ints(first_server)
        # Servers ascend, and so do their racks: a rack is new where it is not the one before.
        rack = inputs.fleet.rack[self._server]
        new = np.diff(rack, prepend=-1) != 0
        new[first] = True
        racks = np.zeros(len(rate), dtype=np.int64)
        racks[self._starts] = np.add.reduceat(new, first, dtype=np.int64)
        record.racks_used = _ints(racks)

    def _carry(self, record: RunRecord, end_s: Floats, rate: Floats) -> None:
        """Log what crossed the links: who ended in the order of the ends, then who goes on in that of the starts."""
        starts, jobs = self._starts, self._inputs.jobs
        until_s = np.where(self._ended, end_s, record.now_s)[starts]
        run_s = until_s - self._start_s[starts]
        ended = self._freed_at >= 0
        order = np.concatenate(
            [np.flatnonzero(ended)[np.argsort(self._freed_at[ended], kind="stable")], np.flatnonzero(~ended)]
        )
        gangs = GangTraffic(
            order=order,
            tenant=jobs.tenant[starts],
            start_s=self._start_s[starts],
            end_s=until_s,
            steps=np.minimum(self._inputs.steps[starts], rate[starts] * run_s),
            network_bytes_per_step=self._of_plan("network_bytes_per_step")[starts],
            stream_bytes_per_step=self._of_plan("stream_bytes_per_step")[starts],
            local=self._plans["local"][self._plan[starts]],
        )
        log_traffic(
            record.traffic, self._inputs, gangs, self._weights, self._first, self._server, self._count
        )

    def _tell(self, record: RunRecord, time_s: Floats) -> None:
        """Fill in the log: a row an event, for grants one a server."""
        kind, job = self._kind, self._job
        times = np.ones(len(job), dtype=np.int64)
        times[self._granted_at] = self._sizes
        value = np.where(kind == SUBMIT, self._inputs.jobs.accelerators[job], 0.0)
        ends = kind == END
        value[ends] = self._inputs.steps[job[ends]]
        rows = np.repeat(np.arange(len(job)), times)
        grants = kind[rows] == GRANT
        value, server = value[rows], np.full(len(rows), -1, dtype=np.int64)
        server[grants], value[grants] = self._server, self._count
        record.log.extend(time_s[rows], _LOG_KIND[kind[rows]], job[rows], server, value)

    def _log_power(self, record: RunRecord, time_s: Floats, power_w: Floats) -> bool:
        """Fill in the power log: an entry for each instant at whose end the power is another one.

        Returns whether all powers are small enough to have been added exactly.
        """
        kind = self._kind
        steps = (power_w * _STEPS_PER_W).astype(np.int64)[self._job]
        base = round(record.base_power_w * _STEPS_PER_W)
        change = np.where(kind == GRANT, steps, np.where(kind == END, -steps, 0))
        total = base + np.cumsum(change)
        if max(base, int(total.max(initial=0))) >= _EXACT_STEPS:
            return False
        # A job without work ends at the instant it starts, but after that has been settled.
        turns = (np.diff(time_s) != 0.0) | ((kind[:-1] == GRANT) & (kind[1:] == END))
        settled = np.append(turns, np.ones(min(len(kind), 1), dtype=bool))
        after = total[settled]
        differs = np.diff(after, prepend=base) != 0
        record.power_times_s = _doubles(np.append(0.0, time_s[settled][differs]))
        record.it_power_w = _doubles(np.append(base, after[differs]) / _STEPS_PER_W)
        return True


def _doubles(values: Floats) -> array[float]:
    return array("d", values.astype(np.float64).tobytes())


def _ints(values: npt.NDArray[np.generic]) -> array[int]:
    return array("i", values.astype(np.int32).tobytes())
