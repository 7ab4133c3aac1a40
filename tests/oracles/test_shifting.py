"""Shifting jobs in time: simulated savings over a year beside the perfect-foresight ceiling, zone by zone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from dcsim.policies import make_policy
from dcsim.rng import stream
from dcsim.simulation import simulate
from dcsim.workload.jobs import job_table
from tests.oracles.figures import Figures
from tests.oracles.shifting import HOUR_S, HourlySeries, working_times
from tests.simulation.deciders import preemption, under
from tests.simulation.halls import hall

ZONES = ("US-CAL-CISO", "US-TEX-ERCO", "DE-LU", "SG")
CARBON = "Carbon Intensity gCO\u2082eq/kWh (direct)"
PRICE = "Price (USD/MWh)"
WORK_S, SLACK_S = 6 * HOUR_S, 24 * HOUR_S
JOBS = 1_200
PUBLISHED = {"US-CAL-CISO": 33.0, "DE-LU": 27.0, "US-TEX-ERCO": 17.0, "SG": 3.0}
"""Ceilings, %, of an interruptible 6 h job with 24 h slack, as computed before this program was written."""


def _file(zone: str, signal: str) -> dict[str, Any]:
    """Return the part of a scenario that reads a zone's series; the run may look a little beyond its end."""
    if signal == "carbon":
        path, time, column, unit = (
            f"carbon/greendcc__{zone}_2023_hourly.csv",
            "Datetime (UTC)",
            CARBON,
            "g/kWh",
        )
    else:
        path, time, column, unit = f"price/greendcc__{zone}_2023.csv", "Datetime (UTC)", PRICE, "USD/MWh"
    return {"kind": "file", "path": path, "time_column": time, "value_column": column, "unit": unit}


class Year:
    """A year of jobs of 6 h, with 24 h slack, at random times on an ample cluster in one zone."""

    def __init__(self, data: Path, zone: str, signal: str) -> None:
        part = _file(zone, signal)
        self.zone, self.signal = zone, signal
        self.series = HourlySeries(data / part["path"], part["value_column"])
        last_s = self.series.end_s - WORK_S - SLACK_S
        draws = stream(2023, "oracle", "shifting", zone).uniform(0.0, last_s, JOBS)
        self.submit_s = np.sort(draws).tolist()
        self._grid = {"start": "2023-01-01T00:00:00Z", signal: part}

    def totals(self, policy: str, forecast: dict[str, Any] | None = None) -> list[float]:
        """Return the integral of the series over the work of each job, as simulated."""
        grid = self._grid | ({"forecast": forecast} if forecast else {})
        scenario = hall(servers=8, devices=8, grid=grid, preemption=preemption())
        jobs = job_table(submit_s=np.array(self.submit_s), duration_s=WORK_S, accelerators=1, slack_s=SLACK_S)
        energy = make_policy("energy", policy, {"min_pause_s": 0.0} if policy.endswith("suspend") else {})
        result = simulate(scenario, jobs=jobs, policies=under("fifo", energy))
        stretches = working_times(result, JOBS)
        for submit_s, mine in zip(self.submit_s, stretches, strict=True):
            worked_s = math.fsum(end - begin for begin, end in mine)
            assert worked_s == pytest.approx(WORK_S, abs=1e-3)
            assert submit_s <= mine[0][0]
            assert mine[-1][1] <= submit_s + SLACK_S + WORK_S + 1e-3
        return [math.fsum(self.series.integral(b, e) for b, e in mine) for mine in stretches]

    def at_once(self) -> list[float]:
        return [self.series.integral(s, s + WORK_S) for s in self.submit_s]

    def ceilings(self, *, interrupted: bool) -> list[float]:
        """Return the least that each job can do, with the whole series known."""
        if interrupted:
            return [self.series.least_interrupted(s, s + SLACK_S + WORK_S, WORK_S) for s in self.submit_s]
        return [self.series.least_contiguous(s, s + SLACK_S, WORK_S) for s in self.submit_s]


