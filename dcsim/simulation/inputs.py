"""Everything a run needs, built from the scenario and checked: fleet, links, jobs, policies, plans."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
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
from dcsim.policies.facility import BatteryPolicy, CoolingPolicy, FixedSetPoints, IdleBattery
from dcsim.simulation.budgets import Budgets
from dcsim.simulation.costing import CostModel
from dcsim.simulation.hall_links import HallLinks, build_links
from dcsim.simulation.static_caps import make_cap_view
from dcsim.simulation.suitable import allowed_servers, on_suitable_types, reference_types
from dcsim.spec.scenario import MAX_HORIZON_S, Scenario
from dcsim.units import Quantity, format_quantity
from dcsim.workload.build import build_jobs, check_datasets, check_jobs_fit
from dcsim.workload.jobs import JobTable
from dcsim.workload.profile_store import JobCosts, load_profiles, used_profiles

__all__ = ["Policies", "RunInputs", "prepare"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_MAX_SHOWN = 20
_RULES = (
    "priority",
    "deadline_s",
    "time_limit_s",
    "min_accelerators",
    "max_accelerators",
    "accelerator_share",
    "cpu_cores",
    "memory_bytes",
)
"""Columns of the job table that policies see as they are, in the order of JobsView."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The deciders of a run."""

    ordering: OrderingPolicy
    placement: PlacementPolicy
    energy: EnergyPolicy
    cooling: CoolingPolicy = field(default_factory=FixedSetPoints)
    battery: BatteryPolicy = field(default_factory=IdleBattery)


@dataclass(frozen=True, slots=True)
class RunInputs:
    """What a run starts from; nothing in it changes but the fleet."""

    scenario: Scenario
    seed: int
    base_dir: Path
    catalogue: Mapping[str, Accelerator]
    fleet: Fleet
    links: HallLinks
    jobs: JobTable
    profiles: Mapping[str, JobCosts]
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
    same_anywhere: bool
    """Whether the exchange of every gang takes as long on any servers that hold it in the same parts."""
    network_shares: tuple[float, ...]
    """Of full links, for each tenant of the job table."""
    limits: Budgets
    """What IT equipment may draw."""

    def network_share(self, job: int) -> float:
        """Return what a job's flows count on full links, against 1 for others."""
        return self.network_shares[int(self.jobs.tenant[job])]

    @property
    def network(self) -> Network:
        """The network between servers."""
        return self.links.network

    @property
    def storage(self) -> Storage:
        """Where jobs read and write."""
        return self.links.storage


