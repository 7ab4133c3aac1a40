"""How busy the host was during a validation, and what it is."""

from __future__ import annotations

import os
import platform
import resource
import time
from datetime import UTC, datetime

from trainers.devices import available_cores, busy_core_s
from trainers.provenance import host_cpu, load_average, package_versions
from trainers.validation.result import Load, Where

__all__ = ["HostWatch", "where"]


def _own_s() -> float:
    """Return the CPU time of this process and of all its children that have ended [s]."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class HostWatch:
    """Watches, from its making on, what others take of the cores of this process; children count as own."""

    def __init__(self) -> None:
        self._average = load_average()
        self._start = (time.monotonic(), _own_s(), busy_core_s())

    def load(self) -> Load:
        """Return the load since then; children that still run count as others."""
        begin_s, own_s, busy_s = self._start
        elapsed_s, now_s = time.monotonic() - begin_s, busy_core_s()
        taken = None
        if busy_s is not None and now_s is not None and elapsed_s > 0.0:
            others_s = (now_s - busy_s) - (_own_s() - own_s)
            taken = min(1.0, max(0.0, others_s / (available_cores() * elapsed_s)))
        return Load(
            average_start=round(self._average, 2), average_end=round(load_average(), 2), taken_share=taken
        )


def where(command: str) -> Where:
    """Return where and when this is, and what repeats it."""
    return Where(
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        host_cpu=host_cpu(),
        host_cores=os.cpu_count() or available_cores(),
        operating_system=platform.system(),
        python_version=platform.python_version(),
        packages=package_versions(),
        command=command,
    )
