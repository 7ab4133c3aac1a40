"""What a policy is: three small abstract classes, one for each decision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.policies.views import (
    ClusterView,
    GridView,
    JobsView,
    JobView,
    Placement,
    PlacementRequest,
)

__all__ = ["EnergyPolicy", "OrderingPolicy", "PlacementPolicy"]


class OrderingPolicy(ABC):
    """Who goes first."""

    name: ClassVar[str]
    optimises: ClassVar[str]
    source: ClassVar[str]
    """Where the policy is from (a paper, a product's manual)."""

    def __init__(self, *, skip: int = 0) -> None:
        """Take `skip`: waiting jobs that do not fit and may be overtaken in one decision; 0: strict."""
        self.skip = skip

    @abstractmethod
    def keys(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        """Return (N,) sort keys: smaller goes first, ties by submission; NaN is refused."""


class PlacementPolicy(ABC):
    """Where a gang goes, or None when it has to wait."""

    name: ClassVar[str]
    optimises: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the whole gang's servers, or None. Must be deterministic and keep no state."""


class EnergyPolicy(ABC):
    """At what power, and when; the defaults change nothing."""

    name: ClassVar[str]
    optimises: ClassVar[str]
    source: ClassVar[str]
    holds_jobs: ClassVar[bool] = False
    """Whether `eligible_s` may hold a job back (asked only for jobs with slack)."""

    def power_cap_fractions(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        """Return (N,) caps of each job's accelerators over their peak power, (0, 1]."""
        return np.ones(len(jobs))

    def sleep_after_s(self) -> float | None:
        """Return how long a server idles before it is put to sleep; None: never."""
        return None

    def eligible_s(self, job: JobView, grid: GridView) -> float:
        """Return the earliest start, in [submit, submit + slack]."""
        return job.submit_s
