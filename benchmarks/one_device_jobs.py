"""Jobs of one accelerator each, as plain numbers that any simulator can be given; and a line of gangs."""

from __future__ import annotations

import numpy as np

from dcsim.workload.jobs import JobTable, job_table

__all__ = ["ACCELERATORS_A_SERVER", "one_device_jobs", "one_device_table", "waiting_table"]

ACCELERATORS_A_SERVER = 8
_MEAN_S = 1_000.0
_LOAD = 0.9


def one_device_jobs(jobs: int, servers: int) -> tuple[list[float], list[int]]:
    """Return (ascending submit times [s], run times in whole seconds) at 90 % load of the servers."""
    draws = np.random.Generator(np.random.PCG64(3))
    rate_per_s = _LOAD * servers * ACCELERATORS_A_SERVER / _MEAN_S
    submit_s = np.cumsum(draws.exponential(1.0 / rate_per_s, jobs))
    run_s = np.maximum(1, np.rint(draws.exponential(_MEAN_S, jobs))).astype(int)
    return submit_s.tolist(), run_s.tolist()


def one_device_table(jobs: int, servers: int) -> JobTable:
    """Return `one_device_jobs` as dcsim takes them."""
    submit_s, run_s = one_device_jobs(jobs, servers)
    return job_table(submit_s=submit_s, duration_s=np.array(run_s, dtype=np.float64))


def waiting_table(jobs: int) -> JobTable:
    """Return gangs of 1 to 64 accelerators that all come at 0 s, with limits of 1 to 5 times their run time."""
    draws = np.random.Generator(np.random.PCG64(4))
    run_s = np.rint(draws.lognormal(6.0, 1.0, jobs)) + 1.0
    return job_table(
        submit_s=np.zeros(jobs),
        job_id=[f"job-{row:08d}" for row in range(jobs)],
        accelerators=2 ** draws.integers(0, 7, jobs),
        duration_s=run_s,
        time_limit_s=np.ceil(run_s * draws.uniform(1.0, 5.0, jobs)),
    )
