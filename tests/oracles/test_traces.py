"""The published traces end to end: openb under two placements, Philly under first come, first served."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.results.run_result import RunResult
from dcsim.simulation import simulate
from dcsim.spec.cluster import ClusterSpec, RackSpec, ServerSpec
from dcsim.spec.scenario import Scenario
from dcsim.spec.workload import TraceWorkloadSpec
from dcsim.workload.jobs import JobTable
from dcsim.workload.readers import read_openb, read_openb_nodes, read_philly
from tests.oracles.figures import Figures

Floats = npt.NDArray[np.float64]

OPENB_PODS, OPENB_NODES, OPENB_GPUS = 8_152, 1_523, 6_212
"""Weng et al., Beware of Fragmentation, USENIX ATC 2023, and the trace's own README."""

PHILLY_ROWS = 82_247
"""Rows of the file after its header (82,248 lines that are not blank)."""

PHILLY_TWO_GPU_SERVERS, PHILLY_EIGHT_GPU_SERVERS = 321, 231
"""552 servers, 2,490 GPUs: the machine list of the published trace (Jeon et al., Analysis of Large-Scale
Multi-Tenant GPU Clusters for DNN Training Workloads, USENIX ATC 2019). Of which type is not said:
P100 is taken, which without a cost profile matters for power only."""


def _philly_cluster() -> ClusterSpec:
    def rack(name: str, count: int, servers: int, accelerators: int) -> RackSpec:
        server = ServerSpec(count=servers, accelerator="P100", accelerators=accelerators)
        return RackSpec(name=name, count=count, servers=(server,))

    eight = rack("eight", 21, PHILLY_EIGHT_GPU_SERVERS // 21, 8)
    return ClusterSpec(racks=(eight, rack("two", 20, 16, 2), rack("two-rest", 1, 1, 2)))


def _scenario(cluster: ClusterSpec, placement: str, skip: int) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "trace",
            "cluster": cluster,
            "workload": TraceWorkloadSpec(path="given-as-a-table.csv"),
            "policies": {
                "ordering": {"name": "fifo", "parameters": {"skip": skip}},
                "placement": placement,
            },
        }
    )


def _timed(scenario: Scenario, jobs: JobTable, *, guards: bool = False) -> tuple[RunResult, float]:
    started = time.process_time()
    result = simulate(scenario, 0, jobs=jobs, guards=guards)
    return result, time.process_time() - started


def _most_in_use(result: RunResult, jobs: JobTable) -> float:
    """Return the most accelerators (shares counted as such) in use at once, ends before starts."""
    table = result.jobs
    wanted = jobs.accelerators * jobs.accelerator_share
    times = np.concatenate([table["end_s"], table["start_s"]])
    steps = np.concatenate([-wanted, wanted])
    order = np.lexsort((steps, times))
    return float(np.max(np.cumsum(steps[order])))


def _check(result: RunResult, jobs: JobTable, accelerators: int) -> None:
    """Assert what must hold of any run of a trace to its end."""
    table = result.jobs
    assert list(table["job_id"]) == list(jobs.job_id)
    assert set(table["status"]) == {"completed"}
    assert np.all(table["start_s"] >= table["submit_s"])
    # Times go to 1.3e7 s and a job's end is its start plus its duration, rounded once.
    np.testing.assert_allclose(table["end_s"] - table["start_s"], jobs.duration_s, rtol=1e-12, atol=1e-8)
    assert _most_in_use(result, jobs) <= accelerators * (1.0 + 1e-9)
    names = np.array(result.event_kinds)[result.events["kind"]]
    granted = np.zeros(len(jobs))
    grants = names == "grant"
    np.add.at(granted, result.events["job"][grants], result.events["value"][grants])
    np.testing.assert_array_equal(granted, jobs.accelerators)
    assert max(result.balances.values()) <= 1e-9


@pytest.fixture(scope="module")
def openb(shared_data: Path) -> tuple[JobTable, ClusterSpec]:
    folder = shared_data / "traces" / "openb"
    jobs = read_openb(folder / "openb_pod_list_default.csv")
    return jobs, read_openb_nodes(folder / "openb_node_list_all_node.csv")


