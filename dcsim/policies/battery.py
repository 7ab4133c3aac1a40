"""What a battery is for: buying low, shaving peaks, keeping the sun, answering the grid, and all of it together."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.facility import BatteryPolicy, BatteryView
from dcsim.policies.views import GridView

__all__ = [
    "BatteryArbitrage",
    "BatteryCarbon",
    "BatteryDemandResponse",
    "BatteryPrice",
    "BatterySolar",
    "BatteryStacked",
    "PeakShaving",
    "shaving_threshold_w",
    "store_change",
]

Floats = npt.NDArray[np.float64]

_HOUR_S = 3_600.0
_DAY_S = 86_400.0
_LARGEST = 1e12


def _refuse_outside(policy: BatteryPolicy, name: str, value: float, low: float, high: float) -> None:
    """Raise `PolicyError` for a parameter outside [low, high]."""
    if not low <= value <= high:
        raise PolicyError(f"{policy.name}.{name}: {value} -> expected a number from {low:g} to {high:g}")


def store_change(
    price: npt.ArrayLike,
    stored: float,
    room: tuple[float, float],
    charge: npt.ArrayLike,
    discharge: npt.ArrayLike,
    efficiencies: tuple[float, float],
    wear: float = 0.0,
) -> float:
    """Return by how much the energy in store should change in the first of K slots, given a forecast.

    A unit in store has a value v: charging pays while price / eta_c < v, discharging while price eta_d > v. v is
    the least for which the course over the slots does not first run empty: below it the store lacks what dear
    slots would pay for, above it there is energy that need not have been bought. Slots just at v fill what is
    missing. Where the store fills up first, later slots do not matter: Cruise, Flatley, Gibbens and Zachary,
    "Control of energy storage with market impact: Lagrangian approach and horizons", Operations Research
    67(1), 2019, sections 3 and 4. What is left at the end is worth nothing.

    Args:
        price: (K,) forecast of each slot.
        stored: energy in store now.
        room: least and most energy in store.
        charge: most energy that a slot adds to the store, (K,) or a number.
        discharge: most energy that a slot takes from the store, (K,) or a number.
        efficiencies: (eta_c, eta_d).
        wear: cost of a unit given at the terminals, in the unit of `price`.

    >>> store_change([1.0, 3.0], 0.0, (0.0, 1.0), 1.0, 1.0, (1.0, 0.9))  # buy at 1, give at 3
    1.0
    >>> store_change([2.0, 2.5], 0.0, (0.0, 1.0), 1.0, 1.0, (1.0, 0.5))  # the loss eats the gain
    0.0
    """
    empty, full = room
    prices = np.asarray(price, dtype=np.float64)
    buy = prices / efficiencies[0]
    # Giving what one is paid to take would be both at once: never.
    give = np.where(prices > wear, (prices - wear) * efficiencies[1], -np.inf)
    values = np.concatenate([[-np.inf], np.unique(np.concatenate([buy, give]))])
    # A row holds the moves just above its value: slots at that value buy, and do not give.
    moves = np.where(buy <= values[:, None], charge, 0.0) - np.where(give > values[:, None], discharge, 0.0)
    courses = stored + np.cumsum(moves, axis=1)
    slack = 1e-9 * (full - empty)
    over = courses > full + slack
    outside = over | (courses < empty - slack)
    first = np.argmax(outside, axis=1)
    rows = np.arange(len(values))
    # A course that stays inside ends with energy left, or just empty: its value is high enough, too.
    enough = ~outside[rows, first] | over[rows, first]
    chosen = int(np.argmax(enough)) if enough.any() else len(values) - 1
    value, change = values[chosen], float(moves[chosen, 0])
    if buy[0] == value:  # what is bought shifts the course just below the value upwards
        course = courses[chosen - 1]
        more = _just_enough(empty - course, full - course, most=False)
        change = min(float(moves[chosen - 1, 0]) + more, change)
    elif give[0] == value > -math.inf:
        course = courses[chosen]
        most = float(np.broadcast_to(discharge, prices.shape)[0])
        change = -min(_just_enough(course - full, course - empty, most=True), most)
    return min(max(change, empty - stored), full - stored)


def _just_enough(least: Floats, most_allowed: Floats, *, most: bool) -> float:
    """Return a shift >= 0 that keeps every `least` <= shift <= `most_allowed` (K,) up to the first clash.

    Where they clash the older of the two bounds holds: the store is full, or empty, before that. Without a
    clash it is the largest such shift where `most`, else the smallest.
    """
    low = np.maximum(np.maximum.accumulate(least), 0.0)
    high = np.minimum.accumulate(most_allowed)
    clash = np.flatnonzero(low > high)
    if not len(clash):
        return float(high[-1] if most else low[-1])
    at = int(clash[0])
    if at == 0:
        return max(float(high[0]), 0.0)
    # The bound that moved last is the one that cannot be met.
    return float(high[at - 1]) if low[at] > low[at - 1] else float(low[at - 1])


class BatteryArbitrage(BatteryPolicy):
    """Charges where a series is low and discharges where it is high, by what stored energy is worth.

    It decides for an hour of the run at its beginning, from hourly means of the forecast.
    """

    complexity: ClassVar[str] = "O(K^2) an hour, K hours of forecast"
    reads_forecast: ClassVar[bool] = True

    def __init__(self, *, look_ahead_h: float = 24.0) -> None:
        """Take `look_ahead_h`, the hours of forecast that are used, 2 to 168.

        Raises:
            PolicyError: outside.
        """
        _refuse_outside(self, "look_ahead_h", look_ahead_h, 2.0, 168.0)
        self.look_ahead_h = look_ahead_h
        self._wear = 0.0
        """Of a unit discharged, in the unit of the series."""
        self._decided_s = -math.inf
        self._power_w = 0.0

    @abstractmethod
    def series(self, grid: GridView, starts_s: Floats, duration_s: float) -> Floats:
        """Return (K,) forecast means of what is to be kept low, over [start, start + duration)."""

    def power_w(self, view: BatteryView) -> float:
        """Return this hour's power."""
        same_hour = view.now_s // _HOUR_S == self._decided_s // _HOUR_S
        if not (same_hour and view.now_s > self._decided_s):
            self._decided_s = view.now_s
            self._power_w = self._decide_w(view)
        return self._power_w

    def _decide_w(self, view: BatteryView) -> float:
        """Return the power from now to the end of the hour; slots are taken as whole hours."""
        starts = np.asarray(view.now_s + _HOUR_S * np.arange(int(self.look_ahead_h)), dtype=np.float64)
        eta_c = view.charge_efficiency
        eta_d = view.efficiency / eta_c
        change_j = store_change(
            self.series(view.grid, starts, _HOUR_S),
            view.stored_j,
            (min(view.lowest_j, view.stored_j), max(view.highest_j, view.stored_j)),
            view.charge_limit_w * eta_c * _HOUR_S,
            min(view.discharge_limit_w, max(view.load_w, 0.0)) / eta_d * _HOUR_S,
            (eta_c, eta_d),
            self._wear,
        )
        return change_j / eta_c / _HOUR_S if change_j > 0.0 else change_j * eta_d / _HOUR_S


