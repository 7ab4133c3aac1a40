"""What jobs cost, be it by a cost profile or by measured rates, where run times and steps are exchanged."""

from __future__ import annotations

from collections.abc import Mapping

from dcsim.errors import Problem, ProfileError
from dcsim.facility.hardware import Accelerator
from dcsim.workload.cost import ideal_step_time_s, step_cost
from dcsim.workload.measured_kind import MeasuredKind, packed_layout
from dcsim.workload.profile_store import JobCosts

__all__ = ["ideal_step_s", "largest_batch", "startup_s"]


def ideal_step_s(
    costs: JobCosts,
    accelerator: Accelerator,
    devices: int,
    batch_per_accelerator: int = 0,
    *,
    catalogue: Mapping[str, Accelerator],
    per_server: int = 0,
) -> float:
    """Return the step time [s] of a gang alone on the cluster.

    A cost profile's is that inside one server (`ideal_step_time_s`), a rate table's that on the fewest
    servers, which it knows.

    Args:
        costs: Of the kind of job.
        accelerator: What it runs on.
        devices: Gang width, >= 1.
        batch_per_accelerator: Samples of each device; 0: the largest measured.
        catalogue: Accelerators by name; a profile's device that is not there is looked up in the built-in one.
        per_server: Devices of a server; 0: all of the gang in one.

    Raises:
        ProfileError: The accelerator cannot run it, or was never measured to.
    """
    if not isinstance(costs, MeasuredKind):
        profile = costs.profile
        measured_on = catalogue.get(profile.device)
        cost = step_cost(profile, accelerator, devices, batch_per_accelerator, measured_on=measured_on)
        return ideal_step_time_s(cost, accelerator, devices)
    layout = packed_layout(devices, per_server or devices)
    rate = costs.rate(accelerator.name, layout, batch_per_accelerator).steps_per_s
    if rate <= 0.0:
        got = f"no progress of {devices} accelerators on {accelerator.name}"
        raise ProfileError([Problem(str(costs.path), None, repr(costs.kind), got, "a rate above 0")])
    return 1.0 / rate


def largest_batch(costs: JobCosts) -> int:
    """Return the samples a step on each accelerator, the most that were measured; 0: not known."""
    if isinstance(costs, MeasuredKind):
        return costs.largest_batch
    return costs.profile.fit.batch_per_device_max


def startup_s(costs: JobCosts) -> float:
    """Return how long each attempt prepares before its first step [s]; 0 where that is not known, as of measured rates."""
    if isinstance(costs, MeasuredKind) or costs.profile.startup is None:
        return 0.0
    return costs.profile.startup.total_s
