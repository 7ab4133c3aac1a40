"""Summary figures against hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcsim.results import metrics
from dcsim.results.schema import SUMMARY, TIMES

NAN = math.nan
JOBS = {
    "submit_s": np.array([10.0, 20.0, 30.0, 40.0]),
    "start_s": np.array([10.0, 40.0, 60.0, NAN]),
    "end_s": np.array([30.0, 100.0, NAN, NAN]),
    "wait_s": np.array([0.0, 20.0, 30.0, NAN]),
    "jct_s": np.array([20.0, 80.0, NAN, NAN]),
    "accelerators": np.array([2, 1, 4, 8], dtype=np.int32),
    "attempts": np.array([3, 1, 2, 0], dtype=np.int32),
    "deadline_s": np.array([30.0, 90.0, 105.0, 200.0]),
    "productive_accelerator_s": np.array([30.0, 50.0, 100.0, 0.0]),
    "checkpoint_accelerator_s": np.array([4.0, 0.0, 30.0, 0.0]),
    "restore_accelerator_s": np.array([6.0, 0.0, 20.0, 0.0]),
    "redone_accelerator_s": np.array([0.0, 0.0, 50.0, 0.0]),
    "stalled_accelerator_s": np.array([0.0, 10.0, 0.0, 0.0]),
    "waiting_accelerator_s": np.array([0.0, 0.0, 0.0, 0.0]),
    **{column.name: np.zeros(4) for column in TIMES},
}
TOTALS = {
    "energy_it_j": 100.0,
    "energy_facility_j": 130.0,
    "carbon_kg": 2.0,
    "carbon_embodied_kg": 5.0,
    "cost_usd": 3.0,
    "peak_import_w": 6.0,
    "water_l": 4.0,
}


def test_summary_row_by_hand() -> None:
    row = metrics.summary_row(JOBS, TOTALS, placement="p", energy="e", seed=7, accelerators=8, end_s=110.0)
    assert list(row) == [column.name for column in SUMMARY]
    assert row["jct_mean_s"] == 50.0
    assert row["jct_p95_s"] == pytest.approx(20.0 + 0.95 * 60.0, abs=1e-12)
    assert row["wait_mean_s"] == pytest.approx(50.0 / 3.0)
    assert row["makespan_s"] == 90.0
    assert row["accelerator_utilisation"] == pytest.approx((2 * 20 + 60 + 4 * 50) / (8 * 110))
    assert (row["pue"], row["jobs_completed"], row["seed"]) == (1.3, 2, 7)
    assert {name: row[name] for name in TOTALS} == TOTALS
    assert row["preemptions"] == 3
    assert row["productive_fraction"] == pytest.approx(180.0 / 300.0)
    assert row["deadlines_met_fraction"] == pytest.approx(1.0 / 3.0)  # one in time, one late, one not done


def test_stalls_count_with_the_width_that_a_job_had() -> None:
    # Two accelerators for 20 s, a tenth of it lost; four for 50 s, half of it lost to slow input; one never ran.
    nothing = np.zeros(3)
    columns = {column.name: nothing for column in TIMES} | {
        "queue_s": np.array([7.0, 9.0, 100.0]),
        "compute_s": np.array([18.0, 25.0, 0.0]),
        "network_stall_s": np.array([2.0, 0.0, 0.0]),
        "data_stall_s": np.array([0.0, 25.0, 0.0]),
    }
    spent = {f"{name}_accelerator_s": nothing for name in ("checkpoint", "restore", "redone", "waiting")}
    jobs = {
        **columns,
        **spent,
        "productive_accelerator_s": np.array([36.0, 100.0, 0.0]),
        "stalled_accelerator_s": np.array([4.0, 100.0, 0.0]),
    }
    assert metrics.stall_fraction(jobs, "network") == pytest.approx(4.0 / 240.0)
    assert metrics.stall_fraction(jobs, "data") == pytest.approx(100.0 / 240.0)
    assert metrics.stall_fraction(jobs, "neighbour") == 0.0
    dust = {**jobs, "network_stall_s": np.array([2e-9, 0.0, 0.0])}
    assert metrics.stall_fraction(dust, "network") == 0.0
    idle = {name: values[2:] for name, values in jobs.items()}
    assert math.isnan(metrics.stall_fraction(idle, "network"))


def test_nothing_completed_gives_nan_not_zero() -> None:
    jobs = {name: values[3:] for name, values in JOBS.items()}
    row = metrics.summary_row(jobs, TOTALS, placement="p", energy="e", seed=0, accelerators=8, end_s=110.0)
    for name in ("jct_mean_s", "jct_p95_s", "wait_mean_s", "makespan_s"):
        assert math.isnan(float(row[name]))
    assert (row["jobs_completed"], row["accelerator_utilisation"]) == (0, 0.0)


def test_no_jobs_and_no_accelerators() -> None:
    jobs = {name: values[:0] for name, values in JOBS.items()}
    totals = {**TOTALS, "energy_it_j": 0.0}
    row = metrics.summary_row(jobs, totals, placement="p", energy="e", seed=0, accelerators=0, end_s=0.0)
    assert row["makespan_s"] == 0.0
    assert math.isnan(float(row["accelerator_utilisation"]))
    assert math.isnan(float(row["pue"]))


def test_the_order_of_jobs_is_irrelevant() -> None:
    values = np.array([1e16, 1.0, -1e16, 3.0])
    forward = metrics.jct_mean_s({"jct_s": values})
    assert forward == metrics.jct_mean_s({"jct_s": values[::-1]}) == 1.0


def test_shared_devices_give_their_own_seconds() -> None:
    row = metrics.summary_row(
        JOBS, TOTALS, placement="p", energy="e", seed=0, accelerators=8, end_s=100.0, granted_s=80.0
    )
    assert row["accelerator_utilisation"] == 0.1
