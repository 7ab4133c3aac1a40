"""Everything a run needs, built from the scenario and checked: fleet, links, jobs, policies, plans."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError, Problem, ScenarioError
from dcsim.facility.hardware import Accelerator, catalogue
from dcsim.facility.network import Network
from dcsim.facility.servers import Fleet
from dcsim.facility.storage import Storage
from dcsim.policies import EnergyPolicy, JobsView, OrderingPolicy, PlacementPolicy, make_policy
from dcsim.simulation.costing import CostModel
from dcsim.spec.scenario import Scenario
from dcsim.workload.build import build_jobs, check_jobs_fit
from dcsim.workload.jobs import JobTable
from dcsim.workload.profile_store import LoadedProfile, load_profiles, used_profiles

__all__ = ["Policies", "RunInputs", "prepare"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Policies:
    """The three deciders of a run."""

    ordering: OrderingPolicy
    placement: PlacementPolicy
    energy: EnergyPolicy


@dataclass(frozen=True, slots=True)
class RunInputs:
    """What a run starts from; nothing in it changes but the fleet."""

    scenario: Scenario
    seed: int
    base_dir: Path
    catalogue: Mapping[str, Accelerator]
    fleet: Fleet
    network: Network
    storage: Storage
    jobs: JobTable
    profiles: Mapping[str, LoadedProfile]
    policies: Policies
    costs: CostModel
    steps: Floats
    ideal_s: Floats
    view: JobsView
    order_keys: Floats
    cap_fraction: Floats
    allowed: tuple[tuple[Bools, ...], ...]
    """For each type constraint (the last: none) the masks of servers to try, one accelerator type each."""
    cpu_memory_binding: bool


def prepare(
    scenario: Scenario,
    seed: int,
    base_dir: Path,
    *,
    profiles: Mapping[str, LoadedProfile] | None = None,
    policies: Policies | None = None,
    jobs: JobTable | None = None,
) -> RunInputs:
    """Build and check everything a run needs.

    Raises:
        InputError: a file or a value of the scenario cannot be used, with every problem found.
        PolicyError: a policy is unknown, or its keys or caps are unusable.
    """
    models = catalogue(scenario)
    _known_accelerators(scenario, models)
    fleet = Fleet(scenario.cluster, models)
    given = dict(profiles or {})
    missing = [name for name in used_profiles(scenario) if name not in given] if jobs is None else []
    loaded = {**(load_profiles(missing, scenario, base_dir) if missing else {}), **given}
    if jobs is None:
        jobs = build_jobs(scenario, seed, base_dir, loaded, models, fleet.accelerators)
    else:
        check_jobs_fit(jobs, scenario)
    binding = _binding(jobs, fleet)
    if binding:
        jobs = _with_host_share(jobs, fleet)
    policies = policies or _policies(scenario)
    costs = CostModel(jobs, loaded, models, fleet, scenario.network)
    allowed = _allowed_servers(jobs, fleet)
    reference = _reference_types(jobs, fleet, allowed)
    _refuse_too_little_memory(scenario, jobs, fleet, costs, reference)
    steps, ideal_s, fraction = costs.ideals(reference)
    view = _jobs_view(jobs, ideal_s, fraction)
    keys = _checked(policies.ordering.keys(view), len(jobs), "ordering keys", -math.inf, math.inf)
    caps = _checked(policies.energy.power_cap_fractions(view), len(jobs), "power caps", 0.0, 1.0)
    return RunInputs(
        scenario=scenario,
        seed=seed,
        base_dir=base_dir,
        catalogue=models,
        fleet=fleet,
        network=Network(scenario.network, fleet.rack, first_link=1 + len(fleet)),
        storage=Storage(scenario.storage, len(fleet)),
        jobs=jobs,
        profiles=loaded,
        policies=policies,
        costs=costs,
        steps=steps,
        ideal_s=ideal_s,
        view=view,
        order_keys=keys,
        cap_fraction=caps,
        allowed=allowed,
        cpu_memory_binding=binding,
    )


def _known_accelerators(scenario: Scenario, models: Mapping[str, Accelerator]) -> None:
    problems = [
        Problem(
            "scenario",
            None,
            f"cluster.racks.{i}.servers.{k}.accelerator",
            repr(server.accelerator),
            f"one of {', '.join(sorted(models))}",
            "add it under accelerators",
        )
        for i, rack in enumerate(scenario.cluster.racks)
        for k, server in enumerate(rack.servers)
        if server.accelerator is not None and server.accelerator not in models
    ]
    if problems:
        raise ScenarioError(problems)


def _policies(scenario: Scenario) -> Policies:
    chosen = scenario.policies
    ordering = make_policy("ordering", chosen.ordering.name, chosen.ordering.parameters)
    placement = make_policy("placement", chosen.placement.name, chosen.placement.parameters)
    energy = make_policy("energy", chosen.energy.name, chosen.energy.parameters)
    return Policies(
        cast("OrderingPolicy", ordering),
        cast("PlacementPolicy", placement),
        cast("EnergyPolicy", energy),
    )


def _allowed_servers(jobs: JobTable, fleet: Fleet) -> tuple[tuple[Bools, ...], ...]:
    """Return, for each constraint and for none, a mask of servers for each accelerator type there is."""
    names = [t.accelerator.name if t.accelerator else "" for t in fleet.types]
    kind = np.array(fleet.type_of)
    types = [name for name in dict.fromkeys(names) if name]
    masks = {name: np.isin(kind, [k for k, other in enumerate(names) if other == name]) for name in types}
    for mask in masks.values():
        mask.flags.writeable = False
    constraints = [*jobs.type_constraints, tuple(types)]
    return tuple(tuple(masks[name] for name in types if name in accepted) for accepted in constraints)


def _reference_types(jobs: JobTable, fleet: Fleet, allowed: tuple[tuple[Bools, ...], ...]) -> Ints:
    """Return (N,) the server type on which a job counts as ideal: the largest server of its first type."""
    kind = np.array(fleet.type_of)
    best = np.full(len(allowed), -1, dtype=np.int64)
    for number, masks in enumerate(allowed):
        if masks:
            servers = np.flatnonzero(masks[0])
            best[number] = kind[servers[np.argmax(fleet.total[servers])]]
    reference = best[jobs.accelerator_types]  # -1 is the last entry: no constraint
    return np.where(jobs.accelerators > 0, reference, -1)


def _refuse_too_little_memory(
    scenario: Scenario, jobs: JobTable, fleet: Fleet, costs: CostModel, reference: Ints
) -> None:
    """Refuse profiles whose measured memory does not fit the accelerator they would run on."""
    pairs = sorted({(p, k) for p, k in zip(jobs.profile.tolist(), reference.tolist(), strict=True)})
    problems = []
    for profile, kind in pairs:
        accelerator = fleet.types[kind].accelerator if kind >= 0 else None
        if profile < 0 or accelerator is None:
            continue
        needed = costs.device_memory_bytes(profile)
        if needed > accelerator.memory_bytes:
            name = jobs.profile_names[profile]
            expected = f"at most the {accelerator.memory_bytes:.4g} B of a {accelerator.name}"
            problems.append(
                Problem(scenario.name, None, f"profiles.{name}.memory", f"{needed:.4g} B", expected)
            )
    if problems:
        raise ScenarioError(problems)


def _jobs_view(jobs: JobTable, ideal_s: Floats, fraction: Floats) -> JobsView:
    view = JobsView(
        jobs.submit_s.view(),
        jobs.accelerators.view(),
        ideal_s.view(),
        jobs.slack_s.view(),
        jobs.tenant.view(),
        fraction.view(),
    )
    for column in fields(view):
        getattr(view, column.name).flags.writeable = False
    return view


def _checked(values: Floats, length: int, what: str, low: float, high: float) -> Floats:
    """Return a policy's column, refused where it is not a number for each job within bounds."""
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (length,):
        msg = f"{what}: shape {column.shape} -> expected ({length},)"
        raise PolicyError(msg)
    bad = np.flatnonzero(~((column > low) & (column <= high)))
    if len(bad):
        msg = f"{what}: {column[bad[0]]} for job {int(bad[0])} -> expected a number in ({low:g}, {high:g}]"
        raise PolicyError(msg)
    return column


