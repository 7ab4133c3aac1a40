"""Tariffs by hand: seasons, windows, holidays, clock changes, tiers, demand, ratchets, parts of months."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dcsim.errors import SeriesError
from dcsim.facility.grid import build_grid
from dcsim.facility.tariff import Tariff
from dcsim.facility.tariff_rates import Tiers
from dcsim.spec.grid import GridSpec

HOUR, DAY = 3600.0, 86_400.0
USD_PER_KWH = 1.0 / 3.6e6
PACIFIC = "America/Los_Angeles"
BASE = {"name": "base", "price_usd_per_j": "0.10 USD/kWh"}
PEAK = {"name": "peak", "price_usd_per_j": "0.30 USD/kWh", "days": "weekdays", "from_hour": 16, "to_hour": 21}


def tariff(start: str = "2023-01-01T08:00Z", span_s: float = 400 * DAY, **parts: Any) -> Tariff:
    """Return a tariff of California; 08:00 UTC is midnight there in winter."""
    whole = {"kind": "time_of_use", "time_zone": PACIFIC, "energy": [PEAK, BASE]} | parts
    made = build_grid(GridSpec.model_validate({"start": start, "tariff": whole}), Path(), span_s).tariff
    assert made is not None
    return made


def flat(made: Tariff, power_w: float, end_s: float) -> Any:
    edges = made.edges_s(end_s)
    return made.bill(np.full(len(edges) - 1, power_w), np.zeros(len(edges) - 1), edges)


def cents(made: Tariff, *hours: float) -> list[float]:
    return [round(100 * float(made.price.at(hour * HOUR)) / USD_PER_KWH, 9) for hour in hours]


def test_peak_hours_are_those_of_the_local_clock_on_weekdays() -> None:
    """2023-01-01 is a Sunday."""
    made = tariff()
    assert cents(made, 15.99, 16, 20.99, 21) == [10, 10, 10, 10]
    assert cents(made, 24 + 15.99, 24 + 16, 24 + 20.99, 24 + 21) == [10, 30, 30, 10]


def test_peak_hours_move_with_the_clock() -> None:
    """12 March 2023: 02:00 becomes 03:00. On Monday the 13th the peak begins at 23:00 UTC, on the 10th at 24:00."""
    start = datetime(2023, 3, 10, tzinfo=ZoneInfo(PACIFIC))
    made = tariff(start.isoformat())
    assert cents(made, 15.99, 16) == [10, 30]
    assert cents(made, 72 + 14.99, 72 + 15, 72 + 19.99, 72 + 20) == [10, 30, 30, 10]


def test_days_of_23_and_25_hours_cost_as_many_hours() -> None:
    for month, day, hours in ((3, 12, 23), (11, 5, 25), (6, 4, 24)):
        local = datetime(2023, month, day, tzinfo=ZoneInfo(PACIFIC))
        length_s = (local.replace(day=local.day + 1).timestamp()) - local.timestamp()
        bill = flat(tariff(local.isoformat()), 1000.0, length_s)
        assert bill.energy_usd == pytest.approx(0.10 * hours, rel=1e-12)


def test_holidays_count_as_weekends() -> None:
    made = tariff("2023-07-04T00:00:00-07:00", holidays=["2023-07-04"])
    assert cents(made, 17, 24 + 17) == [10, 30]


def test_seasons_and_windows_over_midnight() -> None:
    night = {"name": "night", "price_usd_per_j": "0.05 USD/kWh", "from_hour": 22, "to_hour": 6, "months": [1]}
    made = tariff(energy=[night, BASE])
    assert cents(made, 0, 5.99, 6, 21.99, 22, 23.99) == [5, 5, 10, 10, 5, 5]
    assert cents(made, 31 * 24 + 1) == [10]


def test_a_month_by_hand() -> None:
    """January 2023 has 22 weekdays: 110 peak hours of 744, at 1 kW, and 100 USD fixed."""
    bill = flat(tariff(fixed_usd_per_month=100.0), 1000.0, 31 * DAY)
    assert bill.energy_usd == pytest.approx(0.30 * 110 + 0.10 * 634, rel=1e-12)
    assert bill.fixed_usd == pytest.approx(100.0)
    assert bill.total_usd == pytest.approx(33 + 63.4 + 100)


def test_demand_is_the_highest_quarter_of_an_hour_that_counts() -> None:
    """2 kW on a Sunday count for the charge of any time, 1.5 kW on Monday at 17:00 for that of the peak."""
    demand = [
        {"name": "any", "price_usd_per_w": "20 USD/kW"},
        {"name": "peak", "price_usd_per_w": 0.010, "days": "weekdays", "from_hour": 16, "to_hour": 21},
    ]
    made = tariff(demand=demand)
    edges = made.edges_s(31 * DAY)
    power = np.full(len(edges) - 1, 1000.0)
    sunday, monday = 10 * 4, (24 + 17) * 4
    power[sunday], power[monday] = 2000.0, 1500.0
    bill = made.bill(power, np.zeros_like(power), edges)
    assert [(line.name, line.month, line.peak_w) for line in bill.demand_lines] == [
        ("any", "2023-01", 2000.0),
        ("peak", "2023-01", 1500.0),
    ]
    assert [line.cost_usd for line in bill.demand_lines] == pytest.approx([40.0, 15.0])
    # Who sets the peak pays for it.
    energy = power * np.diff(edges) * made.price.at(edges[:-1])
    extra = bill.by_interval_usd - energy
    assert extra[sunday] == pytest.approx(40.0)
    assert extra[monday] == pytest.approx(15.0)
    assert np.abs(np.delete(extra, [sunday, monday])).max() < 1e-12


def test_equal_peaks_share_the_charge() -> None:
    made = tariff(demand=[{"name": "any", "price_usd_per_w": "31 USD/kW"}])
    edges = made.edges_s(31 * DAY)
    bill = made.bill(np.full(len(edges) - 1, 1000.0), np.zeros(len(edges) - 1), edges)
    extra = bill.by_interval_usd - 1000.0 * np.diff(edges) * made.price.at(edges[:-1])
    np.testing.assert_allclose(extra, 31.0 / (31 * 96), rtol=1e-6)


def test_a_ratchet_bills_part_of_an_earlier_peak() -> None:
    """10 kW in January, 1 kW after: with 80 % over two months, February and March pay for 8 kW, April for 1."""
    rate = {"name": "any", "price_usd_per_w": "10 USD/kW", "ratchet_fraction": 0.8, "ratchet_months": 2}
    made = tariff(demand=[rate])
    edges = made.edges_s((31 + 28 + 31 + 30) * DAY - HOUR)
    power = np.where(edges[:-1] < 31 * DAY, 10_000.0, 1_000.0)
    lines = made.bill(power, np.zeros_like(power), edges).demand_lines
    assert [line.billed_w for line in lines] == [10_000.0, 8_000.0, 8_000.0, 1_000.0]
    assert [line.cost_usd for line in lines] == pytest.approx([100.0, 80.0, 80.0, 10.0])


def test_a_part_of_a_month_pays_a_part_of_its_charges() -> None:
    made = tariff(fixed_usd_per_month=310.0, demand=[{"name": "any", "price_usd_per_w": "31 USD/kW"}])
    bill = flat(made, 1000.0, 10 * DAY)
    assert bill.fixed_usd == pytest.approx(100.0)
    assert bill.demand_usd == pytest.approx(10.0)


def test_tiers_are_filled_in_order_and_begin_anew_each_month() -> None:
    """0.10 for the first 100 kWh of a month, 0.20 for the next 200, 0.50 above; 1 kW all the time.

    Of the 672 h of February 168 are in the run, a quarter: its tiers are of 25 and 50 kWh.
    """
    tiers = [
        {"above_j": "100 kWh", "price_usd_per_j": "0.20 USD/kWh"},
        {"above_j": "300 kWh", "price_usd_per_j": "0.50 USD/kWh"},
    ]
    made = tariff(energy=[BASE | {"tiers": tiers}])
    assert flat(made, 1000.0, 31 * DAY).energy_usd == pytest.approx(10 + 40 + 444 * 0.5)
    assert flat(made, 1000.0, 31 * DAY + 168 * HOUR).energy_usd == pytest.approx(
        10 + 40 + 222 + 2.5 + 10 + 93 * 0.5
    )
    # What one more kilowatt-hour costs once the month is under way.
    assert cents(made, 0) == [50]
    bill = flat(made, 1000.0, 31 * DAY)
    assert bill.by_interval_usd[:400].sum() == pytest.approx(10.0)


def test_exports_are_credited_at_the_rate_that_holds() -> None:
    made = tariff(
        energy=[
            PEAK | {"export_price_usd_per_j": "0.20 USD/kWh"},
            BASE | {"export_price_usd_per_j": "0.04 USD/kWh"},
        ]
    )
    edges = made.edges_s(2 * DAY)
    export = np.where((edges[:-1] >= DAY + 15 * HOUR) & (edges[:-1] < DAY + 17 * HOUR), 1000.0, 0.0)
    bill = made.bill(np.zeros_like(export), export, edges)
    assert bill.export_credit_usd == pytest.approx(0.04 + 0.20)
    assert bill.total_usd == pytest.approx(-0.24)
    assert float(made.export_price.at(DAY + 16 * HOUR)) / USD_PER_KWH == pytest.approx(0.20)


def test_edges_meet_the_quarters_of_the_clock() -> None:
    made = tariff("2023-01-01T08:10Z")
    assert made.edges_s(3600.0).tolist() == [0, 300, 1200, 2100, 3000, 3600]
    assert tariff().edges_s(0.0).tolist() == [0.0]
    assert flat(tariff(), 1.0, 0.0).total_usd == 0.0


def test_windows_tell_what_another_watt_of_peak_costs() -> None:
    demand = [
        {"name": "any", "price_usd_per_w": "20 USD/kW"},
        {"name": "peak", "price_usd_per_w": "10 USD/kW", "days": "weekdays", "from_hour": 16, "to_hour": 21},
    ]
    made = tariff(demand=demand)
    edges = made.edges_s(59 * DAY)
    where = made.windows(edges)
    assert where.month[[0, -1]].tolist() == [0, 1]
    monday_peak, monday_noon = (24 + 17) * 4, (24 + 12) * 4
    assert where.demand_price_usd_per_w[[monday_peak, monday_noon]] == pytest.approx([0.030, 0.020])
    assert where.window[monday_peak] != where.window[monday_noon]
    assert where.window[monday_peak] == where.window[monday_peak + 96]
    assert len(set(where.window.tolist())) == 4


def test_intervals_over_a_change_of_price_are_refused() -> None:
    made = tariff()
    edges = np.array([0.0, 2 * DAY])
    with pytest.raises(SeriesError, match=r"expected edges from Tariff\.edges_s"):
        made.bill(np.ones(1), np.zeros(1), edges)


def test_asking_beyond_the_span_is_an_error() -> None:
    with pytest.raises(SeriesError, match="the data end"):
        tariff(span_s=DAY).price.at(102 * DAY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy": [PEAK]}, "no rate at 0:00 on weekdays of month 1"),
        ({"energy": []}, "at least 1 item"),
        ({"time_zone": "PST8"}, "an IANA time zone"),
        ({"holidays": ["4 July"]}, "a date such as 2023-07-04"),
        ({"settlement_s": "7 min"}, "of which an hour is a whole number"),
        ({"demand": [{"name": "d", "price_usd_per_w": 18.5}]}, "USD/kW meant"),
        ({"demand": [{"name": "d", "price_usd_per_w": "18.5 USD/kWh"}]}, "a price of demand"),
        ({"demand": [{"name": "d", "price_usd_per_w": -1.0}]}, "a price of demand"),
        (
            {"demand": [{"name": "d", "price_usd_per_w": 0.1, "from_hour": 5, "to_hour": 5}]},
            "the window is empty",
        ),
        ({"demand": [{"name": "d", "price_usd_per_w": 0.1, "months": [13]}]}, "less than or equal to 12"),
        ({"demand": [{"name": "d", "price_usd_per_w": 0.1, "months": [1, 1]}]}, "each month once"),
        (
            {"energy": [BASE | {"tiers": [{"above_j": 5.0, "price_usd_per_j": 1.0}] * 2}]},
            "more than the tier before",
        ),
    ],
)
def test_what_is_no_tariff_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tariff(**change)


def test_a_tariff_stands_for_the_price() -> None:
    whole = {"kind": "time_of_use", "time_zone": PACIFIC, "energy": [BASE]}
    price = {"kind": "constant", "price_usd_per_j": "0.2 USD/kWh"}
    with pytest.raises(ValidationError, match="leave out `price`, or the tariff"):
        GridSpec.model_validate({"tariff": whole, "price": price})
    with pytest.raises(ValidationError, match="leave out `export_price`, or the tariff"):
        GridSpec.model_validate({"tariff": whole, "export_price": price})
    grid = build_grid(GridSpec.model_validate({"tariff": whole}), Path(), DAY)
    assert float(grid.price.at(0.0)) / USD_PER_KWH == pytest.approx(0.10)


powers = st.lists(st.floats(0.0, 1e7), min_size=200, max_size=200)
WHOLE = {
    "demand": [
        {"name": "any", "price_usd_per_w": "20 USD/kW", "ratchet_fraction": 0.5},
        {"name": "peak", "price_usd_per_w": "10 USD/kW", "from_hour": 16, "to_hour": 21},
    ],
    "fixed_usd_per_month": 100.0,
}
LATE_JANUARY = "2023-01-31T08:00Z"


@given(powers, powers)
def test_the_bill_is_the_sum_of_its_parts_and_of_its_intervals(
    bought: list[float], sold: list[float]
) -> None:
    made = tariff(LATE_JANUARY, 3 * DAY, **WHOLE)
    edges = made.edges_s(200 * 900.0)
    bill = made.bill(np.array(bought), np.array(sold), edges)
    parts = bill.energy_usd + bill.demand_usd + bill.fixed_usd - bill.export_credit_usd
    assert bill.total_usd == parts
    size = bill.energy_usd + bill.demand_usd + bill.fixed_usd + bill.export_credit_usd
    assert math.fsum(bill.by_interval_usd.tolist()) == pytest.approx(parts, abs=1e-12 * size)
    assert math.fsum(line.cost_usd for line in bill.demand_lines) == pytest.approx(bill.demand_usd, rel=1e-12)


@given(powers, st.sampled_from([0.25, 2.0, 64.0]))
def test_prices_times_a_power_of_two_are_the_bill_times_it(bought: list[float], factor: float) -> None:
    def bill_of(scale: float) -> Any:
        parts = {
            "energy": [
                rate | {"price_usd_per_j": scale * price}
                for rate, price in ((PEAK, 0.3 * USD_PER_KWH), (BASE, 0.1 * USD_PER_KWH))
            ],
            "demand": [{"name": "any", "price_usd_per_w": scale * 0.001}],
            "fixed_usd_per_month": scale * 100.0,
        }
        made = tariff(LATE_JANUARY, 3 * DAY, **parts)
        return made.bill(np.array(bought), np.zeros(200), made.edges_s(200 * 900.0))

    one, other = bill_of(1.0), bill_of(factor)
    for part in ("energy_usd", "demand_usd", "fixed_usd", "total_usd"):
        assert getattr(other, part) == factor * getattr(one, part)


@given(powers, st.floats(1.0, 3.0))
def test_more_power_never_costs_less_where_prices_are_positive(bought: list[float], factor: float) -> None:
    made = tariff(LATE_JANUARY, 3 * DAY, **WHOLE)
    edges = made.edges_s(200 * 900.0)
    low, high = (made.bill(np.array(bought) * f, np.zeros(200), edges).total_usd for f in (1.0, factor))
    assert high >= low * (1.0 - 1e-12)


@given(st.floats(0.0, 1e3), st.floats(0.0, 1e3))
def test_a_cost_in_tiers_does_not_depend_on_how_it_is_cut(first: float, second: float) -> None:
    tiers = Tiers((0.0, 100.0, 300.0), (2.0, 1.0, 5.0))
    whole = float(tiers.cost(first + second))
    by_hand = 2.0 * min(first + second, 100.0)
    by_hand += 1.0 * min(max(first + second - 100.0, 0.0), 200.0) + 5.0 * max(first + second - 300.0, 0.0)
    assert whole == pytest.approx(by_hand, rel=1e-12)
    assert float(np.diff(tiers.cost([first, first + second]))[0]) == pytest.approx(
        whole - float(tiers.cost(first)), abs=1e-9
    )
