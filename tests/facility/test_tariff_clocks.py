"""Tariffs on clocks off the whole hour, and on days of clock changes: bills minute by minute by zoneinfo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from dcsim.facility.grid import build_grid
from dcsim.facility.local_time import LocalCalendar
from dcsim.facility.tariff import Tariff
from dcsim.spec.grid import GridSpec

MINUTE_S, DAY_S = 60.0, 86_400.0
MINUTES = 2 * 24 * 60
USD_PER_J, DEMAND_USD_PER_W = {False: 0.1 / 3.6e6, True: 0.3 / 3.6e6}, 0.015
PEAK_HOURS = range(2, 21)
"""From 02:00, where Lord Howe and New York change their clocks."""
STARTS = (
    ("Asia/Kolkata", "2023-03-10T12:20Z"),
    ("Asia/Kathmandu", "2023-03-10T12:20Z"),
    ("America/St_Johns", "2023-03-11T12:20Z"),
    ("America/New_York", "2023-11-04T12:20Z"),
    ("Australia/Lord_Howe", "2023-04-01T04:50Z"),
    ("Australia/Lord_Howe", "2024-10-05T04:50Z"),
    ("Pacific/Chatham", "2023-04-01T00:07Z"),
    ("Pacific/Chatham", "2023-09-22T23:00Z"),
)
"""The last six go over a change of the clock: Lord Howe's is of half an hour, Chatham's is at a quarter to three or to four."""


def tariff(zone: str, start: datetime, settlement_s: float, **parts: Any) -> Tariff:
    whole: dict[str, Any] = {
        "kind": "time_of_use",
        "time_zone": zone,
        "settlement_s": settlement_s,
        "energy": [
            {"name": "peak", "from_hour": PEAK_HOURS.start, "to_hour": PEAK_HOURS.stop, "price_usd_per_j": USD_PER_J[True]},
            {"name": "off", "price_usd_per_j": USD_PER_J[False]},
        ],
        "demand": [{"name": "peak", "from_hour": 9, "to_hour": 21, "price_usd_per_w": DEMAND_USD_PER_W}],
    } | parts  # fmt: skip
    made = build_grid(GridSpec.model_validate({"start": start, "tariff": whole}), Path(), 40 * DAY_S).tariff
    assert made is not None
    return made


def month_share(first: datetime) -> float:
    """Return which part of the local month of `first` two days from then on are."""
    begin = first.replace(day=1, hour=0, minute=0, second=0)
    end = (begin + timedelta(days=32)).replace(day=1)
    return 2 * DAY_S / (end.timestamp() - begin.timestamp())


@pytest.mark.parametrize("settlement_s", [900.0, 1800.0, 3600.0])
@pytest.mark.parametrize(("zone", "begin"), STARTS)
def test_bills_are_those_of_the_local_clock_minute_by_minute(
    zone: str, begin: str, settlement_s: float
) -> None:
    """Energy by the local hour of each minute; demand by its means over the local clock's intervals."""
    start, info = datetime.fromisoformat(begin), ZoneInfo(zone)
    clock = [(start + timedelta(minutes=minute)).astimezone(info) for minute in range(MINUTES)]
    power_w = np.random.default_rng(7).uniform(0.0, 1e6, MINUTES)
    priced = [USD_PER_J[local.hour in PEAK_HOURS] for local in clock]
    (month,) = {(local.year, local.month) for local in clock}
    blocks: dict[tuple[object, ...], list[float]] = {}
    for local, watts in zip(clock, power_w.tolist(), strict=True):
        second = 3600 * local.hour + 60 * local.minute
        place = (local.date(), local.utcoffset(), second // settlement_s)
        if 9 <= local.hour < 21:
            blocks.setdefault(place, []).append(watts)

    made = tariff(zone, start, settlement_s)
    edges_s = made.edges_s(MINUTES * MINUTE_S)
    assert (edges_s[0], edges_s[-1]) == (0.0, MINUTES * MINUTE_S)
    assert np.diff(edges_s).min() > 0.0
    assert np.diff(edges_s).max() == settlement_s
    first = np.rint(edges_s / MINUTE_S).astype(np.int64)
    np.testing.assert_array_equal(first * MINUTE_S, edges_s)
    import_w = np.add.reduceat(power_w, first[:-1]) / np.diff(first)
    bill = made.bill(import_w, np.zeros_like(import_w), edges_s)
    assert bill.energy_usd == pytest.approx(MINUTE_S * float(np.dot(power_w, priced)), rel=1e-12)
    peak_w = max(float(np.mean(block)) for block in blocks.values())
    (line,) = bill.demand_lines
    assert line.month == f"{month[0]}-{month[1]:02d}"
    assert line.peak_w == pytest.approx(peak_w, rel=1e-12)
    expected = peak_w * DEMAND_USD_PER_W * month_share(clock[0])
    assert bill.demand_usd == pytest.approx(expected, rel=1e-12)


def test_an_interval_ends_where_the_clock_is_changed_by_half_an_hour() -> None:
    """Lord Howe, 2 April 2023: at 02:00, 15:00 UTC the day before, it becomes 01:30; 02:00 comes again 30 min later."""
    calendar = LocalCalendar("Australia/Lord_Howe", datetime(2023, 4, 1, 13, tzinfo=UTC))
    assert calendar.grid_s(3600.0, 4 * 3600.0).tolist() == [0, 3600, 7200, 9000, 12_600, 14_400]


def test_a_start_within_a_second_keeps_the_hours() -> None:
    """Edges lie at whole seconds of the clock, which are no whole seconds of the run."""
    made = tariff("Asia/Kolkata", datetime(2023, 3, 10, 12, 20, 0, 300_001, tzinfo=UTC), 3600.0)
    edges_s = made.edges_s(3 * DAY_S)
    assert len(edges_s) == 3 * 24 + 2
    bill = made.bill(np.ones(len(edges_s) - 1), np.zeros(len(edges_s) - 1), edges_s)
    hours = len(PEAK_HOURS) * 3
    expected = 3600.0 * (hours * USD_PER_J[True] + (72 - hours) * USD_PER_J[False])
    assert bill.energy_usd == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_a_constant_load_pays_as_much_a_kilowatt_hour_in_a_day_as_in_the_month(zone: str) -> None:
    """0.10 for the first 300 kWh of a month, 0.30 above: 1 kW uses 743 or 744 kWh in March 2023."""
    tiers = [{"above_j": "300 kWh", "price_usd_per_j": USD_PER_J[True]}]
    start = datetime(2023, 3, 1, tzinfo=ZoneInfo(zone))
    parts = {"energy": [{"name": "all", "price_usd_per_j": USD_PER_J[False], "tiers": tiers}], "demand": []}
    made = tariff(zone, start, 900.0, **parts)
    whole_s = datetime(2023, 4, 1, tzinfo=ZoneInfo(zone)).timestamp() - start.timestamp()
    month_kwh = whole_s / 3600.0
    expected = (0.1 * 300 + 0.3 * (month_kwh - 300)) / month_kwh
    for end_s in (DAY_S, 7 * DAY_S, whole_s):
        edges_s = made.edges_s(end_s)
        bill = made.bill(np.full(len(edges_s) - 1, 1000.0), np.zeros(len(edges_s) - 1), edges_s)
        assert bill.energy_usd / (end_s / 3600.0) == pytest.approx(expected, rel=1e-12), end_s
