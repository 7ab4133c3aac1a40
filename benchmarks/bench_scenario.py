"""The timed scenario: generated jobs on servers of 8 accelerators, with every subsystem on."""

from __future__ import annotations

from typing import Any

from dcsim.spec.scenario import Scenario

__all__ = ["SERVERS_PER_RACK", "WIDTHS", "bench_scenario"]

SERVERS_PER_RACK = 10

_CARBON_G_PER_KWH = (410, 405, 400, 398, 400, 410, 420, 400, 360, 310, 270, 245,
                     235, 232, 240, 265, 310, 370, 430, 455, 450, 440, 430, 420)  # fmt: skip
_PRICE_USD_PER_MWH = (42, 40, 39, 39, 41, 47, 58, 62, 52, 41, 33, 28,
                      26, 25, 28, 35, 48, 66, 88, 92, 80, 66, 54, 47)  # fmt: skip


def bench_scenario(
    jobs: int, servers: int, file_system_gb_per_s_a_server: float = 0.4, ordering: str = "fifo"
) -> Scenario:
    """Return the scenario; load, storage and network grow with the number of servers.

    At 90 % offered load, best fit, strict first come first served; gangs of 1 to 32 accelerators, a
    quarter of the accelerator time on more than one server. The cost profiles are those of `bench_profiles`.
    Sizes are lognormal with sigma 1: the tail is short beside the run, so the load is really there.
    The file system is booked to about three quarters on average.
    """
    rack = {
        "name": "rack",
        "count": servers // SERVERS_PER_RACK,
        "servers": [{"count": SERVERS_PER_RACK, "accelerator": "A100-80", "accelerators": 8}],
    }
    said: dict[str, Any] = {
        "name": "bench",
        "cluster": {"racks": [rack]},
        "network": {
            "topology": "fat_tree",
            "server_bandwidth_bytes_per_s": "400 Gbit/s",
            "oversubscription": 2.0,
        },
        "storage": {
            "feed": "shared",
            "shared": {"bandwidth_bytes_per_s": file_system_gb_per_s_a_server * 1e9 * servers},
        },
        "cooling": {"plant": "chilled_water"},
        "weather": {"kind": "site", "site": "dallas"},
        "grid": {
            "carbon": {"kind": "daily", "intensity_kg_per_j": [g / 3.6e9 for g in _CARBON_G_PER_KWH]},
            "price": {"kind": "daily", "price_usd_per_j": [p / 3.6e9 for p in _PRICE_USD_PER_MWH]},
        },
        "workload": {
            "kind": "generated",
            "jobs": jobs,
            "arrivals": {"load": 0.9},
            "sizes": {"median_s": 900.0, "sigma": 1.0, "min_s": 30.0, "max_s": 7_200.0},
            "mix": [
                {"profile": "images", "weight": 0.8, "widths": WIDTHS},
                {"profile": "language", "weight": 0.2, "widths": WIDTHS},
            ],
        },
        "policies": {"ordering": ordering, "placement": "best_fit", "energy": "none"},
    }
    return Scenario.model_validate(said)


WIDTHS = {1: 0.50, 2: 0.10, 4: 0.15, 8: 0.15, 16: 0.07, 32: 0.03}
