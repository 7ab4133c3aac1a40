"""From what a scenario says of its jobs to the job table of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, ScenarioError, TraceError
from dcsim.facility.hardware import Accelerator
from dcsim.spec.cluster import ServerSpec
from dcsim.spec.names import nearest
from dcsim.spec.scenario import Scenario
from dcsim.spec.workload import GeneratedWorkloadSpec, TraceWorkloadSpec
from dcsim.workload.distinct import distinct_rows
from dcsim.workload.generate import generate_jobs
from dcsim.workload.job_costs import ideal_step_s, startup_s, stretched_notes
from dcsim.workload.jobs import JobTable
from dcsim.workload.profile_store import JobCosts

__all__ = ["build_jobs", "check_datasets", "check_jobs_fit", "reference_accelerator"]

Ints = npt.NDArray[np.int64]

_DEFAULT_START = datetime(2023, 1, 1, tzinfo=UTC)
"""t = 0 where grid.start is not given."""

_EXAMPLES = 20
"""Kinds of jobs named that fit no server; the rest is counted."""
_JOBS_NAMED = 3
"""Jobs named for each data set that is not known."""


def build_jobs(
    scenario: Scenario,
    seed: int,
    base_dir: Path,
    profiles: Mapping[str, JobCosts],
    catalogue: Mapping[str, Accelerator],
    cluster_accelerators: int,
) -> JobTable:
    """Return the jobs of a run, all of which can be placed on the empty cluster.

    Every job that names a profile comes back with `steps`: a run time becomes steps by the ideal step
    time on `reference_accelerator`, longer where a job has but a share of its device. A trace's default
    profile goes to every job on accelerators that names none.

    Args:
        scenario: For its workload, cluster and calendar.
        seed: Of the named random streams; a trace does not depend on it.
        base_dir: Folder of the scenario file.
        profiles: As `dcsim.workload.profile_store.load_profiles` returns them.
        catalogue: Accelerators by name, the scenario's own included.
        cluster_accelerators: All devices of the cluster.

    Raises:
        ScenarioError: A profile or accelerator that does not exist, or jobs no server can take.
        TraceError: With every problem of the trace file; a data set that the scenario does not describe.
        ProfileError: A profile that the cluster's accelerators cannot run.
    """
    reference = reference_accelerator(scenario, catalogue)
    workload = scenario.workload
    if isinstance(workload, GeneratedWorkloadSpec):
        if reference is None:
            raise ScenarioError(
                [Problem(scenario.name, None, "cluster", "no accelerators", "some for the jobs")]
            )
        start = scenario.grid.start or _DEFAULT_START
        table = generate_jobs(
            workload,
            seed,
            profiles,
            cluster_accelerators,
            reference,
            start,
            catalogue=catalogue,
            per_server=_per_server(scenario, reference),
        )
    else:
        table = _trace_jobs(workload, base_dir)
        check_datasets(table, scenario, workload.path)
        table = _with_default_dataset(table, workload.dataset)
        if reference is not None:
            per_server = _per_server(scenario, reference)
            table = _with_steps(table, workload, profiles, reference, catalogue, per_server)
    check_jobs_fit(table, scenario)
    return table


def reference_accelerator(scenario: Scenario, catalogue: Mapping[str, Accelerator]) -> Accelerator | None:
    """Return the accelerator the cluster has most of, the first listed among equals; None if none.

    It is the hardware on which run times and steps of a job are the same thing.

    Raises:
        ScenarioError: A server names an accelerator that no catalogue has.
    """
    devices: dict[str, int] = {}
    problems: list[Problem] = []
    for path, server, count in _servers(scenario):
        if server.accelerator is None or not server.accelerators:
            continue
        if server.accelerator not in catalogue:
            hint = nearest(server.accelerator, catalogue)
            problems.append(
                Problem(
                    scenario.name, None, f"{path}.accelerator", server.accelerator, "a catalogue name", hint
                )
            )
        devices[server.accelerator] = devices.get(server.accelerator, 0) + count * server.accelerators
    if problems:
        raise ScenarioError(problems)
    return catalogue[max(devices, key=devices.__getitem__)] if devices else None


def _per_server(scenario: Scenario, reference: Accelerator) -> int:
    """Return the devices of the largest server with the reference accelerator."""
    servers = (server for _, server, _ in _servers(scenario))
    return max(server.accelerators for server in servers if server.accelerator == reference.name)


def check_jobs_fit(table: JobTable, scenario: Scenario) -> None:
    """Raise ScenarioError with every kind of job that not even the empty cluster can take.

    Such a job would wait for ever. A gang is placed on one type of accelerator, on at most
    `max_servers` servers, its cores and memory spread in proportion to accelerators.
    """
    servers = [(server, count) for _, server, count in _servers(scenario)]
    first, inverse = distinct_rows(
        table.accelerators,
        table.max_servers,
        table.cpu_cores,
        table.memory_bytes,
        table.accelerator_types,
    )
    stuck = np.array([not _Need(table, row).fits(servers) for row in first.tolist()], dtype=bool)
    if not stuck.any():
        return
    times = np.bincount(inverse, minlength=len(first))
    problems = [
        Problem(
            scenario.name,
            None,
            f"jobs.{table.job_id[first[kind]]}",
            *_Need(table, int(first[kind])).words(int(times[kind])),
        )
        for kind in np.flatnonzero(stuck)[:_EXAMPLES].tolist()
    ]
    if stuck.sum() > _EXAMPLES:
        more = f"{stuck.sum() - _EXAMPLES} more kinds of jobs"
        problems.append(Problem(scenario.name, None, "jobs", more, "jobs that fit the empty cluster"))
    raise ScenarioError(problems)


def check_datasets(table: JobTable, scenario: Scenario, file: str) -> None:
    """Raise TraceError with every data set that jobs name and the scenario's `storage.datasets` does not.

    Args:
        table: of the jobs.
        scenario: that describes the data sets.
        file: where the jobs come from, for the message.
    """
    known = scenario.storage.datasets
    problems = []
    for code, name in enumerate(table.dataset_names):
        rows = np.flatnonzero(table.dataset == code)
        if name in known or not len(rows):
            continue
        named = [table.job_id[row] for row in rows[:_JOBS_NAMED].tolist()]
        more = ", ..." if len(rows) > len(named) else ""
        jobs = f"{len(rows)} job{'s' if len(rows) > 1 else ''}: {', '.join(named)}{more}"
        hint = nearest(name, known) or "describe it under `storage.datasets`"
        problems.append(Problem(file, None, "dataset", f"{name!r} ({jobs})", "a known data set", hint))
    if problems:
        raise TraceError(problems)


@dataclass(frozen=True, slots=True)
class _Need:
    """What one job asks of the cluster."""

    table: JobTable
    row: int

    def fits(self, servers: list[tuple[ServerSpec, int]]) -> bool:
        """Return whether the empty servers (kind, count) can take the job."""
        width, spread = int(self.table.accelerators[self.row]), int(self.table.max_servers[self.row])
        if width == 0:
            return any(self._room(server, 1) >= 1 for server, _ in servers)
        rooms: dict[str | None, list[tuple[int, int]]] = {}
        for server, count in servers:
            if server.accelerators and self._allows(server.accelerator):
                room = min(server.accelerators, self._room(server, width))
                rooms.setdefault(server.accelerator, []).append((room, count))
        return any(_total_room(of_type, spread) >= width for of_type in rooms.values())

    def words(self, times: int) -> tuple[str, str]:
        """Return (what was asked for, what is expected) for a message about `times` like jobs."""
        table, row = self.table, self.row
        parts = [f"{table.accelerators[row]} accelerators"]
        if table.max_servers[row]:
            parts.append(f"on at most {table.max_servers[row]} servers")
        if table.cpu_cores[row]:
            parts.append(f"{table.cpu_cores[row]:g} cores")
        if table.memory_bytes[row]:
            parts.append(f"{table.memory_bytes[row] / 2**30:g} GiB")
        if table.accelerator_types[row] >= 0:
            parts.append("of " + "|".join(table.type_constraints[table.accelerator_types[row]]))
        return f"{', '.join(parts)} ({times} such jobs)", "a job that fits the empty cluster"

    def _allows(self, accelerator: str | None) -> bool:
        code = int(self.table.accelerator_types[self.row])
        return code < 0 or accelerator in self.table.type_constraints[code]

    def _room(self, server: ServerSpec, parts: int) -> int:
        """Return how many of `parts` equal parts of the job's cores and memory the server holds."""
        room = 2**31
        for need, size in (
            (self.table.cpu_cores[self.row], server.cpu_cores),
            (self.table.memory_bytes[self.row], server.memory_bytes),
        ):
            if need > 0:
                room = min(room, int(size / (need / parts)))
        return room


