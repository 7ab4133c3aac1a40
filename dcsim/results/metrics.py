"""The figures that sum up a run, as pure functions of its job table and its meter totals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.schema import TIMES

__all__ = [
    "METER_TOTALS",
    "deadlines_met_fraction",
    "granted_accelerator_s",
    "jct_mean_s",
    "jct_p95_s",
    "jobs_completed",
    "makespan_s",
    "preemptions",
    "productive_fraction",
    "pue",
    "stall_fraction",
    "summary_row",
    "utilisation",
    "wait_mean_s",
]

Table = Mapping[str, npt.NDArray[Any]]
METER_TOTALS = (
    "energy_it_j",
    "energy_facility_j",
    "carbon_kg",
    "carbon_embodied_kg",
    "cost_usd",
    "peak_import_w",
    "water_l",
)
"""What `summary_row` takes from the facility's account as it is."""


def _mean(values: npt.NDArray[Any]) -> float:
    """NaN, not a warning, of nothing; exactly rounded sum, so that the order of jobs is irrelevant."""
    return math.fsum(values.tolist()) / values.size if values.size else math.nan


def jobs_completed(jobs: Table) -> int:
    """Return how many jobs have all their work done."""
    return int(np.count_nonzero(np.isfinite(jobs["jct_s"])))


def jct_mean_s(jobs: Table) -> float:
    """Return the mean job completion time, end - submit, of completed jobs in s; NaN without any.

    >>> jct_mean_s({"jct_s": np.array([10.0, 30.0, np.nan])})
    20.0
    """
    return _mean(jobs["jct_s"][np.isfinite(jobs["jct_s"])])


def jct_p95_s(jobs: Table) -> float:
    """Return the 95th percentile of job completion time in s, linear between order statistics; NaN without any.

    Hyndman and Fan's definition 7 (The American Statistician 50:361, 1996), numpy's default.

    >>> jct_p95_s({"jct_s": np.array([0.0, 10.0, np.nan])})
    9.5
    """
    done = jobs["jct_s"][np.isfinite(jobs["jct_s"])]
    return float(np.percentile(done, 95.0, method="linear")) if done.size else math.nan


def wait_mean_s(jobs: Table) -> float:
    """Return the mean of start - submit in s over started jobs; NaN without any."""
    return _mean(jobs["wait_s"][np.isfinite(jobs["wait_s"])])


def makespan_s(jobs: Table) -> float:
    """Return last end - first submit in s; 0 without jobs, NaN when none completed.

    >>> makespan_s({"submit_s": np.array([5.0, 6.0]), "end_s": np.array([9.0, 8.0])})
    4.0
    """
    if jobs["submit_s"].size == 0:
        return 0.0
    ends = jobs["end_s"][np.isfinite(jobs["end_s"])]
    return float(ends.max() - jobs["submit_s"].min()) if ends.size else math.nan


def granted_accelerator_s(jobs: Table, end_s: float) -> float:
    """Return accelerator-seconds granted until `end_s`: whole devices, from start to end of each job.

    Args:
        jobs: columns start_s, end_s (NaN: not yet) and accelerators.
        end_s: end of the run in s; jobs running then count until then.
    """
    started = np.isfinite(jobs["start_s"])
    start = jobs["start_s"][started]
    end = np.minimum(np.nan_to_num(jobs["end_s"][started], nan=end_s), end_s)
    held = np.maximum(end - start, 0.0) * jobs["accelerators"][started]
    return math.fsum(held.tolist())


def utilisation(granted_s: float, accelerators: int, end_s: float) -> float:
    """Return granted accelerator-seconds over all accelerator-seconds of the run; NaN without any.

    >>> utilisation(50.0, 10, 10.0)
    0.5
    """
    capacity = accelerators * end_s
    return granted_s / capacity if capacity > 0.0 else math.nan


def pue(energy_facility_j: float, energy_it_j: float) -> float:
    """Return power usage effectiveness, facility over IT energy (ISO/IEC 30134-2); NaN without IT energy.

    >>> pue(1.2, 1.0)
    1.2
    """
    return energy_facility_j / energy_it_j if energy_it_j > 0.0 else math.nan


def preemptions(jobs: Table) -> int:
    """Return how often jobs were stopped to go on later: attempts beyond the first.

    >>> preemptions({"attempts": np.array([1, 3, 0])})
    2
    """
    return int(np.maximum(jobs["attempts"].astype(np.int64) - 1, 0).sum())


