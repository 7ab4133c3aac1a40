"""Held-out errors, with made-up measurements."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from dcsim.errors import InputError
from dcsim.workload.profile import CostProfile, StepTimeSurface
from dcsim.workload.profile_store import save_profile
from tests.trainers.closed_loops import profile
from tests.trainers.test_closed_loop_report import WHERE
from trainers.commands.validate import _made_before
from trainers.settings import Settings
from trainers.validation.holdout import Measure, compare, holdout, predicted_step_s, unseen_configurations
from trainers.validation.holdout_report import holdout_result, least_covered
from trainers.validation.result import Load, Validation

LOAD = Load(average_start=0.0, average_end=1.0, taken_share=0.0)


def _profile() -> CostProfile:
    """Return one of 1 ms and 0.1 ms a sample between batches 8 and 64, sure to a tenth nine times in ten."""
    found = profile("made_up")
    knots = [
        {"devices": 1, "batch_per_device": batch, "step_time_s": (10 + batch) * 1e-4} for batch in (8, 64)
    ]
    surface = StepTimeSurface.model_validate({"knots": knots, "interval_relative": 0.1, "coverage": 0.9})
    fit = found.fit.model_copy(
        update={"devices_min": 1, "devices_max": 1, "batch_per_device_min": 8, "batch_per_device_max": 64}
    )
    points = tuple(
        found.points[0].model_copy(update={"devices": 1, "batch_per_device": batch}) for batch in (8, 32, 64)
    )
    return found.model_copy(update={"surface": surface, "fit": fit, "points": points})


def _workers(measure: Measure, visited: list[int] | None = None) -> Callable[[CostProfile, int], Any]:
    @contextlib.contextmanager
    def workers(_: CostProfile, devices: int) -> Iterator[Measure]:
        def told(batch: int) -> float:
            if visited is not None:
                visited.append(batch)
            return measure(batch)

        yield told

    return workers


def _run(path: Path | None, measure: Measure, visited: list[int] | None = None, repeats: int = 3) -> Any:
    return holdout(
        _profile(), count=4, repeats=repeats, seed=1, path=path, workers=_workers(measure, visited), progress=lambda _: None
    )  # fmt: skip


def _true_s(batch: int) -> float:
    return (10 + batch) * 1e-4


def test_configurations_are_inside_and_unseen() -> None:
    chosen = unseen_configurations(_profile(), 5, seed=3)
    assert (
        chosen == unseen_configurations(_profile(), 5, seed=3) != unseen_configurations(_profile(), 5, seed=4)
    )
    assert len(set(chosen)) == 5
    assert all(devices == 1 and 8 <= batch <= 64 and batch not in (8, 32, 64) for devices, batch in chosen)
    assert len(unseen_configurations(_profile(), 999, seed=3)) == 57 - 3


def test_each_repeat_visits_all_in_another_order_and_medians_count() -> None:
    visited: list[int] = []
    noise = itertools.cycle([1.0] * 4 + [1.0] * 4 + [9.0] * 4)  # the third repeat is disturbed
    found = _run(None, lambda batch: _true_s(batch) * next(noise), visited)
    batches = [each.batch_per_device for each in found]
    rounds = [visited[at : at + 4] for at in (0, 4, 8)]
    assert all(sorted(each) == batches for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert [each.error_relative for each in found] == pytest.approx([0.0] * 4)
    assert [each.spread_relative for each in found] == pytest.approx([8.0] * 4)
    assert all(each.covered for each in found)


def test_what_was_finished_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    count = itertools.count()

    def until_stopped(batch: int) -> float:
        if next(count) == 6:
            raise KeyboardInterrupt
        return _true_s(batch)

    with pytest.raises(KeyboardInterrupt):
        _run(path, until_stopped)
    visited: list[int] = []
    found = _run(path, _true_s, visited)
    assert len(visited) == 12 - 6
    assert all(len(each.measured_s) == 3 for each in found)
    visited.clear()
    assert _run(path, _true_s, visited) == found
    assert visited == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content | {"host": "another"},
        lambda content: content | {"measured": content["measured"][1:]},
        lambda content: {"measured": content["measured"]},
        lambda content: [content],
    ],
)
def test_measurements_of_something_else_are_refused(tmp_path: Path, damage: Callable[[Any], Any]) -> None:
    path = tmp_path / "measured.json"
    _run(path, _true_s)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(InputError, match="remove it"):
        _run(path, _true_s)


def test_measurements_taken_in_another_way_are_refused(tmp_path: Path) -> None:
    def run(steps: int) -> Any:
        return holdout(
            _profile(), count=4, repeats=3, seed=1, path=tmp_path / "m.json", workers=_workers(_true_s),
            progress=lambda _: None, how={"steps": steps},
        )  # fmt: skip

    assert run(100) == run(100)
    with pytest.raises(InputError, match="remove it"):
        run(20)


def test_profiles_of_another_calibration_are_refused(tmp_path: Path) -> None:
    made = Settings("linear", devices=(1,), modes=("jit",))
    found = profile("linear")
    provenance = found.provenance.model_copy(update={"command": made.command()})
    save_profile(found.model_copy(update={"provenance": provenance}), tmp_path / "linear.json")
    assert _made_before(Settings("rings"), tmp_path) is None
    kept = _made_before(made, tmp_path)
    assert kept is not None
    assert kept.name == "linear"
    with pytest.raises(InputError, match=r"made by .*--devices 1 .* -> expected .*--devices 1,2 "):
        _made_before(Settings("linear", devices=(1, 2), modes=("jit",)), tmp_path)


def test_without_a_surface_the_fit_predicts_and_no_interval_is_judged() -> None:
    plain = profile("plain")
    assert predicted_step_s(plain, 2, 50) == 0.01
    (found,) = compare(plain, {(1, 50): [0.0125, 0.0125]})
    assert found.error_relative == pytest.approx(-0.2)
    assert found.covered is None


def _judged(factor: float) -> Validation:
    found = _run(None, lambda batch: _true_s(batch) / factor)
    return holdout_result({"made_up": _profile()}, {"made_up": found}, repeats=3, load=LOAD, where=WHERE)


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.04, True), (1.06, False), (0.85, False)])
def test_a_mean_error_above_its_limit_fails(factor: float, *, passed: bool) -> None:
    assert _judged(factor).passed is passed


def test_intervals_that_hold_too_seldom_fail() -> None:
    for verdict in _judged(0.85).verdicts[-2:]:
        assert (verdict.value, verdict.passed) == (0.0, False)
    assert [verdict.value for verdict in _judged(1.04).verdicts[-2:]] == [1.0, 1.0]


def test_medians_do_not_hide_single_measurements_that_are_outside() -> None:
    noise = itertools.cycle([1.0] * 4 + [0.8] * 4 + [1.2] * 4)
    found = _run(None, lambda batch: _true_s(batch) * next(noise))
    result = holdout_result({"made_up": _profile()}, {"made_up": found}, repeats=3, load=LOAD, where=WHERE)
    single, medians = result.verdicts[-2:]
    assert single.value == pytest.approx(1.0 / 3.0)
    assert (single.limit, single.state) == (least_covered(12, 0.9), "failed")
    assert (medians.value, medians.state) == (1.0, "passed")
    assert result.tables[0].rows[0][-2:] == ("yes", "1 of 3")


def test_intervals_of_all_models_are_judged_together_as_well() -> None:
    found, profiles = _run(None, _true_s), {"one": _profile(), "other": _profile()}
    result = holdout_result(profiles, dict.fromkeys(profiles, found), repeats=3, load=LOAD, where=WHERE)
    limits = {each.what: each.limit for each in result.verdicts if "intervals hold" in each.what}
    assert limits["all models: intervals hold measurements"] == least_covered(24, 0.9)
    assert limits["all models: intervals hold medians"] == least_covered(8, 0.9)
    assert len(limits) == 6


def test_a_model_that_states_no_interval_does_not_pass_for_it() -> None:
    plain = profile("plain")
    found = compare(plain, {(1, 50): [0.01, 0.01, 0.01]})
    made_up = _run(None, _true_s)
    profiles = {"plain": plain, "made_up": _profile()}
    result = holdout_result(profiles, {"plain": found, "made_up": made_up}, repeats=3, load=LOAD, where=WHERE)
    (verdict,) = (each for each in result.verdicts if each.what.startswith("plain: intervals"))
    assert (verdict.passed, verdict.state) == (False, "skipped")
    assert verdict.meaning == "not applicable: the profile has no surface, so it states no interval"
    judged = [each.what for each in result.verdicts if each.what.startswith("made_up: intervals")]
    assert len(judged) == 2


@pytest.mark.parametrize(("count", "rate"), [(1, 0.9), (12, 0.9), (18, 0.9), (30, 0.8), (100, 0.95)])
def test_the_least_coverage_is_that_of_the_binomial_distribution(count: int, rate: float) -> None:
    assert least_covered(count, rate) == stats.binom.ppf(0.05, count, rate) / count
