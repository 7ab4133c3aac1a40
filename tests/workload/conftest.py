"""A cost profile with round figures, so that expected values can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import LoadedProfile


def _point(devices: int, batch: int, step_time_s: float) -> dict[str, Any]:
    return {
        "devices": devices,
        "batch_per_device": batch,
        "mode": "jit",
        "steps": 50,
        "step_time_s": step_time_s,
        "step_time_low_s": 0.9 * step_time_s,
        "step_time_high_s": 1.1 * step_time_s,
        "cpu_time_per_step_s": devices * step_time_s,
        "split_half_spread": 0.01,
        "compile_time_s": 0.5,
        "flops_per_device": 1e6 * batch,
        "bytes_accessed_per_device": 1e4 * batch,
        "temporary_bytes": 1e6,
        "argument_bytes": 1e6,
    }


def _content() -> dict[str, Any]:
    """1 ms + 0.1 ms a sample + 2 ms a further device, on cpu-core; 1 MFLOP and 10 kB a sample."""
    step = {(n, b): 1e-3 + 1e-4 * b + 2e-3 * (n - 1) for n in (1, 2) for b in (32, 128)}
    return {
        "name": "round",
        "description": "a profile with round figures",
        "device": "cpu-core",
        "parameters": 100_000,
        "optimizer": "adam",
        "flops_per_sample": 1e6,
        "bytes_accessed_per_sample": 1e4,
        "input_bytes_per_sample": 3_000.0,
        "checkpoint_bytes": 1.2e6,
        "dataset_bytes": 1.5e7,
        "memory_bytes_per_device": 3e6,
        "collectives": {"all_reduce_bytes": 400_004.0, "all_reduce_count": 1},
        "points": [_point(n, b, time_s) for (n, b), time_s in step.items()],
        "fit": {
            "overhead_s": 1e-3,
            "per_sample_s": 1e-4,
            "per_device_s": 2e-3,
            "devices_min": 1,
            "devices_max": 2,
            "batch_per_device_min": 32,
            "batch_per_device_max": 128,
            "residual_relative": 0.0,
            "held_out_error_relative": None,
        },
        "energy": {"energy_per_step_j": None, "method": "not measured: made by hand"},
        "provenance": {
            "created_utc": "2026-01-01T00:00:00Z",
            "host_cpu": "none",
            "host_cores": 2,
            "operating_system": "none",
            "python_version": "3.11",
            "packages": {},
            "backend": "cpu",
            "load_average_start": 0.0,
            "load_average_end": 0.0,
            "seed": 0,
            "command": "none",
            "dataset": "none",
            "import_time_s": 0.0,
        },
    }


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with the fields of `new`, dictionaries merged part by part."""
    return old | {
        key: _merged(old[key], value) if isinstance(value, dict) and key in old else value
        for key, value in new.items()
    }


@pytest.fixture(scope="session")
def make_profile() -> Callable[..., CostProfile]:
    """A function that makes the round profile, with fields changed by keyword."""
    return lambda **changes: CostProfile.model_validate(_merged(_content(), changes))


@pytest.fixture(scope="session")
def profile(make_profile: Callable[..., CostProfile]) -> CostProfile:
    return make_profile()


@pytest.fixture(scope="session")
def loaded(profile: CostProfile) -> dict[str, LoadedProfile]:
    return {"round": LoadedProfile(profile, "0" * 64, Path("round.json"))}
