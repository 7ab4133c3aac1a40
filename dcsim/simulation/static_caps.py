"""Jobs under power caps as an energy policy sees them before the run: plans of each kind of job at each cap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.facility.server_power import job_power_w
from dcsim.facility.servers import Fleet
from dcsim.policies.cap_view import CapView
from dcsim.simulation.costing import CostModel, Plan, Shape
from dcsim.workload.jobs import JobTable

__all__ = ["make_cap_view"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STEPS = 1000
"""Caps are told in thousandths of peak power."""


def make_cap_view(costs: CostModel, jobs: JobTable, fleet: Fleet, reference: Ints) -> CapView:
    """Return the jobs of a run under caps; plans are made when a policy asks for them.

    Args:
        costs: of the run.
        jobs: N.
        fleet: of the run.
        reference: (N,) server type on which each job counts as ideal; -1: no accelerator.
    """
    held = (jobs.accelerators > 0) & (reference >= 0)
    kind = np.maximum(reference, 0)
    devices = np.array([max(1, t.spec.accelerators) for t in fleet.types])[kind]
    servers = np.where(held, jobs.accelerators / devices, 0.0)
    idle_w = np.array([t.idle_power_w for t in fleet.types])[kind]
    least = np.array([t.accelerator.least_cap if t.accelerator else 1.0 for t in fleet.types])[kind]
    curves = _Curves(costs, reference, servers * _host_w(jobs, fleet, kind, servers))
    return CapView(
        floor_fraction=np.where(held, least, 1.0),
        idle_power_w=servers * jobs.accelerator_share * idle_w,
        speed_at=lambda caps: curves.at(caps)[0],
        power_at=lambda caps: curves.at(caps)[1],
    )


def _host_w(jobs: JobTable, fleet: Fleet, kind: Ints, servers: Floats) -> Floats:
    """Return (N,) W that each job draws of a server's cores and memory for each server's worth that it holds."""
    total = np.array([t.spec.cpu_cores for t in fleet.types])[kind]
    share = np.where(jobs.cpu_cores > 0.0, jobs.cpu_cores / np.maximum(servers, 1e-9) / total, 1.0)
    both = np.array([[job_power_w(t.spec, 0.0), job_power_w(t.spec, 1.0)] for t in fleet.types])[kind]
    return np.asarray(both[:, 0] + (both[:, 1] - both[:, 0]) * np.minimum(share, 1.0))


class _Curves:
    """Speed and power of N jobs under caps: each kind of job and cap is planned once."""

    def __init__(self, costs: CostModel, reference: Ints, host_w: Floats) -> None:
        self._costs = costs
        self._shapes, self._kind = costs.ideal_shapes(reference)
        self._host_w = host_w
        self._free: list[Plan | None] = [shape and costs.foresee(shape) for shape in self._shapes]
        self._known: dict[int, tuple[float, float]] = {}

    def at(self, caps: Floats) -> tuple[Floats, Floats]:
        """Return (N,) relative rates and (N,) W above idle servers, caps rounded down to thousandths."""
        steps = np.floor(np.broadcast_to(caps, self._kind.shape) * _STEPS + 1e-9).astype(np.int64)
        codes, inverse = np.unique(self._kind * (_STEPS + 1) + np.minimum(steps, _STEPS), return_inverse=True)
        told = np.array([self._told(code) for code in codes.tolist()]).reshape(-1, 2)[inverse]
        return told[:, 0], told[:, 1] + self._host_w

    def _told(self, code: int) -> tuple[float, float]:
        if code not in self._known:
            kind, step = divmod(code, _STEPS + 1)
            self._known[code] = self._make(self._shapes[kind], self._free[kind], step)
        return self._known[code]

    def _make(self, shape: Shape | None, free: Plan | None, step: int) -> tuple[float, float]:
        if shape is None or free is None or free.rate <= 0.0:
            return 1.0, 0.0
        least = self._costs.least_cap(self._costs.accelerators[shape.accelerator])
        plan = self._costs.foresee(shape._replace(cap_fraction=max(least, step / _STEPS)))
        return plan.rate / free.rate, plan.busy_energy_per_step_j * plan.rate
