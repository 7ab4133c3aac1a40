"""Hypothesis strategies: facilities, workloads, views and whole scenarios, small and shrinking well.

Everything drawn is valid: a scenario passes `check_scenario`, and every job of a table fits the
cluster it was drawn for. Times are whole seconds unless said otherwise, so that simultaneous events
happen often. A failing example shrinks towards one rack, one server, one job, and default figures.
"""

from __future__ import annotations

from dcsim.testing.strategies.active import active_jobs
from dcsim.testing.strategies.checkpointing import checkpoints, preemptions
from dcsim.testing.strategies.facilities import (
    clusters,
    coolings,
    grids,
    networks,
    power_chains,
    storages,
    weathers,
)
from dcsim.testing.strategies.power import idle_views, make_power_view, power_views
from dcsim.testing.strategies.scenarios import scenarios, with_room_if_needed
from dcsim.testing.strategies.sites import plants, sites, warm_clusters
from dcsim.testing.strategies.views import (
    cluster_views,
    grid_views,
    job_views,
    jobs_views,
    make_cluster_view,
    make_grid_view,
    placement_requests,
)
from dcsim.testing.strategies.workloads import (
    cost_profiles,
    generated_workloads,
    job_tables,
    loaded_profiles,
)

__all__ = [
    "active_jobs",
    "checkpoints",
    "cluster_views",
    "clusters",
    "coolings",
    "cost_profiles",
    "generated_workloads",
    "grid_views",
    "grids",
    "idle_views",
    "job_tables",
    "job_views",
    "jobs_views",
    "loaded_profiles",
    "make_cluster_view",
    "make_grid_view",
    "make_power_view",
    "networks",
    "placement_requests",
    "plants",
    "power_chains",
    "power_views",
    "preemptions",
    "scenarios",
    "sites",
    "storages",
    "warm_clusters",
    "weathers",
    "with_room_if_needed",
]
