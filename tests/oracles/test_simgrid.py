"""Completion times of transfers against SimGrid, an independent implementation of the fluid model."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.oracles.figures import Figures
from tests.oracles.graphs import Transfers, finish_times_s, random_graph, star, three_tier, two_tier

pytestmark = pytest.mark.oracle

SYSTEM_PYTHON = os.environ.get("DCSIM_SIMGRID_PYTHON", "/usr/bin/python3")
"""The Python that Debian's python3-simgrid belongs to."""

DRIVER = Path(__file__).with_name("simgrid_flows.py")
RELATIVE = 1e-9


@pytest.fixture(scope="module")
def simgrid_python() -> str:
    """A Python that imports SimGrid; skipped where there is none."""
    if not Path(SYSTEM_PYTHON).is_file():
        pytest.skip(f"no {SYSTEM_PYTHON}: set DCSIM_SIMGRID_PYTHON to a Python with SimGrid")
    probe = subprocess.run([SYSTEM_PYTHON, "-c", "import simgrid"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"{SYSTEM_PYTHON} has no SimGrid: apt-get install python3-simgrid")
    return SYSTEM_PYTHON


def _simgrid_ends_s(python: str, graphs: list[Transfers]) -> tuple[list[list[float]], str]:
    """Return the completion times of each graph's flows, all graphs side by side in one engine."""
    capacity: list[float] = []
    flows: list[list[object]] = []
    for graph in graphs:
        base = len(capacity)
        capacity += graph.capacity_bytes_per_s
        rows = zip(graph.start_s, graph.size_bytes, graph.routes, strict=True)
        flows += [[start, size, [base + link for link in route]] for start, size, route in rows]
    given = json.dumps({"capacity": capacity, "flows": flows})
    done = subprocess.run([python, str(DRIVER)], input=given, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    ends_s = iter(answer["ends_s"])
    return [[next(ends_s) for _ in graph.routes] for graph in graphs], answer["version"]


def _worst_relative(graphs: list[Transfers], theirs: list[list[float]]) -> float:
    """Return the largest difference in a flow's duration over that duration."""
    worst = 0.0
    for graph, other in zip(graphs, theirs, strict=True):
        ours = finish_times_s(graph)
        for mine, end_s, start_s in zip(ours, other, graph.start_s, strict=True):
            worst = max(worst, abs(mine - end_s) / (end_s - start_s))
    return worst


@pytest.mark.parametrize(
    ("name", "graphs"),
    [
        ("star of 32 servers, 200 flows", [star(np.random.default_rng(1))]),
        ("two-tier tree of 32 servers, 200 flows", [two_tier(np.random.default_rng(2))]),
        ("k = 8 fat-tree of 128 servers, hashed paths, 300 flows", [three_tier(np.random.default_rng(3))]),
        ("1,000 random graphs", [random_graph(np.random.default_rng(seed)) for seed in range(1_000)]),
    ],
    ids=["star", "two-tier", "three-tier", "random"],
)
def test_completion_times_are_simgrids(
    name: str, graphs: list[Transfers], simgrid_python: str, figure: Figures
) -> None:
    theirs, version = _simgrid_ends_s(simgrid_python, graphs)
    figure.at_most(f"SimGrid {version}, {name}, worst relative", _worst_relative(graphs, theirs), RELATIVE)
