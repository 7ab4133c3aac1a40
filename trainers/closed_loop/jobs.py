"""What is submitted to the small cluster, and when: drawn once from a seed, the same for all policies."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["POLICIES", "JobCost", "QueuedJob", "apart_relative", "draw_jobs", "job_of"]

SHORTEST_S, LONGEST_S = 8.0, 18.0
"""Run times alone that are aimed at, and reached but for what `MARGIN` asks for: start-up is most of the short ones."""
SLOWEST_STARTUP = 1.5
"""Start-ups may last so many times longer than alone without changing who is shorter."""
MARGIN = 1.02
"""Least ratio of the run times of two jobs, with start-ups as alone and as slow as that."""
LEAST_TRAINING_S = 1.5
"""Of a job whose start-up alone takes longer than was aimed at."""
ARRIVALS_IN = 0.35
"""All jobs have come after this part of the time that the cores need for them: a line forms."""
ARRIVAL_DRAWS = 500
"""Arrivals are drawn so often, and those kept that are furthest from any end of a job."""
LEAST_GAIN = 1.15
"""Mean completion time of the worst policy over that of the best, by estimates, if any draw has it: order must matter."""


@dataclass(frozen=True)
class JobCost:
    """What a job of one model takes alone, by measurement."""

    batch: int
    """Samples a step."""
    startup_s: float
    """Before its first step, and to end."""
    step_s: float
    """Input and step."""


@dataclass(frozen=True)
class QueuedJob:
    """One training job."""

    name: str
    model: str
    batch: int
    steps: int
    submit_s: float
    """From the start of the run."""
    estimate_s: float
    """Run time alone, as a policy is told."""
    seed: int
    bare_steps: int = 0
    """Steps on one kept batch after the training, as a calibration makes them; of probes only."""

    def record(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


POLICIES: Mapping[str, Callable[[QueuedJob], float]] = {
    "fifo": lambda job: job.submit_s,
    "shortest_first": lambda job: job.estimate_s,
}
"""Who goes first, by the name that the policy has in the simulator: the smallest key, ties by the order of arrival."""


def job_of(record: Mapping[str, Any]) -> QueuedJob:
    """Return the job of a record."""
    return QueuedJob(**record)


def draw_jobs(costs: Mapping[str, JobCost], count: int, cores: int, seed: int) -> list[QueuedJob]:
    """Return `count` jobs in the order in which they come.

    Run times are spread evenly on a logarithmic scale, and further apart where they must be: of two jobs the same one
    is shorter by `MARGIN`, however much longer start-ups last, up to `SLOWEST_STARTUP`. So whoever sorts by them, a
    real dispatcher by times alone or the simulator by times beside others, gets one order. Long jobs tend to come
    first, so that the order in which they are served matters. From the shortest on models take turns, those with short
    start-ups first: each has short and long jobs, and the least room is needed.

    Of `ARRIVAL_DRAWS` draws of the arrivals in which the order matters those are kept that are furthest from the ends of jobs (`apart_relative`): where
    a job comes in the moment in which a core becomes free, the next hundredth of a second decides who starts, and runs of
    the same jobs differ from each other by whole jobs.

    Args:
        costs: of each model.
        count: jobs, at least 1.
        cores: for which they will wait.
        seed: of the draw.

    >>> cost = {"a": JobCost(8, 2.0, 0.01), "b": JobCost(8, 2.0, 0.1)}
    >>> jobs = draw_jobs(cost, 4, cores=2, seed=0)
    >>> [job.submit_s == sorted(other.submit_s for other in jobs)[at] for at, job in enumerate(jobs)]
    [True, True, True, True]
    >>> sorted(job.model for job in jobs)
    ['a', 'a', 'b', 'b']
    """
    draws = np.random.default_rng([seed, count])
    lengths = _lengths(costs, count)
    order = np.argsort(np.arange(count) + draws.uniform(0.0, 0.6 * count, count), kind="stable")
    jobs = []
    for place, rank in enumerate(order.tolist()):
        model, steps = lengths[count - 1 - rank]
        cost = costs[model]
        estimate_s = cost.startup_s + steps * cost.step_s
        jobs.append(
            QueuedJob(f"job-{place + 1:02d}", model, cost.batch, steps, 0.0, estimate_s, seed + place)
        )
    busy_s = sum(job.estimate_s for job in jobs) / cores
    found = [_arriving(jobs, busy_s * ARRIVALS_IN, draws) for _ in range(ARRIVAL_DRAWS)]
    return max(found, key=lambda each: (_gain(each, cores) >= LEAST_GAIN, apart_relative(each, cores)))


def _arriving(jobs: Sequence[QueuedJob], within_s: float, draws: np.random.Generator) -> list[QueuedJob]:
    """Return the jobs with gaps of a Poisson process between them, scaled to fill their part of the run."""
    comes = np.concatenate([[0.0], np.cumsum(draws.exponential(size=len(jobs) - 1))])
    comes = comes / max(comes[-1], 1e-9) * within_s
    return [
        QueuedJob(**(job.record() | {"submit_s": round(float(at), 3)}))
        for job, at in zip(jobs, comes, strict=True)
    ]


def apart_relative(jobs: Sequence[QueuedJob], cores: int) -> float:
    """Return by how much ends of jobs may be misjudged before one falls on another side of an arrival, relative.

    The least over all policies, ends and arrivals, if jobs take what is estimated.

    >>> one = QueuedJob("a", "m", 8, 10, 0.0, 10.0, 0)
    >>> apart_relative([one, QueuedJob("b", "m", 8, 10, 9.0, 10.0, 0)], cores=1)
    0.1
    """
    return min(
        abs(job.submit_s - end_s) / end_s
        for key in POLICIES.values()
        for _, end_s in _served(jobs, cores, key)
        for job in jobs
    )


def _gain(jobs: Sequence[QueuedJob], cores: int) -> float:
    """Return the mean completion time under the worst policy over that under the best, as estimated."""
    sums_s = [
        math.fsum(end_s - job.submit_s for job, end_s in _served(jobs, cores, key))
        for key in POLICIES.values()
    ]
    return max(sums_s) / min(sums_s)


def _served(
    jobs: Sequence[QueuedJob], cores: int, key: Callable[[QueuedJob], float]
) -> list[tuple[QueuedJob, float]]:
    """Return the jobs with their ends [s], if they take what is estimated."""
    coming = sorted(jobs, key=lambda job: job.submit_s, reverse=True)
    waiting: list[QueuedJob] = []
    free_s = [0.0] * cores
    served = []
    while coming or waiting:
        now_s = free_s[0] if waiting else max(free_s[0], coming[-1].submit_s)
        while coming and coming[-1].submit_s <= now_s:
            waiting.append(coming.pop())
        job = min(waiting, key=key)
        waiting.remove(job)
        served.append((job, now_s + job.estimate_s))
        heapq.heapreplace(free_s, now_s + job.estimate_s)
    return served


def _lengths(costs: Mapping[str, JobCost], count: int) -> list[tuple[str, int]]:
    """Return (model, steps) of each job, the shortest first."""
    turns = sorted(costs, key=lambda name: (costs[name].startup_s, name))
    found: list[tuple[str, int]] = []
    before_s = slow_before_s = 0.0
    for at, aimed_s in enumerate(np.geomspace(SHORTEST_S, LONGEST_S, count).tolist()):
        model = turns[at % len(turns)]
        cost = costs[model]
        slow_s = SLOWEST_STARTUP * cost.startup_s
        training_s = max(
            LEAST_TRAINING_S,
            aimed_s - cost.startup_s,
            MARGIN * before_s - cost.startup_s,
            MARGIN * slow_before_s - slow_s,
        )
        steps = max(2, math.ceil(training_s / cost.step_s))
        before_s, slow_before_s = cost.startup_s + steps * cost.step_s, slow_s + steps * cost.step_s
        found.append((model, steps))
    return found
