"""What jobs cost, be it by a cost profile or by measured rates, where run times and steps are exchanged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, ProfileError
from dcsim.facility.hardware import Accelerator
from dcsim.workload.cost import ideal_step_time_s, step_cost
from dcsim.workload.measured_kind import MeasuredKind, packed_layout
from dcsim.workload.profile_store import JobCosts

__all__ = ["ideal_step_s", "largest_batch", "startup_s", "stretched_notes"]

Floats = npt.NDArray[np.float64]


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


def stretched_notes(run_s: Floats, startup_s: Floats, step_s: Floats, devices: Floats) -> tuple[str, ...]:
    """Return a note, or none, on jobs whose run time is shorter than their start-up and one step, which they take all the same.

    Args:
        run_s: (N,) said, start-up included; one that is not above 0 belongs to a job that does nothing.
        startup_s: (N,) of each job; where it is 0 nothing is said.
        step_s: (N,) of each job.
        devices: (N,) that each holds, a share of one as its part.

    >>> stretched_notes(*np.array([[30.0, 0.0, 101.0], [100.0] * 3, [1.0] * 3, [2.0] * 3]))[0]
    '1 of 3 jobs runs longer than given, its start-up and one step being longer: 142 accelerator-seconds more in all'
    """
    added_s = np.where((startup_s > 0.0) & (run_s > 0.0), startup_s + step_s - run_s, 0.0)
    longer = added_s > 0.0
    count = int(np.count_nonzero(longer))
    if not count:
        return ()
    runs, its = ("run", "their") if count > 1 else ("runs", "its")
    added = float((added_s * devices)[longer].sum())
    note = f"{count} of {len(run_s)} jobs {runs} longer than given, {its} start-up and one step being longer"
    return (f"{note}: {added:.4g} accelerator-seconds more in all",)
