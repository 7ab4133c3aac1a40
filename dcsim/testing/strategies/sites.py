"""Strategies for whole facilities: every plant, room, power tree, tariff, battery, panel, and servers that sleep and warm up."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from dcsim.policies import known_policies
from dcsim.spec.cluster import ClusterSpec
from dcsim.spec.cooling import CoolingSpec
from dcsim.testing.strategies.facilities import grids, weathers

__all__ = ["plants", "sites", "warm_clusters"]

_PLANTS = ("chilled_water", "crac", "air_side", "liquid")
_KG_PER_J, _USD_PER_J = 1.0 / 3.6e9, 1.0 / 3.6e9


def _one(*values: Any) -> SearchStrategy[Any]:  # noqa: ANN401  whatever a field takes
    return st.sampled_from(values)


@st.composite
def plants(draw: st.DrawFn) -> CoolingSpec:
    """Draw a cooling plant of any kind but fmu, with either of its machines, and perhaps a user of its heat."""
    parts: dict[str, Any] = {
        "plant": draw(_one(*_PLANTS, "hybrid")),
        "supply_temperature_deg_c": float(draw(st.integers(18, 30))),
        "hall_time_constant_s": draw(_one(900.0, 60.0, 7200.0)),
        "fan_fraction": draw(_one(0.04, 0.0)),
        "least_flow": draw(_one(0.4, 1.0)),
        "water_side_economiser": draw(st.booleans()),
        "chiller": draw(_one({}, {"kind": "curves"}, {"kind": "curves", "machine": "rise"})),
        "tower": draw(_one({}, {"kind": "york"})),
        "envelope": draw(_one("recommended", "A1", "A3")),
        "air_side": {
            "direct": draw(_one(None, {"pump_w": 50.0})),
            "indirect": draw(_one(None, {})),
            "basin_heater_w_per_k": draw(_one(0.0, 10.0)),
        },
        "liquid": {
            "captured_fraction": draw(_one(0.75, 1.0, 0.2)),
            "air": draw(_one("chilled_water", "crac", "air_side")),
            "cooler": draw(_one("tower", "dry")),
            "water_class": draw(_one("W32", "W17", "W45")),
            "least_flow": draw(_one(0.4, 1.0)),
        },
    }
    if parts["plant"] == "hybrid":
        first, second = draw(_one(*_PLANTS)), draw(_one(*_PLANTS))
        parts["hybrid"] = [
            {"plant": first, "heat_fraction": 0.75},
            {"plant": second, "heat_fraction": 0.25},
        ]
    if draw(st.booleans()):
        parts["heat_reuse"] = {
            "fraction": draw(_one(0.5, 1.0)),
            "temperature_deg_c": draw(_one(None, 30.0)),
        }
    parts["chiller"] = parts["chiller"] or {"kind": "carnot"}
    parts["tower"] = parts["tower"] or {"kind": "approach"}
    return CoolingSpec.model_validate(parts)


@st.composite
def warm_clusters(draw: st.DrawFn, cluster: ClusterSpec) -> ClusterSpec:
    """Draw a cluster whose servers boot, fall asleep in a while, have fans, leak and throttle, around a given one.

    Args:
        draw: given by Hypothesis.
        cluster: its servers may be asleep, and stay cool.
    """
    lines = cluster.model_dump()["racks"]
    for line in lines:
        for server in line["servers"]:
            server["sleep_latency_s"] = draw(_one(0.0, 5.0, 40.0))
            server["boot_power_w"] = draw(_one(None, 100.0, 2_000.0))
            server["wake_latency_s"] = draw(_one(7.0, 0.0, 30.0))
            if server["idle_power_w"] >= 20.0 and draw(st.booleans()):
                server["fans"] = {"power_w": 5.0, "full_power_w": draw(_one(20.0, 40.0))}
            if server["accelerators"] and draw(st.booleans()):
                server["thermal"] = {
                    "resistance_k_per_w": draw(_one(0.1, 0.2)),
                    "time_constant_s": draw(_one(10.0, 2.0)),
                    "leakage_fraction_per_k": draw(_one(0.0, 0.002)),
                    "throttle_deg_c": draw(_one(60.0, 45.0, 87.0)),
                    "throttled_cap_fraction": draw(_one(0.5, 0.7)),
                }
    return ClusterSpec.model_validate({"racks": lines})


@st.composite
def _stages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw a power chain with every loss, level and redundancy."""
    levels = sorted(
        (draw(_one("hall", "pdu", "rack")) for _ in range(draw(st.integers(0, 3)))),
        key=("rack", "pdu", "hall").index,
    )
    carries, stages = False, list[dict[str, Any]]()
    for number, level in enumerate(levels):
        carries = carries or (level == "hall" and draw(st.booleans()))
        stage: dict[str, Any] = {
            "name": f"stage-{number}",
            "level": level,
            "carries_cooling": carries,
            "heats_hall": not carries and draw(st.booleans()),
        }
        if draw(st.booleans()):
            stage |= {"efficiency": draw(_one(0.96, 0.9)), "unit_overhead_w": draw(_one(0.0, 17.0))}
            stage |= draw(_one({}, {"unit_peak_w": 3_000.0}, {"units": 3}))
        else:
            stage |= {"loss_constant": draw(_one(0.0, 0.01)), "loss_linear": draw(_one(0.0, 0.02))}
            stage |= {"loss_quadratic": draw(_one(0.0, 0.01))}
        stages.append(stage | draw(_one({}, {"redundancy": "2N"}, {"redundancy": "N+1", "modules": 3})))
    return stages


