"""Generated jobs: arrivals, sizes, widths and kinds, each from a random stream of its own.

The defaults (in dcsim.spec.workload) come from published traces; docs/decisions/0031-generated-jobs.md
names the paper, the figure and the fit for each. Changing one distribution leaves the draws of all
others as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, ScenarioError
from dcsim.facility.hardware import Accelerator
from dcsim.rng import stream
from dcsim.spec.names import nearest
from dcsim.spec.workload import GeneratedWorkloadSpec, JobKindSpec
from dcsim.workload.distributions import (
    clipped_lognormal_mean,
    clipped_lognormal_quantile,
    discrete_choice,
    diurnal_arrivals_s,
    diurnal_phase_rad,
    mean_width,
    zipf_weights,
)
from dcsim.workload.job_costs import ideal_step_s, largest_batch, startup_s, stretched_notes
from dcsim.workload.job_rules import rule_columns
from dcsim.workload.jobs import JobTable
from dcsim.workload.layouts import layout_text
from dcsim.workload.profile_store import JobCosts

__all__ = ["arrival_rate_per_s", "generate_jobs"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def generate_jobs(
    spec: GeneratedWorkloadSpec,
    seed: int,
    profiles: Mapping[str, JobCosts],
    cluster_accelerators: int,
    reference: Accelerator,
    start: datetime,
    *,
    catalogue: Mapping[str, Accelerator] | None = None,
    per_server: int = 0,
) -> JobTable:
    """Return the jobs that `spec` and `seed` say, the same under every policy.

    Args:
        spec: Counts and distributions.
        seed: Of the named random streams.
        profiles: Loaded cost profiles, at least those the mix names.
        cluster_accelerators: Devices of the cluster; turns an offered load into a rate.
        reference: The accelerator on which a drawn run time becomes steps.
        start: Calendar time of t = 0; places the daily swing.
        catalogue: For profiles measured on hardware that a scenario adds; None: the built-in one.
        per_server: Devices of a server, for rates measured by layout; 0: a gang is in one server.

    Returns:
        A table of `spec.jobs` jobs with whole numbers of steps: the drawn run time over the ideal
        step time (gang alone in one server) at the job's width and batch, start-up apart, rounded, at least 1.

    Raises:
        ScenarioError: Every profile the mix names that is not in `profiles`.
        ProfileError: A profile that the reference accelerator cannot run.
    """
    _check_profiles(spec, profiles)
    kind = _pick(seed, "kinds", spec.jobs, np.array([entry.weight for entry in spec.mix]))
    names = tuple(dict.fromkeys(entry.profile for entry in spec.mix))
    times = _StepTimes(profiles, reference, catalogue or {}, per_server)
    columns = _kind_columns(spec, seed, kind, times)
    run_s = _sizes_s(spec, seed)
    submit_s = _arrivals_s(spec, seed, arrival_rate_per_s(spec, cluster_accelerators, times.least_s), start)
    return JobTable(
        job_id=_ids(spec.jobs),
        submit_s=submit_s,
        accelerators=columns.width,
        accelerator_share=np.ones(spec.jobs),
        max_servers=np.zeros(spec.jobs, dtype=np.int64),
        cpu_cores=np.zeros(spec.jobs),
        memory_bytes=np.zeros(spec.jobs),
        duration_s=np.full(spec.jobs, np.nan),
        steps=np.maximum(1.0, np.rint((run_s - columns.startup_s) / columns.step_s)),
        profile=np.array([names.index(entry.profile) for entry in spec.mix])[kind],
        batch_per_accelerator=columns.batch,
        slack_s=columns.slack_s,
        tenant=_pick(seed, "tenants", spec.jobs, zipf_weights(spec.tenants)),
        accelerator_types=np.full(spec.jobs, -1, dtype=np.int64),
        **rule_columns([entry.rules for entry in spec.mix], seed, kind, columns.width, submit_s, run_s)
        | _coded("dataset", [entry.dataset for entry in spec.mix], kind)
        | _coded("parallelism", [layout_text(entry.parallelism) for entry in spec.mix], kind),
        profile_names=names,
        tenant_names=tuple(f"tenant-{i + 1}" for i in range(spec.tenants)),
        notes=stretched_notes(run_s, columns.startup_s, columns.step_s, columns.width.astype(np.float64)),
    )


def _coded(column: str, said: Sequence[str | None], kind: Ints) -> dict[str, Any]:
    """Return a column of what each kind of job says, and its names; -1: none."""
    names = tuple(dict.fromkeys(name for name in said if name is not None))
    codes = np.array([-1 if name is None else names.index(name) for name in said], dtype=np.int64)
    return {column: codes[kind], f"{column}_names": names}


def arrival_rate_per_s(
    spec: GeneratedWorkloadSpec,
    cluster_accelerators: int,
    least_s: Callable[[JobKindSpec, int], float] | None = None,
) -> float:
    """Return the mean arrival rate [1/s].

    From an offered load rho on C accelerators: rate = rho C / (E[width] E[run time]), with the exact
    mean of the clipped lognormal, not of a sample; width and run time are drawn independently. Run
    times are ideal, so waiting for input and crossing servers come on top of this load.

    Args:
        spec: Counts and distributions.
        cluster_accelerators: C.
        least_s: (kind, width) -> what a job takes at least [s], 0: what is drawn. Of those the product of the means
            is E[width max(run time, least)]: a lognormal clipped from below at the greater of both clips.
    """
    if spec.arrivals.rate_per_s is not None:
        return spec.arrivals.rate_per_s
    sizes, weights = spec.sizes, [entry.weight for entry in spec.mix]
    load = spec.arrivals.load or 0.0  # the model lets one of load and rate_per_s be null, not both
    least = (
        {(i, n): least_s(kind, n) for i, kind in enumerate(spec.mix) for n in kind.widths} if least_s else {}
    )
    if not any(least.values()):
        width = float(np.average([mean_width(entry.widths) for entry in spec.mix], weights=weights))
        run_s = clipped_lognormal_mean(sizes.median_s, sizes.sigma, sizes.min_s, sizes.max_s)
        return load * cluster_accelerators / (width * run_s)

    def held_s(number: int, width: int) -> float:
        low_s = max(sizes.min_s, least[number, width])
        high_s = max(sizes.max_s, low_s)
        return width * clipped_lognormal_mean(sizes.median_s, sizes.sigma, low_s, high_s)

    means = [
        np.average([held_s(i, width) for width in kind.widths], weights=list(kind.widths.values()))
        for i, kind in enumerate(spec.mix)
    ]
    return load * cluster_accelerators / float(np.average(means, weights=weights))


@dataclass(frozen=True, slots=True)
class _KindColumns:
    """What follows from a job's kind and width, one value a job."""

    width: Ints
    batch: Ints
    slack_s: Floats
    step_s: Floats
    startup_s: Floats
    """Part of the drawn run time in which no step is made."""


