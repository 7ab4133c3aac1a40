"""Strategies for what a policy that decides again and again sees: the jobs present, and who holds what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from dcsim.policies.active import ActiveJobs, TenantsView
from dcsim.policies.views import JobsView

__all__ = ["LinearProgress", "active_jobs"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_TENANTS = 4


@dataclass(frozen=True)
class LinearProgress:
    """Steps/s in proportion to the width, up to what a type has."""

    speed: tuple[float, ...]
    """Steps/s of one accelerator of each type."""
    accelerators: tuple[int, ...]
    """Of each type."""

    def __call__(self, row: int, width: int, kind: int) -> float:
        """Return the steps/s of any job; 0 where it does not fit."""
        return self.speed[kind] * width if 1 <= width <= self.accelerators[kind] else 0.0


@st.composite
def active_jobs(
    draw: st.DrawFn, jobs: JobsView, *, knows_progress: bool = True, thresholds: tuple[float, ...] = ()
) -> ActiveJobs:
    """Draw who of `jobs` is present on a cluster of one or two accelerator types, and what each holds.

    Args:
        draw: given by Hypothesis.
        jobs: the columns of all jobs.
        knows_progress: whether the work left is told.
        thresholds: of the service, as the policy says.
    """
    now_s = float(draw(st.integers(0, 2000)))
    rows = np.array(
        [row for row in np.flatnonzero(jobs.submit_s <= now_s).tolist() if draw(st.booleans())],
        dtype=np.int64,
    )
    total = np.array(draw(st.lists(st.integers(1, 64), min_size=1, max_size=2)), dtype=np.int64)
    count, types = len(rows), len(total)
    width, kind, left = np.zeros(count, dtype=np.int64), np.full(count, -1), total.copy()
    for at, row in enumerate(rows.tolist()):
        where = draw(st.integers(-1, types - 1))
        least = int(jobs.min_accelerators[row]) or int(jobs.accelerators[row])
        most = int(jobs.max_accelerators[row]) or int(jobs.accelerators[row])
        if where >= 0 and 1 <= least <= left[where]:
            width[at], kind[at] = draw(st.integers(least, min(most, int(left[where])))), where
            left[where] -= width[at]
    seconds = st.integers(0, 1000).map(float)
    held_s = _column(draw, count, seconds)
    service = held_s * jobs.accelerators[rows]
    reached = [np.where(service >= limit, now_s - held_s, math.nan) for limit in thresholds]
    active = ActiveJobs(
        now_s=now_s,
        row=rows,
        width=width,
        running=width > 0,
        accelerator_type=kind,
        attained_accelerator_s=service,
        reached_s=np.array(reached).T.reshape(count, len(thresholds)),
        held_s=held_s,
        type_held_s=np.repeat(held_s[:, None] / types, types, axis=1),
        waiting_since_s=np.where(width > 0, now_s, jobs.submit_s[rows]),
        left_fraction=_column(draw, count, st.floats(0.0, 1.0) if knows_progress else st.just(math.nan)),
        startup_left_s=np.where(width > 0, 0.0, jobs.startup_s[rows]),
        type_accelerators=total,
        free_accelerators=int(left.sum()),
        total_cpu_cores=float(draw(st.sampled_from((64.0, 8.0)))),
        total_memory_bytes=2.0**39,
        ended_service_accelerator_s=np.array(draw(st.lists(seconds, max_size=5)), dtype=np.float64),
        tenants=TenantsView(
            _column(draw, _TENANTS, st.sampled_from((1.0, 2.0, 0.5))),
            np.array([draw(st.integers(0, 8)) for _ in range(_TENANTS)], dtype=np.int64),
        ),
        steps_per_s=LinearProgress(tuple(float(2**number) for number in range(types)), tuple(total.tolist())),
    )
    return _locked(active)


def _column(draw: st.DrawFn, count: int, element: st.SearchStrategy[float]) -> Floats:
    return np.array([draw(element) for _ in range(count)], dtype=np.float64)


def _locked(active: ActiveJobs) -> ActiveJobs:
    """Return the view with no column writeable."""
    columns: list[Any] = [getattr(active, name) for name in ActiveJobs.__slots__]
    columns += [active.tenants.weight, active.tenants.guaranteed_accelerators]
    for column in columns:
        if isinstance(column, np.ndarray):
            column.flags.writeable = False
    return active
