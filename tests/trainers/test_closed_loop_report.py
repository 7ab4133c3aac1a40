"""Real beside simulated: errors, effects and targets of made-up runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.trainers.closed_loops import measured, profile, queued, ran
from trainers.closed_loop.comparison import (
    compare,
    floor_relative,
    order_agrees,
    phase_shares,
    repeats_in_order,
    start_order,
)
from trainers.closed_loop.dispatcher import JobRun
from trainers.closed_loop.loop import ClosedLoop, LoopSettings
from trainers.closed_loop.report import loop_result
from trainers.closed_loop.simulated import EFFECTS, SimulatedJob
from trainers.validation.markdown import fragment
from trainers.validation.page import page
from trainers.validation.result import Gantt, Load, Validation, Where

JOBS = (queued("job-01", model="one"), queued("job-02", submit_s=2.0, model="other"))
WHERE = Where(
    created_utc="2026-01-02T03:04:05+00:00", host_cpu="a processor", host_cores=2, operating_system="Linux",
    python_version="3.11.0", packages={"jax": "1.2.3"}, command="python -m trainers validate closed-loop",
)  # fmt: skip


def _runs(*ends_s: float) -> tuple[JobRun, ...]:
    return tuple(
        ran(job, job.submit_s, end_s, core)
        for core, (job, end_s) in enumerate(zip(JOBS, ends_s, strict=True))
    )


def _simulated(*ends_s: float) -> tuple[SimulatedJob, ...]:
    return tuple(
        SimulatedJob(job.name, job.submit_s, job.submit_s, end_s, core)
        for core, (job, end_s) in enumerate(zip(JOBS, ends_s, strict=True))
    )


REAL = {
    "fifo": (_runs(10.0, 22.0), _runs(11.0, 22.0), _runs(12.0, 22.0)),
    "shortest_first": (_runs(9.0, 12.0), _runs(9.0, 12.0), _runs(9.0, 12.0)),
}
SIMULATED = {"fifo": _simulated(11.0, 24.0), "shortest_first": _simulated(9.0, 12.5)}


def _loop(taken: float | None = 0.01, **changes: object) -> ClosedLoop:
    models = ("one", "other")
    loop = ClosedLoop(
        settings=LoopSettings(models=models, jobs=2, repeats=3),
        jobs=JOBS,
        profiles={name: profile(name) for name in models},
        measured=measured(models, 0.9, 1.2),
        real=REAL,
        simulated=dict.fromkeys(EFFECTS, SIMULATED),
        loads=tuple(Load(average_start=0.1 * at, average_end=1.0, taken_share=taken) for at in range(6)),
    )
    return replace(loop, **changes)  # type: ignore[arg-type]


def _value(result: Validation, what: str) -> float | None:
    return next(verdict.value for verdict in result.verdicts if verdict.what == what)


def test_errors_are_of_medians_from_submission_to_end() -> None:
    outcome = compare(JOBS, REAL, SIMULATED)
    # 11 of 11, 22 of 20, 9 of 9, 10.5 of 10.
    assert [job.error_relative for job in outcome.jobs] == pytest.approx([0.0, 0.1, 0.0, 0.05])
    assert outcome.mean_error == pytest.approx(0.0375)
    assert outcome.worst.job.name == "job-02"
    assert outcome.bias == pytest.approx(0.0375)
    assert outcome.mean_completion_s("fifo") == pytest.approx((15.5, 16.5))
    assert outcome.jobs[0].spread_relative == pytest.approx(2.0 / 11.0)


def test_the_floor_is_the_error_of_a_perfect_simulator() -> None:
    """Medians of five normal repeats against a simulator that names the true ones."""
    draws = np.random.default_rng(1)
    names = [queued(f"job-{at}") for at in range(1000)]
    times_s = 100.0 * (1.0 + 0.05 * draws.normal(size=(5, len(names))))
    real = {
        "fifo": [[ran(job, 0.0, end_s) for job, end_s in zip(names, row, strict=True)] for row in times_s]
    }
    perfect = {"fifo": [SimulatedJob(job.name, 0.0, 0.0, 100.0) for job in names]}
    found = compare(names, real, perfect).mean_error
    # 5 % too much at five repeats, 6 % too little as a sample's standard deviation is; both are near.
    assert floor_relative(real) == pytest.approx(found, rel=0.08)


def test_the_floor_by_hand() -> None:
    # 10, 11, 12: deviation 1 over 11; three other jobs are the same each time.
    assert floor_relative(REAL) == pytest.approx(1.0 / 11.0 / 3.0**0.5 / 4.0)
    assert floor_relative({"fifo": (_runs(10.0, 22.0),)}) is None
    single = loop_result(_loop(real={name: repeats[:1] for name, repeats in REAL.items()}), WHERE)
    (verdict,) = (each for each in single.verdicts if each.what == "error of the medians themselves")
    assert (verdict.state, verdict.meaning[:15]) == ("skipped", "not applicable:")


def test_starts_in_another_order_are_told() -> None:
    assert repeats_in_order(REAL["fifo"], SIMULATED["fifo"]) == 3
    late = replace(REAL["fifo"][1][0], start_s=5.0)
    runs = (REAL["fifo"][0], (late, REAL["fifo"][1][1]), REAL["fifo"][2])
    assert start_order(runs[1]) == ("job-02", "job-01")
    assert repeats_in_order(runs, SIMULATED["fifo"]) == 2
    result = loop_result(_loop(real=REAL | {"fifo": runs}), WHERE)
    assert [row[-1] for row in result.tables[0].rows] == ["2 of 3", "3 of 3"]
    assert result.notes == (
        "fifo: jobs started in another order than in the simulation in 1 of 3 repeats; their errors contain that.",
    )


def test_policies_are_put_in_the_order_of_reality_or_not() -> None:
    policies = ("fifo", "shortest_first")
    assert order_agrees(compare(JOBS, REAL, SIMULATED), policies)
    wrong = {"fifo": SIMULATED["shortest_first"], "shortest_first": SIMULATED["fifo"]}
    assert not order_agrees(compare(JOBS, REAL, wrong), policies)


def test_phases_add_up() -> None:
    shares = phase_shares({"fifo": (_runs(10.0, 22.0),)})
    assert sum(shares.values()) == pytest.approx(1.0)
    # Of 10 and of 20 s: 0.1 s each for libraries, data and the end; half is over when the first step is done.
    assert shares["process and libraries"] == pytest.approx(0.2 / 30.0)
    assert shares["compilation"] == pytest.approx((15.0 - 0.4) / 30.0)


def test_a_good_loop_passes() -> None:
    result = loop_result(_loop(), WHERE)
    assert result.passed
    assert _value(result, "mean error of job completion times") == pytest.approx(0.0375)
    assert _value(result, "largest error of a job") == pytest.approx(0.1)
    assert _value(result, "taken by others") == 0.01
    assert result.notes == ()
    assert (result.load.average_start, result.load.average_end) == (0.0, 1.0)


@pytest.mark.parametrize(
    "simulated",
    [
        {"fifo": _simulated(11.0, 27.0), "shortest_first": _simulated(9.0, 12.0)},  # one job by a quarter
        {"fifo": _simulated(12.0, 24.0), "shortest_first": _simulated(10.0, 13.0)},  # all by a tenth
        {"fifo": _simulated(9.0, 12.0), "shortest_first": _simulated(11.0, 22.0)},  # the other way round
    ],
)
def test_a_bad_loop_does_not(simulated: dict[str, tuple[SimulatedJob, ...]]) -> None:
    assert not loop_result(_loop(simulated=dict.fromkeys(EFFECTS, simulated)), WHERE).passed


def test_a_busy_host_is_told() -> None:
    (note,) = loop_result(_loop(taken=0.3), WHERE).notes
    assert "not quiet: others took 30%" in note
    assert loop_result(_loop(taken=None), WHERE).notes == ()


def test_schedules_are_drawn_core_by_core() -> None:
    charts = [chart for chart in loop_result(_loop(), WHERE).charts if isinstance(chart, Gantt)]
    assert [lane.name for lane in charts[0].lanes] == [
        "real, core 0",
        "real, core 1",
        "simulated, core 0",
        "simulated, core 1",
    ]
    # The repeat with the median mean, the second; and the simulation's.
    assert [lane.bars[0].end for lane in charts[0].lanes] == [11.0, 22.0, 11.0, 24.0]
    assert charts[0].lanes[0].bars[0].prepared == 5.5


def test_its_pages_say_what_it_found() -> None:
    result = loop_result(_loop(), WHERE)
    text, shown = fragment(result), page([result])
    for said in ("3.8 %", "at most 7.0 %", "no compilation", "x 1.200", "job-02"):
        assert said in text, said
        assert said in shown, said
