"""Decisions: who goes first, where, and at what power. Pure functions of read-only views."""

from __future__ import annotations

from dcsim.policies.active import ActiveJobs, Decision, TenantsView
from dcsim.policies.allocation import AllocationPolicy, AllocationView
from dcsim.policies.base import (
    DecidingPolicy,
    DynamicOrdering,
    EnergyPolicy,
    OrderingPolicy,
    PlacementPolicy,
)
from dcsim.policies.registry import (
    known_policies,
    load_plugins,
    make_policy,
    parameter_problems,
    register,
)
from dcsim.policies.views import (
    ClusterView,
    GridView,
    JobsView,
    JobView,
    Placement,
    PlacementRequest,
)

__all__ = [
    "ActiveJobs",
    "AllocationPolicy",
    "AllocationView",
    "ClusterView",
    "DecidingPolicy",
    "Decision",
    "DynamicOrdering",
    "EnergyPolicy",
    "GridView",
    "JobView",
    "JobsView",
    "OrderingPolicy",
    "Placement",
    "PlacementPolicy",
    "PlacementRequest",
    "TenantsView",
    "known_policies",
    "load_plugins",
    "make_policy",
    "parameter_problems",
    "register",
]
