"""Strategies for jobs: tables that fit a cluster, generated workloads, and cost profiles."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from dcsim.spec.cluster import ClusterSpec
from dcsim.spec.workload import ArrivalSpec, GeneratedWorkloadSpec, JobKindSpec, SizeSpec
from dcsim.workload.jobs import JobTable, empty_jobs, job_table
from dcsim.workload.profile import (
    CollectiveTraffic,
    CostProfile,
    DimensionTraffic,
    EnergyMeasurement,
    MeasuredPoint,
    Provenance,
    StepTimeFit,
)
from dcsim.workload.profile_store import LoadedProfile

__all__ = ["cost_profiles", "generated_workloads", "job_tables", "loaded_profiles"]

_BUILT_IN = ("tiny_transformer", "digits_mlp")
_UNSAID = {
    "accelerator_share": 1.0,
    "accelerator_types": "",
    "cpu_cores": 0.0,
    "profile": "",
    "steps": math.nan,
}
"""What a job has in these columns unless something else is drawn."""


def _pools(cluster: ClusterSpec) -> dict[str, list[int]]:
    """Return, for each accelerator type, the devices of each of its servers, largest first."""
    found: dict[str, list[int]] = {}
    for rack in cluster.racks:
        for server in rack.servers:
            if server.accelerator is not None:
                sizes = [server.accelerators] * (server.count * rack.count)
                found.setdefault(server.accelerator, []).extend(sizes)
    return {name: sorted(sizes, reverse=True) for name, sizes in found.items()}


@st.composite
def _job(
    draw: st.DrawFn,
    cluster: ClusterSpec,
    longest_s: int,
    profiles: tuple[str, ...],
    *,
    plain: bool,
    types: bool,
) -> dict[str, Any]:
    """Draw one row that fits the empty cluster."""
    pools = _pools(cluster)
    name = draw(st.sampled_from(sorted(pools)))
    sizes = pools[name]
    spread = 0 if plain else draw(st.integers(0, min(3, len(sizes))))
    width = draw(st.integers(1, min(16, sum(sizes[: spread or len(sizes)]))))
    row: dict[str, Any] = {"accelerators": width, "max_servers": spread}
    if types and (len(pools) == 1 or draw(st.booleans())):
        row["accelerator_types"] = name
    if len(profiles) > 0 and draw(st.booleans()):
        row |= {
            "profile": draw(st.sampled_from(profiles)),
            "steps": float(draw(st.integers(0, longest_s))),
            "duration_s": float("nan"),
        }
    if plain:
        return row
    kind = draw(st.sampled_from(("whole", "share", "cpu")))
    if kind == "share":
        row |= {"accelerators": 1, "accelerator_share": draw(st.sampled_from((0.5, 0.25, 0.1, 1 / 3)))}
    elif kind == "cpu" and "steps" not in row:
        row |= {"accelerators": 0, "max_servers": 0}
        row |= {"accelerator_types": "", "cpu_cores": draw(st.sampled_from((1.0, 4.0, 0.3)))}
    return row


@st.composite
def job_tables(
    draw: st.DrawFn,
    cluster: ClusterSpec,
    *,
    min_jobs: int = 0,
    max_jobs: int = 8,
    max_submit_s: int = 20,
    max_duration_s: int = 20,
    max_slack_s: int = 0,
    profiles: tuple[str, ...] = (),
    plain: bool = False,
    types: bool = True,
    rules: bool = False,
    limits: bool = False,
    datasets: tuple[str, ...] = (),
    divided: bool = False,
) -> JobTable:
    """Draw a job table, each of whose jobs fits the empty `cluster`.

    Args:
        draw: given by Hypothesis.
        cluster: where the jobs are to run; has accelerators.
        min_jobs: fewest jobs.
        max_jobs: most jobs.
        max_submit_s: latest arrival, whole seconds; several jobs may arrive at once.
        max_duration_s: longest run time, whole seconds (or steps of a profile); 0 occurs.
        max_slack_s: how long a job may at most be held back, whole seconds.
        profiles: cost profiles that jobs may name.
        plain: gangs of whole accelerators only; else also parts of one and CPU-only jobs.
        types: jobs may ask for an accelerator type.
        rules: jobs may have priorities and deadlines, be elastic, belong to an array of limited width, and
            wait for others.
        limits: jobs may have wall-time limits, so that not all may complete.
        datasets: data sets of the scenario that jobs may name.
        divided: gangs may divide their model over tensors and stages, and share optimizer and parameters.
    """
    count = draw(st.integers(min_jobs, max_jobs))
    if count == 0:
        return empty_jobs()
    rows = []
    for _ in range(count):
        row: dict[str, Any] = _UNSAID | {
            "submit_s": float(draw(st.integers(0, max_submit_s))),
            "duration_s": float(draw(st.integers(0, max_duration_s))),
            "slack_s": float(draw(st.integers(0, max_slack_s))) if max_slack_s else 0.0,
            "tenant": draw(st.sampled_from(("ann", "bob"))),
        }
        row |= draw(_job(cluster, max_duration_s, profiles, plain=plain, types=types))
        if datasets:
            row["dataset"] = draw(st.sampled_from(("", *datasets)))
        if limits:
            row["time_limit_s"] = float(draw(st.one_of(st.just(math.nan), st.integers(1, max_duration_s))))
        row |= draw(_rules(row, max_submit_s + max_duration_s)) if rules else {}
        rows.append(row | ({"parallelism": draw(_layouts(row))} if divided else {}))
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    after = draw(_dependencies(count)) if rules else None
    return job_table(**columns, after=after)


@st.composite
def _rules(draw: st.DrawFn, row: dict[str, Any], latest_s: int) -> dict[str, Any]:
    """Draw a job's priority and deadline, and whether it is elastic or of the one array."""
    rules: dict[str, Any] = {
        "priority": float(draw(st.integers(0, 2))),
        "deadline_s": float(draw(st.one_of(st.just(math.nan), st.integers(0, latest_s)))),
        "min_accelerators": 0,
        "max_accelerators": 0,
        "noise_scale_samples": float(draw(st.sampled_from((math.nan, 64.0)))),
        "array": "",
        "array_limit": 0,
    }
    width = row["accelerators"]
    if width and row["accelerator_share"] == 1.0 and draw(st.booleans()):
        rules["min_accelerators"] = draw(st.integers(1, width))
        rules["max_accelerators"] = width + draw(st.integers(0, 4))
    if draw(st.integers(0, 3)) == 3:
        rules |= {"array": "sweep", "array_limit": 2}
    return rules