def _with_host_share(jobs: JobTable, fleet: Fleet) -> JobTable:
    """Return the jobs with unknown CPU and memory set to the least share that goes with their devices."""
    with_devices = fleet.total > 0
    devices = jobs.accelerators * jobs.accelerator_share
    known = {}
    for field, has in (("cpu_cores", fleet.cpu_cores), ("memory_bytes", fleet.memory_bytes)):
        column = getattr(jobs, field)
        share = (has[with_devices] / fleet.total[with_devices]).min(initial=math.inf)
        known[field] = np.where((column == 0.0) & (devices > 0.0), devices * min(share, has.max()), column)
    return replace(jobs, **known)


def _binding(jobs: JobTable, fleet: Fleet) -> bool:
    """Return whether CPU or memory can run out where accelerators are free.

    It cannot when every job asks, for each accelerator, at most the share that goes with one.
    """
    if (jobs.accelerators == 0).any() or (jobs.accelerator_share < 1.0).any():
        return True
    with_devices = fleet.total > 0
    for wanted, has in ((jobs.cpu_cores, fleet.cpu_cores), (jobs.memory_bytes, fleet.memory_bytes)):
        share = (has[with_devices] / fleet.total[with_devices]).min(initial=math.inf)
        if (wanted > jobs.accelerators * share).any():
            return True
    return False
