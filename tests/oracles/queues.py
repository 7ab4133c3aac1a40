"""Queues as scenarios, their sample paths by other means, and what theory says of their means."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt
from scipy import stats

from dcsim.results.run_result import RunResult
from dcsim.rng import stream
from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import job_table

__all__ = [
    "ALARM",
    "Interval",
    "batch_means",
    "erlang_c_wait",
    "kiefer_wolfowitz_waits",
    "poisson_arrivals",
    "pollaczek_khinchine_wait",
    "queue_scenario",
    "run_queue",
    "sizes",
]

Floats = npt.NDArray[np.float64]

ALARM = 1e-4
"""False-alarm rate of each interval, two-sided: how often a right simulator would miss it over all seeds.
The seeds are fixed, so a test that passes passes always."""

_BATCHES = 40


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its confidence interval."""

    mean: float
    half_width: float


def batch_means(values: Floats, warm_up: float = 0.1) -> Interval:
    """Return the mean of a correlated series with Student's interval on the means of 40 batches.

    The first `warm_up` part is left out: the queue starts empty (Law, Simulation Modeling and
    Analysis, 5th ed. 2015, section 9.5.3). Batches must be much longer than the correlation.
    """
    steady = values[int(warm_up * len(values)) :]
    length = len(steady) // _BATCHES
    means = steady[: length * _BATCHES].reshape(_BATCHES, length).mean(axis=1).tolist()
    quantile = float(stats.t.ppf(1.0 - ALARM / 2.0, _BATCHES - 1))
    return Interval(fmean(means), quantile * stdev(means) / math.sqrt(_BATCHES))


def erlang_c_wait(servers: int, utilisation: float, service_s: float) -> float:
    """Return the mean wait of M/M/c by the Erlang B recursion (Kleinrock, Queueing Systems I, 1975, 3.5)."""
    offered = servers * utilisation
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    delayed = blocked / (1.0 - utilisation * (1.0 - blocked))
    return delayed * service_s / (servers * (1.0 - utilisation))


def pollaczek_khinchine_wait(utilisation: float, service_s: float, variation: float) -> float:
    """Return the mean wait of M/G/1, lambda E[S^2] / (2 (1 - rho)); `variation` = std / mean of S."""
    return utilisation * service_s * (1.0 + variation**2) / (2.0 * (1.0 - utilisation))


def poisson_arrivals(count: int, rate_per_s: float, seed: int) -> Floats:
    """Return (N,) arrival times of a Poisson process."""
    gaps = stream(seed, "oracle", "arrivals").standard_exponential(count)
    return np.asarray(np.cumsum(gaps) / rate_per_s)


def sizes(kind: str, count: int, seed: int) -> Floats:
    """Return (N,) sizes with mean 1: "deterministic", "exponential" or "hyper" (cv 2, balanced means)."""
    draws = stream(seed, "oracle", "sizes")
    if kind == "deterministic":
        return np.ones(count)
    unit = draws.standard_exponential(count)
    if kind == "exponential":
        return unit
    # Two phases with p1 / mu1 = p2 / mu2 = 1/2 and p1 = (1 + sqrt((c^2 - 1) / (c^2 + 1))) / 2, c = 2.
    often = 0.5 * (1.0 + math.sqrt(3.0 / 5.0))
    short = draws.random(count) < often
    return np.where(short, unit / (2.0 * often), unit / (2.0 * (1.0 - often)))


def kiefer_wolfowitz_waits(submit_s: Floats, duration_s: Floats, servers: int) -> Floats:
    """Return (N,) the waits in G/G/c, first come first served, without any clock: one heap of free times.

    Kiefer, Wolfowitz, Trans. AMS 78 (1955) 1-18: a job starts when it has come and the first of the
    c servers is free.
    """
    free_s = [0.0] * servers
    waits = []
    for arrival_s, service_s in zip(submit_s.tolist(), duration_s.tolist(), strict=True):
        start_s = max(arrival_s, free_s[0])
        heapq.heapreplace(free_s, start_s + service_s)
        waits.append(start_s - arrival_s)
    return np.array(waits)


def queue_scenario(servers: int, accelerators: int = 1, skip: int = 0) -> Scenario:
    """Return a cluster of equal servers under first come, first served."""
    return Scenario.model_validate(
        {
            "name": "queue",
            "cluster": {
                "racks": [
                    {
                        "name": "r",
                        "servers": [{"count": servers, "accelerator": "T4", "accelerators": accelerators}],
                    }
                ]
            },
            "workload": {"kind": "trace", "path": "not-read.csv"},
            "policies": {
                "ordering": {"name": "fifo", "parameters": {"skip": skip}},
                "placement": "best_fit",
            },
        }
    )


def run_queue(submit_s: Floats, duration_s: Floats, servers: int, *, guards: bool = False) -> RunResult:
    """Run jobs of one accelerator on `servers` servers of one accelerator each."""
    jobs = job_table(submit_s=submit_s, duration_s=duration_s, accelerators=1)
    return simulate(queue_scenario(servers), 0, jobs=jobs, guards=guards)