@st.composite
def _powers(draw: st.DrawFn, cluster: ClusterSpec) -> dict[str, Any]:
    """Draw the power chain, perhaps as a tree with ratings that are exceeded now and then."""
    power: dict[str, Any] = {
        "stages": draw(_stages()),
        "auxiliary_power_w": draw(_one(0.0, 500.0)),
        "budget_w": draw(_one(None, 2e3, 1e4)),
        "cap_latency_s": draw(_one(0.0, 3.0)),
        "telemetry_interval_s": draw(_one(0.0, 2.0)),
    }
    if draw(st.booleans()):
        racks = [rack.name for rack in cluster.racks]
        rated = {"rated_power_w": draw(_one(None, 4e3, 2e4)), "budget_w": draw(_one(None, 5e3))}
        halves = [racks[:1], racks[1:]] if len(racks) > 1 else [racks]
        power["tree"] = {
            "rack_breaker_w": draw(_one(None, 3e3, 3e4)),
            "pdus": [{"name": f"pdu-{i}", "racks": names, **rated} for i, names in enumerate(halves)]
            if draw(st.booleans())
            else [],
        }
    return power


@st.composite
def _onsite(draw: st.DrawFn) -> dict[str, Any]:
    onsite: dict[str, Any] = {
        "export": draw(_one("curtail", "allow")),
        "export_limit_w": draw(_one(None, 1_000.0)),
        "settlement_interval_s": draw(_one(900.0, 3_600.0)),
    }
    if draw(st.booleans()):
        onsite["battery"] = {
            "capacity_j": draw(_one(3.6e7, 3.6e6)),
            "c_rate": draw(_one(0.5, 2.0)),
            "self_discharge_per_day": draw(_one(0.0007, 0.0, 0.1)),
            "replacement_cost_usd": draw(_one(0.0, 1_000.0)),
            "initial_charge": draw(_one(0.5, 0.1, 0.9)),
        }
    if draw(st.booleans()):
        onsite["solar"] = {
            "rated_power_w": draw(_one(2e3, 5e4)),
            "latitude_deg": draw(_one(40.0, -33.0)),
            "longitude_deg": 0.0,
            "clearness": 0.6,
        }
    return onsite


