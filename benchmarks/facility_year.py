"""What a facility costs a run: a year of 10,000 servers and a million jobs, with hourly weather, carbon and price or without."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.measure import measure
from benchmarks.rows import Row, alternate, ratio
from dcsim.spec.scenario import Scenario

__all__ = ["CASES", "facility_year", "year_scenario"]

JOBS, SERVERS = 1_000_000, 10_000
_YEAR_S, _HOURS = 365 * 86_400.0, 24
CASES = ("off", "chilled_water", "air_side", "liquid", "site")
"""off: servers alone, no plant, no power chain, the same weather, carbon and price all year. site: chilled water with a
tariff, a battery and panels besides."""

_TARIFF = {
    "kind": "time_of_use",
    "time_zone": "America/Chicago",
    "energy": [{"name": "all_day", "price_usd_per_j": "60 USD/MWh"}],
    "demand": [{"name": "peak", "price_usd_per_w": "12 USD/kW"}],
}


def year_scenario(case: str, jobs: int, servers: int) -> Scenario:
    """Return a year of generated jobs at half load; hourly weather of a site, and 24 carbon intensities and prices.

    Args:
        case: of `CASES`.
        jobs: over the year.
        servers: of 8 accelerators, 10 in a rack.
    """
    rack = {"name": "rack", "count": servers // 10}
    rack["servers"] = [{"count": 10, "accelerator": "H100", "accelerators": 8}]
    said: dict[str, Any] = {
        "name": "year",
        "horizon_s": _YEAR_S,
        "cluster": {"racks": [rack]},
        "storage": {"feed": "cached"},
        "workload": {
            "kind": "generated",
            "jobs": jobs,
            "arrivals": {"rate_per_s": jobs / (0.99 * _YEAR_S)},
            "sizes": {"median_s": "20 h", "sigma": 1.0, "max_s": "100 h"},
            "mix": [{"profile": "images", "widths": {1: 0.2, 8: 0.5, 16: 0.2, 32: 0.1}}],
        },
        "policies": {"placement": "best_fit"},
    }
    if case == "off":
        said |= {"cooling": {"plant": "crac", "fan_fraction": 0.0}, "power": {"stages": []}}
        return Scenario.model_validate(said)
    wave = [math.sin(2.0 * math.pi * hour / _HOURS) for hour in range(_HOURS)]
    said["weather"] = {"kind": "site", "site": "chicago"}
    said["grid"] = {
        "carbon": {"kind": "daily", "intensity_kg_per_j": [(400.0 + 100.0 * w) / 3.6e9 for w in wave]},
        "price": {"kind": "daily", "price_usd_per_j": [(60.0 + 20.0 * w) / 3.6e9 for w in wave]},
    }
    said["cooling"] = {"plant": "chilled_water" if case == "site" else case}
    if case == "site":
        del said["grid"]["price"]
        said["grid"]["tariff"] = _TARIFF
        said["onsite"] = {"battery": {"capacity_j": "20 MWh"}, "solar": {"rated_power_w": "10 MW"}}
        said["policies"]["battery"] = "peak_shaving"
    return Scenario.model_validate(said)


def facility_year(repeats: int) -> list[Row]:
    """The same year with each facility over that without one."""
    rows: list[Row] = []
    for case in CASES[1:]:
        with_it, without = alternate(
            repeats,
            lambda case=case: measure(f"year-{case}", JOBS, SERVERS),  # type: ignore[misc]
            lambda: measure("year-off", JOBS, SERVERS),
        )
        if not rows:
            rows.append(
                Row("a year of a million jobs, no facility", min(m.cpu_s for m in without), "s of CPU")
            )
        rows.append(Row(f"  with {case} over without", ratio(with_it, without), "times", 1.5))
    return rows
