"""The registry: policies by name, the built-in ones and those of installed plug-ins."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
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
from dcsim.policies.dynamic import Gittins, LeastAttainedService, ShortestRemaining, Tiresias
from dcsim.policies.elastic_goodput import ElasticEqual, ElasticGoodput
from dcsim.policies.energy import CarbonShift, NoEnergyPolicy, PowerCap, SleepIdle
from dcsim.policies.facility import BatteryPolicy, CoolingPolicy, FixedSetPoints, IdleBattery
from dcsim.policies.ordering import EarliestDeadline, Fifo, Priority, ShortestFirst, SmallestFirst
from dcsim.policies.placement import BestFit, FirstFit, RackLocal, Spread, WorstFit
from dcsim.policies.placement_fgd import FragmentationGradient
from dcsim.policies.placement_random import RandomFit
from dcsim.policies.placement_scores import BestFitVector, DotProduct, GpuClustering, GpuPacking
from dcsim.policies.placement_topology import Consolidated, TopologyAware
from dcsim.policies.placement_types import FastestFirst, LeastContended
from dcsim.policies.suspending import CarbonSuspend
from dcsim.policies.tenants import DominantResourceFairness, FairShare, FinishTimeFairness

__all__ = [
    "ENTRY_POINT_GROUP",
    "known_policies",
    "load_plugins",
    "make_policy",
    "parameter_problems",
    "register",
]

ENTRY_POINT_GROUP = "dcsim.policies"
"""Installed packages name their policy classes under this entry-point group."""

Policy = OrderingPolicy | PlacementPolicy | EnergyPolicy | CoolingPolicy | BatteryPolicy
PolicyClass = (
    type[OrderingPolicy]
    | type[PlacementPolicy]
    | type[EnergyPolicy]
    | type[CoolingPolicy]
    | type[BatteryPolicy]
)

_BASES: Mapping[str, PolicyClass] = {
    "ordering": OrderingPolicy,
    "placement": PlacementPolicy,
    "energy": EnergyPolicy,
    "cooling": CoolingPolicy,
    "battery": BatteryPolicy,
}
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
    if _REGISTRY[kind].setdefault(name, policy) is not policy:
        msg = f"{kind} policy {name!r} is already registered by {_REGISTRY[kind][name].__module__}"
        raise PolicyError(msg)
    return policy


_BUILT_IN: tuple[PolicyClass, ...] = (Fifo, ShortestFirst, FirstFit, BestFit, Spread, RackLocal)
_BUILT_IN += (WorstFit, RandomFit, BestFitVector, DotProduct, GpuClustering, GpuPacking)
_BUILT_IN += (FragmentationGradient, Consolidated, TopologyAware, FastestFirst, LeastContended)
_BUILT_IN += (SmallestFirst, Priority, EarliestDeadline)
_BUILT_IN += (EasyBackfill, ConservativeBackfill)
_BUILT_IN += (ShortestRemaining, LeastAttainedService, Tiresias, Gittins)
_BUILT_IN += (FairShare, DominantResourceFairness, FinishTimeFairness)
_BUILT_IN += (ElasticGoodput, ElasticEqual)
_BUILT_IN += (MaxMinFairness, MaxMinThroughput, MaxSumThroughput, MinMakespan, FinishTimeAllocation)
_BUILT_IN += (Allox, FifoFastest, FifoLastListed)
_BUILT_IN += (FixedSetPoints, IdleBattery)
_BUILT_IN += (NoEnergyPolicy, PowerCap, SleepIdle, CarbonShift, CarbonSuspend)
for _policy in _BUILT_IN:
    register(_policy)


def known_policies(kind: str) -> Mapping[str, PolicyClass]:
    """Return the registered classes of one kind ("ordering", "placement", "energy", "cooling", "battery") by name.

    >>> sorted(known_policies("placement"))[:4]
    ['best_fit', 'best_fit_vector', 'consolidated', 'dot_prod']
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


def make_policy(kind: str, name: str, parameters: Mapping[str, Any] | None = None) -> Policy:
    """Return a policy of `kind` by its registry name.

    Raises:
        PolicyError: the name is unknown (the nearest is suggested) or a parameter does not fit.

    >>> make_policy("energy", "power_cap", {"cap_fraction": 0.6}).cap_fraction
    0.6
    """
    registry = _REGISTRY[kind]
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        msg = f"policies.{kind}: {name!r} -> expected one of {', '.join(sorted(registry))}{hint}"
        raise PolicyError(msg)
    given = dict(parameters or {})
    wrong = parameter_problems(registry[name], given)
    if wrong:
        places = (f"policies.{kind}.parameters.{key}" if key else f"policies.{kind}" for key, _, _ in wrong)
        msg = "\n".join(
            f"{place}: {got} -> expected {expected}"
            for place, (_, got, expected) in zip(places, wrong, strict=True)
        )
        raise PolicyError(msg)
    return registry[name](**given)


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
