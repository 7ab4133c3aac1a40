"""What all tests share: Hypothesis profiles, the folder of published data, and a CPU-only JAX."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Read by JAX and XLA when they are first imported: eight virtual devices, no search for accelerators.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count=8".strip()

# The fast tier must give the same answer every time, so its examples are fixed; `make deep` explores.
settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "deep",
    deadline=None,
    max_examples=2_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder named by DCSIM_SHARED (default ../shared): published traces, series and measurements."""
    folder = Path(os.environ.get("DCSIM_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no published data in {folder}: set DCSIM_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def shared_data(shared_dir: Path) -> Path:
    """The data/ folder of `shared_dir`."""
    return shared_dir / "data"
