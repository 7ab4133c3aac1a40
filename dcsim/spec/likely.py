"""What looks unlikely in a scenario, though it is possible: ratings, and parts without effect."""

from __future__ import annotations

from collections.abc import Iterator

from dcsim.spec.bands import unusual
from dcsim.spec.check import Catalogue, idle_it_power_w, peak_it_power_w, server_groups
from dcsim.spec.cooling import ConstantWeatherSpec
from dcsim.spec.cooling_likely import cooling_doubts
from dcsim.spec.energy_likely import energy_doubts
from dcsim.spec.network_likely import network_doubts
from dcsim.spec.scenario import Scenario
from dcsim.spec.site_likely import site_doubts
from dcsim.spec.workload import GeneratedWorkloadSpec
from dcsim.units import Quantity, format_quantity

__all__ = ["plausibility"]


def plausibility(scenario: Scenario, catalogue: Catalogue | None = None) -> tuple[str, ...]:
    """Return warnings about values outside the usual range and about parts without effect.

    Nothing here stops a run. With a hardware `catalogue` the ratings are compared with the peak
    draw, too.
    """
    warnings = list(unusual(scenario))
    warnings += _unused(scenario)
    warnings += _without_effect(scenario)
    warnings += network_doubts(scenario)
    warnings += site_doubts(scenario)
    warnings += cooling_doubts(scenario)
    if catalogue is not None:
        warnings += _overload(scenario, {**catalogue, **scenario.accelerators})
    return tuple(warnings)


def _unused(scenario: Scenario) -> Iterator[str]:
    """Yield a warning for each accelerator and profile that is described and not used."""
    used = {group.accelerator for _, _, group in server_groups(scenario)}
    yield from (
        f"accelerators.{name}: no server has it" for name in scenario.accelerators if name not in used
    )
    workload = scenario.workload
    jobs = [kind.profile for kind in workload.mix] if isinstance(workload, GeneratedWorkloadSpec) else []
    # A trace may name profiles in its own rows, so none is called unused there.
    if jobs:
        yield from (f"profiles.{name}: no job uses it" for name in scenario.profiles if name not in jobs)


def _without_effect(scenario: Scenario) -> Iterator[str]:
    """Yield a warning for each policy or limit that cannot change anything, or hides everything."""
    workload = scenario.workload
    yield from energy_doubts(scenario)
    if not isinstance(workload, GeneratedWorkloadSpec):
        return
    horizon_s, rate_per_s = scenario.horizon_s, workload.arrivals.rate_per_s
    if horizon_s is not None and rate_per_s is not None and horizon_s * rate_per_s < 1.0:
        yield "horizon_s: shorter than the mean gap between arrivals (workload.arrivals.rate_per_s)"
    if horizon_s is not None and horizon_s < workload.sizes.min_s:
        yield "horizon_s: shorter than the shortest job (workload.sizes.min_s), so none may end"
    if (
        isinstance(scenario.weather, ConstantWeatherSpec)
        and horizon_s is not None
        and horizon_s > 90 * 86_400.0
    ):
        yield "weather: constant for a horizon of months; a site or a file has seasons"


def _overload(scenario: Scenario, catalogue: Catalogue) -> Iterator[str]:
    """Yield a warning for each rating below the peak draw."""
    peak_w, idle_w = peak_it_power_w(scenario, catalogue), idle_it_power_w(scenario, catalogue)
    shown = format_quantity(peak_w, Quantity.POWER)
    capacity_w = scenario.cooling.capacity_w
    if capacity_w is not None and idle_w < capacity_w < peak_w:
        got = format_quantity(capacity_w, Quantity.POWER)
        yield f"cooling.capacity_w: {got} is below the peak heat ({shown}); the hall gets hotter at full load"
    for i, stage in enumerate(scenario.power.stages):
        if stage.rated_power_w is not None and stage.rated_power_w < peak_w:
            got = format_quantity(stage.rated_power_w, Quantity.POWER)
            yield f"power.stages.{i}.rated_power_w: {got} is below the peak draw ({shown})"
        if stage.bypass_power_w > peak_w:
            got = format_quantity(stage.bypass_power_w, Quantity.POWER)
            yield f"power.stages.{i}.bypass_power_w: {got} is above the peak draw ({shown}), so nothing passes the stage"
    yield from _too_roomy(scenario, peak_w)


_ROOMY = 100.0
"""A budget of so many times the peak is none."""


def _too_roomy(scenario: Scenario, peak_w: float) -> Iterator[str]:
    """Yield a warning for each budget that nothing can come near, or that lets more through than may flow."""
    power, tree = scenario.power, scenario.power.tree
    if power.budget_w is not None and power.budget_w > _ROOMY * peak_w:
        got, most = (format_quantity(watts, Quantity.POWER) for watts in (power.budget_w, peak_w))
        yield f"power.budget_w: {got} is far above the peak draw ({most}); kW given as W, or MW for kW?"
    if tree is None:
        return
    pairs = [("rack_budget_w", tree.rack_budget_w, "rack_breaker_w", tree.rack_breaker_w)]
    pairs += [
        (f"pdus.{i}.budget_w", pdu.budget_w, "its rated_power_w", pdu.rated_power_w)
        for i, pdu in enumerate(tree.pdus)
    ]
    for name, budget_w, rating, rated_w in pairs:
        if budget_w is not None and rated_w is not None and budget_w > rated_w:
            got, most = (format_quantity(watts, Quantity.POWER) for watts in (budget_w, rated_w))
            yield f"power.tree.{name}: {got} is above {rating} ({most}), so a policy that keeps to it overloads it"
