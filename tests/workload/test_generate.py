"""Generated jobs against the laws they are drawn from; seeds are fixed, false alarms below 1e-4 a test."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dcsim.errors import ScenarioError
from dcsim.facility.hardware import CATALOGUE
from dcsim.spec.workload import GeneratedWorkloadSpec
from dcsim.workload.cost import ideal_step_time_s, step_cost
from dcsim.workload.distributions import cumulative_diurnal_s, diurnal_phase_rad
from dcsim.workload.generate import arrival_rate_per_s, generate_jobs
from dcsim.workload.jobs import JobTable
from dcsim.workload.profile import StartUp
from dcsim.workload.profile_store import LoadedProfile

START = datetime(2023, 1, 1, tzinfo=UTC)
REFERENCE = CATALOGUE["V100"]
SIGNIFICANCE = 1e-4
COLUMNS = ("submit_s", "accelerators", "steps", "slack_s", "tenant", "profile", "batch_per_accelerator")


def _spec(**changes: Any) -> GeneratedWorkloadSpec:
    return GeneratedWorkloadSpec.model_validate({"jobs": 20_000, "mix": [{"profile": "round"}]} | changes)


def _generate(loaded: dict[str, LoadedProfile], seed: int = 1, **changes: Any) -> JobTable:
    return generate_jobs(_spec(**changes), seed, loaded, 64, REFERENCE, START)


def _run_s(table: JobTable, loaded: dict[str, LoadedProfile]) -> np.ndarray:
    """Ideal run times: steps times the ideal step time at each width."""
    step_s = np.zeros(len(table))
    for width in np.unique(table.accelerators).tolist():
        cost = step_cost(loaded["round"].profile, REFERENCE, width, 128)
        step_s[table.accelerators == width] = ideal_step_time_s(cost, REFERENCE, width)
    return table.steps * step_s


def test_tables_are_sound_and_repeatable(loaded: dict[str, LoadedProfile]) -> None:
    one, two, other = _generate(loaded), _generate(loaded), _generate(loaded, seed=2)
    one.check()
    assert len(one) == 20_000
    assert one.job_id == tuple(sorted(one.job_id))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.submit_s, other.submit_s)
    assert (one.batch_per_accelerator == 128).all()
    assert (one.steps == np.floor(one.steps)).all()


def test_gaps_are_exponential(loaded: dict[str, LoadedProfile]) -> None:
    gaps = np.diff(_generate(loaded).submit_s, prepend=0.0)
    mean_s = 1.0 / arrival_rate_per_s(_spec(), 64)
    assert stats.kstest(gaps, stats.expon(scale=mean_s).cdf).pvalue > SIGNIFICANCE


def test_a_daily_swing_gives_an_inhomogeneous_poisson_process(loaded: dict[str, LoadedProfile]) -> None:
    arrivals = {"rate_per_s": 0.02, "diurnal_amplitude": 0.9, "peak_hour": 4.0}
    table = _generate(loaded, arrivals=arrivals)
    # Under the cumulative rate of the law, arrivals become a Poisson process of rate 1.
    phase = diurnal_phase_rad(START, 4.0)
    gaps = np.diff(0.02 * cumulative_diurnal_s(table.submit_s, 0.9, phase), prepend=0.0)
    assert stats.kstest(gaps, stats.expon.cdf).pvalue > SIGNIFICANCE
    # And seen from outside: over whole days, hour by hour, counts follow 1 + 0.9 cos.
    hours = table.submit_s[table.submit_s < 11 * 86_400] % 86_400 // 3_600
    centres = 2 * np.pi * (np.arange(24) + 0.5 - 4.0) / 24
    weights = 1 + 0.9 * np.cos(centres) * np.sinc(1 / 24)
    expected = weights / weights.sum() * len(hours)
    assert stats.chisquare(np.bincount(hours.astype(int), minlength=24), expected).pvalue > SIGNIFICANCE


def test_run_times_are_lognormal_between_the_clips(loaded: dict[str, LoadedProfile]) -> None:
    sizes = {"median_s": 1_000.0, "sigma": 1.5, "min_s": 100.0, "max_s": 50_000.0}
    run_s = _run_s(_generate(loaded, sizes=sizes), loaded)
    assert run_s.min() == pytest.approx(100.0, rel=1e-4)
    assert run_s.max() == pytest.approx(50_000.0, rel=1e-4)
    law = stats.lognorm(s=1.5, scale=1_000.0)
    inside = run_s[(run_s > 100.5) & (run_s < 49_999)]
    low, high = law.cdf([100.5, 49_999])
    assert stats.kstest(inside, lambda x: (law.cdf(x) - low) / (high - low)).pvalue > SIGNIFICANCE
    clipped = int(np.count_nonzero(run_s < 100.01))
    assert stats.binomtest(clipped, len(run_s), law.cdf(100.0)).pvalue > SIGNIFICANCE


def test_widths_kinds_tenants_and_slack_follow_their_weights(loaded: dict[str, LoadedProfile]) -> None:
    both = {**loaded, "other": loaded["round"]}
    mix = [
        {"profile": "round", "weight": 3.0, "widths": {1: 1.0, 4: 1.0}, "deferrable_fraction": 0.0},
        {"profile": "other", "weight": 1.0, "widths": {8: 1.0}, "deferrable_fraction": 0.25, "slack_s": 60.0},
    ]
    table = generate_jobs(_spec(mix=mix, tenants=3), 1, both, 64, REFERENCE, START)
    names = np.array(table.texts("profile"))
    assert stats.binomtest(int((names == "other").sum()), len(table), 0.25).pvalue > SIGNIFICANCE
    assert (table.accelerators[names == "other"] == 8).all()
    first = table.accelerators[names == "round"]
    assert stats.binomtest(int((first == 4).sum()), len(first), 0.5).pvalue > SIGNIFICANCE
    slack = table.slack_s[names == "other"]
    assert stats.binomtest(int((slack == 60.0).sum()), len(slack), 0.25).pvalue > SIGNIFICANCE
    assert (table.slack_s[names == "round"] == 0).all()
    expected = len(table) * np.array([6, 3, 2]) / 11
    assert stats.chisquare(np.bincount(table.tenant), expected).pvalue > SIGNIFICANCE


def test_the_offered_load_is_the_one_asked_for(loaded: dict[str, LoadedProfile]) -> None:
    """Accelerator-seconds a second over accelerators; the tolerance is five standard errors."""
    spec: dict[str, Any] = {
        "arrivals": {"load": 0.7},
        "sizes": {"median_s": 600.0, "sigma": 1.0},
        "jobs": 200_000,
    }
    table = _generate(loaded, **spec)
    work = table.accelerators * _run_s(table, loaded)
    load = work.sum() / table.submit_s[-1] / 64
    error = 0.7 * np.hypot(work.std() / work.mean(), 1.0) / np.sqrt(len(table))
    assert abs(load - 0.7) < 5 * error
    assert error < 0.01


def test_the_offered_load_holds_the_start_ups(loaded: dict[str, LoadedProfile]) -> None:
    """Half of the run times drawn are shorter than the start-up; the tolerance is five standard errors."""
    slow = loaded["round"].profile.model_copy(
        update={"startup": StartUp(process_s=60.0, data_s=0.0, compile_s=40.0)}
    )
    starts = loaded | {"slow": replace(loaded["round"], profile=slow)}
    mix = [{"profile": "slow", "widths": {1: 1.0, 4: 1.0}}, {"profile": "round", "widths": {2: 1.0}}]
    sizes = {"median_s": 100.0, "sigma": 1.2, "min_s": 1.0}
    table = generate_jobs(
        _spec(arrivals={"load": 0.8}, sizes=sizes, mix=mix, jobs=100_000), 1, starts, 64, REFERENCE, START
    )
    starting_s = np.where(np.array(table.texts("profile")) == "slow", 100.0, 0.0)
    work = table.accelerators * (_run_s(table, loaded) + starting_s)
    load = work.sum() / table.submit_s[-1] / 64
    error = 0.8 * np.hypot(work.std() / work.mean(), 1.0) / np.sqrt(len(table))
    assert abs(load - 0.8) < 5 * error
    assert error < 0.01
    (note,) = table.notes
    assert "run longer than given" in note


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"sizes": {"sigma": 0.1}}, ("accelerators", "tenant", "slack_s")),
        ({"arrivals": {"rate_per_s": 1.0}}, ("accelerators", "steps", "tenant", "slack_s")),
        ({"tenants": 9}, ("submit_s", "accelerators", "steps", "slack_s")),
        (
            {"mix": [{"profile": "round", "deferrable_fraction": 0.9}]},
            ("submit_s", "accelerators", "steps", "tenant"),
        ),
        ({"arrivals": {"load": 0.8, "diurnal_amplitude": 0.5}}, ("accelerators", "steps", "tenant")),
    ],
)
def test_a_change_leaves_the_other_streams_alone(
    loaded: dict[str, LoadedProfile], change: dict[str, Any], same: tuple[str, ...]
) -> None:
    base, changed = _generate(loaded, jobs=500), _generate(loaded, jobs=500, **change)
    for name in same:
        np.testing.assert_array_equal(getattr(base, name), getattr(changed, name))
    assert any(not np.array_equal(getattr(base, name), getattr(changed, name)) for name in COLUMNS)


def test_fewer_jobs_are_the_first_of_more(loaded: dict[str, LoadedProfile]) -> None:
    few, many = _generate(loaded, jobs=100), _generate(loaded, jobs=1_000)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:100])


def test_arrivals_do_not_depend_on_the_calendar_without_a_swing(loaded: dict[str, LoadedProfile]) -> None:
    spec = _spec(jobs=50)
    later = generate_jobs(spec, 1, loaded, 64, REFERENCE, START + timedelta(hours=7))
    np.testing.assert_array_equal(later.submit_s, _generate(loaded, jobs=50).submit_s)


def test_the_order_of_widths_in_a_file_does_not_matter(loaded: dict[str, LoadedProfile]) -> None:
    one = _generate(loaded, jobs=200, mix=[{"profile": "round", "widths": {1: 1.0, 8: 2.0}}])
    two = _generate(loaded, jobs=200, mix=[{"profile": "round", "widths": {8: 2.0, 1: 1.0}}])
    np.testing.assert_array_equal(one.accelerators, two.accelerators)


def test_unknown_profiles_are_refused_with_the_nearest_name(loaded: dict[str, LoadedProfile]) -> None:
    with pytest.raises(ScenarioError, match=r"mix\.0\.profile: ruond -> .* did you mean 'round'\?"):
        _generate(loaded, mix=[{"profile": "ruond"}])


def test_a_million_jobs_take_seconds(loaded: dict[str, LoadedProfile]) -> None:
    """A tenth of that here, in CPU time, so that a slip into a Python loop a job shows."""
    begin = time.process_time()
    _generate(loaded, jobs=100_000, arrivals={"load": 0.8, "diurnal_amplitude": 0.5})
    assert time.process_time() - begin < 1.0