class BatteryPrice(BatteryArbitrage):
    """Charges with cheap energy and discharges when it is dear, where that pays for losses and wear."""

    name: ClassVar[str] = "battery_price"
    optimises: ClassVar[str] = "cost of the energy bought"
    source: ClassVar[str] = "Cruise, Flatley, Gibbens, Zachary, Operations Research 67(1) (2019)"
    needs: ClassVar[str] = "the forecast of price; what is stored; ratings and efficiencies"

    def __init__(self, *, look_ahead_h: float = 24.0, wear_usd_per_kwh: float = 0.0) -> None:
        """Take `look_ahead_h`, 2 to 168, and `wear_usd_per_kwh`, the cost of a kWh discharged, >= 0.

        Raises:
            PolicyError: outside.
        """
        super().__init__(look_ahead_h=look_ahead_h)
        _refuse_outside(self, "wear_usd_per_kwh", wear_usd_per_kwh, 0.0, 100.0)
        self.wear_usd_per_kwh = wear_usd_per_kwh
        self._wear = wear_usd_per_kwh / 3.6e6

    def series(self, grid: GridView, starts_s: Floats, duration_s: float) -> Floats:
        """Return forecast prices, USD/J."""
        return grid.price_mean_usd_per_j(starts_s, duration_s)


