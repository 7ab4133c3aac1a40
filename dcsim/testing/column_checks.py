"""Checks of what policies say of all jobs at once: a column of numbers, one a job."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.policies.views import JobsView
from dcsim.testing.isolation import same_jobs_view
from dcsim.testing.promises import require

__all__ = [
    "Columns",
    "check_column",
    "check_repeats",
    "check_rows",
    "check_tenants",
    "check_untouched",
    "chosen_rows",
]

Columns = Callable[[JobsView], npt.NDArray[np.float64]]


def chosen_rows(view: JobsView, choose: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> JobsView:
    """Return a view of chosen rows, not writeable."""
    chosen = [choose(getattr(view, name)) for name in JobsView.__slots__]
    for column in chosen:
        column.flags.writeable = False
    return JobsView(*chosen)


def check_column(values: npt.NDArray[np.float64], count: int, above: float, most: float = math.inf) -> None:
    """Require (count,) finite numbers above a bound, at most another."""
    require(values.shape == (count,), f"shape {values.shape}, expected ({count},)")
    require(np.issubdtype(values.dtype, np.number), f"values of type {values.dtype}, expected numbers")
    inside = np.isfinite(values) & (values > above) & (values <= most)
    require(inside.all(), f"{values.tolist()}: expected finite numbers in ({above}, {most}]")


def check_repeats(ask: Columns, jobs: JobsView) -> None:
    """Require the same answer twice, and on a pickled copy."""
    first, second = ask(jobs).tolist(), ask(jobs).tolist()
    copied = ask(pickle.loads(pickle.dumps(jobs))).tolist()  # noqa: S301  made here
    require(first == second == copied, f"{first}, then {second}, then {copied} on a copy")


def check_untouched(ask: Columns, jobs: JobsView) -> None:
    """Require that asking leaves the view as it was."""
    before = pickle.loads(pickle.dumps(jobs))  # noqa: S301  made here
    try:
        ask(jobs)
    except ValueError as error:
        require("read-only" not in str(error), f"the policy writes to the view: {error}")
        raise
    require(same_jobs_view(jobs, before), "the policy changed the view")


def _rows(rows: slice, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return column[rows].copy()


def check_rows(ask: Columns, jobs: JobsView) -> None:
    """Require that leaving out jobs changes nothing for the others."""
    whole = ask(jobs)
    for rows in (slice(0, (len(jobs) + 1) // 2), slice(0, None, 2), slice(len(jobs) - 1, None)):
        part = ask(chosen_rows(jobs, partial(_rows, rows)))
        require(
            part.tolist() == whole[rows].tolist(),
            f"{whole[rows].tolist()} among all jobs, {part.tolist()} without the others",
        )


def check_tenants(ask: Columns, jobs: JobsView) -> None:
    """Require that other numbers for the same tenants change no order."""
    other = chosen_rows(jobs, np.copy)
    tenant = 3 - jobs.tenant
    tenant.flags.writeable = False
    columns = {name: getattr(other, name) for name in JobsView.__slots__} | {"tenant": tenant}
    one, two = ask(jobs), ask(JobsView(**columns))
    order = [np.lexsort((np.arange(len(jobs)), values)).tolist() for values in (one, two)]
    require(order[0] == order[1], f"order {order[0]} becomes {order[1]} when tenants are numbered anew")
