"""The experiment of Weng et al., Beware of Fragmentation, USENIX ATC (2023), section 6.2, in dcsim.

Pods of a trace arrive one by one in a shuffled order and never leave; one that fits nowhere is lost.
Past the trace's own demand pods drawn from it arrive, up to 130 % of the cluster's accelerators. The
order of the pods and of the nodes is that of the authors' simulator, from the same seeds.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.policies import OrderingPolicy, PlacementPolicy, PlacementRequest, make_policy
from dcsim.policies.demand import demand_of
from dcsim.policies.fragmentation import fragmented_units, typical_jobs
from dcsim.policies.views import ClusterView, JobsView, Placement
from dcsim.simulation import Policies, simulate
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import JobTable, job_table
from tests.oracles.go_random import GoRandom

__all__ = ["POLICIES", "SEEDS", "TRACES", "Curves", "expected_curves", "run_experiment"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TRACES = ("default", "gpushare40")
SEEDS = tuple(range(42, 52))
POLICIES = {
    "Random": "random",
    "DotProd": "dot_prod",
    "GpuClustering": "gpu_clustering",
    "GpuPacking": "gpu_packing",
    "BestFit": "best_fit_vector",
    "FGD": "fgd",
}
"""The authors' names for the policies, and those of dcsim."""
ARRIVED_PERCENT = 131
"""Results are for 0, 1, ... 130 % of arrived demand."""
_DRAWN_BETWEEN = 10
"""Numbers that the authors' simulator draws elsewhere between the pods and the nodes (found by trying)."""
_TUNE = 1.3
_MIB = 2.0**20
_SPARE_BYTES = 1024.0
"""More of each node's memory, for pods that ask for none (one does), where all of it is taken: dcsim's
jobs ask for a byte at least, no memory being the share that goes with their devices."""


@dataclass(frozen=True, slots=True)
class Curves:
    """What one run shows at each whole percent of arrived demand, as percent of all accelerators."""

    allocation_percent: Floats
    """(131,)"""
    fragmentation_percent: Floats
    """(131,)"""


@dataclass(frozen=True, slots=True)
class _Pods:
    """Columns of a pod list: thousandths of a core, MiB, devices, thousandths of a device."""

    cpu_milli: Ints
    memory_mib: Ints
    devices: Ints
    units: Ints

    def take(self, rows: list[int]) -> _Pods:
        return _Pods(self.cpu_milli[rows], self.memory_mib[rows], self.devices[rows], self.units[rows])


def _columns(path: Path, names: tuple[str, ...]) -> list[Ints]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [np.array([int(row[name]) for row in rows], dtype=np.int64) for name in names]


def _arrivals(pods: _Pods, accelerators: int, source: GoRandom) -> list[int]:
    """Return rows of the pod list as they arrive: all in a shuffled order, then drawn ones."""
    source.int63()
    rows = list(range(len(pods.units)))
    source.shuffle(rows)
    total = int((pods.devices * pods.units).sum())
    while True:
        row = source.intn(len(pods.units))
        # As in the original: it looks at one device of the pod, and counts all of them.
        if total + int(pods.units[row]) > _TUNE * accelerators * 1000:
            return rows
        total += int(pods.devices[row] * pods.units[row])
        rows.append(row)


def _scenario(nodes: list[Ints], order: list[int], horizon_s: float) -> Scenario:
    """Return the nodes in this order as one rack of servers with one accelerator type."""
    servers = [
        {
            "accelerator": "T4",
            "accelerators": int(nodes[2][node]),
            "cpu_cores": int(nodes[0][node]) / 1000.0,
            "memory_bytes": float(nodes[1][node]) * _MIB + _SPARE_BYTES,
        }
        for node in order
    ]
    return Scenario.model_validate(
        {
            "name": "fragmentation",
            "horizon_s": horizon_s,
            "cluster": {"racks": [{"name": "openb", "servers": servers}]},
            "network": {"topology": "star"},
            "workload": {"kind": "trace", "path": "not-read.csv"},
        }
    )


def _jobs(pods: _Pods) -> JobTable:
    """Return pods that arrive a second apart and run on."""
    count = len(pods.units)
    return job_table(
        submit_s=np.arange(count, dtype=np.float64),
        duration_s=1e8,
        accelerators=pods.devices,
        accelerator_share=np.where((pods.devices == 1) & (pods.units < 1000), pods.units / 1000.0, 1.0),
        max_servers=1,
        cpu_cores=pods.cpu_milli / 1000.0,
        memory_bytes=np.maximum(pods.memory_mib * _MIB, 1.0),
    )


class _NewestFirst(OrderingPolicy):
    """The pod that has just come is tried; those that found no room never will, and block nobody."""

    name = "newest_first"
    optimises = "nothing: nobody leaves"
    source = "the experiment"

    def keys(self, jobs: JobsView) -> Floats:
        return -np.asarray(jobs.submit_s)


