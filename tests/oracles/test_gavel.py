"""Gavel's 96 jobs on 8 V100, 16 P100 and 24 K80, against the figures of its own simulator (OSDI 2020)."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.policies.allocation import (
    AllocationPolicy,
    AllocationView,
    FifoFastest,
    FifoLastListed,
    MaxMinFairness,
)
from dcsim.policies.energy import NoEnergyPolicy
from dcsim.policies.placement import FirstFit
from dcsim.results.run_result import RunResult
from dcsim.simulation import simulate
from dcsim.simulation.inputs import Policies
from dcsim.spec.scenario import Scenario
from dcsim.workload.measured_kind import MeasuredKind
from dcsim.workload.readers.gavel import read_gavel, read_gavel_rates
from tests.oracles.figures import Figures

_CLUSTER = {"K80": 24, "P100": 16, "V100": 8}
"""In the order of the names, as the published simulator lists the types; one accelerator a server."""


def _published_draws(policy: type[AllocationPolicy]) -> AllocationPolicy:
    """Return a policy with the published simulator's own generator: Python's, seeds 0 and 5.

    Which of two equal jobs goes first decides hours here, so only the same draws can be compared.
    """
    promised, shuffled = random.Random(0), random.Random(5)

    class Published(policy):  # type: ignore[misc, valid-type]
        def allocate(self, view: AllocationView) -> Any:
            return super().allocate(_with_draw(view, promised.randrange))

        def type_order(self, view: AllocationView) -> list[int]:
            if not self.shuffles_types:
                return super().type_order(view)
            order = [2, 1, 0]
            shuffled.shuffle(order)
            return order

    return Published(whole_steps=1)


def _with_draw(view: AllocationView, draw: Any) -> AllocationView:
    columns = {name: getattr(view, name) for name in AllocationView.__slots__}
    return AllocationView(**(columns | {"draw": draw}))


def _run(shared_data: Path, policy: AllocationPolicy) -> RunResult:
    folder = shared_data / "traces/gavel"
    racks = [
        {"name": name, "servers": [{"count": count, "accelerator": name, "accelerators": 1}]}
        for name, count in _CLUSTER.items()
    ]
    scenario = Scenario.model_validate(
        {
            "name": "physical-96",
            "cluster": {"racks": racks},
            "workload": {"kind": "trace", "path": "physical_96.trace", "format": "gavel"},
            # The published simulator moves jobs for nothing.
            "preemption": {"checkpoint_s": 0.0, "restore_s": 0.0},
        }
    )
    # The published simulator runs a gang over several servers at the rate measured on one.
    table = read_gavel_rates(folder / "simulation_throughputs.json", any_layout=True)
    jobs = read_gavel(folder / "physical_96.trace")
    kinds = {name: MeasuredKind(table, name) for name in jobs.profile_names}
    policies = Policies(policy, FirstFit(), NoEnergyPolicy())
    return simulate(scenario, 0, jobs=jobs, profiles=kinds, policies=policies, guards=True)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("published", "policy"),
    [
        ("phys96_fifo", FifoLastListed),
        ("phys96_fifo_perf", FifoFastest),
        ("phys96_max_min_fairness", MaxMinFairness),
    ],
)
def test_gavel_physical_96(
    shared_data: Path, figure: Figures, published: str, policy: type[AllocationPolicy]
) -> None:
    expected = json.loads((shared_data / "traces/gavel/expected_physical_96.json").read_text())[published]
    result = _run(shared_data, _published_draws(policy))
    jct_s = result.jobs["jct_s"]
    their_s = np.array([expected["jct"][str(job)] for job in range(96)])
    mean_error = float(jct_s.mean()) / expected["avg_jct_s"] - 1.0
    makespan_error = result.summary["makespan_s"] / expected["makespan_s"] - 1.0
    near = float(np.mean(np.abs(jct_s / their_s - 1.0) < 0.05))
    figure.at_most(f"{published}, mean JCT off by", abs(mean_error), 0.02, f"{mean_error:+.3%}")
    figure.at_most(f"{published}, makespan off by", abs(makespan_error), 0.01, f"{makespan_error:+.3%}")
    figure.tell(f"{published}, jobs within 5 %", near)
