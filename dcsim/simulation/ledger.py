"""The ledger: who holds what and what each job has had, as columns that a deciding policy sees."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

from dcsim.policies.active import ActiveJobs, TenantsView
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.rates import Rates

__all__ = ["Ledger"]

Ints = npt.NDArray[np.int64]


class Ledger:
    """Columns of length N that follow grants and releases.

    Args:
        inputs: of the run.
        attempts: tells the ledger of each grant and release.
        knows_progress: whether the work left is to be looked up.
        thresholds: accelerator-seconds of service of which the instant each job reached them is kept.
    """

    def __init__(
        self,
        inputs: RunInputs,
        attempts: Attempts,
        *,
        knows_progress: bool,
        thresholds: tuple[float, ...] = (),
    ) -> None:
        self._inputs = inputs
        self._attempts = attempts
        self._knows_progress = knows_progress
        self.rates = Rates(inputs)
        count, types = len(inputs.jobs), len(self.rates.types)
        self._share = inputs.jobs.accelerator_share
        self._width = np.zeros(count, dtype=np.int64)
        self._type = np.full(count, -1, dtype=np.int64)
        self._holds = np.zeros(count, dtype=bool)
        self._since_s = np.zeros(count)
        self._waiting_since_s = inputs.jobs.submit_s.copy()
        self._service = np.zeros(count)
        self._held_s = np.zeros(count)
        self._type_held_s = np.zeros((count, types))
        self._ended_service = array("d")
        self._thresholds = thresholds
        self._reached_s = np.full((count, len(thresholds)), np.nan)
        self._tenants = _tenants(inputs)
        self._total_cpu_cores = float(inputs.fleet.cpu_cores.sum())
        self._total_memory_bytes = float(inputs.fleet.memory_bytes.sum())
        attempts.ledger = self

    def granted(self, job: int, width: int, server: int, now_s: float) -> None:
        """A job was given its gang."""
        self._width[job] = width
        self._holds[job] = True
        self._type[job] = self.rates.type_of_server[server]
        self._since_s[job] = now_s

    def released(self, job: int, now_s: float) -> None:
        """A job gave its gang back."""
        held_s = now_s - self._since_s[job]
        self._service[job] += held_s * self._width[job] * self._share[job]
        self._held_s[job] += held_s
        if self._type[job] >= 0:
            self._type_held_s[job, self._type[job]] += held_s
        self._width[job] = 0
        self._holds[job] = False
        self._type[job] = -1
        self._waiting_since_s[job] = now_s

    def ended(self, job: int) -> None:
        """A job is done for good."""
        self._ended_service.append(self._service[job])

    def active(self, rows: Ints, now_s: float) -> ActiveJobs:
        """Return the view of the jobs at `rows` (K,), ascending."""
        width, kind = self._width[rows], self._type[rows]
        running = self._holds[rows]  # a CPU-only job's width is 0 while it runs, too
        held_s = np.where(running, now_s - self._since_s[rows], 0.0)
        type_held_s = self._type_held_s[rows]
        on_type = np.flatnonzero(kind >= 0)
        type_held_s[on_type, kind[on_type]] += held_s[on_type]
        left = np.full(len(rows), np.nan)
        if self._knows_progress:
            left = self._left_fraction(rows)
        service = self._service[rows] + held_s * width * self._share[rows]
        for number, threshold in enumerate(self._thresholds):
            reached = rows[service >= threshold]
            fresh = reached[np.isnan(self._reached_s[reached, number])]
            self._reached_s[fresh, number] = now_s
        return ActiveJobs(
            now_s=now_s,
            row=rows,
            width=width,
            running=running,
            accelerator_type=kind,
            attained_accelerator_s=service,
            reached_s=self._reached_s[rows],
            held_s=self._held_s[rows] + held_s,
            type_held_s=type_held_s,
            waiting_since_s=np.where(running, now_s, self._waiting_since_s[rows]),
            left_fraction=left,
            startup_left_s=self._startup_left_s(rows, now_s),
            type_accelerators=self.rates.type_accelerators,
            free_accelerators=int(self._inputs.fleet.free.sum(dtype=np.int64)),
            total_cpu_cores=self._total_cpu_cores,
            total_memory_bytes=self._total_memory_bytes,
            ended_service_accelerator_s=np.array(self._ended_service),
            tenants=self._tenants,
            steps_per_s=self.rates.steps_per_s,
        )

    def _startup_left_s(self, rows: Ints, now_s: float) -> npt.NDArray[np.float64]:
        """Return what each job has still to prepare before it works."""
        left_s = self._inputs.view.startup_s[rows]
        if self._inputs.costs.starts_up:
            for place in np.flatnonzero((left_s > 0.0) & self._holds[rows]).tolist():
                attempt = self._attempts.running[int(rows[place])]
                left_s[place] = attempt.startup_left_s(float(left_s[place]), now_s)
        return left_s

    def _left_fraction(self, rows: Ints) -> npt.NDArray[np.float64]:
        """Return the part of each job's work that is left."""
        left_steps, running, work = self._attempts.left, self._attempts.running, self._attempts.work
        left = np.array([left_steps[row] for row in rows.tolist()])
        for place, row in enumerate(rows.tolist()):
            attempt = running.get(row)
            if attempt is not None:
                left[place] = work.steps_left(attempt)
        steps = self._inputs.steps[rows]
        fraction: npt.NDArray[np.float64] = np.divide(left, steps, out=np.zeros(len(rows)), where=steps > 0.0)
        return fraction


def _tenants(inputs: RunInputs) -> TenantsView:
    """Return what is due to each tenant of the job table."""
    said = {tenant.name: tenant for tenant in inputs.scenario.tenants}
    names = inputs.jobs.tenant_names
    return TenantsView(
        np.array([said[name].weight if name in said else 1.0 for name in names]),
        np.array(
            [said[name].guaranteed_accelerators if name in said else 0 for name in names], dtype=np.int64
        ),
    )
