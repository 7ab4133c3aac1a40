"""What is unlikely of a site: limits that no policy keeps to, and batteries without what their policy goes by."""

from __future__ import annotations

from collections.abc import Iterator

from dcsim.spec.energy_likely import signal_is_constant
from dcsim.spec.scenario import Scenario

__all__ = ["site_doubts"]

_HEEDLESS = frozenset({
    "none", "power_cap", "sleep_idle", "sleep_forecast", "carbon_shift", "carbon_suspend", "carbon_scale", "carbon_cap",
    "price_shift", "price_suspend", "price_cap", "energy_optimal_cap", "bounded_slowdown_cap", "least_energy_cap",
    "straggler_scaling",
})  # fmt: skip
"""Energy policies that look at no limit of power; those of plug-ins may."""
_HEEDLESS_BATTERIES = frozenset({"idle", "battery_price", "battery_carbon", "battery_solar", "peak_shaving"})
_BUDGETS = "power_budget, power_budget_uniform, power_budget_priority, polca"


def site_doubts(scenario: Scenario) -> Iterator[str]:
    """Yield a warning for each limit that nobody keeps to, and for a battery's policy without what it goes by."""
    energy, battery = frozenset(scenario.policies.energy.parts), scenario.policies.battery.name
    if energy <= _HEEDLESS | {"demand_response"}:
        for field in _budgets(scenario):
            yield f"{field}: no energy policy keeps to it ({_BUDGETS} do)"
    events = scenario.grid.demand_response
    if energy <= _HEEDLESS and any(event.it_limit_w is not None for event in events):
        yield f"grid.demand_response: no energy policy keeps to it_limit_w (demand_response, {_BUDGETS} do)"
    if battery in _HEEDLESS_BATTERIES and any(event.import_limit_w is not None for event in events):
        yield "grid.demand_response: no battery keeps to import_limit_w (policies demand_response, battery_stacked do)"
    yield from _batteries(scenario, battery)


def _budgets(scenario: Scenario) -> Iterator[str]:
    """Yield the field of each budget."""
    power, tree = scenario.power, scenario.power.tree
    if power.budget_w is not None:
        yield "power.budget_w"
    if tree is not None:
        if tree.rack_budget_w is not None:
            yield "power.tree.rack_budget_w"
        yield from (
            f"power.tree.pdus.{i}.budget_w" for i, pdu in enumerate(tree.pdus) if pdu.budget_w is not None
        )


def _batteries(scenario: Scenario, policy: str) -> Iterator[str]:
    """Yield a warning where a battery has nothing to go by: no price that moves, no sun."""
    if scenario.onsite.solar is not None:
        return  # a surplus of the sun is worth storing under any price
    if policy == "battery_solar":
        yield "policies.battery: battery_solar has no sun to store; give onsite.solar"
    signal, field = {
        "battery_price": ("price", "price"),
        "battery_carbon": ("carbon intensity", "carbon"),
    }.get(policy, ("", ""))
    if signal and signal_is_constant(scenario, field):
        yield f"policies.battery: {policy} has no effect under a constant {signal}; give grid.{field} a day"
