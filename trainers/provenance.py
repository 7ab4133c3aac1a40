"""Where, when and how a profile was measured; no names of hosts, people or folders."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from dcsim.workload.profile import CostProfile, Provenance
from trainers.allocator import FreedMemory
from trainers.devices import available_cores

__all__ = ["host_cpu", "host_difference", "load_average", "package_versions", "provenance", "python_build"]

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy")


def host_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name for itself, else its architecture."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def host_difference(profile: CostProfile) -> str | None:
    """Return why a profile's step times are not those of this host, in words; None where they are, or may be.

    Only of a profile that was measured on a processor: a graphics card is the same on any host.
    """
    there = profile.provenance.host_cpu
    if profile.origin != "measured" or profile.provenance.backend != "cpu" or there == host_cpu():
        return None
    return f"measured on another processor, {there}; this is {host_cpu()}: its step times hold there only"


def python_build() -> str:
    """Return the version of Python and how it was built."""
    return sys.version


def load_average() -> float:
    """Return the mean number of processes that wanted a core in the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide a step's time."""
    return {name: metadata.version(name) for name in PACKAGES}


def provenance(
    *,
    command: str,
    dataset: str,
    backend: str,
    seed: int,
    import_time_s: float,
    load_average_start: float,
    warnings: Sequence[str] = (),
    device_kind: str | None = None,
    freed_memory: FreedMemory | None = None,
) -> Provenance:
    """Return the provenance of a measurement that ends now.

    Args:
        command: what repeats it, without folders.
        dataset: name and licence.
        backend: "cpu", "gpu" or "tpu".
        seed: of the measurement.
        import_time_s: what importing JAX took.
        load_average_start: `load_average()` before measuring.
        warnings: what a reader must know before trusting the numbers.
        device_kind: what JAX calls the device.
        freed_memory: what the timed processes did with it; None: nothing was timed.
    """
    return Provenance(
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        host_cpu=host_cpu(),
        host_cores=available_cores(),
        operating_system=platform.system(),
        python_version=platform.python_version(),
        packages=package_versions(),
        backend=backend,
        load_average_start=round(load_average_start, 2),
        load_average_end=round(load_average(), 2),
        seed=seed,
        command=command,
        dataset=dataset,
        import_time_s=import_time_s,
        warnings=tuple(warnings),
        device_kind=device_kind,
        freed_memory=freed_memory,
    )
