"""Jobs whose only constraint is the shared file system: readers under processor sharing."""

from __future__ import annotations

import heapq
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.results.run_result import RunResult
from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import job_table
from dcsim.workload.profile import (
    CollectiveTraffic,
    CostProfile,
    EnergyMeasurement,
    MeasuredPoint,
    Provenance,
    StepTimeFit,
)
from dcsim.workload.profile_store import LoadedProfile

__all__ = ["BANDWIDTH_BYTES_PER_S", "processor_sharing_ends_s", "reader_profile", "run_readers"]

Floats = npt.NDArray[np.float64]

BANDWIDTH_BYTES_PER_S = 1e9
"""Of the shared file system; a step reads as much, so that a job alone does one step a second."""

_STEP_S = 1e-3
"""Compute time of a step: a job wants a thousand times the file system's bandwidth."""


def reader_profile() -> LoadedProfile:
    """Return a made-up cost profile whose compute is negligible beside its input."""
    point = MeasuredPoint(
        devices=1,
        batch_per_device=1,
        mode="jit",
        steps=10,
        step_time_s=_STEP_S,
        step_time_low_s=_STEP_S,
        step_time_high_s=_STEP_S,
        cpu_time_per_step_s=0.0,
        split_half_spread=0.0,
        compile_time_s=0.0,
        flops_per_device=1.0,
        bytes_accessed_per_device=1.0,
        temporary_bytes=0.0,
        argument_bytes=0.0,
    )
    fit = StepTimeFit(
        overhead_s=_STEP_S,
        per_sample_s=0.0,
        per_device_s=0.0,
        devices_min=1,
        devices_max=8,
        batch_per_device_min=1,
        batch_per_device_max=1,
        residual_relative=0.0,
        held_out_error_relative=None,
    )
    profile = CostProfile(
        name="reader",
        description="reads and hardly computes",
        device="T4",
        parameters=1,
        optimizer="none",
        flops_per_sample=1.0,
        bytes_accessed_per_sample=1.0,
        input_bytes_per_sample=BANDWIDTH_BYTES_PER_S,
        checkpoint_bytes=0.0,
        dataset_bytes=1e15,
        memory_bytes_per_device=0.0,
        collectives=CollectiveTraffic(all_reduce_bytes=8.0, all_reduce_count=1),
        points=(point,),
        fit=fit,
        energy=EnergyMeasurement(energy_per_step_j=None, method="made up"),
        provenance=_provenance(),
    )
    return LoadedProfile(profile, "0" * 64, Path("reader.json"))


def _provenance() -> Provenance:
    return Provenance(
        created_utc="2026-01-01T00:00:00Z",
        host_cpu="none",
        host_cores=1,
        operating_system="none",
        python_version="3.11",
        packages={},
        backend="cpu",
        load_average_start=0.0,
        load_average_end=0.0,
        seed=0,
        command="made up",
        dataset="none",
        import_time_s=0.0,
    )


def run_readers(
    submit_s: Floats, steps: Floats, widths: npt.ArrayLike = 1, *, servers: int = 400, guards: bool = False
) -> RunResult:
    """Run gangs of up to 4 accelerators, each on one server, that share the file system only."""
    scenario = Scenario.model_validate(
        {
            "name": "readers",
            "cluster": {
                "racks": [
                    {"name": "r", "servers": [{"count": servers, "accelerator": "T4", "accelerators": 4}]}
                ]
            },
            "network": {"topology": "star", "server_bandwidth_bytes_per_s": 1e4 * BANDWIDTH_BYTES_PER_S},
            "storage": {"feed": "shared", "shared": {"bandwidth_bytes_per_s": BANDWIDTH_BYTES_PER_S}},
            "workload": {"kind": "trace", "path": "not-read.csv"},
        }
    )
    jobs = job_table(
        submit_s=submit_s,
        steps=steps,
        accelerators=widths,
        max_servers=1,
        profile="reader",
        batch_per_accelerator=1,
    )
    return simulate(scenario, 0, jobs=jobs, profiles={"reader": reader_profile()}, guards=guards)


def processor_sharing_ends_s(submit_s: Floats, work_s: Floats) -> Floats:
    """Return (N,) the ends under processor sharing, by virtual time, which runs at 1 / (jobs inside).

    A job that comes at virtual time v leaves at v + its work (Parekh, Gallager, IEEE/ACM Trans.
    Networking 1 (1993) 344-357).
    """
    ends_s = np.full(len(submit_s), np.nan)
    inside: list[tuple[float, int]] = []
    now_s = virtual_s = 0.0
    arrivals = list(enumerate(submit_s.tolist()))[::-1]
    while arrivals or inside:
        next_arrival_s = arrivals[-1][1] if arrivals else np.inf
        next_end_s = now_s + (inside[0][0] - virtual_s) * len(inside) if inside else np.inf
        if next_arrival_s <= next_end_s:
            virtual_s += (next_arrival_s - now_s) / len(inside) if inside else 0.0
            now_s = next_arrival_s
            job, _ = arrivals.pop()
            heapq.heappush(inside, (virtual_s + float(work_s[job]), job))
        else:
            virtual_s, job = heapq.heappop(inside)
            now_s = next_end_s
            ends_s[job] = now_s
            if not inside:
                virtual_s = 0.0  # keeps digits over long runs
    return ends_s
