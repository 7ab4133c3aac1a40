"""The waiting jobs by shape: the first in order, or the first in order that is short enough, in O(log n)."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["ShapedLine", "Told"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ANY_S = sys.float_info.max


class Told(Protocol):
    """What follows of which shapes jobs wait."""

    def enter(self, shape: int) -> None:
        """Jobs of a shape wait from now on."""

    def leave(self, shape: int) -> None:
        """No job of a shape waits any more."""


class ShapedLine:
    """Jobs that wait, each of a shape; a shape's jobs are the leaves of a tree of least estimates.

    The places in line of all jobs of the run are known from the start, for their keys are: a leaf is
    infinite while its job does not wait.

    Args:
        keys: (N,) sort keys, ties by row.
        of_job: (N,) number of each job's shape, 0, 1, ...
        estimates_s: (N,) finite, >= 0.
        shapes: is told when the first of a shape's jobs comes, and when the last goes.

    >>> class Told:
    ...     def enter(self, shape: int) -> None:
    ...         print(f"jobs of shape {shape} wait")
    ...     def leave(self, shape: int) -> None:
    ...         print(f"no job of shape {shape} waits")
    >>> line = ShapedLine(np.zeros(3), np.zeros(3, dtype=np.int64), np.array([9.0, 4.0, 5.0]), Told())
    >>> for job in (2, 1, 0):
    ...     line.add(job)
    jobs of shape 0 wait
    >>> line.head(), line.first(0), line.first(0, 5.0), line.first(0, 3.0)
    (0, 0, 1, -1)
    >>> line.remove(1)
    >>> line.first(0, 5.0), len(line)
    (2, 2)
    """

    def __init__(self, keys: Floats, of_job: Ints, estimates_s: Floats, shapes: Told) -> None:
        self._shapes = shapes
        count = len(keys)
        order = np.lexsort((np.arange(count), keys))
        rank = np.empty(count, dtype=np.int64)
        rank[order] = np.arange(count)
        by_shape = np.lexsort((rank, of_job))
        sizes = np.bincount(of_job, minlength=1)
        starts = np.cumsum(sizes) - sizes
        leaf = np.empty(count, dtype=np.int64)
        leaf[by_shape] = np.arange(count) - np.repeat(starts, sizes)
        self.rank: Sequence[int] = array("q", rank.tobytes())
        """(N,) place in line of each job, among all jobs of the run."""
        self.shape: Sequence[int] = array("q", of_job.astype(np.int64).tobytes())
        self.estimate_s: Sequence[float] = array("d", estimates_s.tobytes())
        self._by_rank = array("q", order.tobytes())
        self._by_shape = array("q", by_shape.tobytes())
        self._leaf = array("q", leaf.tobytes())
        self._starts: list[int] = starts.tolist()
        # A tree of 2 m entries: entry i has the children 2 i and 2 i + 1, the leaves are the last m.
        self._leaves = [1 << max(0, int(size - 1).bit_length()) for size in sizes.tolist()]
        self._trees: list[array[float] | None] = [None] * len(sizes)
        self._heap: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, job: int) -> bool:
        shape = self.shape[job]
        tree = self._trees[shape]
        return tree is not None and tree[self._leaves[shape] + self._leaf[job]] < math.inf

    def add(self, job: int) -> None:
        """Let a job wait."""
        shape = self.shape[job]
        if self.first(shape) < 0:
            self._shapes.enter(shape)
        self._set(job, self.estimate_s[job])
        self._count += 1
        heappush(self._heap, self.rank[job])

    def remove(self, job: int) -> None:
        """Take a waiting job out."""
        shape = self.shape[job]
        self._set(job, math.inf)
        self._count -= 1
        if self.first(shape) < 0:
            self._shapes.leave(shape)

    def _set(self, job: int, value: float) -> None:
        shape = self.shape[job]
        leaves = self._leaves[shape]
        tree = self._trees[shape]
        if tree is None:
            tree = self._trees[shape] = array("d", [math.inf]) * (2 * leaves)
        at = leaves + self._leaf[job]
        tree[at] = value
        at >>= 1
        while at:
            least = min(tree[2 * at], tree[2 * at + 1])
            if tree[at] == least:
                break
            tree[at] = least
            at >>= 1

    def head(self) -> int:
        """Return the first of all that wait, or -1."""
        heap = self._heap
        while heap:
            job = self._by_rank[heap[0]]
            if job in self:
                return job
            heappop(heap)
        return -1

    def first(self, shape: int, longest_s: float = _ANY_S) -> int:
        """Return the first of a shape with an estimate of at most `longest_s`, or -1."""
        tree = self._trees[shape]
        longest_s = min(longest_s, _ANY_S)
        if tree is None or tree[1] > longest_s:
            return -1
        leaves, at = self._leaves[shape], 1
        while at < leaves:
            at *= 2
            if tree[at] > longest_s:
                at += 1
        return self._by_shape[self._starts[shape] + at - leaves]

    def jobs(self) -> list[int]:
        """Return all that wait, in order."""
        return [job for job in map(self._by_rank.__getitem__, sorted(set(self._heap))) if job in self]
