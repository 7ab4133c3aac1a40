"""The worked examples of the policy reference: small scenarios, run under every policy."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.policies import known_policies
from dcsim.results.run_result import RunResult
from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import JobTable, job_table

__all__ = [
    "MINUTE_S",
    "PARTS",
    "POLICY_EXAMPLES",
    "Bar",
    "Grant",
    "bars",
    "grants",
    "ordering_jobs",
    "run_battery",
    "run_cooling",
    "run_energy",
    "run_ordering",
    "run_placement",
]

MINUTE_S = 60.0
PARTS = {"D": 0.5, "H": 0.4, "J": 0.5}
"""Jobs of the placement example that want a part of one accelerator."""
POLICY_EXAMPLES = {
    "ordering": (
        "The example: seven jobs on four accelerators, one a server. A: 2 wide for 6 min (elastic, 1 to 4), B: 2 for 3,"
        " C: 4 for 2, D: 1 for 5 (elastic, 1 to 2), E: 1 for 1, F: 2 for 2, G: 1 for 3. A, C, D and G are ann's, the"
        " others bob's; E has priority 2, C and G 1, the others 0; deadlines are at 12, 16, 20, 22, 9, 8 and 18 min,"
        " time limits a minute above the run time. Stopping a job costs nothing here; rounds take a minute."
    ),
    "placement": (
        "The example: eleven jobs come one by one onto two racks of three servers of four accelerators, and stay. They"
        " want 1, 2, 1, 1/2, 3, 1, 2, 2/5, 5, 1/2 and 1 accelerators. A block has the colour of its job."
    ),
    "energy": (
        "The example: four jobs of 4 to 8 h on 16 accelerators, all deferrable by a day, under a daily carbon curve."
    ),
    "cooling": (
        "The example: the same jobs, all started as they come, in a hall with open aisles and a chilled-water plant, on two"
        " summer days in Santa Clara; the scenario's supply air has 22 degC."
    ),
    "battery": (
        "The example: the same jobs, with a battery of 40 kWh, panels of 40 kW in June in Dublin, a price that is low at night and high in the"
        " evening, a demand charge, and a demand-response event from 17:00 to 19:00 on the second day."
    ),
}
"""What each kind of policy is shown deciding."""
_FOR_EXAMPLES = {"round_s": 60.0, "reallocate_after_s": 60.0, "threshold_accelerator_s": 300.0, "skip": 1e9,
                 "target_w": 12e3}  # fmt: skip
"""Parameters that bring a policy to the scale of a few minutes, where it has them."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A job on one server for a while."""

    job: str
    server: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Grant:
    """What a job holds of one server."""

    job: str
    server: int
    accelerators: float


def _choice(kind: str, name: str) -> dict[str, Any]:
    """Return a policy with the parameters that suit the examples."""
    accepted = inspect.signature(known_policies(kind)[name]).parameters
    skips = kind == "ordering" and name in ("fair_share", "drf", "elastic", "elastic_equal")
    return {
        "name": name,
        "parameters": {
            key: value for key, value in _FOR_EXAMPLES.items() if key in accepted and (key != "skip" or skips)
        },
    }


def _scenario(racks: list[dict[str, Any]], **said: Any) -> Scenario:  # noqa: ANN401  any part of a scenario
    return Scenario.model_validate(
        {
            "name": "example",
            "cluster": {"racks": racks},
            "workload": {"kind": "trace", "path": "given.csv"},
            "preemption": {"checkpoint_s": 0.0, "restore_s": 0.0},
        }
        | said
    )


def ordering_jobs() -> JobTable:
    """Return the seven jobs of the ordering example."""
    minutes = {
        "A": (0, 2, 6, 12, 0),
        "B": (0, 2, 3, 16, 0),
        "C": (1, 4, 2, 20, 1),
        "D": (2, 1, 5, 22, 0),
        "E": (3, 1, 1, 9, 2),
        "F": (4, 2, 2, 8, 0),
        "G": (5, 1, 3, 18, 1),
    }
    submit, width, run, deadline, priority = (
        np.array(column) for column in zip(*minutes.values(), strict=True)
    )
    return job_table(
        job_id=list(minutes),
        submit_s=submit * MINUTE_S,
        accelerators=width,
        duration_s=run * MINUTE_S,
        time_limit_s=(run + 1) * MINUTE_S,
        deadline_s=deadline * MINUTE_S,
        priority=priority,
        min_accelerators=[1, 0, 0, 1, 0, 0, 0],
        max_accelerators=[4, 0, 0, 2, 0, 0, 0],
        tenant=["ann", "bob", "ann", "ann", "bob", "bob", "ann"],
    )


def run_ordering(name: str) -> RunResult:
    """Return the run of seven jobs on four accelerators, one a server, under an ordering policy."""
    rack = {"name": "r", "servers": [{"count": 4, "accelerator": "A100-80", "accelerators": 1}]}
    scenario = _scenario([rack], policies={"ordering": _choice("ordering", name)})
    return simulate(scenario, 0, jobs=ordering_jobs(), guards=True)


