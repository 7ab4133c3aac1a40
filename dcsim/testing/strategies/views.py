"""Strategies for what a policy sees: views of the cluster, requests, jobs and the grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from dcsim.facility.series import StepSeries
from dcsim.policies.views import ClusterView, FindFree, GridView, JobsView, JobView, PlacementRequest
from dcsim.testing.strategies.heat import make_heat_view

__all__ = [
    "cluster_views",
    "grid_views",
    "job_views",
    "jobs_views",
    "make_cluster_view",
    "make_grid_view",
    "placement_requests",
]


def make_grid_view(
    carbon: Sequence[float], price: Sequence[float] | None = None, *, now_s: float = 0.0
) -> GridView:
    """Return a perfect forecast of hourly values that repeat.

    Args:
        carbon: (H,) intensities from t = 0 on, kg/J.
        price: (H,) prices, USD/J; None: as the intensities.
        now_s: the instant at which the policy is asked.
    """
    series = [
        StepSeries(
            np.arange(len(values), dtype=np.float64) * 3600.0, _floats(values), repeat_s=len(values) * 3600.0
        )
        for values in (carbon, carbon if price is None else price)
    ]
    return GridView(now_s, series[0].mean, series[1].mean, series[0].breakpoints, series[1].breakpoints)


def make_cluster_view(
    total: Sequence[int],
    free: Sequence[int] | None = None,
    rack: Sequence[int] | None = None,
    *,
    asleep: Sequence[bool] | None = None,
    free_cpu_cores: Sequence[float] | None = None,
    free_memory_bytes: Sequence[float] | None = None,
    largest_free_share: Sequence[float] | None = None,
    cpu_memory_binding: bool = False,
) -> ClusterView:
    """Return a view of S servers, as the simulator hands it to a placement policy.

    Args:
        total: (S,) accelerators of each server, 0..64; S >= 1.
        free: (S,) whole free ones; None: all.
        rack: (S,) rack of each server, ascending from 0; None: one rack.
        asleep: (S,) sleeping servers; None: none.
        free_cpu_cores: (S,) None: 64 each.
        free_memory_bytes: (S,) None: 512 GiB each.
        largest_free_share: (S,) largest free part of one device; None: 1 where one is free.
        cpu_memory_binding: whether cores and memory can run out before accelerators do.

    >>> make_cluster_view([8, 8], free=[0, 3]).find_free(3)
    1
    """
    count = len(total)
    devices = np.array(total, dtype=np.int64)
    spare = bytes(devices.tolist()) if free is None else bytes(free)
    racks = np.array([0] * count if rack is None else rack, dtype=np.int64)
    whole = np.frombuffer(spare, dtype=np.uint8)
    share = (whole > 0).astype(np.float64) if largest_free_share is None else largest_free_share
    columns: dict[str, Any] = {
        "total_accelerators": devices,
        "rack": racks,
        "rack_start": np.searchsorted(racks, np.arange(int(racks[-1]) + 1)),
        "free_accelerators": whole,
        "asleep": np.array([False] * count if asleep is None else asleep, dtype=np.bool_),
        "free_cpu_cores": _floats([64.0] * count if free_cpu_cores is None else free_cpu_cores),
        "free_memory_bytes": _floats([2.0**39] * count if free_memory_bytes is None else free_memory_bytes),
        "largest_free_share": _floats(share),
    }
    for column in columns.values():
        column.flags.writeable = False
    return ClusterView(
        **columns,
        largest_server=int(devices.max()),
        cpu_memory_binding=cpu_memory_binding,
        find_free=cast("FindFree", spare.find),
        heat=make_heat_view(racks, devices, whole.astype(np.int64)),
    )


def _floats(values: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401  numbers in any container
    return np.array(values, dtype=np.float64)


@st.composite
def cluster_views(
    draw: st.DrawFn, *, max_servers: int = 8, max_accelerators: int = 8, binding: bool | None = None
) -> ClusterView:
    """Draw a view of 1..`max_servers` servers, partly taken, some asleep.

    Args:
        draw: given by Hypothesis.
        max_servers: most servers, >= 1.
        max_accelerators: most accelerators a server, 1..64.
        binding: whether cores and memory can be short; None: either.
    """
    total = draw(st.lists(st.integers(1, max_accelerators), min_size=1, max_size=max_servers))
    free = [draw(st.integers(0, devices)) for devices in total]
    steps = [0, *(int(draw(st.booleans())) for _ in total[1:])]
    short = draw(st.booleans()) if binding is None else binding
    cores = [float(draw(st.integers(0, 64))) for _ in total] if short else None
    memory = [float(draw(st.integers(0, 8))) * 2.0**30 for _ in total] if short else None
    share = [1.0 if spare else draw(st.sampled_from((0.0, 0.25, 0.5))) for spare in free]
    return make_cluster_view(
        total,
        free,
        np.cumsum(steps).tolist(),
        asleep=[draw(st.booleans()) and spare == devices for spare, devices in zip(free, total, strict=True)],
        free_cpu_cores=cores,
        free_memory_bytes=memory,
        largest_free_share=share,
        cpu_memory_binding=short,
    )


@st.composite
def placement_requests(draw: st.DrawFn, view: ClusterView, *, max_width: int = 24) -> PlacementRequest:
    """Draw a request that may or may not fit `view`.

    Args:
        draw: given by Hypothesis.
        view: for the number of its servers, and whether cores and memory count.
        max_width: widest gang.
    """
    servers = len(view.rack)
    allowed = None
    if draw(st.booleans()):
        allowed = np.array([draw(st.booleans()) for _ in range(servers)], dtype=np.bool_)
        allowed.flags.writeable = False
    total, free = int(view.total_accelerators.sum()), int(view.free_accelerators.sum())
    widths = st.one_of(st.integers(1, max(1, free)), st.integers(max(1, free // 2), total))
    width = min(max_width, draw(widths))
    share, spread = 1.0, draw(st.integers(0, 3))
    cores, memory = 0.0, 0.0
    if view.cpu_memory_binding:
        cores, memory = float(draw(st.integers(0, 64))), float(draw(st.integers(0, 4))) * 2.0**30
        kind = draw(st.sampled_from(("whole", "share", "cpu")))
        if kind == "share":
            width, share = 1, draw(st.sampled_from((0.5, 0.25)))
        elif kind == "cpu":
            width, spread, allowed = 0, 0, None
    return PlacementRequest(width, share, spread, cores, memory, allowed)


@st.composite
def jobs_views(draw: st.DrawFn, *, min_jobs: int = 0, max_jobs: int = 8) -> JobsView:
    """Draw the columns of `min_jobs`..`max_jobs` jobs, as ordering and energy policies see them.

    Args:
        draw: given by Hypothesis.
        min_jobs: fewest jobs.
        max_jobs: most jobs.
    """
    count = draw(st.integers(min_jobs, max_jobs))

    def column(element: st.SearchStrategy[float]) -> npt.NDArray[np.float64]:
        return _floats([draw(element) for _ in range(count)])

    seconds, none = st.integers(0, 1000).map(float), st.just(math.nan)
    submit_s = np.sort(column(seconds))
    widths = [draw(st.integers(0, 64)) for _ in range(count)]
    # An elastic gang has a least and a greatest width around its own; 0 and 0: rigid.
    spans = [
        (draw(st.integers(1, width)), width + draw(st.integers(0, 8)))
        if width and draw(st.booleans())
        else (0, 0)
        for width in widths
    ]
    estimated_s = column(st.one_of(seconds, st.floats(0.0, 1e6)))
    view = JobsView(
        submit_s=submit_s,
        accelerators=np.array(widths, dtype=np.int64),
        estimated_duration_s=estimated_s,
        slack_s=column(seconds),
        tenant=np.array([draw(st.integers(0, 3)) for _ in range(count)], dtype=np.int64),
        compute_fraction=column(st.floats(0.0, 1.0)),
        priority=column(st.integers(-2, 2).map(float)),
        deadline_s=submit_s + column(st.one_of(none, seconds)),
        time_limit_s=column(st.one_of(none, st.integers(1, 1000).map(float))),
        min_accelerators=np.array([least for least, _ in spans], dtype=np.int64),
        max_accelerators=np.array([most for _, most in spans], dtype=np.int64),
        accelerator_share=_floats(
            [
                draw(st.sampled_from((1.0, 0.5, 0.25))) if width == 1 and most == 0 else 1.0
                for width, (_, most) in zip(widths, spans, strict=True)
            ]
        ),
        cpu_cores=column(st.sampled_from((0.0, 1.0, 8.0))),
        memory_bytes=column(st.sampled_from((0.0, 2.0**30))),
        startup_s=estimated_s * column(st.sampled_from((0.0, 0.5))),
    )
    for name in JobsView.__slots__:
        getattr(view, name).flags.writeable = False
    return view


@st.composite
def job_views(draw: st.DrawFn, *, max_submit_s: int = 200_000) -> JobView:
    """Draw one job as an energy policy sees it on arrival.

    Args:
        draw: given by Hypothesis.
        max_submit_s: latest arrival, whole seconds.
    """
    return JobView(
        index=draw(st.integers(0, 100)),
        submit_s=float(draw(st.integers(0, max_submit_s))),
        accelerators=draw(st.integers(0, 64)),
        estimated_duration_s=draw(st.one_of(st.just(0.0), st.floats(0.0, 1e6))),
        slack_s=draw(st.one_of(st.integers(1, 100_000).map(float), st.floats(0.001, 1e6))),
        tenant=draw(st.integers(0, 3)),
    )


@st.composite
def grid_views(draw: st.DrawFn, *, now_s: float = 0.0) -> GridView:
    """Draw a forecast: hourly carbon intensities and prices that repeat after a few hours.

    Args:
        draw: given by Hypothesis.
        now_s: the instant at which the policy is asked.
    """
    hours = draw(st.integers(1, 12))
    carbon, price = (
        StepSeries(
            time_s=np.arange(hours, dtype=np.float64) * 3600.0,
            value=_floats([draw(st.integers(0, 1000)) / 3.6e9 for _ in range(hours)]),
            repeat_s=hours * 3600.0,
        )
        for _ in range(2)
    )
    return GridView(now_s, carbon.mean, price.mean, carbon.breakpoints, price.breakpoints)
