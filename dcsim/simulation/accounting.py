"""What the time of jobs was spent on: accelerator-seconds held, and seconds of the job's own time.

Both are parts of a whole that is known otherwise: what was granted, and the time from submission to end.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from dcsim.simulation.neighbours import Neighbours
from dcsim.simulation.record import RunRecord
from dcsim.simulation.running import Phase, RunningJob

__all__ = ["Accounts"]


class Accounts:
    """Fills the columns of a run's record as attempts go from phase to phase and end.

    Args:
        record: of the run.
        share: (N,) part of one device that each job takes; 1 for whole ones.
        neighbours: which jobs can slow each other down.
    """

    def __init__(self, record: RunRecord, share: array[float], *, neighbours: Neighbours) -> None:
        self._record = record
        self._share = share
        self._neighbours = neighbours
        self._steps = record.inputs.steps
        self._free_since_s = array("d", record.inputs.jobs.submit_s.tobytes())
        """Since when each job holds nothing."""

    def granted(self, job: int, now_s: float) -> None:
        """Account the wait that ends now."""
        self._record.queue_s[job] += now_s - self._free_since_s[job]

    def freed(self, job: int, now_s: float) -> None:
        """Note from when on a job holds nothing."""
        self._free_since_s[job] = now_s

    def dropped(self, job: int, now_s: float) -> None:
        """Account the wait of a job that will never start."""
        self._record.queue_s[job] += now_s - self._free_since_s[job]

    def phase_over(self, running: RunningJob, now_s: float) -> None:
        """Account the time since the last change of phase, but for RUN, whose parts are known at the end."""
        job, record, phase = running.index, self._record, running.phase
        elapsed_s = now_s - running.phase_s
        running.phase_s = now_s
        if phase is Phase.RUN:
            running.run_s += elapsed_s
            return
        held = elapsed_s * running.width * self._share[job]
        if phase is Phase.WAIT:
            record.waiting[job] += held
            record.wake_s[job] += elapsed_s
        elif phase is Phase.RESTORE:
            record.restore[job] += held
            record.restore_s[job] += elapsed_s
        elif phase is Phase.IDLE:
            record.stalled[job] += held
            record.idle_s[job] += elapsed_s
        else:
            record.checkpoint[job] += held
            record.checkpoint_s[job] += elapsed_s

    def attempt(self, running: RunningJob, *, over: bool) -> None:
        """Write down what an attempt did, once, at its end (`over`) or at the end of the run."""
        job, plan, record = running.index, running.plan, self._record
        left = running.total_left()
        done = running.left_at_grant - left
        lost = running.durable_left - left if over else 0.0
        devices = running.width * self._share[job]
        record.steps_done[job] = self._steps[job] - (left + lost)
        record.energy_j[job] += running.energy_j
        record.network_bytes[job] += plan.sent_bytes_per_step * done
        record.input_bytes[job] += plan.input_bytes_per_step * done
        own_rate = running.alone.rate
        if running.throttle_s > 0.0 and done > 0.0:  # caps came and went: its own rate is that under them
            own_s = done / own_rate
            own_rate = done / (own_s + min(running.throttle_s, max(0.0, running.run_s - own_s)))
        record.productive[job] += (done - lost) / own_rate * devices
        record.redone[job] += lost / own_rate * devices
        stalled_s = max(0.0, running.run_s - done / own_rate)
        record.stalled[job] += stalled_s * devices
        self._own_time(running, done - lost, lost, stalled_s, own_rate)

    def _own_time(
        self, running: RunningJob, kept: float, lost: float, stalled_s: float, own_rate: float
    ) -> None:
        """Write down what the time in phase RUN went into: steps that count, steps lost, and what slowed them."""
        job, alone, record = running.index, running.alone, self._record
        # Parts of the whole, so that they add up to it whatever rounding says.
        kept_s, step_s = kept / alone.rate, alone.compute_s + alone.throttled_s + alone.communication_s
        record.throttled_s[job] += kept_s * (alone.throttled_s / step_s) + max(0.0, kept / own_rate - kept_s)
        record.communication_s[job] += kept_s * (alone.communication_s / step_s)
        record.compute_s[job] += kept_s * (alone.compute_s / step_s)
        record.redone_s[job] += lost / own_rate
        network_s = min(stalled_s, running.network_stall_s)
        data_s = min(stalled_s - network_s, running.data_stall_s)
        rest_s = stalled_s - network_s - data_s
        if self._neighbours.concerns(job):
            record.neighbour_stall_s[job] += rest_s
        elif running.data_stall_s > running.network_stall_s:
            data_s += rest_s  # rounding
        else:
            network_s += rest_s
        record.network_stall_s[job] += network_s
        record.data_stall_s[job] += data_s

    def never_again(self, now_s: float, holding: Iterable[int]) -> None:
        """At the end of the run: account the waits that go on, of all jobs but those `holding` servers."""
        record, busy = self._record, set(holding)
        for job, since_s in enumerate(self._free_since_s):
            if job not in busy and not record.end_s[job] <= now_s and since_s < now_s:
                record.queue_s[job] += now_s - since_s
