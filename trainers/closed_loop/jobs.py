"""What is submitted to the small cluster, and when: drawn once from a seed, the same for all policies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["JobCost", "QueuedJob", "draw_jobs", "job_of"]

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
    # Gaps of a Poisson process, scaled to fill their part of the run; the first comes at 0.
    comes = np.concatenate([[0.0], np.cumsum(draws.exponential(size=count - 1))])
    comes = comes / max(comes[-1], 1e-9) * busy_s * ARRIVALS_IN
    return [
        QueuedJob(**(job.record() | {"submit_s": round(float(at), 3)}))
        for job, at in zip(jobs, comes, strict=True)
    ]


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
