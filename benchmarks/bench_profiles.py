"""Two made-up cost profiles of the size of real models, so that timings depend on no measured file."""

from __future__ import annotations

from pathlib import Path

from dcsim.workload.profile import (
    CollectiveTraffic,
    CostProfile,
    EnergyMeasurement,
    MeasuredPoint,
    Provenance,
    StepTimeFit,
)
from dcsim.workload.profile_store import LoadedProfile

__all__ = ["bench_profiles"]

_BATCH = 64


def bench_profiles() -> dict[str, LoadedProfile]:
    """Return an image classifier of 25 M parameters and a language model of 300 M, as if measured on A100."""
    return {
        "images": _profile("images", parameters=25_000_000, per_sample_s=0.003, input_bytes=150_000.0),
        "language": _profile("language", parameters=300_000_000, per_sample_s=0.010, input_bytes=8_000.0),
    }


def _profile(name: str, *, parameters: int, per_sample_s: float, input_bytes: float) -> LoadedProfile:
    profile = CostProfile(
        name=name,
        description="made up for timing",
        device="A100-80",
        parameters=parameters,
        optimizer="adam",
        flops_per_sample=1e10,
        bytes_accessed_per_sample=1e8,
        input_bytes_per_sample=input_bytes,
        checkpoint_bytes=12.0 * parameters,
        dataset_bytes=150e9,
        memory_bytes_per_device=20e9,
        collectives=CollectiveTraffic(all_reduce_bytes=4.0 * parameters + 4.0, all_reduce_count=1),
        points=(_point(0.01 + _BATCH * per_sample_s),),
        fit=StepTimeFit(
            overhead_s=0.01,
            per_sample_s=per_sample_s,
            per_device_s=0.0005,
            devices_min=1,
            devices_max=8,
            batch_per_device_min=1,
            batch_per_device_max=_BATCH,
            residual_relative=0.0,
            held_out_error_relative=None,
        ),
        energy=EnergyMeasurement(energy_per_step_j=None, method="made up"),
        provenance=_provenance(),
    )
    return LoadedProfile(profile, "0" * 64, Path(f"{name}.json"))


def _point(step_time_s: float) -> MeasuredPoint:
    return MeasuredPoint(
        devices=1,
        batch_per_device=_BATCH,
        mode="jit",
        steps=10,
        step_time_s=step_time_s,
        step_time_low_s=step_time_s,
        step_time_high_s=step_time_s,
        cpu_time_per_step_s=0.0,
        split_half_spread=0.0,
        compile_time_s=0.0,
        flops_per_device=_BATCH * 1e10,
        bytes_accessed_per_device=_BATCH * 1e8,
        temporary_bytes=0.0,
        argument_bytes=0.0,
    )


def _provenance() -> Provenance:
    return Provenance(
        created_utc="2026-01-01T00:00:00Z",
        host_cpu="none",
        host_cores=1,
        operating_system="none",
        python_version="3.11",
        packages={},
        backend="gpu",
        load_average_start=0.0,
        load_average_end=0.0,
        seed=0,
        command="made up",
        dataset="none",
        import_time_s=0.0,
    )