@pytest.fixture(scope="module")
def philly(shared_data: Path) -> JobTable:
    return read_philly(shared_data / "traces" / "philly" / "philly.csv")


def _tell(figure: Figures, name: str, result: RunResult, cpu_s: float) -> None:
    summary = result.summary
    figure.tell(
        name,
        f"{summary['jobs_completed']:,} jobs completed in {cpu_s:.2f} CPU s; "
        f"mean JCT {float(summary['jct_mean_s']):,.0f} s, mean wait {float(summary['wait_mean_s']):,.1f} s, "
        f"utilisation {float(summary['accelerator_utilisation']):.2%}, PUE {float(summary['pue']):.3f}",
    )


@pytest.mark.oracle
@pytest.mark.parametrize("placement", ["best_fit", "spread"])
def test_openb_runs_end_to_end(placement: str, openb: tuple[JobTable, ClusterSpec], figure: Figures) -> None:
    jobs, cluster = openb
    result, cpu_s = _timed(_scenario(cluster, placement, skip=200), jobs)
    assert len(result.server_names) == OPENB_NODES
    _check(result, jobs, OPENB_GPUS)
    _tell(figure, f"openb default, {OPENB_NODES:,} nodes, {placement}", result, cpu_s)
    figure.equal("openb pods completed", float(result.summary["jobs_completed"]), OPENB_PODS, 0.0)


def _crowded(jobs: JobTable, pods: int, factor: float) -> JobTable:
    """Return the last `pods` jobs, their arrivals moved together by `factor`."""
    last = jobs.take(slice(len(jobs) - pods, len(jobs)))
    squeezed = (last.submit_s - last.submit_s[0]) * factor
    columns = {name: getattr(last, name) for name in last.__dataclass_fields__}
    return type(last)(**{**columns, "submit_s": squeezed})


@pytest.mark.oracle
@pytest.mark.parametrize("placement", ["best_fit", "first_fit"])
def test_openb_crowded_never_over_allocates(
    placement: str, openb: tuple[JobTable, ClusterSpec], figure: Figures
) -> None:
    """The guards prove every server's devices, shares, cores and memory after every instant."""
    jobs, cluster = openb
    crowd = _crowded(jobs, 3_000, 1e-3)
    small = ClusterSpec(racks=tuple(rack.model_copy(update={"count": 1}) for rack in cluster.racks))
    scenario = _scenario(small, placement, skip=200)
    result, cpu_s = _timed(scenario, crowd, guards=True)
    _check(result, crowd, sum(s.count * s.accelerators for rack in small.racks for s in rack.servers))
    assert float(result.summary["wait_mean_s"]) > 0.0
    _tell(figure, f"openb, last 3,000 pods crowded 1,000-fold, {placement}, guards on", result, cpu_s)


@pytest.mark.oracle
def test_philly_runs_end_to_end(philly: JobTable, figure: Figures) -> None:
    result, cpu_s = _timed(_scenario(_philly_cluster(), "best_fit", skip=0), philly)
    gpus = 2 * PHILLY_TWO_GPU_SERVERS + 8 * PHILLY_EIGHT_GPU_SERVERS
    assert (len(result.server_names), gpus) == (552, 2_490)
    _check(result, philly, gpus)
    _tell(figure, f"Philly, 552 servers, {gpus:,} GPUs, fifo", result, cpu_s)
    figure.equal("Philly jobs completed", float(result.summary["jobs_completed"]), PHILLY_ROWS, 0.0)


@pytest.mark.oracle
def test_philly_queues_in_order_on_a_quarter_of_the_cluster(philly: JobTable, figure: Figures) -> None:
    server = ServerSpec(count=8, accelerator="P100", accelerators=8)
    cluster = ClusterSpec(racks=(RackSpec(name="eight", count=10, servers=(server,)),))
    result, cpu_s = _timed(_scenario(cluster, "best_fit", skip=0), philly)
    _check(result, philly, 640)
    # Strict fifo: nobody starts before somebody who came earlier (INVARIANTS 17).
    assert np.all(np.diff(result.jobs["start_s"]) >= 0.0)
    assert float(result.summary["wait_mean_s"]) > 0.0
    _tell(figure, "Philly, 80 servers, 640 GPUs, strict fifo", result, cpu_s)
