"""What shared links cost a run: gangs on a thin network, each flow sharing its links or having them to itself."""

from __future__ import annotations

from typing import Any

from benchmarks.measure import measure
from benchmarks.rows import Row, alternate, ratio, us_a_job
from dcsim.spec.scenario import Scenario

__all__ = ["CASES", "contended_scenario", "contention"]

JOBS, SERVERS = 1_000, 2_000
CASES = ("leaves", "spread", "file-system")
"""leaves: packed gangs, leaves oversubscribed eightfold. spread: gangs over as many racks as there are.
file-system: a file system of a twentieth of what the jobs want."""

_RACK = 10
_MEANING = {
    "leaves": "packed gangs on thin leaves",
    "spread": "gangs spread over all racks",
    "file-system": "a file system that starves its readers",
}


def contended_scenario(case: str, *, contention: bool) -> Scenario:
    """Return 1,000 training jobs of 8 to 32 accelerators on 2,000 servers, links overbooked by hundreds of them.

    Args:
        case: of `CASES`.
        contention: whether flows share links.
    """
    widths = {8: 0.3, 16: 0.4, 32: 0.3}
    said: dict[str, Any] = {
        "name": "contended",
        "cluster": {
            "racks": [
                {
                    "name": "rack",
                    "count": SERVERS // _RACK,
                    "servers": [{"count": _RACK, "accelerator": "A100-80", "accelerators": 8}],
                }
            ]
        },
        "network": {
            "topology": "fat_tree",
            "server_bandwidth_bytes_per_s": "25 Gbit/s" if case == "leaves" else "100 Gbit/s",
            "oversubscription": 8.0,
            "contention": contention,
        },
        "storage": {
            "shared": {"bandwidth_bytes_per_s": (0.02e9 if case == "file-system" else 0.4e9) * SERVERS}
        },
        "preemption": {"start_s": 60.0},
        "cooling": {"plant": "chilled_water"},
        "weather": {"kind": "site", "site": "dallas"},
        "workload": {
            "kind": "generated",
            "jobs": JOBS,
            "arrivals": {"load": 0.9},
            "sizes": {"median_s": 900.0, "sigma": 1.0, "min_s": 30.0, "max_s": 7_200.0},
            "mix": [
                {"profile": "images", "weight": 0.5, "widths": widths},
                {"profile": "language", "weight": 0.5, "widths": widths},
            ],
        },
        "policies": {"ordering": "fifo", "placement": "spread" if case == "spread" else "best_fit"},
    }
    return Scenario.model_validate(said)


def contention(repeats: int) -> list[Row]:
    """CPU time of a run with contention over that of the same run without."""
    rows = []
    for case in CASES:
        on, off = alternate(
            repeats,
            lambda case=case: measure(f"contended-{case}", JOBS, SERVERS),  # type: ignore[misc]
            lambda case=case: measure(f"alone-{case}", JOBS, SERVERS),  # type: ignore[misc]
        )
        rows += [
            Row(f"1,000 jobs, 2,000 servers, {_MEANING[case]}", us_a_job(on, JOBS), "us a job"),
            Row("  its CPU time over that without contention", ratio(on, off), "times", 2.0),
        ]
    return rows
