"""One small run with every subsystem coupled, and the digest of all it leaves."""

from __future__ import annotations

import hashlib
import json

from dcsim.results.run_result import RunResult
from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from tests.oracles.readers import reader_profile

__all__ = ["coupled_run_digest", "digest"]


def digest(result: RunResult) -> str:
    """Return the SHA-256 of every byte of a result: tables, summary, balances, provenance, warnings."""
    state = hashlib.sha256()
    for table in (result.jobs, result.events, result.series):
        for name, column in table.items():
            state.update(f"{name}:{column.dtype}:{column.shape};".encode())
            raw = "\0".join(column.tolist()).encode() if column.dtype == object else column.tobytes()
            state.update(raw)
    rest = [
        result.scenario_sha256, result.seed, result.placement, list(result.event_kinds), list(result.server_names),
        dict(result.summary), dict(result.balances), [dict(record) for record in result.provenance],
        list(result.warnings),
    ]  # fmt: skip
    state.update(json.dumps(rest).encode())
    return state.hexdigest()


def coupled_run_digest(seed: int) -> str:
    """Return the digest of 400 generated jobs that queue, share the file system and the fat-tree, and shift."""
    # Wide gangs of the reader over several servers overbook storage and uplinks at once.
    scenario = Scenario.model_validate(
        {
            "name": "coupled",
            "cluster": {
                "racks": [
                    {
                        "name": "a",
                        "count": 2,
                        "servers": [{"count": 4, "accelerator": "T4", "accelerators": 4}],
                    },
                    {"name": "b", "servers": [{"count": 4, "accelerator": "V100", "accelerators": 8}]},
                ]
            },
            "network": {"oversubscription": 2.0, "server_bandwidth_bytes_per_s": "10 Gbit/s"},
            "storage": {"shared": {"bandwidth_bytes_per_s": "40 GB/s"}},
            "weather": {"kind": "site", "site": "singapore"},
            "grid": {"carbon": {"kind": "daily", "intensity_kg_per_j": [1e-7 + 1e-9 * h for h in range(24)]}},
            "workload": {
                "kind": "generated",
                "jobs": 400,
                "arrivals": {"load": 0.9, "diurnal_amplitude": 0.4},
                "sizes": {"median_s": 900.0, "sigma": 1.0},
                "mix": [{"profile": "reader", "widths": {1: 0.5, 4: 0.3, 8: 0.2}}],
            },
            "policies": {
                "ordering": {"name": "fifo", "parameters": {"skip": 4}},
                "placement": "spread",
                "energy": "carbon_shift",
            },
        }
    )
    return digest(simulate(scenario, seed, profiles={"reader": reader_profile()}))
