"""A cost profile with round figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dcsim.testing.strategies.workloads import _PROVENANCE
from dcsim.workload.profile import (
    CollectiveTraffic,
    CostProfile,
    EnergyMeasurement,
    MeasuredPoint,
    StepTimeFit,
)
from dcsim.workload.profile_store import LoadedProfile


def round_profile(**changes: Any) -> dict[str, LoadedProfile]:
    """Return {"round": profile}: 1 s a step of 8 samples on "D", 1 MB all-reduced, 8 x 12,500 B read."""
    point = MeasuredPoint(
        devices=1,
        batch_per_device=8,
        mode="jit",
        steps=10,
        step_time_s=1.0,
        step_time_low_s=1.0,
        step_time_high_s=1.0,
        cpu_time_per_step_s=1.0,
        split_half_spread=0.0,
        compile_time_s=0.0,
        flops_per_device=1e9,
        bytes_accessed_per_device=1e9,
        temporary_bytes=0.0,
        argument_bytes=1e6,
    )
    fields: dict[str, Any] = {
        "name": "round",
        "description": "round figures",
        "device": "D",
        "parameters": 250_000,
        "optimizer": "sgd",
        "flops_per_sample": 1e8,
        "bytes_accessed_per_sample": 1e8,
        "input_bytes_per_sample": 12_500.0,
        "checkpoint_bytes": 1e6,
        "dataset_bytes": 1e9,
        "memory_bytes_per_device": 1e6,
        "collectives": CollectiveTraffic(all_reduce_bytes=1e6, all_reduce_count=1),
        "points": (point,),
        "fit": StepTimeFit(
            overhead_s=0.5,
            per_sample_s=0.0625,
            per_device_s=0.0,
            devices_min=1,
            devices_max=16,
            batch_per_device_min=1,
            batch_per_device_max=8,
            residual_relative=0.0,
            held_out_error_relative=None,
        ),
        "energy": EnergyMeasurement(energy_per_step_j=None, method="not measured"),
        "provenance": _PROVENANCE,
    }
    return {"round": LoadedProfile(CostProfile(**(fields | changes)), "0" * 64, Path("round.json"))}


@pytest.fixture
def profiles() -> dict[str, LoadedProfile]:
    """The profile with round figures, by its name."""
    return round_profile()


@pytest.fixture
def make_profiles() -> Any:
    """Makes it with other figures."""
    return round_profile
