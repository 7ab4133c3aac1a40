"""Virtual CPU devices and the cores they run on; both must be set before JAX starts."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

__all__ = [
    "CoreWatch",
    "available_cores",
    "busy_core_s",
    "core_numbers",
    "pin_to_cores",
    "use_virtual_devices",
    "xla_flags",
]

_HAS_AFFINITY = hasattr(os, "sched_getaffinity")  # Linux
_COUNT = re.compile(r"--xla_force_host_platform_device_count=\d+")


def available_cores() -> int:
    """Return how many cores this process may run on.

    >>> available_cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if _HAS_AFFINITY else os.cpu_count() or 1


def busy_core_s(stat: Path = Path("/proc/stat")) -> float | None:
    """Return how long the cores of this process have worked since boot, for whomever, in core-seconds.

    What others took of them meanwhile is the difference of two readings, less this process' own
    CPU time. Time that a hypervisor gave to other machines counts as taken by others.

    Returns:
        None where the system does not say (anything but Linux).
    """
    if not _HAS_AFFINITY:
        return None
    try:
        rows = [line.split() for line in stat.read_text().splitlines()]
    except OSError:
        return None
    own = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    # Columns: user nice system idle iowait irq softirq steal; the last two, guests, are in user and nice.
    ticks = sum(
        sum(int(row[column]) for column in (1, 2, 3, 6, 7, 8)) for row in rows if row and row[0] in own
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def xla_flags(devices: int, existing: str = "") -> str:
    """Return the value of XLA_FLAGS that gives `devices` virtual CPU devices.

    Args:
        devices: at least 1.
        existing: flags to keep; an earlier device count among them is replaced.

    Raises:
        ValueError: if `devices` is below 1.

    >>> xla_flags(2, "--xla_dump_to=x --xla_force_host_platform_device_count=8")
    '--xla_dump_to=x --xla_force_host_platform_device_count=2'
    """
    if devices < 1:
        raise ValueError(f"{devices} devices -> expected an integer >= 1")
    kept = _COUNT.sub("", existing).split()
    return " ".join([*kept, f"--xla_force_host_platform_device_count={devices}"])


def use_virtual_devices(devices: int) -> None:
    """Give JAX `devices` virtual CPU devices in this process; without effect once JAX has started."""
    os.environ["XLA_FLAGS"] = xla_flags(devices, os.environ.get("XLA_FLAGS", ""))


def pin_to_cores(devices: int) -> int:
    """Let this process run on as many cores as it has devices, so that one device is one core.

    XLA sizes its thread pools by the cores it may use. Unpinned, a single virtual device would
    spread over the whole host, and two devices would seem to bring no speed-up at all.

    Args:
        devices: more than the available cores share what there is.

    Returns:
        The number of cores the process may use now (on systems other than Linux: all of them).
    """
    if _HAS_AFFINITY:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: max(1, devices)])
    return available_cores()


class CoreWatch:
    """Watches, from its making on, how much of this process' cores others take."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._start = (time.perf_counter(), time.process_time(), busy_core_s())

    def taken_share(self) -> float | None:
        """Return the share, 0 to 1, that others took; None where the system does not say."""
        wall_s, own_s, busy_s = self._start
        now_s = busy_core_s()
        if busy_s is None or now_s is None:
            return None
        others_s = (now_s - busy_s) - (time.process_time() - own_s)
        return min(1.0, max(0.0, others_s / (self._cores * (time.perf_counter() - wall_s))))


def core_numbers() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may run on, ascending.

    >>> len(core_numbers()) == available_cores()
    True
    """
    return tuple(sorted(os.sched_getaffinity(0))) if _HAS_AFFINITY else tuple(range(os.cpu_count() or 1))
