"""10,000 flows that arrive over a star and a k = 8 fat-tree: dcsim's transfers beside SimGrid's Python bindings.

python -m benchmarks.flows TOPOLOGY prints the CPU seconds and the ends of the flows as JSON.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rows import Row, alternate

__all__ = ["TOPOLOGIES", "flows_over", "main", "transfers"]

FLOWS = 10_000
TOPOLOGIES = ("star", "fat-tree")
SIMGRID_PYTHON = os.environ.get("DCSIM_SIMGRID_PYTHON", "/usr/bin/python3")
_LOAD, _MEAN_BYTES, _BANDWIDTH = 0.7, 1e9, 1.25e9
_NAMES = {"star": "a star of 64 servers", "fat-tree": "a k = 8 fat-tree of 128 servers"}
_DRIVERS = {"one": "one actor", "per-source": "an actor a server"}
_ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT_S = 900
_SAME = 1e-9


@dataclass(frozen=True)
class _Run:
    cpu_s: float
    ends_s: list[float]


def flows_over(topology: str) -> dict[str, Any]:
    """Return hosts, capacities [bytes/s], flows [start s, source, target, bytes] and the links each crosses.

    Poisson arrivals, exponential sizes of 1 GB in the mean, 70 % of what the servers' links carry, 10 Gbit/s.
    """
    import numpy as np

    from dcsim.facility.network import Network
    from dcsim.spec.network import NetworkSpec

    said: dict[str, Any] = {"topology": "star"}
    if topology != "star":
        said = {"topology": "k_ary_fat_tree", "k_ary": {"k": 8}}
    hosts = 64 if topology == "star" else 128
    spec = NetworkSpec.model_validate({**said, "server_bandwidth_bytes_per_s": _BANDWIDTH})
    network = Network(spec, np.zeros(hosts, dtype=np.int64))
    draws = random.Random(1)
    rate_per_s, now_s = _LOAD * hosts * _BANDWIDTH / _MEAN_BYTES, 0.0
    flows, routes = [], []
    for _ in range(FLOWS):
        now_s += draws.expovariate(rate_per_s)
        source, target = draws.sample(range(hosts), 2)
        flows.append((now_s, source, target, int(draws.expovariate(1.0 / _MEAN_BYTES)) + 1))
        routes.append([link for link, _ in network.uses([(source, target, 1.0)])])
    return {
        "hosts": hosts,
        "capacity": list(network.capacity_bytes_per_s),
        "flows": flows,
        "routes": routes,
    }


def main(topology: str) -> None:
    """Move the flows here and print what that cost."""
    from dcsim.facility.transfers import Transfer, finish_times_s

    told = flows_over(topology)
    started = time.process_time()
    ends_s = finish_times_s(
        told["capacity"],
        [
            Transfer(start_s, float(size), [(link, 1.0) for link in route])
            for (start_s, _, _, size), route in zip(told["flows"], told["routes"], strict=True)
        ],
    )
    print(json.dumps({"cpu_s": time.process_time() - started, "ends_s": ends_s}))


def transfers(repeats: int) -> list[Row]:
    """CPU time over SimGrid's, each in a fresh process; both drivers of SimGrid, its full and its lazy updates.

    Raises:
        RuntimeError: the two disagree on when flows end.
    """
    rows: list[Row] = []
    for topology in TOPOLOGIES:
        name = f"{FLOWS:,} flows over {_NAMES[topology]}"
        problem = _no_simgrid()
        if problem:
            rows.append(Row(name, math.nan, "times", 1.0, skipped=problem))
            continue
        told = flows_over(topology)
        for driver, words in _DRIVERS.items():
            peer, ours = alternate(repeats, partial(_simgrid, told, driver), partial(_dcsim, topology))
            _check_same(told, ours[0], peer[0])
            if driver == "one":
                rows.append(Row(f"dcsim, {name}", median(run.cpu_s for run in ours), "CPU s"))
            rows += [
                Row(f"  SimGrid's Python bindings, {words}", median(run.cpu_s for run in peer), "CPU s"),
                Row(
                    "  dcsim's CPU time over that",
                    median(a.cpu_s / b.cpu_s for a, b in zip(ours, peer, strict=True)),
                    "times",
                    1.0,
                ),
            ]
    return rows


def _no_simgrid() -> str:
    """Return why SimGrid cannot be run here, or nothing."""
    if not Path(SIMGRID_PYTHON).is_file():
        return f"no {SIMGRID_PYTHON}: set DCSIM_SIMGRID_PYTHON to a Python with SimGrid"
    probe = subprocess.run([SIMGRID_PYTHON, "-c", "import simgrid"], capture_output=True, check=False)
    return "apt-get install python3-simgrid" if probe.returncode else ""


def _simgrid(told: dict[str, Any], driver: str) -> _Run:
    """Return SimGrid's quicker way of updating: the lazy one or all at once."""
    runs = [
        _run(
            [SIMGRID_PYTHON, "-W", "ignore", str(_ROOT / "benchmarks" / "run_simgrid.py")],
            json.dumps({**told, "driver": driver, "optimised": optimised}),
        )
        for optimised in ("Full", "Lazy")
    ]
    return min(runs, key=lambda run: run.cpu_s)


def _dcsim(topology: str) -> _Run:
    return _run([sys.executable, "-m", "benchmarks.flows", topology], "")


def _run(command: list[str], told: str) -> _Run:
    done = subprocess.run(
        command, input=told, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=_TIMEOUT_S
    )
    answer = json.loads(done.stdout)
    return _Run(answer["cpu_s"], answer["ends_s"])


def _check_same(told: dict[str, Any], ours: _Run, peer: _Run) -> None:
    worst = max(
        abs(mine - its) / (its - flow[0])
        for mine, its, flow in zip(ours.ends_s, peer.ends_s, told["flows"], strict=True)
    )
    if worst > _SAME:
        raise RuntimeError(f"completion times differ by {worst:.2g} of a flow's duration")


if __name__ == "__main__":
    main(sys.argv[1])
