"""What is unlikely of policies of energy and battery: those that can change nothing in the scenario they are chosen for."""

from __future__ import annotations

from collections.abc import Iterator

from dcsim.spec.grid import ConstantCarbonSpec, ConstantPriceSpec
from dcsim.spec.scenario import Scenario
from dcsim.spec.workload import GeneratedWorkloadSpec

__all__ = ["energy_doubts", "signal_is_constant"]

_SHIFT = frozenset({"carbon_shift", "carbon_suspend", "carbon_scale", "price_shift", "price_suspend"})
"""Move work of deferrable jobs to other hours."""
_BY_GRID = _SHIFT | {"carbon_cap", "price_cap"}
_BUDGET = frozenset({"power_budget", "power_budget_uniform", "power_budget_priority", "polca"})


def energy_doubts(scenario: Scenario) -> Iterator[str]:
    """Yield a warning for each policy that has no effect for lack of what it goes by."""
    for name in scenario.policies.energy.parts:
        if name in _BY_GRID and signal_is_constant(scenario, name):
            signal, field = ("price", "price") if name.startswith("price") else ("carbon intensity", "carbon")
            yield f"policies.energy: {name} has no effect under a constant {signal}; give grid.{field} a day"
        if name in _SHIFT and not _may_be_late(scenario):
            yield f"policies.energy: {name} has no effect, as no job is deferrable (workload.mix)"
        if name in _BUDGET and not _has_budget(scenario, name):
            yield f"policies.energy: {name} has no budget to keep; give power.budget_w"
        if name == "demand_response" and not scenario.grid.demand_response:
            yield f"policies.energy: {name} has no effect without events; give grid.demand_response"
    if scenario.policies.battery.name == "demand_response" and not scenario.grid.demand_response:
        yield "policies.battery: demand_response has no effect without events; give grid.demand_response"


def signal_is_constant(scenario: Scenario, name: str) -> bool:
    """Say whether what a policy `name`, or one of "price" and "carbon", goes by never changes."""
    grid = scenario.grid
    if name.startswith("price"):
        return grid.tariff is None and isinstance(grid.price, ConstantPriceSpec)
    series = {"marginal": grid.marginal_carbon, "life_cycle": grid.lifecycle_carbon}
    return isinstance(series.get(grid.steer_by, grid.carbon), ConstantCarbonSpec)


def _may_be_late(scenario: Scenario) -> bool:
    """Say whether some job may have slack; of a trace that is not known here."""
    workload = scenario.workload
    if not isinstance(workload, GeneratedWorkloadSpec):
        return True
    return any(kind.deferrable_fraction and kind.slack_s for kind in workload.mix)


def _has_budget(scenario: Scenario, name: str) -> bool:
    power, given = scenario.power, scenario.policies.energy.parameters
    events = any(event.it_limit_w is not None for event in scenario.grid.demand_response)
    own = "budget_w" in given or f"{name}.budget_w" in given
    return own or events or power.budget_w is not None or power.tree is not None