@st.composite
def _tariffs(draw: st.DrawFn) -> dict[str, Any]:
    evening = {"name": "evening", "price_usd_per_j": 200 * _USD_PER_J, "from_hour": 16, "to_hour": 21}
    always = {"name": "else", "price_usd_per_j": 80 * _USD_PER_J, "export_price_usd_per_j": 20 * _USD_PER_J}
    if draw(st.booleans()):
        always["tiers"] = [{"above_j": 3.6e7, "price_usd_per_j": 120 * _USD_PER_J}]
    any_time = {"name": "any", "price_usd_per_w": 0.015}
    peak = {"name": "peak", "price_usd_per_w": 0.02, "from_hour": 0, "to_hour": 8, "ratchet_fraction": 0.5}
    return {
        "kind": "time_of_use",
        "time_zone": draw(_one("UTC", "America/Los_Angeles")),
        "energy": [evening, always],
        "demand": draw(_one([], [any_time], [any_time, peak])),
        "fixed_usd_per_month": draw(_one(0.0, 100.0)),
        "settlement_s": draw(_one(900.0, 3_600.0)),
    }


@st.composite
def _grids(draw: st.DrawFn) -> dict[str, Any]:
    """Draw intensities, prices or a tariff, a forecast and perhaps demand response."""
    grid: dict[str, Any] = draw(grids()).model_dump()
    grid["start"] = draw(_one("2023-01-01T00:00:00Z", "2023-06-30T20:00:00Z"))
    if draw(st.booleans()):
        del grid["price"]
        grid["tariff"] = draw(_tariffs())
    elif draw(st.booleans()):
        grid["export_price"] = {"kind": "constant", "price_usd_per_j": 30 * _USD_PER_J}
    grid["forecast"] = {"kind": draw(_one("perfect", "noise", "persistence"))}
    if draw(st.booleans()):
        grid["marginal_carbon"] = {"kind": "constant", "intensity_kg_per_j": 600 * _KG_PER_J}
        grid["lifecycle_carbon"] = {"kind": "constant", "intensity_kg_per_j": 50 * _KG_PER_J}
        grid["market"] = {"contracted_fraction": draw(_one(0.5, 1.0))}
        grid["steer_by"] = draw(_one("average", "marginal", "life_cycle"))
    if draw(st.booleans()):
        event = {"start_s": draw(_one(5.0, 1_000.0)), "duration_s": draw(_one(20.0, 2_000.0))}
        limit = draw(_one({"it_limit_w": 3e3}, {"import_limit_w": 3e3}))
        grid["demand_response"] = [event | limit]
    return grid


@st.composite
def sites(draw: st.DrawFn, cluster: ClusterSpec, *, room: bool | None = None) -> dict[str, Any]:
    """Draw all of a scenario that stands around a cluster: {field: value}, its cooling and battery policies included.

    Args:
        draw: given by Hypothesis.
        cluster: whose racks a power tree feeds.
        room: whether the hall's air mixes; None: drawn.
    """
    onsite = draw(_onsite())
    parts: dict[str, Any] = {
        "power": draw(_powers(cluster)),
        "cooling": draw(plants()),
        "weather": draw(weathers()),
        "grid": draw(_grids()),
        "onsite": onsite,
        "policies": {"cooling": draw(_one(*sorted(known_policies("cooling"))))},
    }
    if draw(st.booleans()) if room is None else room:
        # Next to a much larger rack a small one would breathe more exhaust than it moves air: that is refused.
        equal = len(cluster.racks) == 1
        aisles = {"kind": "aisles", "recirculation_fraction": draw(_one(0.1 if equal else 0.001, 0.0))}
        parts["room"] = {"layout": aisles, "airflow": draw(_one("matched", "constant"))}
    if "battery" in onsite:
        parts["policies"]["battery"] = draw(_one(*sorted(known_policies("battery"))))
    return parts
