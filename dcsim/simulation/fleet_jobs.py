"""The jobs of a fleet: one stream, where each is at home, who stays together, and which sites can hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dcsim.errors import InputError, Problem, ScenarioError
from dcsim.facility.hardware import catalogue
from dcsim.facility.servers import Fleet
from dcsim.simulation.suitable import on_suitable_types
from dcsim.spec.cluster import ClusterSpec
from dcsim.spec.fleet import FleetSpec
from dcsim.spec.fleet_load import LoadedFleet
from dcsim.spec.names import nearest
from dcsim.spec.scenario import Scenario
from dcsim.spec.storage import StorageSpec
from dcsim.workload.build import build_jobs, check_datasets, check_jobs_fit
from dcsim.workload.distinct import distinct_rows
from dcsim.workload.jobs import JobTable, concat_jobs, empty_jobs
from dcsim.workload.profile_store import JobCosts, load_profiles, used_profiles

__all__ = ["FleetJobs", "build_fleet_jobs", "jobs_at_site"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class FleetJobs:
    """All N jobs of a fleet of K sites."""

    table: JobTable
    profiles: Mapping[str, JobCosts]
    home: Ints
    """(N,) site at which a job and its data are."""
    group: Ints
    """(N,) first row of the jobs it stays with: those it waits for, or that wait for it, and its job array."""
    allowed: Bools
    """(K, N) where the empty site can hold the job and its data may go; a group together."""


def build_fleet_jobs(loaded: LoadedFleet, seed: int, table: JobTable | None = None) -> FleetJobs:
    """Build the stream of jobs as for one hall with the servers of all sites; `table` stands in for its workload.

    Raises:
        InputError: a file or a value cannot be used, or jobs that no site can hold; with every problem.
    """
    stream = _one_hall(loaded)
    models = catalogue(stream)
    wanted = used_profiles(stream) if table is None else table.profile_names
    profiles = load_profiles(wanted, stream, loaded.base_dir)
    if table is None:
        accelerators = Fleet(stream.cluster, models).accelerators
        table = build_jobs(stream, seed, loaded.base_dir, profiles, models, accelerators)
    for site, hall in zip(loaded.fleet.sites, loaded.sites, strict=True):
        check_datasets(table, hall.scenario, f"site {site.name}")
    group = _groups(table)
    home = _homes(loaded.fleet, table)
    if np.any(home[group] != home):
        raise ScenarioError(_scattered(loaded.fleet, table, home, group))
    allowed = np.array([_fits(table, hall.scenario, profiles) for hall in loaded.sites])
    allowed &= _may_run(loaded.fleet, table)
    together = np.ones_like(allowed)
    for everyone, fits in zip(together, allowed, strict=True):
        np.logical_and.at(everyone, group, fits)
    allowed = together[:, group]
    _refuse_stuck(loaded.fleet, table, allowed)
    return FleetJobs(table, profiles, home, group, allowed)


def jobs_at_site(jobs: FleetJobs, arrival_s: Floats, rows: Ints) -> tuple[JobTable, Ints]:
    """Return the jobs of some rows as their site sees them, and their rows in the order of that table.

    They are submitted when they arrive (`arrival_s` is of the first rows of the fleet, at least), and the time of
    the transfer is off their slack.
    """
    if not len(rows):
        return empty_jobs(), rows
    ids = np.array([jobs.table.job_id[row] for row in rows.tolist()], dtype=str)
    ordered = rows[np.lexsort((ids, arrival_s[rows]))]
    part = jobs.table.take(ordered)
    slack_s = np.maximum(0.0, part.slack_s - (arrival_s[ordered] - part.submit_s))
    # Names are numbered anew, as they are where the table is read from a file.
    return concat_jobs(replace(part, submit_s=arrival_s[ordered], slack_s=slack_s)), ordered


def _one_hall(loaded: LoadedFleet) -> Scenario:
    """Return the scenario of a hall with the servers, models and data sets of all sites, and the fleet's jobs.

    Raises:
        ScenarioError: two sites say different things of one name.
    """
    scenarios = [site.scenario for site in loaded.sites]
    names = [site.name for site in loaded.fleet.sites]
    racks = tuple(
        rack.model_copy(update={"name": f"{name}.{rack.name}"})
        for name, scenario in zip(names, scenarios, strict=True)
        for rack in scenario.cluster.racks
    )
    update = {
        "cluster": ClusterSpec(racks=racks),
        "accelerators": _agreed(loaded, "accelerators", [s.accelerators for s in scenarios]),
        "storage": StorageSpec(
            datasets=_agreed(loaded, "storage.datasets", [s.storage.datasets for s in scenarios])
        ),
        "profiles": loaded.fleet.profiles,
        "rates": None,
        "workload": loaded.fleet.workload,
        "name": loaded.fleet.name,
    }
    return scenarios[0].model_copy(update=update)


def _agreed(loaded: LoadedFleet, what: str, said: list[Mapping[str, object]]) -> dict[str, object]:
    """Return what all sites say of named things together; raises ScenarioError where they differ."""
    agreed: dict[str, object] = {}
    problems = []
    for site, things in zip(loaded.sites, said, strict=True):
        for name, thing in things.items():
            if agreed.setdefault(name, thing) != thing:
                hint = "one stream of jobs uses both: give one of them another name"
                path = f"{what}.{name}"
                problems.append(
                    Problem(
                        str(site.path), None, path, "another description", "that of the sites before", hint
                    )
                )
    if problems:
        raise ScenarioError(problems)
    return agreed


def _homes(fleet: FleetSpec, table: JobTable) -> Ints:
    """Return (N,) the home site of each job."""
    names = [site.name for site in fleet.sites]
    given = {tenant.name: tenant.home for tenant in fleet.tenants}
    problems = []
    for i, tenant in enumerate(fleet.tenants):
        if tenant.name not in table.tenant_names:
            expected = f"a tenant of the jobs: {', '.join(table.tenant_names[:_SHOWN])}"
            hint = nearest(tenant.name, table.tenant_names)
            problems.append(Problem(fleet.name, None, f"tenants.{i}.name", repr(tenant.name), expected, hint))
    if problems:
        raise ScenarioError(problems)
    homes = []
    for number, tenant_name in enumerate(table.tenant_names):
        home = given.get(tenant_name)
        turn = number % len(names) if fleet.homes == "round_robin" else 0
        homes.append(turn if home is None else names.index(home))
    return np.array([*homes, 0], dtype=np.int64)[table.tenant]  # code -1, no tenant, is the last


def _may_run(fleet: FleetSpec, table: JobTable) -> Bools:
    """Return (K, N) whether the data of each job's tenant may go to each site."""
    sites = {tenant.name: tenant.may_run_at for tenant in fleet.tenants if tenant.may_run_at}
    may = np.ones((len(fleet.sites), len(table.tenant_names) + 1), dtype=bool)
    for number, name in enumerate(table.tenant_names):
        if name in sites:
            may[:, number] = [site.name in sites[name] for site in fleet.sites]
    return np.asarray(may[:, table.tenant])


