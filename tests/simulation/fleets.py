"""Small fleets with round figures: halls whose facility power is proportional to IT power, opposite grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dcsim.policies import make_policy
from dcsim.policies.registry import ROUTING
from dcsim.policies.routing import RoutingPolicy
from dcsim.spec.fleet import FleetSpec
from dcsim.spec.fleet_load import LoadedFleet
from dcsim.spec.load import LoadedScenario, scenario_sha256
from dcsim.spec.scenario import Scenario
from tests.simulation.halls import DEVICE_IDLE_W, DEVICE_PEAK_W, IDLE_W, PEAK_W, hall

HORIZON_S = 86_400.0
DIRTY, CLEAN = 2e-7, 5e-8
"""kg/J."""
JOB_W = 4 * (DEVICE_PEAK_W - DEVICE_IDLE_W) + (PEAK_W - IDLE_W)
"""A job on a whole server, above idle."""
COP = 0.0068 * 24.0**2 + 0.0008 * 24.0 + 0.458
"""Moore et al. (USENIX 2005) at the supply temperature of 24 degC."""


def site(carbon: float = DIRTY, price: float = 3e-8, *, servers: int = 2, **parts: Any) -> Scenario:
    """A hall without conversion losses and fans, cooled at a constant COP, with a hall of air that holds no heat."""
    grid = {
        "carbon": {"kind": "constant", "intensity_kg_per_j": carbon},
        "price": {"kind": "constant", "price_usd_per_j": price},
    }
    said: dict[str, Any] = {
        "power": {"stages": []},
        "cooling": {"plant": "crac", "fan_fraction": 0.0, "hall_time_constant_s": 1e-3},
        "grid": grid,
        "horizon_s": HORIZON_S,
    }
    return hall(servers, **(said | parts))


def router(name: str, **parameters: float) -> RoutingPolicy:
    """A router by its name."""
    policy = make_policy(ROUTING, name, parameters)
    assert isinstance(policy, RoutingPolicy)
    return policy


def fleet(sites: dict[str, Scenario], folder: Path | None = None, **parts: Any) -> LoadedFleet:
    """A fleet of these halls; paths start in `folder`."""
    said: dict[str, Any] = {
        "name": "fleet",
        "horizon_s": HORIZON_S,
        "sites": [{"name": name, "scenario": f"{name}.yaml"} for name in sites],
        "workload": {"kind": "generated", "jobs": 1, "mix": [{"profile": "tiny_transformer"}]},
        "wan": {"latency_s": 0.0},
    }
    spec = FleetSpec.model_validate(said | parts)
    folder = folder or Path()
    halls = []
    for name, given in sites.items():
        trace = {"kind": "trace", "path": f"{name}.jobs.parquet"}
        update = {
            "horizon_s": spec.horizon_s,
            "workload": type(given)
            .model_validate({**given.model_dump(mode="json"), "workload": trace})
            .workload,
        }
        scenario = given.model_copy(update=update)
        halls.append(LoadedScenario(scenario, folder / f"{name}.yaml", folder, scenario_sha256(scenario)))
    return LoadedFleet(spec, tuple(halls), folder / "fleet.yaml", folder)
