"""What policies of a run see of the grid: the same for all, and nothing of the future that is not forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.facility.grid import Grid, build_grid
from dcsim.facility.series import StepSeries
from dcsim.policies import GridView, make_policy
from dcsim.simulation import simulate
from dcsim.simulation.forecasting import make_forecast
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import preemption, under
from tests.simulation.halls import hall

HOUR, DAY = 3600.0, 86_400.0
G_PER_KWH = 1e-3 / 3.6e6
SPECS: dict[str, dict[str, Any]] = {
    "perfect": {"kind": "perfect"},
    "persistence": {"kind": "persistence"},
    "noise": {"kind": "noise", "carbon_error_24h": 0.2, "price_error_24h": 0.2},
}


def day(scale: float = 1.0, unit: str = "g/kWh") -> list[str]:
    return [f"{scale * (100 + 10 * ((5 * hour) % 24))} {unit}" for hour in range(24)]


GRID: dict[str, Any] = {
    "carbon": {"kind": "daily", "intensity_kg_per_j": day()},
    "marginal_carbon": {"kind": "daily", "intensity_kg_per_j": day(2.0)},
    "price": {"kind": "daily", "price_usd_per_j": day(0.5, "USD/MWh")},
}


def view(now_s: float, seed: int = 1, **parts: Any) -> GridView:
    scenario = hall(grid=GRID | parts)
    return make_forecast(scenario, build_grid(scenario.grid, Path()), seed)(now_s)


@pytest.mark.parametrize("kind", sorted(SPECS))
def test_the_present_is_told_of_every_series(kind: str) -> None:
    seen = view(3.5 * HOUR, forecast=SPECS[kind])
    assert seen.carbon_kg_per_j / G_PER_KWH == pytest.approx(100 + 150)
    assert seen.marginal_kg_per_j == pytest.approx(2 * seen.carbon_kg_per_j)
    assert seen.price_usd_per_j * 3.6e9 == pytest.approx(125)
    assert np.isnan(seen.export_price_usd_per_j)
    assert seen.any_breakpoints_s(3.5 * HOUR, 4.5 * HOUR).tolist() == [4 * HOUR]


def test_a_view_steered_by_the_marginal_intensity_shows_it() -> None:
    seen = view(3.5 * HOUR, steer_by="marginal")
    assert seen.carbon_kg_per_j == seen.marginal_kg_per_j


def test_forecasts_are_of_the_seed_and_of_the_series() -> None:
    asked = np.arange(10.0, 40.0) * HOUR
    noise = {"forecast": SPECS["noise"]}
    one, same, other = view(9 * HOUR, 1, **noise), view(9 * HOUR, 1, **noise), view(9 * HOUR, 2, **noise)
    np.testing.assert_array_equal(one.carbon_mean_kg_per_j(asked, 0.0), same.carbon_mean_kg_per_j(asked, 0.0))
    assert np.all(one.carbon_mean_kg_per_j(asked, 0.0) != other.carbon_mean_kg_per_j(asked, 0.0))
    ratio = one.marginal_mean_kg_per_j(asked, 0.0) / one.carbon_mean_kg_per_j(asked, 0.0)
    assert np.ptp(ratio) > 0.01


def test_what_is_certain_is_told_as_it_is() -> None:
    """A constant, and the prices of a tariff, which are published."""
    asked = np.arange(10.0, 60.0) * HOUR
    tariff = {
        "kind": "time_of_use",
        "time_zone": "UTC",
        "energy": [
            {"name": "peak", "price_usd_per_j": "0.3 USD/kWh", "from_hour": 16, "to_hour": 21},
            {"name": "base", "price_usd_per_j": "0.1 USD/kWh"},
        ],
    }
    grid = {"carbon": {"kind": "constant"}, "tariff": tariff, "forecast": SPECS["noise"]}
    scenario = hall(grid=grid)
    built = build_grid(scenario.grid, Path(), 10 * DAY)
    seen = make_forecast(scenario, built, 1)(9 * HOUR)
    np.testing.assert_array_equal(seen.carbon_mean_kg_per_j(asked, 0.0), np.full(50, 0.4 / 3.6e6))
    np.testing.assert_array_equal(seen.price_mean_usd_per_j(asked, 0.0), built.price.at(asked))


@pytest.mark.parametrize("policy", ["carbon_shift", "carbon_suspend", "price_shift", "price_suspend"])
@pytest.mark.parametrize("kind", ["persistence", "noise"])
def test_the_future_beyond_the_forecast_changes_no_decision(policy: str, kind: str, tmp_path: Path) -> None:
    """Two runs on series that differ from some hour on do the same up to it (noise: up to its reach before it)."""
    change_h, hours = 24 * 6, 24 * 12
    draw = np.random.default_rng(5)
    first = draw.uniform(50.0, 500.0, hours)
    second = np.concatenate([first[:change_h], draw.uniform(50.0, 500.0, hours - change_h)])
    same_until_s = change_h * HOUR - (DAY if kind == "noise" else 0.0)
    logs = []
    for name, values in (("a", first), ("b", second)):
        rows = [f"2023-01-{1 + h // 24:02d}T{h % 24:02d}:00Z,{v}" for h, v in enumerate(values)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["t,v", *rows]), encoding="utf-8")
        part = {"kind": "file", "path": f"{name}.csv", "time_column": "t", "value_column": "v"}
        forecast = {"kind": kind} | ({"reach_s": "1 d"} if kind == "noise" else {})
        grid = {
            "carbon": part | {"unit": "g/kWh"},
            "price": part | {"unit": "USD/MWh"},
            "forecast": forecast,
        }
        jobs = job_table(
            submit_s=np.arange(0, 8 * DAY, 5.3 * HOUR), duration_s=5 * HOUR, accelerators=1, slack_s=20 * HOUR
        )
        result = simulate(
            hall(servers=4, grid=grid, preemption=preemption()),
            jobs=jobs,
            policies=under("fifo", make_policy("energy", policy)),
            base_dir=tmp_path,
        )
        events = result.events
        logs.append(
            [
                row
                for row in zip(events["time_s"], events["kind"], events["job"], events["value"], strict=True)
                if row[0] < same_until_s
            ]
        )
    assert logs[0] == logs[1]
    assert len(logs[0]) > 50


def test_under_a_perfect_forecast_the_future_does_change_decisions() -> None:
    """Else the test above could not fail."""
    rising = Grid(_steps([100, 200, 300]), _steps([1, 1, 1]))
    falling = Grid(_steps([100, 50, 300]), _steps([1, 1, 1]))
    scenario = hall()
    means = [
        float(make_forecast(scenario, grid, 0)(0.0).carbon_mean_kg_per_j(np.array([HOUR]), HOUR)[0])
        for grid in (rising, falling)
    ]
    assert means == [200.0, 50.0]


def _steps(values: list[float]) -> StepSeries:
    return StepSeries(np.arange(len(values), dtype=np.float64) * HOUR, np.array(values, dtype=np.float64))


def test_zero_intensity_is_zero_carbon() -> None:
    grid = {"carbon": {"kind": "constant", "intensity_kg_per_j": 0.0}}
    jobs = job_table(submit_s=0.0, duration_s=HOUR, accelerators=4)
    assert simulate(hall(grid=grid), jobs=jobs).summary["carbon_kg"] == 0.0
