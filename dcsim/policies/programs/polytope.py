"""The allocations a cluster allows: shares of time of jobs on accelerator types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dcsim.policies.programs.pairs import Pairs

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Polytope", "checked_demand"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def checked_demand(
    throughput: npt.ArrayLike, scale_factor: npt.ArrayLike, capacity: npt.ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Return the three arrays as floats, with the rates of gangs too wide for a type set to 0.

    Args:
        throughput: (J, T) steps/s >= 0 of each job on each accelerator type, 0 where it cannot run.
        scale_factor: (J,) accelerators of each gang, >= 1.
        capacity: (T,) accelerators of each type, >= 0.

    Returns:
        throughput (J, T), scale_factor (J,), capacity (T,).

    Raises:
        ValueError: shapes that do not agree, or values out of range.

    >>> checked_demand([[4.0, 2.0]], [2], [1, 8])[0]
    array([[0., 2.]])
    """
    width = np.atleast_1d(np.asarray(scale_factor, dtype=np.float64))
    room = np.atleast_1d(np.asarray(capacity, dtype=np.float64))
    rate = np.asarray(throughput, dtype=np.float64)
    if rate.size == 0:
        rate = rate.reshape(len(width), len(room))
    if rate.shape != (len(width), len(room)):
        expected = f"({len(width)}, {len(room)}), jobs by types"
        raise ValueError(f"throughput: shape {rate.shape} -> expected {expected}")
    problems = [
        f"{name}: {values[~good].flat[0]} -> expected {expected}"
        for name, values, good, expected in (
            ("throughput", rate, np.isfinite(rate) & (rate >= 0), "steps/s >= 0"),
            ("scale_factor", width, np.isfinite(width) & (width >= 1), "accelerators >= 1"),
            ("capacity", room, np.isfinite(room) & (room >= 0), "accelerators >= 0"),
        )
        if not good.all()
    ]
    if problems:
        raise ValueError("\n".join(problems))
    return np.where(width[:, None] <= room, rate, 0.0), width, room