@st.composite
def _layouts(draw: st.DrawFn, row: dict[str, Any]) -> str:
    """Draw how a gang divides its model: at any width if it is elastic."""
    width, elastic = row["accelerators"], bool(row.get("max_accelerators", 0))
    if width == 0 or row["accelerator_share"] < 1.0:
        return ""
    stage = draw(st.integers(0, 3))
    words = [f"zero_stage={stage}"] if stage else []
    for name, degree in (("tensor", draw(st.sampled_from((1, 2, 4)))), ("pipeline", draw(st.integers(1, 3)))):
        if not elastic and degree > 1 and width % degree == 0:
            width //= degree
            words.append(f"{name}={degree}")
    if draw(st.booleans()):
        words.append("micro_batches=4")
    return " ".join(words)


@st.composite
def _dependencies(draw: st.DrawFn, count: int) -> dict[str, tuple[str, ...]]:
    """Draw who waits for whom: some jobs for one before them in the table."""
    after: dict[str, tuple[str, ...]] = {}
    for job in range(1, count):
        if draw(st.integers(0, 3)) == 3:
            after[f"job-{job}"] = (f"job-{draw(st.integers(0, job - 1))}",)
    return after


@st.composite
def generated_workloads(
    draw: st.DrawFn,
    cluster: ClusterSpec,
    *,
    max_jobs: int = 8,
    profiles: tuple[str, ...] = _BUILT_IN,
    datasets: tuple[str, ...] = (),
) -> GeneratedWorkloadSpec:
    """Draw a workload to be generated, with gangs that fit the empty `cluster`.

    Args:
        draw: given by Hypothesis.
        cluster: has accelerators.
        max_jobs: most jobs, >= 1.
        profiles: names of cost profiles, the built-in ones by default.
        datasets: data sets of the scenario that kinds of jobs may name.
    """
    pools = _pools(cluster)
    widest = max(sum(sizes) for sizes in pools.values())
    widths = st.dictionaries(
        st.sampled_from([width for width in (1, 2, 4, 8, 16) if width <= widest]),
        st.just(1.0),
        min_size=1,
    )
    kinds = st.builds(
        JobKindSpec,
        profile=st.sampled_from(profiles),
        widths=widths,
        dataset=st.sampled_from((None, *datasets)),
        deferrable_fraction=st.sampled_from((0.0, 0.5, 1.0)),
        slack_s=st.sampled_from((0.0, 3600.0)),
    )
    return GeneratedWorkloadSpec(
        jobs=draw(st.integers(1, max_jobs)),
        arrivals=ArrivalSpec(
            load=draw(st.sampled_from((0.8, 0.1, 2.0))),
            diurnal_amplitude=draw(st.sampled_from((0.0, 0.9))),
        ),
        sizes=SizeSpec(
            median_s=draw(st.sampled_from((60.0, 1800.0))), sigma=draw(st.sampled_from((0.0, 1.5)))
        ),
        mix=tuple(draw(st.lists(kinds, min_size=1, max_size=2))),
        tenants=draw(st.integers(1, 3)),
    )


