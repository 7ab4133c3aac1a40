"""One measurement in a process of its own: python -m benchmarks.measure CASE JOBS SERVERS prints JSON.

CPU time of the work alone (after imports), and the peak memory of the whole process.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CASES", "Measurement", "main", "measure"]

CASES = ("simpy", "dcsim", "dcsim-written", "dcsim-starved", "one-device", "decisions", "waiting-ORDERING")
"""simpy: the yardstick. dcsim: scenario to result in memory. dcsim-written: and on disk.
dcsim-starved: with a file system of a quarter of what the jobs want. one-device: `one_device_jobs`.
contended-CASE, alone-CASE: `contention`. year-CASE: `facility_year`. decisions: placements on an index of free accelerators. waiting-ORDERING: all jobs there from the start."""

_TIMEOUT_S = 1_800
_STARVED_GB_PER_S = 0.1
_STANDARD_GB_PER_S = 0.4


@dataclass(frozen=True)
class Measurement:
    """What one process used."""

    cpu_s: float
    peak_memory_bytes: float
    utilisation: float
    """Of the accelerators; NaN for the yardstick."""
    wait_mean_s: float
    jct_mean_s: float
    network_bytes: float
    warnings: int


def measure(case: str, jobs: int, servers: int = 1_000) -> Measurement:
    """Return what `case` costs in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.measure", case, str(jobs), str(servers)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        command, cwd=root, stdout=subprocess.PIPE, text=True, check=True, timeout=_TIMEOUT_S
    )
    return Measurement(**json.loads(done.stdout))


def main(case: str, jobs: int, servers: int) -> None:
    """Run the case here and print its measurement."""
    if case == "simpy":
        values = _simpy(jobs)
    elif case == "decisions":
        values = _decisions(jobs, servers)
    else:
        values = _dcsim(case, jobs, servers)
    # Linux counts ru_maxrss in KiB.
    values["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024.0
    print(json.dumps(_NOTHING | values))


_NOTHING = {
    "utilisation": math.nan, "wait_mean_s": math.nan, "jct_mean_s": math.nan, "network_bytes": 0.0, "warnings": 0,
}  # fmt: skip


def _simpy(jobs: int) -> dict[str, float]:
    from benchmarks.simpy_queue import run_simpy_queue

    started = time.process_time()
    wait_s = run_simpy_queue(jobs)
    return {"cpu_s": time.process_time() - started, "utilisation": 0.9, "wait_mean_s": wait_s}


def _decisions(decisions: int, servers: int) -> dict[str, float]:
    from benchmarks.placements import full_cluster, turn_over

    cluster = full_cluster(servers)
    started = time.process_time()
    turn_over(cluster, decisions)
    return {"cpu_s": time.process_time() - started}


def _dcsim(case: str, jobs: int, servers: int) -> dict[str, float]:
    from benchmarks.bench_profiles import bench_profiles
    from benchmarks.bench_scenario import bench_scenario
    from benchmarks.contention import contended_scenario
    from benchmarks.facility_year import year_scenario
    from benchmarks.one_device_jobs import one_device_table, waiting_table
    from dcsim.results import write_run
    from dcsim.simulation import simulate

    started = time.process_time()
    bandwidth = _STARVED_GB_PER_S if case == "dcsim-starved" else _STANDARD_GB_PER_S
    ordering = case.removeprefix("waiting-") if case.startswith("waiting-") else "fifo"
    scenario = bench_scenario(jobs, servers, bandwidth, ordering)
    if case.startswith(("contended-", "alone-")):
        kind = case.removeprefix("contended-").removeprefix("alone-")
        scenario = contended_scenario(kind, contention=case.startswith("contended-"))
    elif case.startswith("year-"):
        scenario = year_scenario(case.removeprefix("year-"), jobs, servers)
    table = None
    if case == "one-device":
        table = one_device_table(jobs, servers)
    elif case.startswith("waiting-"):
        table = waiting_table(jobs)
    result = simulate(scenario, 1, profiles=bench_profiles(), jobs=table)
    if case == "dcsim-written":
        with tempfile.TemporaryDirectory() as folder:
            write_run(result, Path(folder) / "run", scenario=scenario, base_dir=Path())
    cpu_s = time.process_time() - started
    if result.summary["jobs_completed"] != jobs and not case.startswith("year-"):
        raise RuntimeError(f"{result.summary['jobs_completed']} of {jobs} jobs completed")
    return {
        "cpu_s": cpu_s,
        "utilisation": float(result.summary["accelerator_utilisation"]),
        "wait_mean_s": float(result.summary["wait_mean_s"]),
        "jct_mean_s": float(result.summary["jct_mean_s"]),
        "network_bytes": float(result.jobs["network_bytes"].sum()),
        "warnings": len(result.warnings),
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