def _total_room(rooms: list[tuple[int, int]], spread: int) -> int:
    """Return the accelerators that the `spread` roomiest servers hold (0: all), from (room, count)."""
    left, total = spread or 2**31, 0
    for room, count in sorted(rooms, reverse=True):
        used = min(left, count)
        total += room * used
        left -= used
    return total


def _servers(scenario: Scenario) -> Iterator[tuple[str, ServerSpec, int]]:
    """Yield (path, server, how many of it) for each entry of the cluster."""
    for i, rack in enumerate(scenario.cluster.racks):
        for k, server in enumerate(rack.servers):
            yield f"cluster.racks.{i}.servers.{k}", server, rack.count * server.count


def _trace_jobs(workload: TraceWorkloadSpec, base_dir: Path) -> JobTable:
    """Return the jobs of a trace file, cut and stretched as the scenario says."""
    from dcsim.spec import resolve_data_path
    from dcsim.workload.readers import read_trace

    table = read_trace(resolve_data_path(base_dir, workload.path), workload.format)
    if workload.max_jobs is not None and workload.max_jobs < len(table):
        note = f"the first {workload.max_jobs} of {len(table)} jobs of the trace are used"
        table = table.take(slice(0, workload.max_jobs)).with_notes(note)
    if workload.time_scale != 1.0:
        table = replace(table, submit_s=table.submit_s * workload.time_scale)
        table = table.with_notes(f"arrival times of the trace are multiplied by {workload.time_scale:g}")
    return table