def productive_fraction(jobs: Table) -> float:
    """Return productive over all accelerator-seconds held; NaN where none were.

    Goodput of training as in Kokolis et al., Revisiting Reliability in Large-Scale Machine Learning
    Research Clusters (HPCA 2025), without the time in the queue.
    """
    productive = math.fsum(jobs["productive_accelerator_s"].tolist())
    spent = [math.fsum(jobs[f"{name}_accelerator_s"].tolist()) for name in _UNPRODUCTIVE]
    held = math.fsum([productive, *spent])
    return productive / held if held > 0.0 else math.nan


def stall_fraction(jobs: Table, cause: str) -> float:
    """Return accelerator-seconds lost to one cause over all that were held; NaN where none were.

    Seconds of a job's own time count times its mean width while it held servers.

    Args:
        jobs: the job table, columns of `schema.JOBS`.
        cause: a stall among `schema.TIMES`: network, data or neighbour.
    """
    spent = [jobs["productive_accelerator_s"], *(jobs[f"{name}_accelerator_s"] for name in _UNPRODUCTIVE)]
    devices_s = np.sum(spent, axis=0)
    held_s = np.sum([jobs[column.name] for column in TIMES if column.name != "queue_s"], axis=0)
    width = np.divide(devices_s, held_s, out=np.zeros(len(held_s)), where=held_s > 0.0)
    held = math.fsum(devices_s.tolist())
    stall_s = np.where(jobs[f"{cause}_stall_s"] > _ROUNDING * held_s, jobs[f"{cause}_stall_s"], 0.0)
    return math.fsum((stall_s * width).tolist()) / held if held > 0.0 else math.nan


_ROUNDING = 1e-9
"""A stall that takes less of a job's time is what rounding left."""
_UNPRODUCTIVE = ("checkpoint", "restore", "redone", "stalled", "waiting")


def deadlines_met_fraction(jobs: Table, end_s: float) -> float:
    """Return the part of deadlines within the run by which the job was completed; NaN without any.

    >>> columns = {"deadline_s": np.array([5.0, 9.0, np.nan]), "end_s": np.array([4.0, 10.0, 1.0])}
    >>> deadlines_met_fraction(columns | {"jct_s": np.array([4.0, 10.0, 1.0])}, 20.0)
    0.5
    """
    due = np.flatnonzero(jobs["deadline_s"] <= end_s)
    if not due.size:
        return math.nan
    met = np.isfinite(jobs["jct_s"][due]) & (jobs["end_s"][due] <= jobs["deadline_s"][due])
    return float(np.count_nonzero(met) / due.size)


def summary_row(
    jobs: Table,
    totals: Mapping[str, float],
    *,
    placement: str,
    energy: str,
    seed: int,
    accelerators: int,
    end_s: float,
    granted_s: float | None = None,
) -> dict[str, float | int | str]:
    """Return the row of `schema.SUMMARY` for one run.

    Args:
        jobs: the job table, columns of `schema.JOBS`.
        totals: the account's `METER_TOTALS`, in the units their names say.
        placement: policy of the arm.
        energy: policy of the arm.
        seed: of the run.
        accelerators: of the cluster.
        end_s: end of the run in s.
        granted_s: accelerator-seconds granted where jobs share devices; None: of whole devices.
    """
    granted = granted_accelerator_s(jobs, end_s) if granted_s is None else granted_s
    return {
        "placement": placement,
        "energy": energy,
        "seed": int(seed),
        "jct_mean_s": jct_mean_s(jobs),
        "jct_p95_s": jct_p95_s(jobs),
        "wait_mean_s": wait_mean_s(jobs),
        "makespan_s": makespan_s(jobs),
        "accelerator_utilisation": utilisation(granted, accelerators, end_s),
        "energy_it_j": float(totals["energy_it_j"]),
        "energy_facility_j": float(totals["energy_facility_j"]),
        "pue": pue(float(totals["energy_facility_j"]), float(totals["energy_it_j"])),
        "carbon_kg": float(totals["carbon_kg"]),
        "carbon_embodied_kg": float(totals["carbon_embodied_kg"]),
        "cost_usd": float(totals["cost_usd"]),
        "peak_import_w": float(totals["peak_import_w"]),
        "water_l": float(totals["water_l"]),
        "jobs_completed": jobs_completed(jobs),
        "preemptions": preemptions(jobs),
        "productive_fraction": productive_fraction(jobs),
        "deadlines_met_fraction": deadlines_met_fraction(jobs, end_s),
        "network_stall_fraction": stall_fraction(jobs, "network"),
        "data_stall_fraction": stall_fraction(jobs, "data"),
    }
