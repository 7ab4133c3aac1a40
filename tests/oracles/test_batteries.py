"""Battery policies on the prices of 2023 against a linear program that knows the whole year."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.facility.battery import battery_wear, build_battery
from dcsim.facility.series import StepSeries
from dcsim.policies.battery import BatteryPrice, PeakShaving
from dcsim.policies.facility import BatteryPolicy, IdleBattery
from dcsim.policies.views import GridView
from dcsim.simulation.site_ledger import SiteFlows, SiteInputs, settle
from dcsim.spec.onsite import BatterySpec
from tests.oracles.figures import Figures
from tests.simulation.battery_optimum import least_cost

pytestmark = pytest.mark.oracle
Floats = npt.NDArray[np.float64]

HOUR_S = 3_600.0
LOAD_W = 10e6
SPEC = BatterySpec(capacity_j=20e6 * HOUR_S, c_rate=0.25, replacement_cost_usd=4e6)
"""20 MWh beside 10 MW, empty in four hours; 85 % round trip, between 10 and 90 %."""
ZONES = ("US-CAL-CISO", "US-TEX-ERCO", "DE-LU", "SG")


def _prices(shared_data: Path, zone: str) -> Floats:
    """Return hourly prices, USD/J; missing hours repeat the one before."""
    prices: list[float] = []
    with (shared_data / "price" / f"greendcc__{zone}_2023.csv").open(encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            text = row["Price (USD/MWh)"]
            prices.append(float(text) / 3.6e9 if text else prices[-1])
    return np.array(prices)


def _run(policy: BatteryPolicy, price: Floats, load_w: Floats, demand_price: float = 0.0) -> SiteFlows:
    edges = np.asarray(HOUR_S * np.arange(len(load_w) + 1), dtype=np.float64)
    series = StepSeries(edges[:-1], price)
    base = SiteInputs.plain(edges, load_w)
    months = (edges[:-1] // (30 * 86_400.0)).astype(np.int64)
    inputs = SiteInputs(
        edges, base.load_w, base.solar_w, np.full(len(load_w), demand_price), months, base.block, base.limit_w
    )
    return settle(
        inputs,
        build_battery(SPEC),
        policy,
        lambda now_s: GridView(now_s, series.mean, series.mean, series.breakpoints, series.breakpoints),
    )


@pytest.mark.parametrize("zone", ZONES)
def test_arbitrage_over_a_year_of_real_prices(shared_data: Path, zone: str, figure: Figures) -> None:
    """A day of forecast, however far the program looks: at least 99 % of what perfect foresight saves."""
    price = _prices(shared_data, zone)
    load_w = np.full(len(price), LOAD_W)
    idle, got = (
        float(np.sum(_run(policy, price, load_w).import_w * price) * HOUR_S)
        for policy in (IdleBattery(), BatteryPrice())
    )
    best = least_cost(build_battery(SPEC), load_w, np.zeros(len(price)), price, HOUR_S)
    share = (idle - got) / (idle - best)
    figure.at_most(f"{zone}: saving of battery_price over the optimum's", share, 1.0 + 1e-9)
    figure.at_most(f"{zone}: part of the optimum's saving that is missed", 1.0 - share, 0.01)
    figure.tell(f"{zone}: saved of the energy bill [%]", 100.0 * (idle - got) / idle)
    flows = _run(BatteryPrice(), price, load_w)
    wear = battery_wear(SPEC, flows.stored_j, flows.edges_s)
    figure.tell(f"{zone}: saved [USD] and worn [USD] in the year", f"{idle - got:.0f}, {wear.cost_usd:.0f}")


def test_a_month_of_peaks_is_shaved_nearly_as_low_as_can_be(figure: Figures) -> None:
    """A load with a peak each evening and 3 % of noise; the first day of each window has no yesterday of its own."""
    hours = np.arange(24 * 60)
    draws = np.random.default_rng(7)
    load_w = 6e6 + 5e6 * np.exp(-(((hours % 24) - 18.0) ** 2) / 6.0)
    load_w *= draws.uniform(0.97, 1.03, len(hours))
    flows = _run(PeakShaving(), np.zeros(len(hours)), load_w, demand_price=10.0)
    second = slice(30 * 24, 60 * 24)
    spec = SPEC.model_copy(update={"initial_charge": 0.9})
    best_w = least_cost(
        build_battery(spec), load_w[second], np.zeros(720), np.zeros(720), HOUR_S, demand_price=1.0
    )
    got_w = float(flows.import_w[second].max())
    figure.tell("peak without a battery [MW]", float(load_w[second].max()) / 1e6)
    figure.at_most("peak_shaving: peak over the lowest that can be", got_w / best_w, 1.06)
    figure.at_most("the lowest peak over that of peak_shaving", best_w / got_w, 1.0 + 1e-9)