def _groups(table: JobTable) -> Ints:
    """Return (N,) the first row of the jobs that each is bound to, itself included."""
    leader = list(range(len(table)))

    def find(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    def join(one: int, other: int) -> None:
        first, second = sorted((find(one), find(other)))
        leader[second] = first

    if table.after:
        row_of = {job: row for row, job in enumerate(table.job_id)}
        for job, befores in table.after.items():
            for before in befores:
                join(row_of[job], row_of[before])
    if table.array_names:
        first_of: dict[int, int] = {}
        for row in np.flatnonzero(table.array >= 0).tolist():
            join(row, first_of.setdefault(int(table.array[row]), row))
    if not (table.after or table.array_names):
        return np.arange(len(table))
    return np.array([find(row) for row in leader], dtype=np.int64)


def _fits(table: JobTable, scenario: Scenario, profiles: Mapping[str, JobCosts]) -> Bools:
    """Return (N,) whether the empty hall can take each job: enough of accelerators that can run it."""
    hall = Fleet(scenario.cluster, catalogue(scenario))
    first, inverse = distinct_rows(
        table.accelerators,
        table.max_servers,
        table.cpu_cores,
        table.memory_bytes,
        table.accelerator_types,
        table.profile,
        table.batch_per_accelerator,
    )
    fits = np.ones(len(first), dtype=bool)
    for kind, row in enumerate(first.tolist()):
        one = table.take(slice(row, row + 1))
        try:
            check_jobs_fit(one, scenario)
            on_suitable_types(one, scenario, hall, profiles)
        except InputError:
            fits[kind] = False
    return fits[inverse]


def _scattered(fleet: FleetSpec, table: JobTable, home: Ints, group: Ints) -> list[Problem]:
    """Return the jobs that belong together and are at home at different sites."""
    names = [site.name for site in fleet.sites]
    return [
        Problem(
            fleet.name,
            None,
            f"jobs.{table.job_id[row]}",
            f"at home at {names[home[row]]}",
            f"the home of {table.job_id[group[row]]} ({names[home[group[row]]]}), to which it belongs",
            "jobs that wait for each other, and those of a job array, share a home: look at `tenants`",
        )
        for row in np.flatnonzero(home[group] != home)[:_SHOWN].tolist()
    ]


def _refuse_stuck(fleet: FleetSpec, table: JobTable, allowed: Bools) -> None:
    """Raise ScenarioError with jobs that could run nowhere."""
    stuck = np.flatnonzero(~allowed.any(axis=0)).tolist()
    problems = [
        Problem(
            fleet.name,
            None,
            f"jobs.{table.job_id[row]}",
            f"{table.accelerators[row]} accelerators",
            "a job that fits one of the sites its data may go to",
            "with all the jobs it waits for, and those of its array",
        )
        for row in stuck[:_SHOWN]
    ]
    if len(stuck) > _SHOWN:
        problems.append(Problem(fleet.name, None, "jobs", f"{len(stuck) - _SHOWN} more such jobs", "none"))
    if problems:
        raise ScenarioError(problems)