def prepare(
    scenario: Scenario,
    seed: int,
    base_dir: Path,
    *,
    profiles: Mapping[str, JobCosts] | None = None,
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
    wanted = used_profiles(scenario) if jobs is None else jobs.profile_names
    rates = jobs is None and scenario.rates is not None
    loaded = _loaded(scenario, base_dir, wanted, profiles or {}, rates=rates)
    jobs = _jobs(jobs, scenario, seed, base_dir, loaded, fleet)
    if binding := _binding(jobs, fleet):
        jobs = _with_host_share(jobs, fleet)
    policies = policies or _policies(scenario)
    links = build_links(scenario, fleet, base_dir)
    costs = CostModel(jobs, loaded, models, fleet, links.exchanges)
    allowed = allowed_servers(jobs, fleet)
    reference = reference_types(jobs, fleet, allowed, costs)
    steps, ideal_s, fraction = costs.ideals(reference)
    _refuse_endless(scenario, jobs, ideal_s)
    view = _jobs_view(jobs, ideal_s, fraction, costs.startups_s(steps))
    keys = _checked(policies.ordering.keys(view), len(jobs), "ordering keys", -math.inf, math.inf)
    caps = _caps(policies.energy, view, costs, jobs, fleet, reference)
    _refuse_caps(scenario, policies, caps, costs)
    return RunInputs(
        scenario=scenario,
        seed=seed,
        base_dir=base_dir,
        catalogue=models,
        fleet=fleet,
        links=links,
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
        same_anywhere=links.exchanges.uniform and bool((jobs.parallelism < 0).all()),
        network_shares=_network_shares(scenario, jobs),
        limits=Budgets(scenario, len(fleet.rack_start)),
    )


def _jobs(
    given: JobTable | None,
    scenario: Scenario,
    seed: int,
    base_dir: Path,
    loaded: Mapping[str, JobCosts],
    fleet: Fleet,
) -> JobTable:
    """Return the jobs of a run, those given or else the scenario's, each with types of servers that suit it."""
    if given is None:
        models = catalogue(scenario)
        given = build_jobs(scenario, seed, base_dir, loaded, models, fleet.accelerators)
    else:
        check_jobs_fit(given, scenario)
        check_datasets(given, scenario, "jobs")
    return on_suitable_types(given, scenario, fleet, loaded)


def _loaded(
    scenario: Scenario, base_dir: Path, wanted: Iterable[str], given: Mapping[str, JobCosts], *, rates: bool
) -> dict[str, JobCosts]:
    """Return the costs of jobs by name: those given, and of the others those wanted; with `rates` a table's, too."""
    missing = [name for name in wanted if name not in given]
    read = load_profiles(missing, scenario, base_dir) if missing or rates else {}
    return {**read, **given}


def _network_shares(scenario: Scenario, jobs: JobTable) -> tuple[float, ...]:
    shares = {tenant.name: tenant.network_share for tenant in scenario.tenants}
    return tuple(shares.get(name, 1.0) for name in jobs.tenant_names)


def _caps(
    policy: EnergyPolicy, view: JobsView, costs: CostModel, jobs: JobTable, fleet: Fleet, reference: Ints
) -> Floats:
    """Return what a policy caps each job at from the start."""
    said = (
        policy.static_caps(view, make_cap_view(costs, jobs, fleet, reference))
        if policy.weighs_caps
        else policy.power_cap_fractions(view)
    )
    return _checked(said, len(jobs), "power caps", 0.0, 1.0)


def _refuse_caps(scenario: Scenario, policies: Policies, caps: Floats, costs: CostModel) -> None:
    """Refuse caps that an accelerator of the cluster cannot hold, before anything runs."""
    problems = []
    for cap in np.unique(caps).tolist():
        for name in costs.accelerators:
            try:
                costs.speed(costs.accelerators[name], cap)
            except PolicyError as error:
                got = f"{policies.energy.name} at {cap:g} of peak"
                problems.append(
                    Problem(scenario.name, None, "policies.energy", got, "a higher cap", str(error))
                )
    if problems:
        raise ScenarioError(problems)


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
    cooling = make_policy("cooling", chosen.cooling.name, chosen.cooling.parameters)
    battery = make_policy("battery", chosen.battery.name, chosen.battery.parameters)
    return Policies(
        cast("OrderingPolicy", ordering),
        cast("PlacementPolicy", placement),
        cast("EnergyPolicy", energy),
        cast("CoolingPolicy", cooling),
        cast("BatteryPolicy", battery),
    )


def _refuse_endless(scenario: Scenario, jobs: JobTable, ideal_s: Floats) -> None:
    """Refuse jobs that, alone on the cluster, would end after the longest horizon: milliseconds, or a slip."""
    end_s = jobs.submit_s + jobs.slack_s + ideal_s
    late = np.flatnonzero(~(end_s <= MAX_HORIZON_S))
    most = format_quantity(MAX_HORIZON_S, Quantity.DURATION)
    hint = "times are in seconds from 0: look at arrivals, run times and slack"
    problems = [
        Problem(
            scenario.name,
            None,
            f"jobs.{jobs.job_id[job]}",
            f"would end after {end_s[job]:.4g} s at best",
            f"within {most}",
            hint,
        )
        for job in late[:_MAX_SHOWN].tolist()
    ]
    if len(late) > _MAX_SHOWN:
        more = f"{len(late) - _MAX_SHOWN} more such jobs"
        problems.append(Problem(scenario.name, None, "jobs", more, "none"))
    if problems:
        raise ScenarioError(problems)


def _jobs_view(jobs: JobTable, ideal_s: Floats, fraction: Floats, startup_s: Floats) -> JobsView:
    view = JobsView(
        jobs.submit_s.view(),
        jobs.accelerators.view(),
        ideal_s.view(),
        jobs.slack_s.view(),
        jobs.tenant.view(),
        fraction.view(),
        *(*(getattr(jobs, name).view() for name in _RULES), startup_s),
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
    for column_name, has in (("cpu_cores", fleet.cpu_cores), ("memory_bytes", fleet.memory_bytes)):
        column = getattr(jobs, column_name)
        share = (has[with_devices] / fleet.total[with_devices]).min(initial=math.inf)
        known[column_name] = np.where(
            (column == 0.0) & (devices > 0.0), devices * min(share, has.max()), column
        )
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
