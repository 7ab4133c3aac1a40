"""The registry: policies by name, the built-in ones and those of installed plug-ins."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from dcsim.errors import PolicyError
from dcsim.policies.base import EnergyPolicy, OrderingPolicy, PlacementPolicy
from dcsim.policies.energy import CarbonShift, NoEnergyPolicy, PowerCap, SleepIdle
from dcsim.policies.ordering import Fifo, ShortestFirst
from dcsim.policies.placement import BestFit, FirstFit, RackLocal, Spread

__all__ = ["ENTRY_POINT_GROUP", "known_policies", "load_plugins", "make_policy", "register"]

ENTRY_POINT_GROUP = "dcsim.policies"
"""Installed packages name their policy classes under this entry-point group."""

Policy = OrderingPolicy | PlacementPolicy | EnergyPolicy
PolicyClass = type[OrderingPolicy] | type[PlacementPolicy] | type[EnergyPolicy]

_BASES: Mapping[str, PolicyClass] = {
    "ordering": OrderingPolicy,
    "placement": PlacementPolicy,
    "energy": EnergyPolicy,
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
        msg = f"{policy!r} -> expected a named subclass of OrderingPolicy, PlacementPolicy or EnergyPolicy"
        raise PolicyError(msg)
    if _REGISTRY[kind].setdefault(name, policy) is not policy:
        msg = f"{kind} policy {name!r} is already registered by {_REGISTRY[kind][name].__module__}"
        raise PolicyError(msg)
    return policy


_BUILT_IN: tuple[PolicyClass, ...] = (Fifo, ShortestFirst, FirstFit, BestFit, Spread, RackLocal)
_BUILT_IN += (NoEnergyPolicy, PowerCap, SleepIdle, CarbonShift)
for _policy in _BUILT_IN:
    register(_policy)


def known_policies(kind: str) -> Mapping[str, PolicyClass]:
    """Return the registered classes of one kind ("ordering", "placement", "energy") by name.

    >>> sorted(known_policies("placement"))
    ['best_fit', 'first_fit', 'rack_local', 'spread']
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
    accepted = inspect.signature(registry[name]).parameters
    for key, value in given.items():
        if key not in accepted:
            known = ", ".join(accepted) or "none"
            msg = f"policies.{kind}.parameters.{key}: unknown -> {name} takes {known}"
            raise PolicyError(msg)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            msg = f"policies.{kind}.parameters.{key}: {value!r} -> expected a number"
            raise PolicyError(msg)
    return registry[name](**given)
