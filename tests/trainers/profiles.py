"""Small cost profiles whose every figure a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcsim.workload.profile import (
    CollectiveTraffic,
    CostProfile,
    EnergyMeasurement,
    MeasuredPoint,
    OperatorCost,
    Provenance,
    StepTimeFit,
)
from trainers.fit import Sample, fit_step_time

__all__ = ["make_profile"]


def _point(devices: int, batch: int, step_time_s: float) -> MeasuredPoint:
    return MeasuredPoint(
        devices=devices, batch_per_device=batch, mode="jit", steps=100, step_time_s=step_time_s,
        step_time_low_s=step_time_s, step_time_high_s=step_time_s, cpu_time_per_step_s=None, split_half_spread=0.0,
        compile_time_s=None, flops_per_device=None, bytes_accessed_per_device=None, temporary_bytes=None,
        argument_bytes=None,
    )  # fmt: skip


def make_profile(
    name: str,
    device: str,
    steps: Mapping[tuple[int, int], float],
    operators: Sequence[OperatorCost] = (),
    **changed: Any,
) -> CostProfile:
    """Return a profile measured as told.

    Args:
        name: of it.
        device: measured on.
        steps: step times [s] by (devices, batch per device).
        operators: of a sample; without any a sample is 1 GFLOP and 100 MB.
        changed: further fields, as they shall be.
    """
    line = fit_step_time([Sample(*key, time_s) for key, time_s in steps.items()])
    fields: dict[str, Any] = {
        "name": name,
        "description": "made for a test",
        "device": device,
        "parameters": 1_000_000,
        "optimizer": "sgd",
        "flops_per_sample": sum(each.flops_per_sample for each in operators) or 1e9,
        "bytes_accessed_per_sample": sum(each.bytes_per_sample for each in operators) or 1e8,
        "input_bytes_per_sample": 784.0,
        "checkpoint_bytes": 4e6,
        "dataset_bytes": 1e6,
        "memory_bytes_per_device": 1e9,
        "collectives": CollectiveTraffic(all_reduce_bytes=4e6, all_reduce_count=1),
        "points": tuple(_point(*key, time_s) for key, time_s in steps.items()),
        "fit": StepTimeFit(
            **line._asdict(),
            devices_min=min(devices for devices, _ in steps),
            devices_max=max(devices for devices, _ in steps),
            batch_per_device_min=min(batch for _, batch in steps),
            batch_per_device_max=max(batch for _, batch in steps),
            residual_relative=0.01,
            held_out_error_relative=0.04,
        ),
        "energy": EnergyMeasurement(energy_per_step_j=None, method="not measured"),
        "operators": tuple(operators),
        "provenance": Provenance(
            created_utc="2026-01-01T00:00:00+00:00", host_cpu="none", host_cores=1, operating_system="none",
            python_version="3", packages={}, backend="gpu", load_average_start=0.0, load_average_end=0.0, seed=0,
            command="", dataset="none", import_time_s=0.0,
        ),
    }  # fmt: skip
    return CostProfile(**{**fields, **changed})