class BatteryCarbon(BatteryArbitrage):
    """Charges with clean energy and discharges when it is dirty, where that outweighs the losses."""

    name: ClassVar[str] = "battery_carbon"
    optimises: ClassVar[str] = "carbon of the energy bought"
    source: ClassVar[str] = "Cruise, Flatley, Gibbens, Zachary, Operations Research 67(1) (2019), on carbon"
    needs: ClassVar[str] = "the forecast of carbon intensity; what is stored; ratings and efficiencies"

    def series(self, grid: GridView, starts_s: Floats, duration_s: float) -> Floats:
        """Return forecast intensities, kg/J."""
        return grid.carbon_mean_kg_per_j(starts_s, duration_s)


def shaving_threshold_w(
    load_w: Floats, duration_s: Floats, usable_j: float, discharge_w: float, eta_d: float
) -> float:
    """Return the lowest import, W, that a store can hold a load to: what lies above it is just what is stored.

    `load_w`, `duration_s` (D,) of a day that is taken to come again; `usable_j` in the cells. No load is cut by
    more than `discharge_w`. Oudalov, Cherkaoui and Beguin, PowerTech 2007: the store holds the energy of the
    load above the threshold.

    >>> shaving_threshold_w(np.array([4.0, 8.0]), np.array([10.0, 10.0]), 20.0, 100.0, 1.0)
    6.0
    """
    order = np.argsort(-load_w, kind="stable")
    load, time = load_w[order], np.cumsum(duration_s[order])
    above_j = np.cumsum(load * duration_s[order])
    given_j = usable_j * eta_d
    # Lowered to the next load, the top k intervals hold (sum of their energy) - load * (sum of their time).
    lower = np.append(load[1:], -math.inf)
    last = int(np.argmax(above_j - lower * time >= given_j))
    threshold = float((above_j[last] - given_j) / time[last])
    return max(threshold, float(load[0]) - discharge_w, 0.0)


class PeakShaving(BatteryPolicy):
    """Holds the import to a threshold: that which the stored energy can hold if yesterday comes again.

    It never goes below the peak already paid for in this billing window, and recharges below it.
    """

    name: ClassVar[str] = "peak_shaving"
    optimises: ClassVar[str] = "the peak import of a billing window, for its demand charge"
    source: ClassVar[str] = "Oudalov, Cherkaoui, Beguin, IEEE PowerTech (2007), with yesterday as forecast"
    needs: ClassVar[str] = "the load of the past day; the peak of this billing window; what is stored"
    complexity: ClassVar[str] = "O(D log D) an interval, D intervals a day"

    def __init__(self, *, target_w: float = 0.0, margin: float = 0.02) -> None:
        """Take `target_w`, an import to hold from the start (0: none), and `margin` over yesterday, 0 to 1.

        Raises:
            PolicyError: outside.
        """
        _refuse_outside(self, "target_w", target_w, 0.0, _LARGEST)
        _refuse_outside(self, "margin", margin, 0.0, 1.0)
        self.target_w = target_w
        self.margin = margin

    def threshold_w(self, view: BatteryView) -> float:
        """Return the import not to exceed now, W; infinity: no reason to hold any."""
        if view.demand_price_usd_per_w <= 0.0 and self.target_w == 0.0:
            return math.inf
        learnt_w = self.target_w
        if learnt_w == 0.0:
            if float(view.past_duration_s.sum()) < 0.99 * _DAY_S:
                return math.inf
            eta_d = view.efficiency / view.charge_efficiency
            usable_j = view.highest_j - view.lowest_j
            learnt_w = (1.0 + self.margin) * shaving_threshold_w(
                view.past_load_w, view.past_duration_s, usable_j, view.discharge_limit_w, eta_d
            )
        return max(learnt_w, view.peak_import_w)

    def power_w(self, view: BatteryView) -> float:
        """Return what brings the import to the threshold, or recharges without exceeding it."""
        threshold_w = self.threshold_w(view)
        if threshold_w == math.inf:
            return 0.0
        return min(threshold_w - view.load_w, view.most_charge_w)


