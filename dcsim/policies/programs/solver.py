"""Linear programs, solved by HiGHS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import SimulationError
from dcsim.policies.programs.polytope import Polytope

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Level", "maximise", "raise_least"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """An allocation that raises the least value as far as it goes.

    Args:
        x: (U T,) allocation.
        level: the least value among the active classes.
        binding: (C,) classes that hold the level down: their shadow price is positive.
    """

    x: Floats
    level: float
    binding: Bools


def maximise(gain: Floats, rows: csr_array, limit: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """Return argmax gain x over rows x <= limit, 0 <= x <= upper, and the shadow prices of the rows.

    Solved by HiGHS (Q. Huangfu and J. A. J. Hall, Math. Prog. Comp. 10, 2018).

    Args:
        gain: (N,) objective.
        rows: (M, N) sparse matrix.
        limit: (M,) right-hand sides.
        upper: (N,) upper bounds, possibly infinite.

    Returns:
        x (N,), price (M,) >= 0: gain per unit by which a row's limit is raised.

    Raises:
        SimulationError: HiGHS found no optimum.

    >>> from scipy.sparse import csr_array
    >>> x, price = maximise(np.array([3.0, 1]), csr_array([[1.0, 1.0]]), np.array([4.0]), np.array([2.0, 9]))
    >>> x.tolist(), price.tolist()
    ([2.0, 2.0], [1.0])
    """
    from scipy.optimize import linprog

    # Sparse matrices and arrays of bounds are taken, though the stubs do not know it.
    program: dict[str, Any] = {
        "A_ub": rows,
        "b_ub": limit,
        "bounds": np.column_stack([np.zeros_like(upper), upper]),
    }
    answer = linprog(-gain, **program, method="highs")
    if answer.x is None or answer.status != 0:
        raise SimulationError(f"allocation program without an answer: {answer.message}")
    return np.asarray(answer.x), np.maximum(0.0, -np.asarray(answer.ineqlin.marginals))


def raise_least(
    polytope: Polytope, worth: Floats, *, active: Bools | None = None, floor: Floats | None = None
) -> Level:
    """Maximise the least worth x rate among active classes, while every other keeps its floor.

    max t  s.t.  worth_c rate_c(x) >= t for active c,  worth_c rate_c(x) >= floor_c for the others.

    Args:
        polytope: the feasible allocations.
        worth: (C,) value of one step/s of each class, > 0.
        active: (C,) classes whose least value is raised; all that can run, if None.
        floor: (C,) values the other classes keep; none, if None.

    Returns:
        The allocation, the level t and the classes that hold it down.
    """
    from scipy.sparse import csr_array, hstack, vstack

    active = polytope.runnable() if active is None else active
    kept = polytope.runnable() & ~active if floor is not None else np.zeros_like(active)
    rates = polytope.rates()
    # Every row is divided by its best rate and t by the largest need, so that all numbers are about 1.
    best = np.where(polytope.runnable(), polytope.throughput[polytope.first].max(axis=1, initial=0.0), 1.0)
    need = 1.0 / (worth * best)
    unit = need[active].max()
    values = csr_array(rates.multiply(1.0 / best[:, None]))
    rows, limit = polytope.limits()
    count = int(active.sum())
    wanted = csr_array(need[active, None] / unit)
    blocks = [hstack([-values[active], wanted]), hstack([rows, csr_array((rows.shape[0], 1))])]
    bounds = [np.zeros(count), limit]
    if floor is not None and kept.any():
        blocks.append(hstack([-values[kept], csr_array((int(kept.sum()), 1))]))
        bounds.append(-(floor * need)[kept])
    gain = np.zeros(polytope.units * polytope.types + 1)
    gain[-1] = 1.0
    upper = np.append(polytope.upper(), np.inf)
    x, price = maximise(gain, csr_array(vstack(blocks)), np.concatenate(bounds), upper)
    binding = np.zeros(polytope.classes, dtype=np.bool_)
    # The prices weighted by the needs sum to 1.
    binding[np.flatnonzero(active)] = price[:count] * need[active] / unit > 1e-7
    return Level(x[:-1], float(x[-1] / unit), binding)
