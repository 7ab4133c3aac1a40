"""What looks unlikely in the cooling of a scenario, though it is possible."""

from __future__ import annotations

from collections.abc import Iterator

from dcsim.spec.cooling import ENVELOPES, CoolingSpec
from dcsim.spec.scenario import Scenario

__all__ = ["cooling_doubts"]

_READ_BY = {
    "approach_k": ("chilled_water", "air_side"),
    "chiller": ("chilled_water", "air_side"),
    "tower": ("chilled_water", "air_side"),
    "tower_approach_k": ("chilled_water", "air_side"),
    "pump_fraction": ("chilled_water",),
    "water_side_economiser": ("chilled_water",),
    "cycles_of_concentration": ("chilled_water", "air_side", "liquid"),
}
"""Plants that look at a field of all plants."""
_LEAST_WATER_DEG_C = 2.0
_BY_FREE_COOLING = frozenset({"weather_reset", "least_power"})


def cooling_doubts(scenario: Scenario) -> Iterator[str]:
    """Yield a warning for each part of the cooling without effect, and for temperatures out of the usual."""
    cooling = scenario.cooling
    given, used = cooling.model_fields_set, _plants(cooling)
    for block in ("liquid", "air_side"):
        if block in given and block not in used:
            yield f"cooling.{block}: has no effect, as no part of the plant {cooling.plant} is of that kind"
    for block in ("hybrid", "fmu"):
        if block in given and cooling.plant != block:
            yield f"cooling.{block}: has no effect, as plant is {cooling.plant}"
    for name, readers in _READ_BY.items():
        if name in given and used.isdisjoint({*readers, "fmu"}):
            yield f"cooling.{name}: has no effect, as no part of the plant {cooling.plant} is {' or '.join(readers)}"
    yield from _temperatures(cooling, used)
    yield from _without_room(scenario)
    policy = scenario.policies.cooling.name
    if policy in _BY_FREE_COOLING and used == {"crac"}:
        yield f"policies.cooling: {policy} goes by the wet bulb, for free cooling, and a crac has none"


def _without_room(scenario: Scenario) -> Iterator[str]:
    """Yield a warning for each group of servers with fans or devices that feel their inlet, where there is no room."""
    if scenario.room is not None:
        return
    for i, rack in enumerate(scenario.cluster.racks):
        for j, group in enumerate(rack.servers):
            for name in ("fans", "thermal"):
                if getattr(group, name) is not None:
                    where = f"cluster.racks.{i}.servers.{j}.{name}"
                    yield f"{where}: has no effect without a room, as inlets are not followed; add `room: {{}}`"


def _plants(cooling: CoolingSpec) -> frozenset[str]:
    """Return the kinds of plant that are built."""
    named = {cooling.plant, *(part.plant for part in cooling.hybrid if cooling.plant == "hybrid")}
    return frozenset(named | ({cooling.liquid.air} if "liquid" in named else set()))


def _temperatures(cooling: CoolingSpec, used: frozenset[str]) -> Iterator[str]:
    """Yield a warning for air outside the envelope, water that may freeze, and heat that nobody can use."""
    air, supply = ENVELOPES[cooling.envelope], cooling.supply_temperature_deg_c
    if not air.low_deg_c <= supply <= air.high_deg_c:
        yield (
            f"cooling.supply_temperature_deg_c: {supply:g} degC is outside ASHRAE's {cooling.envelope} range, "
            f"{air.low_deg_c:g} to {air.high_deg_c:g} degC; name another `envelope`"
        )
    chilled = supply - cooling.approach_k
    if "chilled_water" in used and chilled < _LEAST_WATER_DEG_C:
        yield f"cooling.approach_k: chilled water of {chilled:g} degC may freeze; degF meant?"
    user = cooling.heat_reuse
    if user is not None and user.temperature_deg_c is not None and used == {"crac"}:
        yield "cooling.heat_reuse.temperature_deg_c: nothing is reused, as a CRAC's condensers have no known temperature"
