"""The registry: policies by name, the built-in ones and those of installed plug-ins."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from dcsim.errors import PolicyError
from dcsim.policies.allocation import (
    Allox,
    FifoFastest,
    FifoLastListed,
    FinishTimeAllocation,
    MaxMinFairness,
    MaxMinThroughput,
    MaxSumThroughput,
    MinMakespan,
)
from dcsim.policies.backfill import ConservativeBackfill, EasyBackfill
from dcsim.policies.base import EnergyPolicy, OrderingPolicy, PlacementPolicy
from dcsim.policies.battery import (
    BatteryCarbon,
    BatteryDemandResponse,
    BatteryPrice,
    BatterySolar,
    BatteryStacked,
    PeakShaving,
)
from dcsim.policies.capping_static import BoundedSlowdownCap, EnergyOptimalCap
from dcsim.policies.carbon_scaling import CarbonScale
from dcsim.policies.combined import COMBINE, Combined, conflict
from dcsim.policies.consolidation import SleepForecast
from dcsim.policies.cooling import FlowByLoad, HighestSupply, LeastPower, WeatherReset
from dcsim.policies.demand_response import DemandResponse
from dcsim.policies.dynamic import Gittins, LeastAttainedService, ShortestRemaining, Tiresias
from dcsim.policies.elastic_goodput import ElasticEqual, ElasticGoodput
from dcsim.policies.energy import CarbonShift, NoEnergyPolicy, PowerCap, PriceShift, SleepIdle
from dcsim.policies.energy_caps import CarbonCap, LeastEnergyCap, PriceCap
from dcsim.policies.facility import BatteryPolicy, CoolingPolicy, FixedSetPoints, IdleBattery
from dcsim.policies.ordering import EarliestDeadline, Fifo, Priority, ShortestFirst, SmallestFirst
from dcsim.policies.oversubscription import Polca
from dcsim.policies.placement import BestFit, FirstFit, RackLocal, Spread, WorstFit
from dcsim.policies.placement_awake import AwakeFirst
from dcsim.policies.placement_fgd import FragmentationGradient
from dcsim.policies.placement_random import RandomFit
from dcsim.policies.placement_scores import BestFitVector, DotProduct, GpuClustering, GpuPacking
from dcsim.policies.placement_thermal import CoolestInlet, LeastRecirculation, MinimalHottest
from dcsim.policies.placement_topology import Consolidated, TopologyAware
from dcsim.policies.placement_types import FastestFirst, LeastContended
from dcsim.policies.power_budget import PowerBudget, PriorityBudget, UniformBudget
from dcsim.policies.routing import (
    Cheapest,
    Cleanest,
    FollowTheSun,
    Home,
    LeastCost,
    LoadBalance,
    RoutingPolicy,
)
from dcsim.policies.stragglers import StragglerScaling
from dcsim.policies.suspending import CarbonSuspend, PriceSuspend
from dcsim.policies.tenants import DominantResourceFairness, FairShare, FinishTimeFairness

__all__ = [
    "ENTRY_POINT_GROUP",
    "POLICY_KINDS",
    "ROUTING",
    "choice_problems",
    "known_policies",
    "load_plugins",
    "make_policy",
    "parameter_problems",
    "policy_parts",
    "register",
]

ENTRY_POINT_GROUP = "dcsim.policies"
"""Installed packages name their policy classes under this entry-point group."""

Policy = OrderingPolicy | PlacementPolicy | EnergyPolicy | CoolingPolicy | BatteryPolicy | RoutingPolicy
PolicyClass = (
    type[OrderingPolicy]
    | type[PlacementPolicy]
    | type[EnergyPolicy]
    | type[CoolingPolicy]
    | type[BatteryPolicy]
    | type[RoutingPolicy]
)

ROUTING = "routing"
"""The kind of policy that a fleet of sites has, not one hall."""
_BASES: Mapping[str, PolicyClass] = {
    "ordering": OrderingPolicy,
    "placement": PlacementPolicy,
    "energy": EnergyPolicy,
    "cooling": CoolingPolicy,
    "battery": BatteryPolicy,
    ROUTING: RoutingPolicy,
}
POLICY_KINDS: tuple[str, ...] = tuple(kind for kind in _BASES if kind != ROUTING)
"""What policies decide: the names under `policies` of a scenario."""
_REGISTRY: dict[str, dict[str, PolicyClass]] = {kind: {} for kind in _BASES}


def register(policy: PolicyClass) -> PolicyClass:
    """Add a policy class under its `name`; usable as a decorator.

    Raises:
        PolicyError: it is no policy, has no name, or the name is taken by another class.
    """
    kind = next((kind for kind, base in _BASES.items() if issubclass(policy, base)), None)
    name = getattr(policy, "name", "")
    if kind is None or not name:
        msg = f"{policy!r} -> expected a named subclass of one of the policy classes"
        raise PolicyError(msg)
    if COMBINE in name:
        msg = f"{policy!r}: {name!r} -> expected a name without {COMBINE}, which stands between combined policies"
        raise PolicyError(msg)
    if _REGISTRY[kind].setdefault(name, policy) is not policy:
        msg = f"{kind} policy {name!r} is already registered by {_REGISTRY[kind][name].__module__}"
        raise PolicyError(msg)
    return policy


_BUILT_IN: tuple[PolicyClass, ...] = (Fifo, ShortestFirst, FirstFit, BestFit, Spread, RackLocal)
_BUILT_IN += (WorstFit, RandomFit, BestFitVector, DotProduct, GpuClustering, GpuPacking)
_BUILT_IN += (CoolestInlet, LeastRecirculation, MinimalHottest)
_BUILT_IN += (FragmentationGradient, Consolidated, TopologyAware, FastestFirst, LeastContended)
_BUILT_IN += (SmallestFirst, Priority, EarliestDeadline)
_BUILT_IN += (EasyBackfill, ConservativeBackfill)
_BUILT_IN += (ShortestRemaining, LeastAttainedService, Tiresias, Gittins)
_BUILT_IN += (FairShare, DominantResourceFairness, FinishTimeFairness)
_BUILT_IN += (ElasticGoodput, ElasticEqual)
_BUILT_IN += (MaxMinFairness, MaxMinThroughput, MaxSumThroughput, MinMakespan, FinishTimeAllocation)
_BUILT_IN += (Allox, FifoFastest, FifoLastListed)
_BUILT_IN += (FixedSetPoints, IdleBattery)
_BUILT_IN += (HighestSupply, WeatherReset, FlowByLoad, LeastPower)
_BUILT_IN += (NoEnergyPolicy, PowerCap, SleepIdle, CarbonShift, CarbonSuspend)
_BUILT_IN += (PriceShift, PriceSuspend, EnergyOptimalCap, BoundedSlowdownCap)
_BUILT_IN += (LeastEnergyCap, CarbonCap, PriceCap, UniformBudget, PowerBudget, PriorityBudget, Polca)
_BUILT_IN += (StragglerScaling, SleepForecast, CarbonScale, AwakeFirst, DemandResponse)
_BUILT_IN += (Home, Cleanest, Cheapest, LeastCost, FollowTheSun, LoadBalance)
_BUILT_IN += (BatteryPrice, BatteryCarbon, BatterySolar, PeakShaving, BatteryDemandResponse, BatteryStacked)
for _policy in _BUILT_IN:
    register(_policy)


def known_policies(kind: str) -> Mapping[str, PolicyClass]:
    """Return the registered classes of one kind by name.

    Kinds are "ordering", "placement", "energy", "cooling", "battery" and, for fleets, "routing".

    >>> sorted(known_policies("placement"))[:3]
    ['awake_first', 'best_fit', 'best_fit_vector']
    """
    return MappingProxyType(_REGISTRY[kind])


def load_plugins() -> tuple[str, ...]:
    """Import and register the policies of installed packages; returns their names.

    Runs the code of those packages, so nothing calls it unless a user asks for plug-ins.

    Raises:
        PolicyError: an entry point is not a policy, or takes a registered name.
    """
    points = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
    return tuple(register(point.load()).name for point in points)


def policy_parts(kind: str, name: str) -> tuple[str, ...]:
    """Return the names of the policies that a name stands for: energy policies may be combined.

    >>> policy_parts("energy", "power_cap+sleep_idle")
    ('power_cap', 'sleep_idle')
    """
    return tuple(name.split(COMBINE)) if kind == "energy" else (name,)


def make_policy(kind: str, name: str, parameters: Mapping[str, Any] | None = None) -> Policy:
    """Return a policy of `kind` by its registry name, or of several energy policies joined by "+".

    Raises:
        PolicyError: the name is unknown (the nearest is suggested), a parameter does not fit, or two policies
            cannot be combined.

    >>> make_policy("energy", "power_cap", {"cap_fraction": 0.6}).cap_fraction
    0.6
    >>> make_policy("energy", "power_cap+sleep_idle", {"sleep_idle.after_s": 60.0}).sleep_after_s()
    60.0
    """
    registry, parts = _REGISTRY[kind], policy_parts(kind, name)
    for part in parts:
        if part not in registry:
            near = difflib.get_close_matches(part, registry, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            msg = f"policies.{kind}: {part!r} -> expected one of {', '.join(sorted(registry))}{hint}"
            raise PolicyError(msg)
    given = dict(parameters or {})
    wrong = choice_problems(kind, name, given)
    if wrong:
        places = (f"policies.{kind}.parameters.{key}" if key else f"policies.{kind}" for key, _, _ in wrong)
        msg = "\n".join(
            f"{place}: {got} -> expected {expected}"
            for place, (_, got, expected) in zip(places, wrong, strict=True)
        )
        raise PolicyError(msg)
    return registry[name](**given) if len(parts) == 1 else Combined(_made(parts, given))


def _made(parts: Sequence[str], parameters: Mapping[str, Any]) -> list[EnergyPolicy]:
    """Return the energy policies of some names, each with the parameters that are addressed to it."""
    made = [_REGISTRY["energy"][part](**_own(part, parameters)) for part in parts]
    return [policy for policy in made if isinstance(policy, EnergyPolicy)]


def _own(part: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters addressed to one policy of several, without the address."""
    own = ((key.rpartition("."), value) for key, value in parameters.items())
    return {name: value for (address, _, name), value in own if address == part}


