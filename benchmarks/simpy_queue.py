"""The yardstick: a bare SimPy queue, one process a job, which waits for a slot, holds it and leaves."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

__all__ = ["run_simpy_queue"]

_CAPACITY = 1_000
_LOAD = 0.9
_SERVICE_S = 1_000.0


def run_simpy_queue(jobs: int) -> float:
    """Run `jobs` jobs on Resource(capacity=1000) at 90 % load, arrivals made lazily; return the mean wait [s]."""
    draws = np.random.Generator(np.random.PCG64(1))
    gaps_s = draws.exponential(_SERVICE_S / (_LOAD * _CAPACITY), jobs).tolist()
    services_s = draws.exponential(_SERVICE_S, jobs).tolist()
    env = simpy.Environment()
    slots = simpy.Resource(env, capacity=_CAPACITY)
    waits_s: list[float] = []

    def job(service_s: float) -> Generator[simpy.Event, Any, None]:
        came_s = env.now
        with slots.request() as slot:
            yield slot
            waits_s.append(env.now - came_s)
            yield env.timeout(service_s)

    def source() -> Generator[simpy.Event, Any, None]:
        for gap_s, service_s in zip(gaps_s, services_s, strict=True):
            yield env.timeout(gap_s)
            env.process(job(service_s))

    env.process(source())
    env.run()
    return sum(waits_s) / len(waits_s)