@st.composite
def cost_profiles(
    draw: st.DrawFn, *, name: str = "drawn", device: str = "A100-80", divided: bool = False
) -> CostProfile:
    """Draw a cost profile that contradicts neither itself nor the peak of its device.

    Args:
        draw: given by Hypothesis.
        name: of the profile.
        device: hardware-catalogue name of what it was measured on.
        divided: its exchange may hide behind computing, and tensors and stages exchange activations.
    """
    overhead_s, per_sample_s = draw(st.sampled_from((0.5, 0.0, 0.001))), draw(st.sampled_from((0.25, 0.01)))
    per_device_s = draw(st.sampled_from((0.0, 0.125)))
    parameters = draw(st.integers(1, 1000)) * 1000
    step_s = overhead_s + 8 * per_sample_s
    point = MeasuredPoint(
        devices=1,
        batch_per_device=8,
        mode="jit",
        steps=100,
        step_time_s=step_s,
        step_time_low_s=step_s,
        step_time_high_s=step_s,
        cpu_time_per_step_s=step_s,
        split_half_spread=0.0,
        compile_time_s=1.0,
        flops_per_device=8e9,
        bytes_accessed_per_device=8e8,
        temporary_bytes=0.0,
        argument_bytes=4.0 * parameters,
    )
    return CostProfile(
        name=name,
        description="drawn by Hypothesis, measured nowhere",
        device=device,
        parameters=parameters,
        optimizer="sgd",
        flops_per_sample=1e9,
        bytes_accessed_per_sample=1e8,
        input_bytes_per_sample=draw(st.sampled_from((0.0, 1e3, 1e7))),
        checkpoint_bytes=4.0 * parameters,
        dataset_bytes=draw(st.sampled_from((0.0, 1e6, 1e9))),
        memory_bytes_per_device=4.0 * parameters,
        collectives=draw(_collectives(4.0 * parameters + 4.0, divided=divided)),
        points=(point,),
        fit=StepTimeFit(
            overhead_s=overhead_s,
            per_sample_s=per_sample_s,
            per_device_s=per_device_s,
            devices_min=1,
            devices_max=8,
            batch_per_device_min=1,
            batch_per_device_max=8,
            residual_relative=0.0,
            held_out_error_relative=None,
        ),
        energy=EnergyMeasurement(energy_per_step_j=None, method="not measured: drawn"),
        provenance=_PROVENANCE,
    )


@st.composite
def _collectives(draw: st.DrawFn, reduced_bytes: float, *, divided: bool) -> CollectiveTraffic:
    if not divided:
        return CollectiveTraffic(all_reduce_bytes=reduced_bytes, all_reduce_count=1)
    overlaps = st.sampled_from((0.0, 0.3, 1.0))
    parallel = (
        DimensionTraffic(
            dimension="tensor",
            collective="all_reduce",
            bytes_per_sample=draw(st.sampled_from((0.0, 1e4))),
            messages_per_step=draw(st.integers(1, 5)),
            overlap_fraction=draw(overlaps),
        ),
        DimensionTraffic(dimension="pipeline", collective="send_recv", bytes_per_sample=1e3),
    )
    return CollectiveTraffic(
        all_reduce_bytes=reduced_bytes,
        all_reduce_count=draw(st.integers(1, 3)),
        overlap_fraction=draw(overlaps),
        parallel=parallel,
    )


_PROVENANCE = Provenance(
    created_utc="2025-01-01T00:00:00+00:00",
    host_cpu="none",
    host_cores=1,
    operating_system="none",
    python_version="3.11",
    packages={},
    backend="gpu",
    load_average_start=0.0,
    load_average_end=0.0,
    seed=0,
    command="none",
    dataset="none",
    import_time_s=0.0,
)


def loaded_profiles(
    *, name: str = "drawn", device: str = "A100-80", divided: bool = False
) -> st.SearchStrategy[dict[str, LoadedProfile]]:
    """Draw {name: profile} as `dcsim.simulate` takes it in `profiles`.

    Args:
        name: of the profile.
        device: hardware-catalogue name of what it was measured on.
        divided: as `cost_profiles`.
    """
    return cost_profiles(name=name, device=device, divided=divided).map(
        lambda profile: {name: LoadedProfile(profile, "0" * 64, Path(f"{name}.json"))}
    )