def _saving(totals: list[float], base: list[float]) -> float:
    """Return the saving over all jobs, %."""
    return 100.0 * (1.0 - math.fsum(totals) / math.fsum(base))


def _near_optimal(totals: list[float], least: list[float], base: list[float]) -> None:
    """No job does better than its own ceiling, but for rounding."""
    scale = max(abs(value) for value in base)
    assert all(mine >= best - 1e-7 * scale for mine, best in zip(totals, least, strict=True))


@pytest.mark.oracle
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("policy", ["suspend", "shift"])
@pytest.mark.parametrize("signal", ["carbon", "price"])
def test_savings_with_a_perfect_forecast_reach_the_ceiling_and_never_exceed_it(
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    figure: Figures,
    zone: str,
    policy: str,
    signal: str,
) -> None:
    interrupted = policy == "suspend"
    monkeypatch.setenv("DCSIM_DATA_DIRS", str(shared_data))
    year = Year(shared_data, zone, signal)
    base, least = year.at_once(), year.ceilings(interrupted=interrupted)
    if interrupted and signal == "carbon":
        assert year.totals("none") == pytest.approx(base, rel=1e-9)
    found = year.totals(f"{signal}_{policy}")
    _near_optimal(found, least, base)
    ceiling, saving = _saving(least, base), _saving(found, base)
    name = f"{signal}_{policy} in {zone}, 2023"
    figure.at_most(f"{name}: saving %", saving, ceiling * (1.0 + 1e-9), f"ceiling {ceiling:.2f} %")
    figure.at_most(f"{name}: missed part of the ceiling", 1.0 - saving / ceiling, 0.10)
    if signal == "carbon" and interrupted:
        figure.near(f"{name}: ceiling %", ceiling, PUBLISHED[zone], 4.0, "computed for other submit times")


@pytest.mark.oracle
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("label", "forecast"),
    [
        ("5 % error at 24 h", {"kind": "noise", "carbon_error_24h": 0.05}),
        ("20 % error at 24 h", {"kind": "noise", "carbon_error_24h": 0.20}),
        ("persistence", {"kind": "persistence"}),
    ],
)
def test_savings_with_forecasts_that_err_stay_below_the_ceiling(
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    figure: Figures,
    zone: str,
    label: str,
    forecast: dict[str, Any],
) -> None:
    monkeypatch.setenv("DCSIM_DATA_DIRS", str(shared_data))
    year = Year(shared_data, zone, "carbon")
    base = year.at_once()
    for policy, interrupted in (("carbon_suspend", True), ("carbon_shift", False)):
        least = year.ceilings(interrupted=interrupted)
        found = year.totals(policy, forecast)
        _near_optimal(found, least, base)
        ceiling, saving = _saving(least, base), _saving(found, base)
        name = f"{policy} in {zone}, 2023, {label}"
        basis = f"ceiling {ceiling:.2f} %, {saving / ceiling:.1%} of it"
        figure.at_most(f"{name}: saving %", saving, ceiling, basis)


@pytest.mark.oracle
def test_the_ceiling_is_that_of_a_linear_program(shared_data: Path, figure: Figures) -> None:
    """The least work-weighted sum over the pieces of the window, work in each at most its length."""
    series = HourlySeries(shared_data / "carbon" / "greendcc__US-CAL-CISO_2023_hourly.csv", CARBON)
    worst = 0.0
    for submit_s in stream(1, "oracle", "lp").uniform(0.0, series.end_s - WORK_S - SLACK_S, 20).tolist():
        pieces = series.pieces(submit_s, submit_s + SLACK_S + WORK_S)
        values, lengths = zip(*pieces, strict=True)
        found = linprog(
            values, A_eq=[[1.0] * len(pieces)], b_eq=[WORK_S], bounds=[(0.0, length) for length in lengths]
        )
        greedy = series.least_interrupted(submit_s, submit_s + SLACK_S + WORK_S, WORK_S)
        worst = max(worst, abs(greedy / float(found.fun or math.nan) - 1.0))
    figure.at_most(
        "ceiling by sorting against a linear program, 20 windows: relative difference", worst, 1e-9
    )
