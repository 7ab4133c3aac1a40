"""Neighbours: jobs on parts of one device, or in one server, and how fast each runs beside the others.

Without measurements a part of a device is a partition: a job runs in proportion to its part, whoever
has the rest. With them (the scenario's `colocation`, or pairs of its rate table) jobs share the device in
time, as Gavel and Gandiva pack them: each runs at its own rate on the whole device times the measured
relative throughput beside each neighbour, and at its own rate while it is alone.

Jobs on devices of their own slow each other where the scenario says so of their servers (`sharing: server`): their
cores share caches and memory. A gang over several servers is as slow as it is in the slowest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dcsim.simulation.costing import Plan
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.running import RunningJob
from dcsim.workload.measured_kind import MeasuredKind

__all__ = ["Neighbours"]

_WHOLE_SERVER = -1
"""In place of a device."""


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
        self._listed: dict[str, dict[tuple[str, str], float]] = {"device": {}, "server": {}}
        for pair in inputs.scenario.colocation:
            (one, other), (speed, beside) = pair.profiles, pair.relative_throughput
            self._listed[pair.sharing][other, one] = beside
            self._listed[pair.sharing][one, other] = speed
        tables = [inputs.profiles.get(name) for name in self._names]
        paired = any(isinstance(costs, MeasuredKind) and costs.table.pairs for costs in tables)
        shares = bool((inputs.jobs.accelerator_share < 1.0).any())
        self.on_devices = shares and (paired or bool(self._listed["device"]))
        """Whether jobs on parts of a device go by what was measured there."""
        self.on_servers = bool(self._listed["server"])
        """Whether jobs in one server slow each other."""
        self.applies = self.on_devices or self.on_servers
        """Whether any job's rate can depend on its neighbours."""
        self._on: dict[tuple[int, int], list[RunningJob]] = {}
        self._plans: dict[tuple[int, float, float, str], Plan] = {}

    def concerns(self, job: int) -> bool:
        """Return whether a job's rate can depend on its neighbours."""
        return self.on_servers or (self.on_devices and self._share[job] < 1.0)

    def join(self, running: RunningJob) -> list[RunningJob]:
        """Put a job where it runs; returns the others there."""
        others: dict[RunningJob, None] = {}
        for place in self._places(running):
            there = self._on.setdefault(place, [])
            others |= dict.fromkeys(there)
            there.append(running)
        return list(others)

    def leave(self, running: RunningJob) -> list[RunningJob]:
        """Take a job away; returns those that stay where it was."""
        others: dict[RunningJob, None] = {}
        for place in self._places(running):
            there = self._on[place]
            there.remove(running)
            others |= dict.fromkeys(there)
            if not there:
                del self._on[place]
        return list(others)

    def _places(self, running: RunningJob) -> list[tuple[int, int]]:
        """Return where a job has neighbours: its device, if it has part of one, and its servers as a whole."""
        places = [self._device(running)] if self._on_part(running) else []
        if self.on_servers:
            places += [(server, _WHOLE_SERVER) for server, _ in running.placement]
        return places

    def _on_part(self, running: RunningJob) -> bool:
        return self.on_devices and self._share[running.index] < 1.0

    @staticmethod
    def _device(running: RunningJob) -> tuple[int, int]:
        server, _, device = running.held[0]
        return server, device

    def plan(self, running: RunningJob, accelerator: str) -> Plan:
        """Return the plan of a job beside its neighbours of now; `running.own` is that on the whole device."""
        job = running.index
        share, factor, reason = 1.0, 1.0, ""
        if self._on_part(running):
            share = self._share[job]
            factor, reason = self._on_device(running, share, accelerator)
        if self.on_servers and self._profile[job] >= 0:
            speed, why = self._in_servers(running)
            factor, reason = factor * speed, reason or why
        if reason and self._profile[job] >= 0:
            self._inputs.costs.note(self._profile[job], reason)
        return self._kept(running.own, share, factor, reason)

    def _on_device(self, running: RunningJob, share: float, accelerator: str) -> tuple[float, str]:
        """Return (relative throughput beside the others on its device, why that is extrapolated or "")."""
        job = running.index
        if self._profile[job] < 0:  # a run time given as such is that on its part, whoever is beside it
            return 1.0, ""
        others = [other.index for other in self._on[self._device(running)] if other is not running]
        factor = 1.0
        name = self._names[self._profile[job]]
        for speed in self._speeds(job, others, accelerator):
            if speed is None:
                reason = (
                    f"{name}: beside kinds it was not measured with, in proportion to its part of the device"
                )
                return share, reason
            factor *= speed
        return factor, f"{name}: beside several others at once; measured beside one" if len(
            others
        ) > 1 else ""

    def _in_servers(self, running: RunningJob) -> tuple[float, str]:
        """Return (relative throughput beside the others in the worst of its servers, why extrapolated or "")."""
        name, listed = self._names[self._profile[running.index]], self._listed["server"]
        slowest, reason = 1.0, ""
        mine = set(self._on.get(self._device(running), ())) if self._on_part(running) else set()
        for server, _ in running.placement:
            there = self._on[server, _WHOLE_SERVER]
            others = [other for other in there if other is not running and other not in mine]
            factor = 1.0
            for other in others:
                its = self._profile[other.index]
                speed = listed.get((name, self._names[its])) if its >= 0 else None
                if speed is None:
                    reason = (
                        f"{name}: as fast as alone beside kinds in its server that it was not measured with"
                    )
                else:
                    factor *= speed
            if len(others) > 1:
                reason = reason or f"{name}: beside several others in its server; measured beside one"
            slowest = min(slowest, factor)
        return slowest, reason

    def _kept(self, own: Plan, share: float, factor: float, reason: str) -> Plan:
        """Return `_beside`, made once: equal jobs have the same plan."""
        key = (id(own), share, factor, reason)
        if key not in self._plans:
            self._plans[key] = _beside(own, share, factor, reason)
        return self._plans[key]

    def _speeds(self, job: int, others: list[int], accelerator: str) -> Iterator[float | None]:
        """Yield the job's relative throughput beside each neighbour; None: not measured."""
        mine = self._profile[job]
        for other in others:
            its = self._profile[other]
            if its < 0:
                yield None
                continue
            listed = self._listed["device"].get((self._names[mine], self._names[its]))
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