def choice_problems(kind: str, name: str, parameters: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Return (parameter, got, expected) of all that the registered policies of a name cannot take.

    Parameters of combined policies are addressed: `power_cap.cap_fraction`. "" where it is their combination, or
    that of policies.

    >>> choice_problems("energy", "power_cap+sleep_idle", {"cap_fraction": 0.5})
    (('cap_fraction', 'a parameter without its policy', 'power_cap.cap_fraction'),)
    >>> choice_problems("energy", "power_cap+sleep_idle", {"sleep_idle.after_s": 0.0})
    (('sleep_idle.after_s', '0.0', 'a finite duration in seconds > 0'),)
    """
    parts, registry = policy_parts(kind, name), _REGISTRY[kind]
    if len(parts) == 1:
        return parameter_problems(registry[name], parameters)
    wrong: list[tuple[str, str, str]] = []
    for key in parameters:
        address, _, last = key.rpartition(".")
        if address not in parts:
            takes = [part for part in parts if last in inspect.signature(registry[part]).parameters]
            expected = " or ".join(f"{part}.{last}" for part in takes or parts)
            what = (
                "a policy that is not among those combined" if address else "a parameter without its policy"
            )
            wrong.append((key, what, expected))
    for part in dict.fromkeys(parts):
        found = parameter_problems(registry[part], _own(part, parameters))
        wrong += [(f"{part}.{key}" if key else "", got, expected) for key, got, expected in found]
    if not wrong:
        got, _, expected = conflict(_made(parts, parameters)).partition(" -> expected ")
        wrong += [("", got, expected)] if got else []
    return tuple(wrong)


def parameter_problems(
    policy: PolicyClass, parameters: Mapping[str, Any]
) -> tuple[tuple[str, str, str], ...]:
    """Return (parameter, got, expected) of all that a policy cannot take; "" where it is their combination.

    >>> parameter_problems(PowerCap, {"cap": 0.5})
    (('cap', 'an unknown parameter', 'a parameter of power_cap: cap_fraction'),)
    >>> parameter_problems(PowerCap, {"cap_fraction": 2.0})
    (('cap_fraction', '2.0', 'a fraction in (0, 1]'),)
    """
    accepted = inspect.signature(policy).parameters
    wrong = []
    for key, value in parameters.items():
        if key not in accepted:
            known = f"a parameter of {policy.name}: {', '.join(accepted)}" if accepted else "no parameters"
            wrong.append((key, "an unknown parameter", known))
        elif isinstance(value, bool) or not isinstance(value, int | float):
            wrong.append((key, repr(value), "a number"))
    if not wrong:
        try:
            policy(**parameters)
        except (PolicyError, TypeError, ValueError) as error:  # the last two from users' own policies
            place, _, said = str(error).partition(": ")
            got, _, expected = said.partition(" -> expected ")
            key = place.removeprefix(f"{policy.name}.")
            wrong.append((key, got, expected) if key in parameters else ("", str(parameters), str(error)))
    return tuple(wrong)
