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
from dcsim.policies.combined import Combined
from dcsim.policies.facility import BatteryPolicy, BatteryView, CoolingPolicy, HallView
from dcsim.policies.heat_view import HeatView
from dcsim.policies.power_view import IdleView, PowerView
from dcsim.policies.registry import (
    POLICY_KINDS,
    choice_problems,
    known_policies,
    load_plugins,
    make_policy,
    parameter_problems,
    policy_parts,
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
    "POLICY_KINDS",
    "ActiveJobs",
    "AllocationPolicy",
    "AllocationView",
    "BatteryPolicy",
    "BatteryView",
    "ClusterView",
    "Combined",
    "CoolingPolicy",
    "DecidingPolicy",
    "Decision",
    "DynamicOrdering",
    "EnergyPolicy",
    "GridView",
    "HallView",
    "HeatView",
    "IdleView",
    "JobView",
    "JobsView",
    "OrderingPolicy",
    "Placement",
    "PlacementPolicy",
    "PlacementRequest",
    "PowerView",
    "TenantsView",
    "choice_problems",
    "known_policies",
    "load_plugins",
    "make_policy",
    "parameter_problems",
    "policy_parts",
    "register",
]
