"""Points are visited again: what agrees is averaged, what a slow host did is not believed, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trainers.readings import reading_of
from trainers.calibration_run import Run, measure_in_turns, settled
from trainers.host_noise import visit_relative
from trainers.journal import Journal
from trainers.settings import Settings
from trainers.worker import Reading, Request


def quiet(_: str) -> None:
    """Progress for nobody."""


class Visits:
    """Stands in for worker processes that are started for each point; answers with the next reading given of it."""

    def __init__(self, *found: Reading) -> None:
        self.left = list(found)

    def measure(self, devices: int, request: Request) -> Reading:
        found = next(each for each in self.left if each.key[1] == request.batch_per_device)
        self.left.remove(found)
        return found


def visit(step_s: float, *, batch: int = 10, anchor_s: float = 1.0, spread: float = 0.01) -> Reading:
    """Return a reading of a process of its own."""
    found = reading_of(1, Request("linear", batch, "jit", anchor=(10, "jit")), spread=spread)
    point = {**found.point, "step_time_s": step_s, "step_time_low_s": step_s, "step_time_high_s": step_s}
    return replace(found, point=point, anchor_s=anchor_s, anchor_beside=False)


def measured_by(tmp_path: Path, *found: Reading, budget_s: float = 60.0) -> Run:
    """Return a run of batches 10 and 20 that found these readings."""
    settings = Settings("linear", devices=(1,), modes=("jit",), batches=(10, 20), budget_s=budget_s)
    journal = Journal(tmp_path / "j", settings.fingerprint())
    journal.open()
    run = Run(settings, journal, Visits(*found), quiet)  # type: ignore[arg-type]
    measure_in_turns([run])
    return run


def times_of(run: Run) -> dict[int, float]:
    return {reading.key[1]: reading.measured_point().step_time_s for reading in run.readings}


def test_points_are_visited_again_and_visits_that_agree_are_averaged(tmp_path: Path) -> None:
    run = measured_by(tmp_path, visit(2.0, batch=20), visit(1.0), visit(2.1, batch=20), visit(1.04))
    assert times_of(run) == pytest.approx({10: 1.02, 20: 2.05})
    assert len(run.journal.readings) == 4
    assert [reading.measured_point().steps for reading in run.readings] == [40, 40]


def test_a_visit_that_is_slow_by_more_than_a_tenth_tells_of_the_host(tmp_path: Path) -> None:
    run = measured_by(tmp_path, visit(3.0, batch=20), visit(1.0), visit(2.0, batch=20), visit(1.5))
    assert times_of(run) == {20: 2.0, 10: 1.0}


def test_what_devices_send_is_kept_from_the_visit_that_looked_for_it() -> None:
    looked = replace(visit(1.0), all_reduce_bytes=404.0, all_reduce_count=1)
    for visits in ([looked, visit(0.99)], [looked, visit(0.5)], [visit(1.2), looked]):
        found = settled(visits)
        assert (found.all_reduce_bytes, found.all_reduce_count) == (404.0, 1)


def test_a_quick_visit_beside_others_does_not_count_where_there_is_a_quiet_one() -> None:
    crowded = replace(visit(0.4), taken_share=0.5)
    assert settled([crowded, visit(1.0)]).measured_point().step_time_s == 1.0
    assert settled([crowded]).measured_point().step_time_s == 0.4


def test_without_time_there_are_no_second_visits(tmp_path: Path) -> None:
    assert times_of(measured_by(tmp_path, visit(2.0, batch=20), visit(1.0), budget_s=0.0)) == {
        20: 2.0,
        10: 1.0,
    }


def test_a_noisy_point_is_visited_again_at_once_and_two_that_agree_are_not_noisy(tmp_path: Path) -> None:
    run = measured_by(
        tmp_path,
        visit(2.0, batch=20, spread=0.4),
        visit(2.1, batch=20),
        visit(2.05, batch=20),
        visit(1.0),
        visit(1.0),
    )
    assert times_of(run) == pytest.approx({20: 2.05, 10: 1.0})
    assert max(reading.measured_point().split_half_spread or 0.0 for reading in run.readings) < 0.06


def test_a_point_whose_anchor_was_slow_is_visited_once_more(tmp_path: Path) -> None:
    run = measured_by(tmp_path, visit(2.0, batch=20), visit(1.3, anchor_s=1.3), visit(1.0), budget_s=0.0)
    assert times_of(run) == {20: 2.0, 10: 1.0}
    run = measured_by(
        tmp_path / "other", visit(2.6, batch=20, anchor_s=1.3), visit(1.0), visit(2.0, batch=20), budget_s=0.0
    )
    assert times_of(run) == {20: 2.0, 10: 1.0}


def test_visits_that_were_interrupted_are_used_in_their_order(tmp_path: Path) -> None:
    found = (visit(3.0, batch=20), visit(1.0), visit(2.0, batch=20), visit(1.04))
    whole = measured_by(tmp_path / "whole", *found)
    settings = whole.settings
    for finished in range(5):
        journal = Journal(tmp_path / str(finished), settings.fingerprint())
        journal.open()
        for reading in whole.journal.readings[:finished]:
            journal.add(reading)
        run = Run(settings, journal, Visits(*whole.journal.readings[finished:]), quiet)  # type: ignore[arg-type]
        measure_in_turns([run])
        assert run.readings == whole.readings


def test_visits_of_one_anchor_in_processes_of_their_own_say_what_a_visit_is_worth() -> None:
    visits = [[visit(1.0, anchor_s=seconds)] for seconds in (1.0, 1.0, 0.9, 1.1, 1.1, 0.9)]
    assert visit_relative(visits) == pytest.approx(0.1 / 1.645)
    assert visit_relative(visits[:4]) == 0.0
    assert visit_relative([[replace(each, anchor_beside=True) for each in point] for point in visits]) == 0.0


def test_two_visits_differ_by_more_than_one_scatters() -> None:
    # Normal visits of 3 %: two differ by sqrt(2) times that.
    draws = np.random.default_rng(0)
    visits = [[visit(1.0 + 0.03 * draws.normal()) for _ in range(2)] for _ in range(400)]
    assert visit_relative(visits) == pytest.approx(0.03, rel=0.1)
