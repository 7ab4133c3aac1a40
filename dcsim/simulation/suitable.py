"""Which accelerators suit each job: of a type its profile fits, and the type on which it counts as ideal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, ScenarioError
from dcsim.facility.hardware import Accelerator
from dcsim.facility.servers import Fleet
from dcsim.simulation.costing import CostModel
from dcsim.spec.scenario import Scenario
from dcsim.workload.build import check_jobs_fit
from dcsim.workload.cost import rate_used
from dcsim.workload.distinct import distinct_rows
from dcsim.workload.jobs import JobTable
from dcsim.workload.measured_kind import MeasuredKind, packed_layout
from dcsim.workload.profile_store import JobCosts

__all__ = ["allowed_servers", "on_suitable_types", "reference_types"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def on_suitable_types(
    jobs: JobTable, scenario: Scenario, fleet: Fleet, profiles: Mapping[str, JobCosts]
) -> JobTable:
    """Return the jobs, each kept to accelerators of the cluster that its profile can run on.

    Those have the memory the profile was measured to need, and a peak rate for its precision. Where rates
    were measured, they are the accelerators on which a gang as wide makes progress.

    Raises:
        ScenarioError: a profile that none of the accelerators it may use can run, or a gang that
            does not fit on those that can.
    """
    types = {t.accelerator.name: t.accelerator for t in fleet.types if t.accelerator}
    per_server = {name: _largest_server(fleet, name) for name in types}
    constraints = {accepted: code for code, accepted in enumerate(jobs.type_constraints)}
    codes = jobs.accelerator_types.copy()
    problems: list[Problem] = []
    for rows, profile, code, width, batch in _alike(jobs, profiles):
        costs = profiles[jobs.profile_names[profile]]
        accepted = [model for key, model in types.items() if code < 0 or key in jobs.type_constraints[code]]
        suited = tuple(
            model.name for model in accepted if _suits(costs, model, width, batch, per_server[model.name])
        )
        if not suited:
            problems.append(_unsuited(scenario, costs, width, accepted))
        elif len(suited) < len(accepted):
            codes[rows] = constraints.setdefault(suited, len(constraints))
    if problems:
        raise ScenarioError(problems)
    if len(constraints) == len(jobs.type_constraints):
        return jobs
    kept = replace(jobs, accelerator_types=codes, type_constraints=tuple(constraints))
    check_jobs_fit(kept, scenario)
    return kept


def _alike(jobs: JobTable, profiles: Mapping[str, JobCosts]) -> Iterator[tuple[Ints, int, int, int, int]]:
    """Yield (rows, profile, constraint, width, batch) of the jobs on accelerators that suit the same types.

    Width and batch are 0 where jobs have a cost profile: what it needs does not depend on them.
    """
    rows = np.flatnonzero((jobs.profile >= 0) & (jobs.accelerators > 0))
    measured = np.array([isinstance(profiles[name], MeasuredKind) for name in jobs.profile_names], dtype=bool)
    by_rate = measured[jobs.profile[rows]]
    keys = (
        jobs.profile[rows],
        jobs.accelerator_types[rows],
        np.where(by_rate, jobs.accelerators[rows], 0),
        np.where(by_rate, jobs.batch_per_accelerator[rows], 0),
    )
    first, inverse = distinct_rows(*keys)
    values = zip(*(key[first].tolist() for key in keys), strict=True)
    for number, (profile, code, width, batch) in enumerate(values):
        yield rows[inverse == number], profile, code, width, batch


def _largest_server(fleet: Fleet, accelerator: str) -> int:
    """Return the devices of the largest server with an accelerator, at least 1."""
    mine = (t.spec.accelerators for t in fleet.types if t.accelerator and t.accelerator.name == accelerator)
    return max(1, *mine)


def _suits(costs: JobCosts, accelerator: Accelerator, width: int, batch: int, per_server: int) -> bool:
    """Return whether a profile's memory and precision are there, or rates of a gang of `width`."""
    if isinstance(costs, MeasuredKind):
        return costs.runs_on(accelerator.name, packed_layout(width, per_server), batch)
    profile = costs.profile
    rated = rate_used(accelerator, profile.precision) in accelerator.peak_flop_per_s
    measured_here = accelerator.name == profile.device
    return profile.memory_bytes_per_device <= accelerator.memory_bytes and (rated or measured_here)


def _unsuited(scenario: Scenario, costs: JobCosts, width: int, accepted: list[Accelerator]) -> Problem:
    if isinstance(costs, MeasuredKind):
        here = ", ".join(model.name for model in accepted)
        measured = ", ".join(costs.table.accelerators(costs.kind))
        got = f"{costs.kind!r}, {width} wide, on {here}"
        return Problem(
            scenario.name, None, "rates", got, "an accelerator with a rate above 0", f"measured: {measured}"
        )
    profile = costs.profile
    names = ", ".join(
        f"{model.name} ({model.memory_bytes:.4g} B; {', '.join(model.peak_flop_per_s)})" for model in accepted
    )
    got = f"{profile.memory_bytes_per_device:.4g} B in {profile.precision}"
    return Problem(
        scenario.name, None, f"profiles.{profile.name}.memory", got, f"what one of {names} can run"
    )


def allowed_servers(jobs: JobTable, fleet: Fleet) -> tuple[tuple[Bools, ...], ...]:
    """Return, for each constraint and for none, a mask of servers for each accelerator type there is."""
    names = [t.accelerator.name if t.accelerator else "" for t in fleet.types]
    kind = np.array(fleet.type_of)
    types = [name for name in dict.fromkeys(names) if name]
    masks = {name: np.isin(kind, [k for k, other in enumerate(names) if other == name]) for name in types}
    for mask in masks.values():
        mask.flags.writeable = False
    constraints = [*jobs.type_constraints, tuple(types)]
    return tuple(tuple(masks[name] for name in types if name in accepted) for accepted in constraints)


def reference_types(
    jobs: JobTable, fleet: Fleet, allowed: tuple[tuple[Bools, ...], ...], costs: CostModel
) -> Ints:
    """Return (N,) the server type on which a job counts as ideal, -1 without accelerators.

    Of the accelerator types it may use whose servers can hold it, the one it runs fastest on, the first
    of equals; of that type the largest server.
    """
    kind = np.array(fleet.type_of)
    best, best_s = np.full(len(jobs), -1, dtype=np.int64), np.full(len(jobs), math.inf)
    for mask in allowed[-1]:
        accepts = np.array([any(mask is other for other in masks) for masks in allowed])
        servers = np.flatnonzero(mask)
        # -1, no constraint, is the last entry.
        rows = (jobs.accelerators > 0) & accepts[jobs.accelerator_types] & _holds(jobs, fleet.total[servers])
        here = np.where(rows, kind[servers[np.argmax(fleet.total[servers])]], -1)
        if len(allowed[-1]) == 1:
            return here
        ideal_s = costs.ideals(here)[1]
        better = rows & (ideal_s < best_s)
        best, best_s = np.where(better, here, best), np.where(better, ideal_s, best_s)
    return best


def _holds(jobs: JobTable, devices: Ints) -> Bools:
    """Return (N,) whether empty servers with these devices can hold each gang on as many as it may span."""
    room = np.cumsum(np.sort(devices)[::-1])
    spread = np.where(jobs.max_servers > 0, np.minimum(jobs.max_servers, len(room)), len(room))
    return np.asarray(room[spread - 1] >= jobs.accelerators)
