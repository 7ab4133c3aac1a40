"""A tariff over a run: the price at each time, billing windows, and the bill, interval by interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from dcsim.errors import SeriesError
from dcsim.facility.local_time import LocalCalendar, LocalFields
from dcsim.facility.series import StepSeries
from dcsim.facility.tariff_rates import DemandCharge, TariffRates

__all__ = ["Bill", "BillingWindows", "DemandLine", "Tariff"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_HOUR_S = 3600.0
_EQUAL = 1e-9
"""Relative: interval means this near the month's highest share its charge."""


@dataclass(frozen=True)
class BillingWindows:
    """Where M settlement intervals stand in the tariff; arrays (M,) unless said otherwise."""

    month: Ints
    """Which billing month of the run, from 0."""
    counts: Bools
    """(C, M) whether each demand charge counts the interval."""
    demand_price_usd_per_w: Floats
    """What another watt of the window's highest mean costs: the first-tier prices of all charges that count,
    for the part of the month that lies in the run."""
    window: Ints
    """Intervals of one month that the same charges count have the same number."""


@dataclass(frozen=True, slots=True)
class DemandLine:
    """One demand charge of one billing month."""

    name: str
    month: str
    """Such as 2023-07."""
    peak_w: float
    """Highest mean import of an interval that counts."""
    billed_w: float
    """That, or more by the ratchet."""
    cost_usd: float


@dataclass(frozen=True)
class Bill:
    """What a run pays, USD; `total_usd` is the sum of its parts and of `by_interval_usd`."""

    energy_usd: float
    demand_usd: float
    fixed_usd: float
    export_credit_usd: float
    """>= 0 lowers the total."""
    demand_lines: tuple[DemandLine, ...]
    by_interval_usd: Floats
    """(M,) energy less credit where it flows, fixed charges by time, and each demand charge on the interval
    that set it (shared alike by equal ones): who draws power in the peak pays for it."""

    @property
    def total_usd(self) -> float:
        """Energy, demand and fixed charges less the credit, USD."""
        return self.energy_usd + self.demand_usd + self.fixed_usd - self.export_credit_usd