@dataclass(frozen=True, slots=True, eq=False)
class Polytope:
    """Feasible allocations x of U units (jobs, then pairs) to T types, as x.ravel() of length U T.

    Sum over the units of a job and over types x <= 1; sum over units scale x <= capacity; x >= 0
    (Gavel, OSDI'20, section 3.1). Jobs that are alike in every respect are one class with one variable a
    type: by convexity an optimum exists that treats them alike, and the answer cannot depend on the order
    of the jobs. With pairs every job is its own class.

    Args:
        throughput: (J, T), scale_factor: (J,), capacity: (T,), see `checked_demand`.
        pairs: who may share accelerators, or None.
        member_of: (J,) class of each job.
        first: (C,) one job of each class; its arrays stand for the class.
        count: (C,) jobs in each class.
    """

    throughput: Floats
    scale_factor: Floats
    capacity: Floats
    pairs: Pairs | None
    member_of: Ints
    first: Ints
    count: Floats

    @classmethod
    def of(
        cls,
        throughput: npt.ArrayLike,
        scale_factor: npt.ArrayLike,
        capacity: npt.ArrayLike,
        *,
        alike: Sequence[Floats] = (),
        pairs: Pairs | None = None,
    ) -> Polytope:
        """Return the polytope of a demand; jobs are alike if also equal in each (J,) array of `alike`."""
        rate, width, room = checked_demand(throughput, scale_factor, capacity)
        if pairs is not None:
            everyone = np.arange(len(width))
            _check_pairs(pairs, width, len(room))
            return cls(rate, width, room, pairs, everyone, everyone, np.ones(len(width)))
        keys = np.column_stack([width, *alike, rate])
        _, first, member_of, count = np.unique(
            keys, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        return cls(rate, width, room, None, member_of.reshape(-1), first, count.astype(np.float64))

    @property
    def classes(self) -> int:
        """Return how many classes of jobs there are."""
        return len(self.first)

    @property
    def types(self) -> int:
        """Return how many accelerator types there are."""
        return len(self.capacity)

    @property
    def units(self) -> int:
        """Return how many rows an allocation of classes and pairs has."""
        return self.classes + (0 if self.pairs is None else len(self.pairs.members))

    def rates(self) -> csr_array:
        """Return (C, U T): steps/s each class gains per share of a unit on a type."""
        values = [self.throughput[self.first].ravel()]
        rows, columns = [self._job_rows()], [np.arange(self.classes * self.types)]
        if self.pairs is not None:
            for side in (0, 1):
                values.append(self._usable_pairs()[:, side].ravel())
                rows.append(np.repeat(self.pairs.members[:, side], self.types))
                columns.append(self._pair_columns())
        return self._sparse(values, rows, columns, self.classes)

    def limits(self) -> tuple[csr_array, Floats]:
        """Return A (C + T, U T) and b (C + T,) of A x <= b: time of each class, then load of each type."""
        from scipy.sparse import csr_array, vstack

        rows, columns = [self._job_rows()], [np.arange(self.classes * self.types)]
        weight = self.scale_factor[self.first] * self.count
        if self.pairs is not None:
            weight = np.concatenate([weight, self.scale_factor[self.pairs.members[:, 0]]])
            for side in (0, 1):
                rows.append(np.repeat(self.pairs.members[:, side], self.types))
                columns.append(self._pair_columns())
        time = self._sparse([np.ones(len(part)) for part in rows], rows, columns, self.classes)
        everything = np.arange(self.units * self.types)
        load = self._sparse(
            [np.repeat(weight, self.types)], [everything % self.types], [everything], self.types
        )
        return csr_array(vstack([time, load])), np.concatenate([np.ones(self.classes), self.capacity])

    def upper(self) -> Floats:
        """Return (U T,) bounds: 1, or 0 where a unit makes no progress."""
        useful = self.throughput[self.first] > 0
        if self.pairs is not None:
            useful = np.concatenate([useful, (self._usable_pairs() > 0).all(axis=1)])
        return useful.ravel().astype(np.float64)

    def runnable(self) -> npt.NDArray[np.bool_]:
        """Return (C,): classes that run somewhere, alone."""
        return np.asarray((self.throughput[self.first] > 0).any(axis=1))

    def shares(self, x: Floats) -> Floats:
        """Return the allocation x (U T,) as (J or J + P, T), without the solver's last rounding.

        Negative shares are cut, and rows and columns over their limit by a rounding error are scaled.
        """
        rows, limit = self.limits()
        table = np.abs(np.clip(x, 0.0, 1.0)) * self.upper()
        over = np.maximum(1.0, (rows @ table)[: self.classes])
        table = table.reshape(self.units, self.types)
        table[: self.classes] /= over[:, None]
        if self.pairs is not None:
            table[self.classes :] /= over[self.pairs.members].max(axis=1)[:, None]
        load = (rows @ table.ravel())[self.classes :]
        table /= np.maximum(1.0, load / np.maximum(limit[self.classes :], np.finfo(np.float64).tiny))
        # Shares are meaningful to a billionth at best; equal ones should compare equal.
        return np.concatenate([table[: self.classes][self.member_of], table[self.classes :]]).round(12)

    def _usable_pairs(self) -> Floats:
        """Return the pairs' (P, 2, T) rates, 0 where the gang is wider than the type."""
        if self.pairs is None:
            return np.zeros((0, 2, self.types))
        fits = self.scale_factor[self.pairs.members[:, 0], None] <= self.capacity
        return self.pairs.throughput * fits[:, None, :]

    def _job_rows(self) -> Ints:
        return np.repeat(np.arange(self.classes), self.types)

    def _pair_columns(self) -> Ints:
        return np.arange(self.classes * self.types, self.units * self.types)

    def _sparse(
        self, values: Sequence[Floats], rows: Sequence[Ints], columns: Sequence[Ints], height: int
    ) -> csr_array:
        from scipy.sparse import csr_array

        coordinates = (np.concatenate(rows), np.concatenate(columns))
        return csr_array((np.concatenate(values), coordinates), shape=(height, self.units * self.types))


def _check_pairs(pairs: Pairs, width: Floats, types: int) -> None:
    """Raise ValueError unless the pairs fit the jobs they are of."""
    if pairs.throughput.shape[2] != types:
        raise ValueError(f"pairs.throughput: {pairs.throughput.shape[2]} types -> expected {types}")
    if len(pairs.members) and not (0 <= pairs.members.min() <= pairs.members.max() < len(width)):
        raise ValueError(f"pairs.members -> expected indices of the {len(width)} jobs")
    if (width[pairs.members[:, 0]] != width[pairs.members[:, 1]]).any():
        raise ValueError("pairs.members: jobs of different scale factor -> expected equal ones")
