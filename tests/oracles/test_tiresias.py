"""Tiresias on Pollux's workloads, against the job completion times that Pollux's own simulator gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.results.run_result import RunResult
from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import JobTable
from dcsim.workload.measured_kind import MeasuredKind
from dcsim.workload.rate_table import MeasuredRate, RateTable
from dcsim.workload.readers.pollux import read_pollux, read_pollux_rates
from dcsim.workload.readers.pollux_applications import POLLUX_APPLICATIONS
from tests.oracles.figures import Figures

Floats = npt.NDArray[np.float64]

SERVERS, PER_SERVER = 16, 4
WORKLOADS = (6, 7, 8)


def _scenario(horizon_s: float | None = None) -> Scenario:
    """The cluster of section 5.3 of the paper, its round and its cost of a start, 30 s, whether first or not."""
    return Scenario.model_validate(
        {
            "name": "tiresias",
            "horizon_s": horizon_s,
            "cluster": {
                "racks": [
                    {
                        "name": "rack",
                        "servers": [{"count": SERVERS, "accelerator": "T4", "accelerators": PER_SERVER}],
                    }
                ]
            },
            "workload": {"kind": "trace", "path": "given-as-a-table.csv", "format": "pollux"},
            "preemption": {"start_s": 30, "restore_s": 30, "checkpoint_s": 0},
            "policies": {
                "ordering": {
                    "name": "tiresias",
                    "parameters": {"threshold_accelerator_s": 16 * 3_600, "round_s": 60},
                },
                "placement": "worst_fit",
            },
        }
    )


def _layouts(width: int, most: int = PER_SERVER, servers: int = SERVERS) -> Iterator[tuple[int, ...]]:
    """Yield every way to lay `width` accelerators out over servers, most first."""
    if width == 0:
        yield ()
    elif servers:
        for count in range(min(width, most), 0, -1):
            for rest in _layouts(width - count, count, servers - 1):
                yield (count, *rest)


def _booked(table: RateTable, jobs: JobTable) -> RateTable:
    """Return the rates as the published simulator books them: each epoch ends on a whole second.

    On one layout an epoch of n steps of t s takes round(n t), so a job's steps take, on average over
    its epochs, sum(round(n t)) / sum(n); docs/decisions/0065-measured-rates.md.
    """
    columns = (jobs.texts("profile"), jobs.accelerators.tolist(), jobs.batch_per_accelerator.tolist())
    rates = []
    for name, width, batch in dict.fromkeys(zip(*columns, strict=True)):
        application = POLLUX_APPLICATIONS[name]
        steps = application.epoch_steps(application.samples_per_step(width * batch, width))
        for layout in _layouts(width):
            seconds = steps / table.rate_steps_per_s(name, "T4", layout, batch).steps_per_s
            step_s = float(np.rint(seconds).sum() / steps.sum())
            rates.append(MeasuredRate(kind=name, accelerator="T4", layout=layout, batch=batch, step_s=step_s))
    return RateTable(provenance=table.provenance, rates=tuple(rates))


@cache
def _published(folder: Path) -> tuple[RateTable, dict[str, dict[str, float]]]:
    """Return the measured rates, and the completion times of each workload's jobs in s."""
    expected = json.loads((folder / "expected_tiresias.json").read_text())["jct_s"]
    return read_pollux_rates(folder / "placements"), expected


def _run(folder: Path, workload: int, *, booked: bool, horizon_s: float | None = None) -> RunResult:
    table, _ = _published(folder)
    jobs = read_pollux(folder / f"workload-{workload}.csv")
    rates = _booked(table, jobs) if booked else table
    kinds = {name: MeasuredKind(rates, name) for name in rates.names()}
    return simulate(_scenario(horizon_s), 0, jobs=jobs, profiles=kinds)


def _against(result: RunResult, expected: dict[str, float]) -> tuple[Floats, Floats]:
    """Return (our, the published) completion times in s, job by job."""
    names = list(map(str, result.jobs["job_id"]))
    assert sorted(names) == sorted(expected)
    return result.jobs["jct_s"], np.array([expected[name] for name in names])


@pytest.mark.oracle
@pytest.mark.parametrize("workload", WORKLOADS)
def test_tiresias_on_pollux(workload: int, shared_data: Path, figure: Figures) -> None:
    folder = shared_data / "traces" / "pollux"
    expected = _published(folder)[1][f"workload-{workload}"]
    result = _run(folder, workload, booked=True)
    assert set(result.jobs["status"]) == {"completed"}
    ours_s, theirs_s = _against(result, expected)
    off = np.abs(ours_s / theirs_s - 1.0)
    name = f"Tiresias, Pollux workload {workload}"
    error = float(ours_s.mean() / theirs_s.mean() - 1.0)
    figure.near(f"{name}, mean JCT off [%]", 100.0 * error, 0.0, 2.0)
    figure.at_most(f"{name}, jobs off by more than 5 % [%]", 100.0 * float(np.mean(off > 0.05)), 10.0)
    same = float(np.mean(np.abs(ours_s - theirs_s) < 1.0))
    figure.tell(f"{name}, jobs within a second", f"{same:.1%}", f"{len(off)} jobs, worst {off.max():.1%} off")


@pytest.mark.oracle
@pytest.mark.parametrize("workload", WORKLOADS)
def test_what_the_whole_seconds_are_worth(workload: int, shared_data: Path, figure: Figures) -> None:
    """With the rates as measured, which is how a user runs them, the schedules part."""
    folder = shared_data / "traces" / "pollux"
    expected = _published(folder)[1][f"workload-{workload}"]
    ours_s, theirs_s = _against(_run(folder, workload, booked=False), expected)
    error = 100.0 * float(ours_s.mean() / theirs_s.mean() - 1.0)
    close = float(np.mean(np.abs(ours_s / theirs_s - 1.0) <= 0.05))
    name = f"Tiresias, Pollux workload {workload}, rates as measured: mean JCT off [%]"
    figure.near(name, error, 0.0, 5.0, f"{close:.1%} of jobs within 5 %")


def test_tiresias_on_the_first_hours(shared_data: Path, figure: Figures) -> None:
    """Every job that is over after two and a half hours, among them some that were demoted and preempted."""
    folder, until_s = shared_data / "traces" / "pollux", 9_000.0
    expected = _published(folder)[1]["workload-6"]
    result = _run(folder, 6, booked=True, horizon_s=until_s)
    ours_s, theirs_s = _against(result, expected)
    over = result.jobs["submit_s"] + theirs_s < until_s - 60.0
    assert np.count_nonzero(over) >= 30
    assert (result.jobs["attempts"][over] > 1).any()
    off = np.abs(ours_s / theirs_s - 1.0)[over]
    worst = 100.0 * float(off.max())
    figure.at_most("Tiresias, Pollux workload 6, first 2.5 h, worst JCT off [%]", worst, 2.0)
