"""Strategies for what an energy policy sees of running jobs' power, and of servers without jobs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from dcsim.policies.power_view import IdleView, PowerView
from dcsim.policies.views import JobsView

__all__ = ["CapCurves", "idle_views", "make_power_view", "power_views"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_STEPS = 1000


@dataclass(frozen=True)
class CapCurves:
    """Curves of K jobs whose step computes, and then exchanges while its accelerators idle.

    A device at a part c of its peak power computes at speed ((c - a) / (1 - a))^(1/b) of that without a cap
    (`dcsim.facility.power.speed_under_cap`).
    """

    floor: tuple[float, ...]
    """Caps below are raised to it."""
    peak_w: tuple[float, ...]
    """Of all its accelerators above idle."""
    alpha: tuple[float, ...]
    beta: tuple[float, ...]
    exchange: tuple[float, ...]
    """Part of the step, without a cap, in which they do not compute, 0..1."""
    gives_power: bool
    """W, or else relative speeds."""

    def __call__(self, caps: Floats) -> Floats:
        """Return (K,) W, or speeds over that without a cap, at (K,) caps."""
        cap = np.clip(np.floor(np.asarray(caps) * _STEPS + 1e-9) / _STEPS, self.floor, 1.0)
        alpha, exchange = np.array(self.alpha), np.array(self.exchange)
        device = ((cap - alpha) / (1.0 - alpha)) ** (1.0 / np.array(self.beta))
        compute = (1.0 - exchange) / device
        speed = 1.0 / (compute + exchange)
        return np.asarray(np.array(self.peak_w) * cap * compute * speed if self.gives_power else speed)


def make_power_view(
    peak_w: Sequence[float],
    *,
    alpha: float | Sequence[float] = 0.4,
    beta: float | Sequence[float] = 3.0,
    exchange: float | Sequence[float] = 0.0,
    cap_fraction: float | Sequence[float] = 1.0,
    progress_fraction: float | Sequence[float] = 1.0,
    width: int | Sequence[int] = 1,
    row: Sequence[int] | None = None,
    rack: Sequence[int] | None = None,
    **hall: Any,  # noqa: ANN401  the arguments of `_hall`
) -> PowerView:
    """Return a view of K running jobs, as the simulator hands it to an energy policy.

    Args:
        peak_w: (K,) W of each job above idle, uncapped, while it computes.
        alpha: of the cap curve, one for all or each its own; the least cap is a little above it.
        beta: of the cap curve.
        exchange: part of the step in which nothing computes, 0..1.
        cap_fraction: in force.
        progress_fraction: rate now over the job's own.
        width: accelerators.
        row: into `JobsView`; None: 0, 1, ...
        rack: of each job; None: all in the first.
        hall: `others_w` drawn by everything else (in all, or (R,) in each rack), `budget_w` of all IT equipment,
            `rack_budget_w` (R,), `pdu_of_rack` (R,), `pdu_budget_w` (P,), `now_s`, `budget_changes_s`.

    >>> view = make_power_view([400.0, 800.0], others_w=100.0)
    >>> view.it_power_w, view.power_at(np.array([0.5, 1.0])).tolist()
    (1300.0, [200.0, 800.0])
    """
    count = len(peak_w)
    floor = _each(np.asarray(alpha) + 1.0 / _STEPS, count)
    shape = (floor, _each(peak_w, count), _each(alpha, count), _each(beta, count), _each(exchange, count))
    power_at = CapCurves(*shape, gives_power=True)
    caps, progress = np.array(_each(cap_fraction, count)), np.array(_each(progress_fraction, count))
    columns: dict[str, Any] = {
        "row": np.arange(count) if row is None else np.array(row, dtype=np.int64),
        "width": np.array(np.broadcast_to(width, (count,)), dtype=np.int64),
        "cap_fraction": caps,
        "floor_fraction": np.array(floor),
        "power_w": power_at(caps) * progress,
        "progress_fraction": progress,
        "rack": np.array([0] * count if rack is None else rack, dtype=np.int64),
        "thermal_cap_fraction": np.ones(count),
    }
    columns |= _hall(columns["rack"], columns["power_w"], **hall)
    _lock(columns)
    return PowerView(speed_at=CapCurves(*shape, gives_power=False), power_at=power_at, **columns)


def _lock(columns: dict[str, Any]) -> None:
    for column in columns.values():
        if isinstance(column, np.ndarray):
            column.flags.writeable = False


def _hall(
    rack: Ints,
    power_w: Floats,
    *,
    others_w: float | Sequence[float] = 0.0,
    budget_w: float = math.inf,
    rack_budget_w: Sequence[float] = (math.inf,),
    pdu_of_rack: Sequence[int] | None = None,
    pdu_budget_w: Sequence[float] = (),
    now_s: float = 0.0,
    budget_changes_s: float = math.inf,
) -> dict[str, Any]:
    """Return what a view tells of racks, PDUs and hall, around jobs in racks (K,) that draw (K,) W."""
    racks = len(rack_budget_w)
    rest_w = np.array(_each(others_w, racks)) / (1 if np.ndim(others_w) else racks)
    rack_w = rest_w + np.bincount(rack, weights=power_w, minlength=racks)
    feeds = np.array([-1] * racks if pdu_of_rack is None else pdu_of_rack, dtype=np.int64)
    fed = feeds >= 0
    return {
        "now_s": now_s,
        "it_power_w": math.fsum([*rest_w.tolist(), *power_w.tolist()]),
        "budget_w": budget_w,
        "budget_changes_s": budget_changes_s,
        "rack_power_w": rack_w,
        "rack_budget_w": np.array(rack_budget_w, dtype=np.float64),
        "pdu_of_rack": feeds,
        "pdu_power_w": np.bincount(feeds[fed], weights=rack_w[fed], minlength=len(pdu_budget_w)),
        "pdu_budget_w": np.array(pdu_budget_w, dtype=np.float64),
    }


def _each(values: float | Sequence[float] | Floats, count: int) -> tuple[float, ...]:
    return tuple(np.broadcast_to(np.asarray(values, dtype=np.float64), (count,)).tolist())


@st.composite
def power_views(draw: st.DrawFn, jobs: JobsView) -> PowerView:
    """Draw which of `jobs` compute now, under which caps and budgets, on one to three racks.

    Args:
        draw: given by Hypothesis.
        jobs: the columns of all jobs.
    """
    rows = [row for row in np.flatnonzero(jobs.accelerators > 0).tolist() if draw(st.booleans())]
    width = jobs.accelerators[rows]
    racks, pdus = draw(st.integers(1, 3)), draw(st.integers(0, 2))

    def column(element: st.SearchStrategy[float]) -> list[float]:
        return [draw(element) for _ in rows]

    watts = st.one_of(st.just(math.inf), st.integers(1, 100_000).map(float))
    alpha = column(st.sampled_from((0.2, 0.4, 0.6)))
    return make_power_view(
        (np.array(column(st.sampled_from((250.0, 400.0, 700.0)))) * width).tolist(),
        alpha=alpha,
        beta=column(st.sampled_from((1.0, 2.3, 5.8))),
        exchange=column(st.sampled_from((0.0, 0.1, 0.5))),
        cap_fraction=[draw(st.integers(round(low * _STEPS) + 1, _STEPS)) / _STEPS for low in alpha],
        progress_fraction=column(st.sampled_from((1.0, 0.5, 0.9))),
        width=width.tolist(),
        row=rows,
        rack=[draw(st.integers(0, racks - 1)) for _ in rows],
        others_w=float(draw(st.integers(0, 10_000))),
        budget_w=draw(watts),
        rack_budget_w=[draw(watts) for _ in range(racks)],
        pdu_of_rack=[draw(st.integers(-1, pdus - 1)) for _ in range(racks)],
        pdu_budget_w=[draw(watts) for _ in range(pdus)],
        now_s=float(draw(st.integers(0, 100_000))),
        budget_changes_s=draw(st.sampled_from((math.inf, 200_000.0))),
    )


@st.composite
def idle_views(draw: st.DrawFn, *, max_jobs: int = 20) -> IdleView:
    """Draw servers without jobs, and the jobs that came so far.

    Args:
        draw: given by Hypothesis.
        max_jobs: most jobs.
    """
    now_s = float(draw(st.integers(0, 100_000)))
    arrivals = sorted(draw(st.lists(st.integers(0, int(now_s)).map(float), max_size=max_jobs)))
    servers = draw(st.integers(1, 100))
    awake = draw(st.integers(0, servers))
    widths = np.array([draw(st.integers(0, 64)) for _ in arrivals], dtype=np.int64)
    times_s = np.array(arrivals, dtype=np.float64)
    for column in (times_s, widths):
        column.flags.writeable = False
    return IdleView(
        now_s=now_s,
        idle_awake=awake,
        asleep=draw(st.integers(0, servers - awake)),
        wake_latency_s=draw(st.sampled_from((120.0, 0.0, 5.0))),
        servers=servers,
        arrivals_s=times_s,
        arrived_accelerators=widths,
        accelerators_per_server=draw(st.sampled_from((8.0, 4.0, 0.0))),
    )