class BatterySolar(BatteryPolicy):
    """Stores what the panels give beyond the load, and gives it back as soon as the load needs it."""

    name: ClassVar[str] = "battery_solar"
    optimises: ClassVar[str] = "the part of on-site generation that is used on site"
    source: ClassVar[str] = "Luthander, Widen, Nilsson, Palm, Applied Energy 142 (2015), section 4"
    needs: ClassVar[str] = "load and generation now; what is stored"

    def power_w(self, view: BatteryView) -> float:
        """Return the surplus, or minus the shortfall."""
        return -view.load_w


class BatteryDemandResponse(BatteryPolicy):
    """Keeps the battery full for the hours in which the grid asks for less, and then gives what is asked."""

    name: ClassVar[str] = "demand_response"
    optimises: ClassVar[str] = "import above what demand response asks for"
    source: ClassVar[str] = "Ghatikar, Ganti, Matson, Piette, LBNL-5763E (2012)"
    needs: ClassVar[str] = "the import asked for now; what is stored"

    def __init__(self, *, recharge_c_rate: float = 0.1) -> None:
        """Take `recharge_c_rate`, how fast it is filled between events, 1/h, > 0 and at most 20.

        Raises:
            PolicyError: outside.
        """
        _refuse_outside(self, "recharge_c_rate", recharge_c_rate, 1e-6, 20.0)
        self.recharge_c_rate = recharge_c_rate

    def power_w(self, view: BatteryView) -> float:
        """Return what brings the import to the limit; without an event, a slow charge."""
        if math.isfinite(view.limit_w):
            return min(view.limit_w - view.load_w, 0.0)
        return min(self.recharge_c_rate * view.capacity_j / _HOUR_S, view.most_charge_w)


class BatteryStacked(BatteryPrice):
    """Demand response first, then the peak, then the sun, then the price."""

    name: ClassVar[str] = "battery_stacked"
    optimises: ClassVar[str] = "the whole bill: events, demand charge, generation, energy"
    source: ClassVar[str] = (
        "Shi, Xu, Wang, Zhang, IEEE Transactions on Power Systems 33(3) (2018), on joint use"
    )
    needs: ClassVar[str] = "all that the policies it is made of need"
    complexity: ClassVar[str] = "O(D log D) an interval"

    def __init__(
        self, *, look_ahead_h: float = 24.0, wear_usd_per_kwh: float = 0.0, target_w: float = 0.0
    ) -> None:
        """Take the parameters of `battery_price` and `peak_shaving`.

        Raises:
            PolicyError: outside.
        """
        super().__init__(look_ahead_h=look_ahead_h, wear_usd_per_kwh=wear_usd_per_kwh)
        _refuse_outside(self, "target_w", target_w, 0.0, _LARGEST)
        self.target_w = target_w
        self._shaving = PeakShaving(target_w=target_w)

    def power_w(self, view: BatteryView) -> float:
        """Return the arbitrage's power, but never less than the surplus, nor more than limit and peak allow."""
        power_w = max(super().power_w(view), min(-view.load_w, view.most_charge_w))
        most_import_w = min(view.limit_w, self._shaving.threshold_w(view))
        if most_import_w == math.inf and view.demand_price_usd_per_w > 0.0:
            # Nothing is known of the load yet: charging must not set the peak of the month.
            most_import_w = max(view.peak_import_w, view.load_w)
        return min(power_w, most_import_w - view.load_w)