def run_placement(name: str) -> RunResult:
    """Return the run of eleven gangs that come one by one onto two racks of three servers, and stay."""
    racks = [
        {"name": rack, "servers": [{"count": 3, "accelerator": "A100-80", "accelerators": 4}]}
        for rack in ("left", "right")
    ]
    width = [1, 2, 1, 1, 3, 1, 2, 1, 5, 1, 1]
    names = [chr(ord("A") + i) for i in range(len(width))]
    jobs = job_table(
        job_id=names,
        submit_s=np.arange(len(width)) * MINUTE_S,
        accelerators=width,
        accelerator_share=[PARTS.get(name, 1.0) for name in names],
        duration_s=1e6,
    )
    # For policies that look at heat: the right rack breathes a fifth of what comes out of the left one.
    mixed = {"layout": {"kind": "matrix", "recirculation": [[0.05, 0.2], [0.05, 0.05]]}}
    scenario = _scenario(
        racks,
        policies={"placement": _choice("placement", name)},
        horizon_s=len(width) * MINUTE_S,
        room=mixed if getattr(known_policies("placement")[name], "knows_heat", False) else None,
    )
    return simulate(scenario, 0, jobs=jobs, guards=True)


def run_energy(name: str) -> RunResult:
    """Return the run of four deferrable jobs over two days of a daily carbon curve, under an energy policy."""
    curve = [400, 400, 390, 390, 400, 420, 430, 400, 330, 260, 210, 180,
             170, 170, 190, 230, 300, 380, 440, 460, 450, 440, 430, 410]  # fmt: skip
    carbon = {"kind": "daily", "intensity_kg_per_j": [g / 3.6e9 for g in curve]}
    return _run_two_days("energy", name, grid={"carbon": carbon})


def run_cooling(name: str) -> RunResult:
    """Return the run of four jobs over two summer days, under a cooling policy."""
    return _run_two_days(
        "cooling",
        name,
        room={},
        cooling={"supply_temperature_deg_c": 22.0},
        weather={"kind": "site", "site": "santa-clara"},
        grid={"start": "2023-07-01T07:00:00Z"},
    )


def run_battery(name: str) -> RunResult:
    """Return the run of four jobs over two summer days with panels and a battery, under a battery policy."""
    prices = [{"name": "night", "price_usd_per_j": "0.06 USD/kWh", "from_hour": 22, "to_hour": 6},
              {"name": "evening", "price_usd_per_j": "0.30 USD/kWh", "from_hour": 16, "to_hour": 21},
              {"name": "day", "price_usd_per_j": "0.14 USD/kWh"}]  # fmt: skip
    clean = [350] * 6 + [280, 220, 170, 140, 120, 110, 110, 120, 150, 200, 280, 360] + [420] * 4 + [390, 370]
    event = {"start_s": "41 h", "duration_s": "2 h", "import_limit_w": "5 kW"}
    return _run_two_days(
        "battery",
        name,
        weather={"kind": "site", "site": "dublin"},
        onsite={"battery": {"capacity_j": "40 kWh"}, "solar": {"rated_power_w": "40 kW"}},
        grid={
            "start": "2023-06-01T00:00:00Z",
            "carbon": {"kind": "daily", "intensity_kg_per_j": [g / 3.6e9 for g in clean]},
            "demand_response": [event],
            "tariff": {
                "kind": "time_of_use",
                "time_zone": "UTC",
                "energy": prices,
                "demand": [{"name": "any_time", "price_usd_per_w": "18 USD/kW"}],
            },
        },
    )


def _run_two_days(kind: str, name: str, **said: Any) -> RunResult:  # noqa: ANN401  any part of a scenario
    """Return two days of four deferrable jobs on sixteen accelerators under one policy."""
    rack = {"name": "r", "servers": [{"count": 2, "accelerator": "A100-80", "accelerators": 8}]}
    hour_s = 60 * MINUTE_S
    jobs = job_table(
        job_id=["A", "B", "C", "D"],
        submit_s=np.array([0.0, 4.0, 18.0, 20.0]) * hour_s,
        accelerators=[8, 4, 8, 4],
        duration_s=np.array([5.0, 6.0, 4.0, 8.0]) * hour_s,
        slack_s=24.0 * hour_s,
    )
    scenario = _scenario([rack], policies={kind: _choice(kind, name)}, horizon_s=48.0 * hour_s, **said)
    return simulate(scenario, 0, jobs=jobs, guards=True)


def bars(result: RunResult) -> list[Bar]:
    """Return who held which server when, from the event log."""
    kinds = {name: number for number, name in enumerate(result.event_kinds)}
    opened: dict[str, list[tuple[int, float]]] = {}
    found = []
    events = result.events
    columns = (events[name].tolist() for name in ("time_s", "kind", "job", "server"))
    for time_s, kind, job, server in zip(*columns, strict=True):
        if kind == kinds["grant"]:
            opened.setdefault(result.jobs["job_id"][job], []).append((server, time_s))
        elif kind in (kinds["end"], kinds["preempt"], kinds["kill"]):
            name = result.jobs["job_id"][job]
            found += [Bar(name, place, start_s, time_s) for place, start_s in opened.pop(name)]
    return _joined(found)


def _joined(found: list[Bar]) -> list[Bar]:
    """Return the bars with those joined that a stop and a start at one instant on one server part."""
    joined: list[Bar] = []
    for bar in sorted(found, key=lambda bar: (bar.server, bar.start_s)):
        last = joined[-1] if joined else None
        if last and (last.job, last.server, last.end_s) == (bar.job, bar.server, bar.start_s):
            joined[-1] = Bar(bar.job, bar.server, last.start_s, bar.end_s)
        else:
            joined.append(bar)
    return joined


def grants(result: RunResult) -> list[Grant]:
    """Return what each job of the placement example was granted, in order."""
    rows = np.flatnonzero(result.events["kind"] == list(result.event_kinds).index("grant"))
    names = result.jobs["job_id"][result.events["job"][rows]].tolist()
    servers = result.events["server"][rows].tolist()
    widths = result.events["value"][rows].tolist()
    return [
        Grant(name, server, width * PARTS.get(name, 1.0))
        for name, server, width in zip(names, servers, widths, strict=True)
    ]
