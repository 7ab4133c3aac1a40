"""Neighbours: jobs on parts of one device, and how fast each runs beside the others.

Without measurements a part of a device is a partition: a job runs in proportion to its part, whoever
has the rest. With them (the scenario's `colocation`, or pairs of its rate table) jobs share the device in
time, as Gavel and Gandiva pack them: each runs at its own rate on the whole device times the measured
relative throughput beside each neighbour, and at its own rate while it is alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dcsim.simulation.costing import Plan
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.running import RunningJob
from dcsim.workload.measured_kind import MeasuredKind

__all__ = ["Neighbours"]


class Neighbours:
    """Who shares which device.

    Args:
        inputs: of the run.
    """

    def __init__(self, inputs: RunInputs) -> None:
        self._inputs = inputs
        self._profile = inputs.jobs.profile.tolist()
        self._share = inputs.jobs.accelerator_share.tolist()
        self._names = inputs.jobs.profile_names
        self._listed: dict[tuple[str, str], float] = {}
        for pair in inputs.scenario.colocation:
            (one, other), (speed, beside) = pair.profiles, pair.relative_throughput
            self._listed[other, one] = beside
            self._listed[one, other] = speed
        tables = [inputs.profiles.get(name) for name in self._names]
        paired = any(isinstance(costs, MeasuredKind) and costs.table.pairs for costs in tables)
        shares = bool((inputs.jobs.accelerator_share < 1.0).any())
        self.applies = shares and (paired or bool(self._listed))
        """Whether any job's rate can depend on its neighbours."""
        self._on: dict[tuple[int, int], list[RunningJob]] = {}
        self._plans: dict[tuple[int, float, float, str], Plan] = {}

    def join(self, running: RunningJob) -> list[RunningJob]:
        """Put a job on its device; returns the others there."""
        there = self._on.setdefault(self._device(running), [])
        others = there.copy()
        there.append(running)
        return others

    def leave(self, running: RunningJob) -> list[RunningJob]:
        """Take a job off its device; returns those that stay."""
        device = self._device(running)
        there = self._on[device]
        there.remove(running)
        if not there:
            del self._on[device]
        return there.copy()

    @staticmethod
    def _device(running: RunningJob) -> tuple[int, int]:
        server, _, device = running.held[0]
        return server, device

    def plan(self, running: RunningJob, accelerator: str) -> Plan:
        """Return the plan of a job beside its neighbours of now; `running.alone` is that on the whole device."""
        job = running.index
        share = self._share[job]
        if self._profile[job] < 0:  # a run time given as such is that on its part, whoever is beside it
            return self._kept(running.alone, share, 1.0, "")
        others = [other.index for other in self._on[self._device(running)] if other is not running]
        factor, known = 1.0, True
        for speed in self._speeds(job, others, accelerator):
            if speed is None:
                known = False
                break
            factor *= speed
        if not known:
            factor = share
        name = self._names[self._profile[job]]
        reason = ""
        if not known:
            reason = f"{name}: beside kinds it was not measured with, in proportion to its part of the device"
        elif len(others) > 1:
            reason = f"{name}: beside several others at once; measured beside one"
        if reason:
            self._inputs.costs.note(self._profile[job], reason)
        return self._kept(running.alone, share, factor, reason)

    def _kept(self, alone: Plan, share: float, factor: float, reason: str) -> Plan:
        """Return `_beside`, made once: equal jobs have the same plan."""
        key = (id(alone), share, factor, reason)
        if key not in self._plans:
            self._plans[key] = _beside(alone, share, factor, reason)
        return self._plans[key]

    def _speeds(self, job: int, others: list[int], accelerator: str) -> Iterator[float | None]:
        """Yield the job's relative throughput beside each neighbour; None: not measured."""
        mine = self._profile[job]
        for other in others:
            its = self._profile[other]
            if its < 0:
                yield None
                continue
            listed = self._listed.get((self._names[mine], self._names[its]))
            yield self._of_table(mine, its, accelerator) if listed is None else listed

    def _of_table(self, mine: int, its: int, accelerator: str) -> float | None:
        """Return what a rate table says of two kinds; None where it says nothing, or that they did not fit."""
        costs = self._inputs.profiles.get(self._names[mine])
        if not isinstance(costs, MeasuredKind):
            return None
        pair = costs.table.pair_rates(self._names[mine], self._names[its], accelerator)
        alone = costs.rate(accelerator, (1,), 0).steps_per_s
        if pair is None or pair[0] <= 0.0 or alone <= 0.0:
            return None
        return min(1.0, pair[0] / alone)


def _beside(alone: Plan, share: float, factor: float, reason: str) -> Plan:
    """Return a plan at `factor` of the rate alone, drawing the job's share of the device's busy power."""
    reasons = (*alone.reasons, *([reason] if reason else []))
    return replace(
        alone,
        rate=alone.rate * factor,
        compute_s=alone.compute_s / factor,
        throttled_s=alone.throttled_s / factor,
        communication_s=alone.communication_s / factor,
        hidden_s=alone.hidden_s / factor,
        busy_energy_per_step_j=alone.busy_energy_per_step_j * share / factor,
        busy_power_w=alone.busy_power_w * share,
        extrapolated=bool(reasons),
        reasons=reasons,
    )