class Tariff:
    """The rates of a tariff on the clock of a run.

    Billing months are those of the local calendar. A month that lies only in part in the run pays
    that part of its fixed and demand charges, and its tiers of energy begin at that part of their
    bounds; with that, runs of a day, a week and a year compare.

    Args:
        rates: what costs what, and when.
        start: calendar time of t = 0, aware.
        span_s: how far `price` reaches, > 0; asking beyond is an error.
    """

    def __init__(self, rates: TariffRates, start: datetime, span_s: float) -> None:
        self.rates = rates
        self.settlement_s = rates.settlement_s
        """Length of the intervals over which demand is a mean, s."""
        self._calendar = LocalCalendar(rates.time_zone, start)
        last_tier = np.array([rate.tiers.prices[-1] for rate in rates.energy])
        credit = np.array([rate.export_usd_per_j for rate in rates.energy])
        times, rate = self._steps(span_s)
        self.price = _merged(times, last_tier[rate], span_s, "grid.tariff")
        """USD/J of energy bought; of the last tier, where a rate has more."""
        self.export_price = _merged(times, credit[rate], span_s, "grid.tariff, exports")
        """USD/J of energy fed in."""
        self._changes_s = _merged(times, rate.astype(np.float64), span_s, "grid.tariff, rates").time_s

    def __repr__(self) -> str:
        return f"<Tariff {self.rates.name}: {len(self.rates.energy)} rates, {len(self.rates.demand)} demand charges>"

    def edges_s(self, end_s: float) -> Floats:
        """Return the edges (M + 1,) of the settlement intervals over [0, end_s]; they align with the local clock's hours.

        The first and the last may be shorter, and where the clock is changed by less than an interval
        those around the change: rates follow the clock at once, so an interval ends there.
        """
        return self._calendar.grid_s(self.settlement_s, end_s)

    def windows(self, edges_s: Floats) -> BillingWindows:
        """Return where the intervals between edges (M + 1,) stand: billing months and demand charges."""
        here = self._calendar.fields(edges_s[:-1])
        month = here.month_index - here.month_index[0] if len(here.day) else here.month_index
        charges = self.rates.demand
        counts = np.array([self._among(here, charge) for charge in charges]).reshape(len(charges), len(month))
        shares = self._shares(float(edges_s[-1]))
        prices = np.array([charge.tiers.prices[0] for charge in charges])
        price = prices @ counts * (shares[month] if len(month) else 1.0)
        code = (
            (2 ** np.arange(len(charges)) @ counts).astype(np.int64) if len(charges) else np.zeros_like(month)
        )
        return BillingWindows(
            month, counts, np.asarray(price, dtype=np.float64), month * 2 ** len(charges) + code
        )

    def bill(self, import_w: Floats, export_w: Floats, edges_s: Floats) -> Bill:
        """Return the bill of M intervals between edges (M + 1,), exactly.

        `import_w` and `export_w` (M,) >= 0 are mean powers; edges are those of `edges_s`, or finer
        where demand is a mean over shorter intervals. Raises `SeriesError` where an interval goes over a
        change of price or month.
        """
        self._check(edges_s)
        widths = np.diff(edges_s)
        here = self._calendar.fields(edges_s[:-1])
        rate = self._rate(here)
        where = self.windows(edges_s)
        credit = np.array([one.export_usd_per_j for one in self.rates.energy])[rate] * export_w * widths
        shares = self._shares(float(edges_s[-1]))
        energy = self._energy_usd(import_w * widths, rate, where.month, shares)
        demand, lines = self._demand_usd(import_w, where, shares, here)
        fixed = np.zeros(len(widths))
        if len(widths):
            of_month = np.bincount(where.month, weights=widths, minlength=len(shares))
            per_s = self.rates.fixed_usd_per_month * shares / np.where(of_month > 0.0, of_month, 1.0)
            fixed = widths * per_s[where.month]
        return Bill(
            energy_usd=math.fsum(energy.tolist()),
            demand_usd=math.fsum(demand.tolist()),
            fixed_usd=math.fsum(fixed.tolist()),
            export_credit_usd=math.fsum(credit.tolist()),
            demand_lines=lines,
            by_interval_usd=energy + demand + fixed - credit,
        )

    # -- its parts -------------------------------------------------------------------------------

    def _energy_usd(self, energy_j: Floats, rate: Ints, month: Ints, shares: Floats) -> Floats:
        """Return (M,) what the energy of each interval costs, later intervals in later tiers.

        `shares`: the part of each month in the run, at which its tiers begin.
        """
        first = np.array([one.tiers.prices[0] for one in self.rates.energy])
        cost = np.asarray(first[rate] * energy_j, dtype=np.float64)
        for index, one in enumerate(self.rates.energy):
            if len(one.tiers.prices) == 1:
                continue
            for number in np.unique(month[rate == index]).tolist():
                at = np.flatnonzero((rate == index) & (month == number))
                used = np.concatenate([[0.0], np.cumsum(energy_j[at])])
                cost[at] = np.diff(one.tiers.for_part(float(shares[number])).cost(used))
        return cost

    def _demand_usd(
        self, import_w: Floats, where: BillingWindows, shares: Floats, here: LocalFields
    ) -> tuple[Floats, tuple[DemandLine, ...]]:
        """Return (M,) demand charges on the intervals that set them, and each charge of each month."""
        cost, lines = np.zeros(len(import_w)), []
        months = int(where.month[-1]) + 1 if len(import_w) else 0
        for charge, counts in zip(self.rates.demand, where.counts, strict=True):
            peaks: list[float] = []
            for number in range(months):
                at = np.flatnonzero(counts & (where.month == number))
                if not len(at):
                    peaks.append(0.0)
                    continue
                peak_w = float(import_w[at].max())
                billed_w = max(
                    [peak_w, *(charge.ratchet_fraction * w for w in peaks[-charge.ratchet_months :])]
                )
                peaks.append(peak_w)
                usd = float(charge.tiers.cost(billed_w)) * float(shares[number])
                setters = at[import_w[at] >= peak_w * (1.0 - _EQUAL)]
                cost[setters] += usd / len(setters)
                first = int(here.month_index[at[0]])
                label = f"{1970 + first // 12}-{first % 12 + 1:02d}"
                lines.append(DemandLine(charge.name, label, peak_w, billed_w, usd))
        return cost, tuple(lines)

    def _shares(self, end_s: float) -> Floats:
        """Return which part of each billing month lies in [0, end_s]."""
        edges = self._calendar.month_edges_s(end_s)
        inside = np.diff(np.clip(edges, 0.0, end_s))
        return np.asarray(inside / np.diff(edges), dtype=np.float64)

    def _steps(self, span_s: float) -> tuple[Floats, Ints]:
        """Return the local clock's hours in [0, span_s) and the energy rate that holds from each on."""
        times = self._calendar.grid_s(_HOUR_S, span_s)[:-1]
        return times, self._rate(self._calendar.fields(times))

    def _rate(self, here: LocalFields) -> Ints:
        return np.asarray(self.rates.energy_at[self._place(here)], dtype=np.int64)

    def _among(self, here: LocalFields, charge: DemandCharge) -> Bools:
        return np.asarray(charge.hours[self._place(here)], dtype=np.bool_)

    def _place(self, here: LocalFields) -> tuple[Ints, Ints, Ints]:
        """Return the row of a (2, 12, 24) table for each instant."""
        weekend = (here.weekday >= 5) | np.isin(here.day, self.rates.holidays)
        return weekend.astype(np.int64), here.month - 1, here.hour

    def _check(self, edges_s: Floats) -> None:
        """Refuse intervals in which the price or the billing month changes."""
        months = self._calendar.month_edges_s(float(edges_s[-1]))
        changes = np.union1d(self._changes_s, months[1:-1])
        inside = changes[(changes > edges_s[0]) & (changes < edges_s[-1])]
        if not np.all(np.isin(inside, edges_s)):
            raise SeriesError(
                f"{self.rates.name}: an interval goes over a change of the tariff -> expected edges from Tariff.edges_s"
            )


def _merged(times_s: Floats, values: Floats, span_s: float, name: str) -> StepSeries:
    """Return steps without those that change nothing."""
    kept = np.concatenate([[True], np.diff(values) != 0.0])
    return StepSeries(times_s[kept], values[kept], end_s=span_s, name=name)
