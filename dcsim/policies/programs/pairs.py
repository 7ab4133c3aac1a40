"""Pairs of jobs that share one set of accelerators, at measured rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Pairs"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Which jobs may be co-located, and how fast each then runs (Gavel, OSDI'20, section 3.1).

    Both jobs of a pair have the same scale factor: they hold the same accelerators at the same time.

    Args:
        members: (P, 2) indices of jobs, two different ones a row.
        throughput: (P, 2, T) steps/s >= 0 of the first and second member on each accelerator type while
            both run; 0 for both where the pair does not fit.

    Raises:
        ValueError: shapes that do not agree, a job paired with itself, rates below 0 or not finite.

    >>> Pairs(np.array([[0, 1]]), np.array([[[6.0, 2.0], [3.0, 1.0]]]))
    Pairs(pairs=1, types=2)
    """

    members: Ints
    throughput: Floats

    def __post_init__(self) -> None:
        if self.members.ndim != 2 or self.members.shape[1] != 2:
            raise ValueError(f"members: shape {self.members.shape} -> expected (P, 2)")
        if self.throughput.ndim != 3 or self.throughput.shape[:2] != self.members.shape:
            raise ValueError(f"throughput: shape {self.throughput.shape} -> expected (P, 2, T)")
        if (self.members[:, 0] == self.members[:, 1]).any():
            raise ValueError("members: a job paired with itself -> expected two different jobs")
        if not np.isfinite(self.throughput).all() or (self.throughput < 0).any():
            raise ValueError("throughput: negative or not finite -> expected steps/s >= 0")

    def __repr__(self) -> str:
        return f"Pairs(pairs={len(self.members)}, types={self.throughput.shape[2]})"
