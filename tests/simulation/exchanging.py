"""Halls and jobs whose traffic can be followed by hand: bursts of whole seconds over links of 1 MB/s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dcsim.policies import PlacementPolicy
from dcsim.policies.views import ClusterView, Placement, PlacementRequest
from dcsim.results.run_result import RunResult
from dcsim.simulation import Policies
from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.profile import CollectiveTraffic
from dcsim.workload.profile_store import LoadedProfile
from tests.simulation.conftest import round_profile
from tests.simulation.deciders import under
from tests.simulation.halls import LINK, hall, run

STAR: dict[str, Any] = {
    "topology": "star",
    "server_bandwidth_bytes_per_s": LINK,
    "latency_s": 0.0,
    "switch_power_w": 0.0,
}
WALL = (
    "queue_s",
    "compute_s",
    "throttled_s",
    "communication_s",
    "network_stall_s",
    "data_stall_s",
    "checkpoint_s",
    "restore_s",
    "redone_s",
)


def gang(**columns: Any) -> JobTable:
    """Return jobs of profile "round" on 8 devices for 10 steps, from 0 s, with `columns` changed."""
    made: dict[str, Any] = {
        "submit_s": 0.0,
        "steps": 10.0,
        "accelerators": 8,
        "profile": "round",
        "duration_s": math.nan,
    }
    return job_table(**(made | columns))


class _InTurn(PlacementPolicy):
    """Gives the placements it was told, one after the other."""

    name = "in_turn"
    optimises = "nothing: for tests"
    source = "-"

    def __init__(self, placements: Sequence[Placement]) -> None:
        self._placements = list(placements)

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        return self._placements.pop(0)


def placed(*gangs: Sequence[int], devices: int = 4) -> Policies:
    """Return policies that put the first gang to start on the first of these servers, and so on; all devices of each."""
    placements = [tuple((server, devices) for server in servers) for servers in gangs]
    return replace(under("fifo"), placement=_InTurn(placements))


def costs(
    compute_s: float = 1.0, exchange_bytes: float = 1e6, input_bytes: float = 0.0, **traffic: Any
) -> dict[str, LoadedProfile]:
    """Return profile "round": a step computes so long, all-reduces so much and reads so much a device."""
    fit = {
        "overhead_s": 0.0,
        "per_sample_s": compute_s / 8,
        "per_device_s": 0.0,
        "devices_min": 1,
        "devices_max": 64,
        "batch_per_device_min": 1,
        "batch_per_device_max": 8,
        "residual_relative": 0.0,
        "held_out_error_relative": None,
    }
    return round_profile(
        fit=fit,
        input_bytes_per_sample=input_bytes / 8,
        collectives=CollectiveTraffic(all_reduce_bytes=exchange_bytes, all_reduce_count=1, **traffic),
    )


def events(*told: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Return events of links from (time, link, action[, fraction])."""
    names = ("at_s", "link", "action", "fraction")
    return [dict(zip(names, event, strict=False)) for event in told]


def net(**changes: Any) -> dict[str, Any]:
    """Return a star of 1 MB/s links with `changes`."""
    return STAR | changes


def link_bytes(result: RunResult) -> dict[str, float]:
    """Return the bytes that crossed each link in all, by name."""
    total: dict[str, float] = {}
    for link, size in zip(result.links["link"].tolist(), result.links["bytes"].tolist(), strict=True):
        name = result.listed_links.names[link]
        total[name] = total.get(name, 0.0) + size
    return total


def tier_bytes(result: RunResult, tier: str) -> float:
    """Return the bytes that crossed all links of a tier."""
    return math.fsum(result.tiers["bytes"][result.tiers["tier"] == tier].tolist())


def spent(result: RunResult, job: int = 0) -> dict[str, float]:
    """Return what a job's time was spent on, but for what took none."""
    found = {name: float(result.jobs[name][job]) for name in WALL}
    return {name: seconds for name, seconds in found.items() if seconds > 1e-9}


def both(jobs: JobTable, profiles: Any, network: dict[str, Any] | None = None, **parts: Any) -> Any:
    """Return the fluid run and the run told step by step."""
    shape = {name: parts.pop(name) for name in ("servers", "devices", "racks") if name in parts}
    gangs = parts.pop("gangs", None)
    return tuple(
        run(
            hall(**shape, network=net(**(network or {}), traffic=traffic), **parts),
            jobs,
            profiles=profiles,
            policies=placed(*gangs) if gangs else None,
        )
        for traffic in ("fluid", "steps")
    )
