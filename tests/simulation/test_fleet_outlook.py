"""What a router is told of grid and plant: exact means of what is forecast, and never what is not known yet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.series import StepSeries
from dcsim.simulation.fleet_jobs import build_fleet_jobs
from dcsim.simulation.fleet_outlook import Outlook, StepMeans
from dcsim.simulation.inputs import prepare
from dcsim.workload.jobs import job_table
from tests.simulation.fleets import COP, HORIZON_S, fleet, site

DAY = [1e-7 * (1.0 + 0.5 * np.cos(2.0 * np.pi * hour / 24.0)) for hour in range(24)]
GRID = {
    "carbon": {"kind": "daily", "intensity_kg_per_j": DAY},
    "price": {"kind": "daily", "price_usd_per_j": [3e-8 + 1e-9 * hour for hour in range(24)]},
}


def outlook_of(hall):
    loaded = fleet({"a": hall})
    jobs = build_fleet_jobs(loaded, 0, job_table(submit_s=0.0, duration_s=1.0))
    scenario = loaded.sites[0].scenario
    inputs = prepare(scenario, 3, loaded.base_dir, profiles=jobs.profiles, jobs=jobs.table)
    return Outlook(inputs, loaded.base_dir, HORIZON_S)


STEPS = st.lists(st.tuples(st.floats(0.1, 10.0), st.floats(-5.0, 5.0)), min_size=1, max_size=6)


@given(STEPS, st.floats(0.0, 80.0), st.floats(0.0, 80.0))
def test_means_are_those_of_the_step_series(steps, one, other):
    times = [0.0, *np.cumsum([width for width, _ in steps]).tolist()[:-1]]
    values = [value for _, value in steps]
    from_s, to_s = sorted((one, other))
    series = StepSeries(np.array(times), np.array(values))
    expected = float(series.mean([from_s], to_s - from_s)[0]) if to_s - from_s > 1e-6 else None
    means = StepMeans(times, values)
    assert means.at(from_s) == float(series.at([from_s])[0])
    if expected is not None:
        assert means.mean(from_s, to_s) == pytest.approx(expected, abs=1e-6)
    assert means.mean(from_s, from_s) == means.at(from_s)


def test_a_perfect_forecast_is_the_series_and_pue_is_the_plants():
    outlook = outlook_of(site(grid=GRID))
    for hour in (0, 5, 23):
        assert outlook.carbon_ahead.at(3_600.0 * hour) == pytest.approx(DAY[hour])
        assert outlook.carbon.at(3_600.0 * hour) == pytest.approx(DAY[hour])
        assert outlook.pue.at(3_600.0 * hour) == pytest.approx(1.0 + 1.0 / COP)
        assert outlook.price_of_it.at(3_600.0 * hour) == pytest.approx(
            (3e-8 + 1e-9 * hour) * (1.0 + 1.0 / COP)
        )


def test_under_persistence_tomorrow_is_as_what_was_seen():
    outlook = outlook_of(site(grid=GRID | {"forecast": {"kind": "persistence"}}))
    # At t = 0 nothing was seen: all hours are as now.
    assert outlook.carbon_ahead.mean(0.0, HORIZON_S) == pytest.approx(DAY[0])
    outlook.refresh(6 * 3_600.0)
    assert outlook.carbon_ahead.at(6 * 3_600.0) == pytest.approx(DAY[6])
    assert outlook.carbon_ahead.at(12 * 3_600.0) != pytest.approx(DAY[12])
    assert outlook.carbon.at(12 * 3_600.0) == pytest.approx(DAY[12])


def test_a_forecast_in_error_is_the_one_the_halls_own_policies_see():
    noise = {"forecast": {"kind": "noise", "carbon_error_24h": 0.3}}
    outlook = outlook_of(site(grid=GRID | noise))
    now_s = 2 * 3_600.0
    outlook.refresh(now_s)
    hours = now_s + 3_600.0 * np.arange(20.0)
    seen = outlook.view(now_s).carbon_mean_kg_per_j(hours, 0.0)
    assert [outlook.carbon_ahead.at(hour) for hour in hours] == pytest.approx(seen.tolist())
    assert not np.allclose(seen, [DAY[int(hour // 3_600)] for hour in hours], rtol=0.01)
