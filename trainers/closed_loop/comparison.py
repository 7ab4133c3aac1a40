"""Real beside simulated: completion times of jobs, their errors, and what each effect is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainers.closed_loop.dispatcher import JobRun
from trainers.closed_loop.jobs import QueuedJob
from trainers.closed_loop.simulated import SimulatedJob

__all__ = [
    "JobError",
    "Outcome",
    "compare",
    "floor_relative",
    "order_agrees",
    "phase_shares",
    "repeats_in_order",
    "start_order",
]


@dataclass(frozen=True)
class JobError:
    """One job under one policy, over all repeats [s]."""

    policy: str
    job: QueuedJob
    real_s: float
    """Median completion time over repeats."""
    real_low_s: float
    """Smallest."""
    real_high_s: float
    """Largest."""
    simulated_s: float

    @property
    def error_relative(self) -> float:
        """Simulated / real - 1."""
        return self.simulated_s / self.real_s - 1.0

    @property
    def spread_relative(self) -> float:
        """(Largest - smallest) / median of the repeats."""
        return (self.real_high_s - self.real_low_s) / self.real_s


@dataclass(frozen=True)
class Outcome:
    """All jobs under all policies."""

    jobs: tuple[JobError, ...]

    @property
    def mean_error(self) -> float:
        """Mean |relative error| of completion times."""
        return float(np.mean([abs(job.error_relative) for job in self.jobs]))

    @property
    def worst(self) -> JobError:
        """The job with the largest |relative error|."""
        return max(self.jobs, key=lambda job: abs(job.error_relative))

    @property
    def bias(self) -> float:
        """Mean relative error, with its sign."""
        return float(np.mean([job.error_relative for job in self.jobs]))

    def mean_completion_s(self, policy: str) -> tuple[float, float]:
        """Return the mean completion time of all jobs under a policy: (real, simulated)."""
        mine = [job for job in self.jobs if job.policy == policy]
        return float(np.mean([job.real_s for job in mine])), float(np.mean([job.simulated_s for job in mine]))


def compare(
    jobs: Sequence[QueuedJob],
    real: Mapping[str, Sequence[Sequence[JobRun]]],
    simulated: Mapping[str, Sequence[SimulatedJob]],
) -> Outcome:
    """Return the errors of all jobs.

    Args:
        jobs: as submitted.
        real: by policy, each repeat's runs in the order of the jobs.
        simulated: by policy, in the order of the jobs.
    """
    found = []
    for policy, repeats in real.items():
        for at, job in enumerate(jobs):
            times_s = [runs[at].completion_s for runs in repeats]
            predicted_s = simulated[policy][at].completion_s
            found.append(
                JobError(policy, job, float(np.median(times_s)), min(times_s), max(times_s), predicted_s)
            )
    return Outcome(tuple(found))


def floor_relative(real: Mapping[str, Sequence[Sequence[JobRun]]]) -> float | None:
    """Return the mean |relative error| that a perfect simulator would show against medians of repeats.

    It would name each job's true median, and be off by the error of the measured one. That is of standard error
    sqrt(pi / (2 n)) s for n repeats of standard deviation s (normal ones, n large; 5 % too much at n = 5), and
    sqrt(2 / pi) of that in mean absolute value: s / sqrt(n), here over the median, meant over jobs and policies.

    Returns:
        A part of 1; None: a policy has one repeat only.
    """
    errors: list[float] = []
    for repeats in real.values():
        times_s = np.array([[run.completion_s for run in runs] for runs in repeats])
        if len(times_s) < 2:
            return None
        deviation_s = np.std(times_s, axis=0, ddof=1)
        errors.extend((deviation_s / np.median(times_s, axis=0) / np.sqrt(len(times_s))).tolist())
    return float(np.mean(errors)) if errors else None


def start_order(runs: Sequence[JobRun | SimulatedJob]) -> tuple[str, ...]:
    """Return the names of jobs in the order in which they started; ties by arrival, then as they are given."""
    return tuple(run.name for run in sorted(runs, key=lambda run: (run.start_s, run.submit_s)))


def repeats_in_order(repeats: Sequence[Sequence[JobRun]], simulated: Sequence[SimulatedJob]) -> int:
    """Return how many repeats started all jobs in the order in which the simulation did."""
    expected = start_order(simulated)
    return sum(start_order(runs) == expected for runs in repeats)


def order_agrees(outcome: Outcome, policies: Sequence[str]) -> bool:
    """Return whether the simulator puts policies in the order of mean completion time that reality has."""
    means = {policy: outcome.mean_completion_s(policy) for policy in policies}
    real = sorted(policies, key=lambda policy: means[policy][0])
    simulated = sorted(policies, key=lambda policy: means[policy][1])
    return real == simulated


def phase_shares(real: Mapping[str, Sequence[Sequence[JobRun]]]) -> dict[str, float]:
    """Return the parts of the real jobs' run time, over all repeats, by what it went into; they add up to 1."""
    parts = dict.fromkeys(
        ("process and libraries", "data and parameters", "compilation", "training", "exit"), 0.0
    )
    for repeats in real.values():
        for run in (run for runs in repeats for run in runs):
            at = run.events_s
            parts["process and libraries"] += at["imported"] - run.start_s
            parts["data and parameters"] += at["prepared"] - at["imported"]
            parts["compilation"] += at["compiled"] - at["prepared"]
            parts["training"] += at["trained"] - at["compiled"]
            parts["exit"] += run.end_s - at["trained"]
    whole_s = sum(parts.values())
    return {name: part_s / whole_s for name, part_s in parts.items()} if whole_s else parts