def _with_steps(
    table: JobTable,
    workload: TraceWorkloadSpec,
    profiles: Mapping[str, JobCosts],
    reference: Accelerator,
    catalogue: Mapping[str, Accelerator],
    per_server: int,
) -> JobTable:
    """Return the table with the default profile given out and run times of profiled jobs as steps."""
    if workload.profile is not None:
        table = _with_default_profile(table, workload.profile)
    unknown = [name for name in table.profile_names if name not in profiles]
    if unknown:
        otherwise = "give it under `profiles`, or the table of measured rates that has it under `rates`"
        hints = {name: nearest(name, profiles) or otherwise for name in unknown}
        raise TraceError(
            [
                Problem(workload.path, None, "profile", name, "a known profile", hints[name])
                for name in unknown
            ]
        )
    timed = np.flatnonzero((table.profile >= 0) & np.isnan(table.steps))
    if not len(timed):
        return table
    part = table.take(timed)
    first, inverse = distinct_rows(part.profile, part.accelerators, part.batch_per_accelerator)
    step_s, starting_s = np.empty(len(first)), np.empty(len(first))
    for i, row in enumerate(first.tolist()):
        costs = profiles[part.profile_names[part.profile[row]]]
        width, batch = int(part.accelerators[row]), int(part.batch_per_accelerator[row])
        step_s[i] = ideal_step_s(costs, reference, width, batch, catalogue=catalogue, per_server=per_server)
        starting_s[i] = startup_s(costs)
    steps, duration_s = table.steps.copy(), table.duration_s.copy()
    working_s = np.maximum(0.0, part.duration_s - starting_s[inverse])  # a run time holds its start-up
    whole = np.maximum(1.0, np.rint(working_s * part.accelerator_share / step_s[inverse]))
    steps[timed] = np.where(part.duration_s > 0, whole, 0.0)
    duration_s[timed] = np.nan
    table = replace(table, steps=steps, duration_s=duration_s)
    share = part.accelerator_share
    notes = stretched_notes(
        part.duration_s, starting_s[inverse], step_s[inverse] / share, part.accelerators * share
    )
    return table.with_notes(*notes)


def _with_default_dataset(table: JobTable, name: str | None) -> JobTable:
    """Return the table with a data set at every job that names none; without a profile it reads nothing all the same."""
    if name is None:
        return table
    names = table.dataset_names if name in table.dataset_names else (*table.dataset_names, name)
    code = np.where(table.dataset < 0, names.index(name), table.dataset)
    return replace(table, dataset_names=names, dataset=code)


def _with_default_profile(table: JobTable, name: str) -> JobTable:
    """Return the table with profile `name` at jobs on accelerators that name none."""
    names = table.profile_names if name in table.profile_names else (*table.profile_names, name)
    fits = (table.profile < 0) & (table.accelerators > 0)
    table = replace(table, profile_names=names, profile=np.where(fits, names.index(name), table.profile))
    left = int(np.count_nonzero(table.profile < 0))
    return (
        table.with_notes(f"{left} CPU-only jobs keep their run time instead of profile {name}")
        if left
        else table
    )