class _Watched(PlacementPolicy):
    """Another policy, and the fragmentation of the cluster each time that one is asked.

    Args:
        inner: decides.
        jobs: of the run.
        original: pods of the trace, from which the typical ones are.
    """

    optimises = source = "what the watched policy does"

    def __init__(self, inner: PlacementPolicy, original: _Pods) -> None:
        self._inner = inner
        kind = type(self)
        kind.name, kind.draws, kind.knows_demand = inner.name, inner.draws, inner.knows_demand
        kind.weighs_types, kind.counts_kinds = inner.weighs_types, inner.counts_kinds
        jobs = _jobs(original)
        columns = (jobs.accelerators, jobs.accelerator_share, jobs.cpu_cores, jobs.memory_bytes)
        self._demand = demand_of(*columns, np.full(len(jobs), -1), (None,))
        self.typical = typical_jobs(self._demand)
        self._told: ClusterView | None = None
        self.after_start: list[float] = []
        """Fragmented thousandths with 0, 1, 2, ... pods started."""
        self._placed = True
        self._seen: tuple[npt.NDArray[np.int16], Floats] | None = None

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        if self._told is None:
            # The authors' policy knows the pods of the trace, not those drawn from it past its end.
            self._told = replace(view, demand=self._demand)
        if self._placed:
            self.note(view)
        placement = self._inner.place(request, self._told)
        self._placed = placement is not None
        return placement

    def device(self, request: PlacementRequest, view: ClusterView, server: int) -> int:
        return self._inner.device(request, self._told or view, server)

    def note_the_end(self) -> None:
        """Add what the last pods changed: nobody leaves, so the view still shows them."""
        if self._placed and self._told is not None:
            self.note(self._told)

    def note(self, view: ClusterView) -> None:
        """Add up the fragmentation now: servers that changed are looked at again."""
        units, cores = view.units(), view.free_cpu_cores
        if self._seen is None:
            changed = np.arange(len(cores))
            self._by_server = np.zeros(len(cores))
        else:
            changed = np.flatnonzero((units != self._seen[0]).any(axis=1) | (cores != self._seen[1]))
        self._by_server[changed] = fragmented_units(units[changed], cores[changed], changed, self.typical)
        self._seen = (units.copy(), cores.copy())
        self.after_start.append(float(self._by_server.sum()))


def run_experiment(
    folder: Path, trace: str, policy: str, seed: int, *, pods_at_most: int | None = None
) -> Curves:
    """Run one experiment through `simulate`.

    Args:
        folder: of the openb files.
        trace: one of TRACES.
        policy: one of POLICIES.
        seed: of the shuffles, and of the run's own draws.
        pods_at_most: stop after so many arrivals.
    """
    names = ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
    original = _Pods(*_columns(folder / f"openb_pod_list_{trace}.csv", names))
    nodes = _columns(folder / "openb_node_list_gpu_node.csv", ("cpu_milli", "memory_mib", "gpu"))
    accelerators, source = int(nodes[2].sum()), GoRandom(seed)
    pods = original.take(_arrivals(original, accelerators, source))
    for _ in range(_DRAWN_BETWEEN):
        source.int63()
    order = np.argsort(source.permutation(len(nodes[2]))).tolist()
    pods = pods.take(list(range(len(pods.units)))[:pods_at_most])
    watched = _Watched(make_policy("placement", POLICIES[policy]), original)  # type: ignore[arg-type]
    result = simulate(
        _scenario(nodes, order, float(len(pods.units))),
        seed,
        jobs=_jobs(pods),
        policies=Policies(_NewestFirst(), watched, make_policy("energy", "none")),  # type: ignore[arg-type]
    )
    started = np.isfinite(result.jobs["start_s"])
    watched.note_the_end()
    return _curves(pods, started, np.array(watched.after_start), accelerators)


def _curves(pods: _Pods, started: npt.NDArray[np.bool_], fragmented: Floats, accelerators: int) -> Curves:
    """Return means over the arrivals that round to each percent, as the authors take them."""
    units, percent = pods.devices * pods.units, accelerators * 10.0
    arrived = np.round(np.cumsum(units) / percent)
    used = np.round(np.cumsum(np.where(started, units, 0)) / percent, 2)
    wasted = fragmented[np.minimum(np.cumsum(started), len(fragmented) - 1)] / percent
    allocation, fragmentation = np.full(ARRIVED_PERCENT, np.nan), np.full(ARRIVED_PERCENT, np.nan)
    for k in range(ARRIVED_PERCENT):
        here = arrived == k
        if here.any():
            allocation[k], fragmentation[k] = used[here].mean(), wasted[here].mean()
    return Curves(allocation, fragmentation)


def expected_curves(folder: Path, trace: str, policy: str, seed: int) -> Curves:
    """Return what the authors' simulator reports for one experiment."""
    return Curves(*(_expected(folder, kind, trace, policy, seed) for kind in ("allocation", "fragmentation")))


def _expected(folder: Path, kind: str, trace: str, policy: str, seed: int) -> Floats:
    with (folder / f"fgd_expected_{kind}_percent.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            key = (row["workload"], row["sc_policy"].split("-")[1], row["seed"])
            if key == (f"openb_pod_list_{trace}", policy, str(seed)):
                return np.array([float(row[str(k)]) for k in range(ARRIVED_PERCENT)])
    msg = f"no {kind} of {trace}, {policy}, seed {seed}"
    raise LookupError(msg)
