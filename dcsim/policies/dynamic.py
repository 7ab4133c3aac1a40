"""Orderings whose keys change while jobs wait and run; most of them preempt."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs
from dcsim.policies.base import ALL_MAY_PASS, DynamicOrdering
from dcsim.policies.gittins import gittins_index
from dcsim.policies.views import JobsView

__all__ = ["Gittins", "LeastAttainedService", "ShortestRemaining", "Tiresias", "checked_round_s"]

Floats = npt.NDArray[np.float64]


class ShortestRemaining(DynamicOrdering):
    """The job with the least ideal run time left goes first, and pushes others out.

    Who waits has its start-up before it, who works has not: it is not stopped for a job that would end later.
    """

    name: ClassVar[str] = "shortest_remaining"
    optimises: ClassVar[str] = "mean job completion time, knowing run times"
    source: ClassVar[str] = "L. Schrage, Operations Research 16 (1968) 687-690"
    needs: ClassVar[str] = "run times and progress"
    complexity: ClassVar[str] = "O(n log n) a decision, n jobs present"
    knows_progress: ClassVar[bool] = True

    def keys_now(self, jobs: JobsView, active: ActiveJobs) -> Floats:
        """Return the ideal run times left, in s, to the microsecond: equal ones go by submission, not by rounding."""
        return np.round(active.left_s(jobs), 6)


class LeastAttainedService(DynamicOrdering):
    """The job that has had the least accelerator-time goes first; decided once a round."""

    name: ClassVar[str] = "least_attained_service"
    optimises: ClassVar[str] = "mean job completion time, not knowing run times"
    source: ClassVar[str] = (
        "Nuyens, Wierman, Queueing Systems 58 (2008); 2D-LAS of Gu et al., Tiresias, NSDI (2019)"
    )
    needs: ClassVar[str] = "nothing but what each job has had"
    complexity: ClassVar[str] = "O(n log n) a round, n jobs present"

    def __init__(self, *, round_s: float = 300.0, skip: int = ALL_MAY_PASS) -> None:
        """Take `round_s`, the time between decisions, > 0.

        Raises:
            PolicyError: not a finite number above 0.
        """
        super().__init__(skip=skip)
        self.round_s = checked_round_s(self.name, round_s)

    def keys_now(self, jobs: JobsView, active: ActiveJobs) -> Floats:
        """Return the accelerator-seconds that each job has had."""
        return active.attained_accelerator_s


class Tiresias(DynamicOrdering):
    """Two queues: jobs with little service so far, in order of arrival, then those beyond the threshold.

    Within the second queue the order is that in which they crossed it; nobody goes back.
    """

    name: ClassVar[str] = "tiresias"
    optimises: ClassVar[str] = "mean job completion time, not knowing run times, with few preemptions"
    source: ClassVar[str] = "Gu et al., Tiresias, NSDI (2019): discretised two-dimensional LAS"
    needs: ClassVar[str] = "nothing but what each job has had"
    complexity: ClassVar[str] = "O(n log n) a round, n jobs present"

    def __init__(
        self,
        *,
        threshold_accelerator_s: float = 57_600.0,
        round_s: float = 60.0,
        skip: int = ALL_MAY_PASS,
    ) -> None:
        """Take the service at which a job is moved to the second queue, and the time between decisions, > 0.

        Raises:
            PolicyError: not finite numbers above 0.
        """
        super().__init__(skip=skip)
        self.round_s = checked_round_s(self.name, round_s)
        if not 0.0 < threshold_accelerator_s < math.inf:
            msg = (
                f"{self.name}.threshold_accelerator_s: {threshold_accelerator_s} -> expected a finite"
                " number of accelerator-seconds > 0"
            )
            raise PolicyError(msg)
        self.service_thresholds_accelerator_s = (threshold_accelerator_s,)

    def keys_now(self, jobs: JobsView, active: ActiveJobs) -> Floats:
        """Return 0 for the first queue, else 1 + the rank of the instant the threshold was crossed."""
        crossed_s = active.reached_s[:, 0]
        _, rank = np.unique(crossed_s, return_inverse=True)  # NaN last
        return np.where(np.isnan(crossed_s), 0.0, 1.0 + rank)


class Gittins(DynamicOrdering):
    """The job likeliest to end soon for the service that takes, by the services of the jobs ended so far."""

    name: ClassVar[str] = "gittins"
    optimises: ClassVar[str] = "mean job completion time, knowing the distribution of service only"
    source: ClassVar[str] = "Gittins, JRSS B 41 (1979) 148-177; Gu et al., Tiresias, NSDI (2019), section 3.3"
    needs: ClassVar[str] = "the service of jobs that have ended"
    complexity: ClassVar[str] = "O(n log n + e log e) a round, n jobs present, e ended"

    def __init__(self, *, round_s: float = 300.0, skip: int = ALL_MAY_PASS) -> None:
        """Take `round_s`, the time between decisions, > 0.

        Raises:
            PolicyError: not a finite number above 0.
        """
        super().__init__(skip=skip)
        self.round_s = checked_round_s(self.name, round_s)

    def keys_now(self, jobs: JobsView, active: ActiveJobs) -> Floats:
        """Return minus the Gittins index; without ended jobs, and beyond the longest, the service had."""
        service = active.attained_accelerator_s
        ended = active.ended_service_accelerator_s
        if not ended.size:
            return service
        index = gittins_index(service, ended)
        # Beyond all that is known nothing is said of them: after all the others, least service first.
        return np.where(index > 0.0, -index, service)


def checked_round_s(name: str, round_s: float) -> float:
    """Return a round's length.

    Raises:
        PolicyError: not from 0.1 s (shorter rounds take for ever) to 1e9 s.
    """
    if not 0.1 <= round_s <= 1e9:
        msg = f"{name}.round_s: {round_s} -> expected a finite duration of 0.1 to 1e9 s"
        raise PolicyError(msg)
    return round_s
