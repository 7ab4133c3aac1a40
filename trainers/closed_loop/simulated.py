"""The same jobs through the simulator's front door: a scenario, profiles and a trace in a folder, and `dcsim run`."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dcsim.workload.profile import CostProfile, StartUp
from dcsim.workload.profile_store import save_profile
from trainers.closed_loop.dispatcher import ClosedLoopError
from trainers.closed_loop.jobs import QueuedJob
from trainers.closed_loop.measuring import Colocation, Measured, Probe
from trainers.files import write_text

__all__ = [
    "EFFECTS",
    "Effects",
    "SimulatedJob",
    "profile_for",
    "scenario_text",
    "share_beside",
    "simulate",
    "write_inputs",
]

_PASSES = 3
"""Runs, at most, until the share of start-ups that have a neighbour is that of the run itself."""
_BY_ESTIMATE = ("shortest_first",)
"""Policies that look at run times."""
_SETTLED = 2e-3
"""Of a start-up: a change that is not worth another run."""


@dataclass(frozen=True)
class Effects:
    """What the simulation counts; switching one off shows what it is worth."""

    startup: bool = True
    """Processes, libraries, data and parameters."""
    compile: bool = True
    input: bool = True
    """Preparing the batch of each step, and the hiccups by which a mean step exceeds a median one."""
    colocation: bool = True


EFFECTS: Mapping[str, Effects] = {
    "all": Effects(),
    "no start-up": Effects(startup=False),
    "no compilation": Effects(compile=False),
    "no input, no hiccups": Effects(input=False),
    "no co-location": Effects(colocation=False),
    "steps only": Effects(startup=False, compile=False, input=False, colocation=False),
}
"""The variants that are compared, by name."""


@dataclass(frozen=True)
class SimulatedJob:
    """What the simulator says of one job [s]."""

    name: str
    submit_s: float
    start_s: float
    end_s: float
    core: int = -1
    """-1: not said."""
    startup_s: float = 0.0
    """What of its time on the core it spends before its first step."""

    @property
    def completion_s(self) -> float:
        """From submission to end."""
        return self.end_s - self.submit_s


def profile_for(profile: CostProfile, probe: Probe, effects: Effects, startup_factor: float) -> CostProfile:
    """Return a calibrated profile as the small cluster's jobs have it: with their start-up, and input in each step.

    The input is prepared by the core that trains, so it is time of the step and no traffic on any link.

    Args:
        profile: as calibrated.
        probe: what jobs of the model do before their first step, alone.
        effects: what counts.
        startup_factor: by which start-ups last longer than alone, at least 1.
    """
    before_s = startup_factor if effects.startup else 0.0
    compile_s = startup_factor * probe.compile_s if effects.compile else 0.0
    startup = StartUp(
        process_s=probe.process_s * before_s, data_s=probe.data_s * before_s, compile_s=compile_s
    )
    input_s = probe.loop_s if effects.input else 0.0
    surface = profile.surface
    if surface is not None:
        knots = tuple(
            knot.model_copy(update={"step_time_s": knot.step_time_s + input_s}) for knot in surface.knots
        )
        surface = surface.model_copy(update={"knots": knots})
    return profile.model_copy(
        update={
            "startup": startup if startup.total_s > 0.0 else None,
            "fit": profile.fit.model_copy(update={"overhead_s": profile.fit.overhead_s + input_s}),
            "surface": surface,
            "input_bytes_per_sample": 0.0,
        }
    )


def simulate(
    jobs: Sequence[QueuedJob],
    profiles: Mapping[str, CostProfile],
    measured: Measured,
    *,
    policy: str,
    cores: int,
    folder: Path,
    effects: Effects | None = None,
    beside: float | None = None,
) -> list[SimulatedJob]:
    """Simulate the jobs and return what became of them, in their order.

    How much longer start-ups last depends on how often they have a neighbour, which the run itself says: it is
    repeated with that share.

    With all effects the simulator's own policy orders the jobs, by what it estimates itself. With one left out, a
    policy that goes by run times keeps the estimates that the real dispatcher was told, as priorities: what differs
    is the effect, not what the policy knows.

    Args:
        jobs: as submitted to the real cluster.
        profiles: calibrated, by model.
        measured: start-ups and co-location.
        policy: of the order in line.
        cores: of the one server.
        folder: for scenario, profiles, trace and result; they stay there.
        effects: what counts; None: everything.
        beside: share of the time of start-ups that has a neighbour, [0, 1], taken as it is in one run; None: found.

    Raises:
        ClosedLoopError: the simulator refuses, or fails.
    """
    effects = effects or Effects()
    kept = effects != Effects() and policy in _BY_ESTIMATE
    slowdown = measured.colocation.startup_slowdown if effects.colocation else 1.0
    share, found = 1.0 if beside is None else beside, list[SimulatedJob]()
    for _ in range(_PASSES if slowdown > 1.0 and beside is None else 1):
        factor = 1.0 + (slowdown - 1.0) * share
        # With an effect left out the simulator would tell the policy other run times, and its order might change.
        told = "priority" if kept else policy
        write_inputs(jobs, profiles, measured, told, cores, folder, effects, factor)
        found = _run(folder, jobs)
        lengths = {job.name: factor * _startup_s(measured.probes[job.model], effects) for job in jobs}
        found = [replace(job, startup_s=lengths[job.name]) for job in found]
        before, share = share, share_beside(found)
        if abs(share - before) * (slowdown - 1.0) < _SETTLED:
            break
    return found


def _startup_s(probe: Probe, effects: Effects) -> float:
    part_s = probe.process_s + probe.data_s if effects.startup else 0.0
    return part_s + (probe.compile_s if effects.compile else 0.0)


def share_beside(jobs: Sequence[SimulatedJob]) -> float:
    """Return in which part of the time of all start-ups another job was running.

    >>> share_beside([SimulatedJob("a", 0.0, 0.0, 10.0, 0, 4.0), SimulatedJob("b", 0.0, 2.0, 12.0, 1, 4.0)])
    0.75
    """
    together_s, all_s = 0.0, 0.0
    for job in jobs:
        until_s = job.start_s + job.startup_s
        all_s += job.startup_s
        spans = sorted(
            (max(job.start_s, other.start_s), min(until_s, other.end_s)) for other in jobs if other is not job
        )
        reached_s = job.start_s
        for low_s, high_s in spans:
            together_s += max(0.0, high_s - max(low_s, reached_s))
            reached_s = max(reached_s, high_s)
    return together_s / all_s if all_s > 0.0 else 0.0


def write_inputs(
    jobs: Sequence[QueuedJob],
    profiles: Mapping[str, CostProfile],
    measured: Measured,
    policy: str,
    cores: int,
    folder: Path,
    effects: Effects,
    startup_factor: float,
) -> None:
    """Write scenario.yaml, jobs.csv and a profile for each model into a folder."""
    for name, profile in profiles.items():
        save_profile(
            profile_for(profile, measured.probes[name], effects, startup_factor), folder / f"{name}.json"
        )
    write_text(folder / "jobs.csv", _trace(jobs))
    colocation = measured.colocation if effects.colocation else Colocation({}, 1.0)
    write_text(folder / "scenario.yaml", scenario_text(list(profiles), colocation, policy, cores))


def _trace(jobs: Sequence[QueuedJob]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job_id", "submit_s", "steps", "profile", "batch_per_accelerator", "priority"])
    # Only `priority` looks at the last one: the shorter a job is told to be, the higher.
    ranks = {job.name: -at for at, job in enumerate(sorted(jobs, key=lambda job: job.estimate_s))}
    for job in jobs:
        writer.writerow([job.name, job.submit_s, job.steps, job.model, job.batch, ranks[job.name]])
    return text.getvalue()


def scenario_text(models: Sequence[str], colocation: Colocation, policy: str, cores: int) -> str:
    """Return the scenario: one server whose accelerators are the cores of this machine."""
    relative = colocation.relative_throughput
    pairs = [
        {
            "profiles": [one, other],
            "relative_throughput": [relative[one][other], relative[other][one]],
            "sharing": "server",
        }
        for at, one in enumerate(models)
        for other in models[at:]
        if other in relative.get(one, {})
    ]
    lines = [
        "# The small real cluster of one machine: each core holds one job at a time.",
        "version: 1",
        "name: closed-loop",
        "cluster:",
        "  racks:",
        "    - name: host",
        "      servers:",
        "        - count: 1",
        "          accelerator: cpu-core",
        f"          accelerators: {cores}",
        f"          cpu_cores: {cores}",
        "          memory_bytes: 8 GiB",
        "          # Not measured; nothing that is compared depends on power.",
        "          idle_power_w: 60 W",
        "          peak_power_w: 120 W",
        "profiles:",
        *(f"  {name}: {name}.json" for name in models),
        *(["colocation:", *(f"  - {json.dumps(pair)}" for pair in pairs)] if pairs else []),
        "workload:",
        "  kind: trace",
        "  path: jobs.csv",
        "policies:",
        f"  ordering: {policy}",
        "  placement: first_fit",
    ]
    return "\n".join(lines) + "\n"


def _run(folder: Path, jobs: Sequence[QueuedJob]) -> list[SimulatedJob]:
    """Run the scenario of a folder with `dcsim run`, and read what became of each job."""
    result = folder / "result"
    command = [sys.executable, "-m", "dcsim", "run", str(folder / "scenario.yaml"), "--out", str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise ClosedLoopError(f"dcsim run ended with code {done.returncode}\n{done.stderr or done.stdout}")
    from pyarrow import parquet

    table = parquet.read_table(result / "jobs.parquet").to_pydict()
    rows = {str(name): at for at, name in enumerate(table["job_id"])}
    found = [
        SimulatedJob(
            name=job.name,
            submit_s=job.submit_s,
            start_s=table["start_s"][rows[job.name]],
            end_s=table["end_s"][rows[job.name]],
        )
        for job in jobs
    ]
    return _on_cores(found)


def _on_cores(jobs: Sequence[SimulatedJob]) -> list[SimulatedJob]:
    """Give each job a core, as they would have taken them: the first that is free (the simulator counts them only)."""
    free_s: list[float] = []
    cores: dict[str, int] = {}
    for job in sorted(jobs, key=lambda each: each.start_s):
        core = next((at for at, until_s in enumerate(free_s) if until_s <= job.start_s + 1e-9), len(free_s))
        free_s[core : core + 1] = [job.end_s]
        cores[job.name] = core
    return [replace(job, core=cores[job.name]) for job in jobs]
