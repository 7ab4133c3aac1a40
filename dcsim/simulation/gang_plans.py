"""What an attempt costs on the servers it was given: its plan, and what it exchanges there."""

from __future__ import annotations

from array import array
from dataclasses import replace

from dcsim.policies.views import Placement
from dcsim.simulation.costing import Plan, Shape
from dcsim.simulation.exchange import Exchange
from dcsim.simulation.inputs import RunInputs
from dcsim.workload.elastic import relative_progress

__all__ = ["GangPlans"]


class GangPlans:
    """Plans of gangs where they are placed.

    Args:
        inputs: of the run.
        whole_devices: whether a job's own rate is that on the whole device, though it has a part of one.
    """

    def __init__(self, inputs: RunInputs, *, whole_devices: bool) -> None:
        jobs = inputs.jobs
        self._inputs = inputs
        self._whole_devices = whole_devices
        self._profile = array("q", jobs.profile.tobytes())
        self._batch = array("q", jobs.batch_per_accelerator.tobytes())
        self._noise = array("d", jobs.noise_scale_samples.tobytes())
        self._width = array("q", jobs.accelerators.tobytes())
        self._share = array("d", jobs.accelerator_share.tobytes())
        self._parallelism = array("q", jobs.parallelism.tobytes())
        self.cap = array("d", inputs.cap_fraction.tobytes())
        """Of each job now, over the peak power of its accelerators."""
        self.accelerator_name = [t.accelerator.name if t.accelerator else "" for t in inputs.fleet.types]
        """Of each type of server; "" without any."""
        self._scaled: dict[tuple[int, float], Plan] = {}

    def accelerator(self, placement: Placement) -> str:
        """Return the accelerator of a gang's servers; "" without one."""
        return self.accelerator_name[self._inputs.fleet.type_of[placement[0][0]]]

    def shape(self, job: int, placement: Placement, width: int) -> Shape:
        """Return what a job's cost depends on, on these servers."""
        counts = (width,) if len(placement) == 1 else tuple([count for _, count in placement])
        if len(counts) > 1 and self._inputs.costs.by_layout(self._profile[job]):
            counts = tuple(sorted(counts, reverse=True))
        return Shape(
            self._profile[job],
            self._batch[job],
            width,
            self.accelerator(placement),
            self.cap[job],
            1.0 if self._whole_devices else self._share[job],
            counts,
            self._parallelism[job],
        )

    def make(self, job: int, placement: Placement, width: int) -> tuple[Plan, Exchange | None, float]:
        """Return a job's plan and exchange on these servers, and its steps of this width in one of its own.

        The plan is that on links as they were built, whatever has failed meanwhile: what they no longer give
        is lost to the network, until they are repaired.

        Raises:
            PolicyError: as `CostModel.plan`.
        """
        costs, shape = self._inputs.costs, self.shape(job, placement, width)
        exchange = own = costs.exchange(shape, placement, job)
        if not self._inputs.network.is_whole:
            own = costs.exchange(shape, placement, job, as_built=True)
        plan = costs.plan(shape, None if costs.same_anywhere(shape) else own)
        if width == self._width[job]:
            return plan, exchange, 1.0
        batch = costs.batch(self._profile[job], self._batch[job])
        factor = relative_progress(width, self._width[job], batch, self._noise[job])
        key = (id(plan), factor)
        if key not in self._scaled:
            self._scaled[key] = _rescaled(plan, factor)
        return self._scaled[key], exchange, 1.0 / factor

    def at_cap(self, job: int, placement: Placement, width: int, cap_fraction: float) -> Plan:
        """Return the plan that a job would go by here under another cap."""
        before = self.cap[job]
        self.cap[job] = cap_fraction
        try:
            return self.make(job, placement, width)[0]
        finally:
            self.cap[job] = before

    def exchange(self, job: int, placement: Placement, width: int) -> Exchange | None:
        """Return what a gang exchanges on its servers, over the ways there are now."""
        return self._inputs.costs.exchange(self.shape(job, placement, width), placement, job)


def _rescaled(plan: Plan, factor: float) -> Plan:
    """Return a plan in steps of another width: `factor` of those make one of its own."""
    return replace(
        plan,
        rate=plan.rate * factor,
        compute_s=plan.compute_s / factor,
        throttled_s=plan.throttled_s / factor,
        communication_s=plan.communication_s / factor,
        hidden_s=plan.hidden_s / factor,
        network_bytes_per_step=plan.network_bytes_per_step / factor,
        sent_bytes_per_step=plan.sent_bytes_per_step / factor,
        stream_bytes_per_step=plan.stream_bytes_per_step / factor,
        input_bytes_per_step=plan.input_bytes_per_step / factor,
        busy_energy_per_step_j=plan.busy_energy_per_step_j / factor,
    )
