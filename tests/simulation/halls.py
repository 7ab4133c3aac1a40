"""Small halls with round figures, for runs that can be followed by hand."""

from __future__ import annotations

from typing import Any

from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from dcsim.testing.strategies import with_room_if_needed

IDLE_W, PEAK_W, SLEEP_W, WAKE_S = 300.0, 900.0, 30.0, 120.0
DEVICE_IDLE_W, DEVICE_PEAK_W = 50.0, 450.0
LINK = 1e6
"""Bandwidth between servers, bytes/s."""


def hall(servers: int = 2, devices: int = 4, *, racks: int = 1, **parts: Any) -> Scenario:
    """Return a star of equal servers with accelerators "D"; no power but that of servers.

    A placement policy that looks at the air of a room gets one.
    """
    device = {
        "peak_flop_per_s": {"fp32": 1e12},
        "memory_bytes": 1e12,
        "memory_bandwidth_bytes_per_s": 1e12,
        "link_bandwidth_bytes_per_s": 4e6,
        "idle_power_w": DEVICE_IDLE_W,
        "peak_power_w": DEVICE_PEAK_W,
        "source": "round figures",
    }
    server = {
        "count": servers,
        "accelerator": "D",
        "accelerators": devices,
        "cpu_cores": 64.0,
        "idle_power_w": IDLE_W,
        "peak_power_w": PEAK_W,
        "sleep_power_w": SLEEP_W,
        "wake_latency_s": WAKE_S,
    }
    whole: dict[str, Any] = {
        "name": "hall",
        "accelerators": {"D": device},
        "cluster": {"racks": [{"name": "r", "count": racks, "servers": [server]}]},
        "network": {
            "topology": "star",
            "server_bandwidth_bytes_per_s": LINK,
            "latency_s": 0.0,
            "switch_power_w": 0.0,
        },
        "storage": {"shared": {"bandwidth_bytes_per_s": 1e6, "power_w": 0.0}},
        "workload": {"kind": "generated", "jobs": 1, "mix": [{"profile": "tiny_transformer"}]},
    }
    return with_room_if_needed(Scenario.model_validate(whole | parts))


def run(scenario: Scenario, jobs: Any, **arguments: Any) -> Any:
    """Simulate with every guard on."""
    return simulate(scenario, jobs=jobs, guards=True, **arguments)