@dataclass(frozen=True, slots=True)
class _StepTimes:
    """Ideal step times on the reference accelerator."""

    profiles: Mapping[str, JobCosts]
    reference: Accelerator
    catalogue: Mapping[str, Accelerator]
    per_server: int

    def batch(self, kind: JobKindSpec) -> int:
        """Return the samples a device takes each step."""
        return kind.batch_per_accelerator or largest_batch(self.profiles[kind.profile])

    def seconds(self, kind: JobKindSpec, width: int) -> float:
        """Return the ideal step time [s] of a gang."""
        return ideal_step_s(
            self.profiles[kind.profile],
            self.reference,
            width,
            self.batch(kind),
            catalogue=self.catalogue,
            per_server=self.per_server,
        )

    def least_s(self, kind: JobKindSpec, width: int) -> float:
        """Return what a job takes at least [s]: its start-up and one step; 0 where it has no start-up."""
        starting_s = startup_s(self.profiles[kind.profile])
        return starting_s + self.seconds(kind, width) if starting_s > 0.0 else 0.0


def _kind_columns(spec: GeneratedWorkloadSpec, seed: int, kind: Ints, times: _StepTimes) -> _KindColumns:
    """Return widths, batches, slacks and step times of all jobs, kind by kind."""
    by_width = stream(seed, "workload", "widths").random(spec.jobs)
    by_slack = stream(seed, "workload", "deferrable").random(spec.jobs)
    columns = _KindColumns(
        width=np.zeros(spec.jobs, dtype=np.int64),
        batch=np.zeros(spec.jobs, dtype=np.int64),
        slack_s=np.zeros(spec.jobs),
        step_s=np.zeros(spec.jobs),
        startup_s=np.zeros(spec.jobs),
    )
    for i, entry in enumerate(spec.mix):
        mine = np.flatnonzero(kind == i)
        widths = sorted(entry.widths)  # the order of keys in a file must not matter
        choice = discrete_choice(by_width[mine], np.array([entry.widths[width] for width in widths]))
        columns.width[mine] = np.array(widths)[choice]
        columns.batch[mine] = times.batch(entry)
        columns.slack_s[mine] = np.where(by_slack[mine] < entry.deferrable_fraction, entry.slack_s, 0.0)
        columns.step_s[mine] = np.array([times.seconds(entry, width) for width in widths])[choice]
        columns.startup_s[mine] = startup_s(times.profiles[entry.profile])
    return columns


def _arrivals_s(spec: GeneratedWorkloadSpec, seed: int, rate_per_s: float, start: datetime) -> Floats:
    """Return ascending arrival times [s]."""
    gaps = stream(seed, "workload", "arrivals").standard_exponential(spec.jobs)
    swing = spec.arrivals.diurnal_amplitude
    return diurnal_arrivals_s(gaps, rate_per_s, swing, diurnal_phase_rad(start, spec.arrivals.peak_hour))


def _sizes_s(spec: GeneratedWorkloadSpec, seed: int) -> Floats:
    """Return ideal run times [s]."""
    sizes = spec.sizes
    normals = stream(seed, "workload", "sizes").standard_normal(spec.jobs)
    return clipped_lognormal_quantile(normals, sizes.median_s, sizes.sigma, sizes.min_s, sizes.max_s)


def _pick(seed: int, name: str, count: int, weights: Floats) -> Ints:
    """Return `count` indices drawn by weight from the stream of that name."""
    return discrete_choice(stream(seed, "workload", name).random(count), weights)


def _ids(count: int) -> tuple[str, ...]:
    """Return job names whose order as text is their order of arrival."""
    digits = len(str(count - 1))
    return tuple(map(f"job-%0{digits}d".__mod__, range(count)))


def _check_profiles(spec: GeneratedWorkloadSpec, profiles: Mapping[str, JobCosts]) -> None:
    """Raise ScenarioError with every profile of the mix that was not loaded."""
    problems = [
        Problem(
            "scenario",
            None,
            f"workload.mix.{i}.profile",
            kind.profile,
            "a profile",
            nearest(kind.profile, profiles),
        )
        for i, kind in enumerate(spec.mix)
        if kind.profile not in profiles
    ]
    if problems:
        raise ScenarioError(problems)
