"""The ledger of a site: what is bought, sold, stored and curtailed in each settlement interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError, PolicyError
from dcsim.facility.battery import Battery
from dcsim.policies.facility import BatteryPolicy, BatteryView
from dcsim.policies.views import GridView

__all__ = ["ExportRule", "SiteFlows", "SiteInputs", "settle", "settlement_edges"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DAY_S = 86_400.0
_SLIVER_S = 1e-6
"""Breakpoints nearer than this to an edge are that edge, rounded."""


@dataclass(frozen=True, slots=True)
class ExportRule:
    """What happens to power that the site cannot use."""

    limit_w: float = 0.0
    """Largest export; 0: none is allowed, infinity: no limit."""


@dataclass(frozen=True, slots=True)
class SiteInputs:
    """N consecutive settlement intervals; arrays (N,) but for the edges."""

    edges_s: Floats
    """(N + 1,) strictly increasing."""
    load_w: Floats
    """Mean power of the facility, >= 0."""
    solar_w: Floats
    """Mean power of on-site generation, >= 0."""
    demand_price_usd_per_w: Floats
    """Demand charge of the billing window; 0: none."""
    window: Ints
    """Billing window of each interval, ascending."""
    block: Ints
    """Metering block of each interval, ascending: the demand charge looks at means over blocks (15 min)."""
    limit_w: Floats
    """Import asked for by demand response; infinity: none."""

    def __post_init__(self) -> None:
        count = len(self.edges_s) - 1
        if count < 0 or not np.all(np.diff(self.edges_s) > 0.0):
            raise GuardError("site ledger: expected strictly increasing edges")
        for name in ("load_w", "solar_w", "demand_price_usd_per_w", "window", "block", "limit_w"):
            if getattr(self, name).shape != (count,):
                raise GuardError(
                    f"site ledger: {name} of shape {getattr(self, name).shape}, expected ({count},)"
                )
        if (
            not all(np.all((power >= 0.0) & np.isfinite(power)) for power in (self.load_w, self.solar_w))
            or np.isnan(self.limit_w).any()
        ):
            raise GuardError("site ledger: expected finite powers >= 0")

    @classmethod
    def plain(cls, edges_s: npt.ArrayLike, load_w: npt.ArrayLike, solar_w: npt.ArrayLike = 0.0) -> SiteInputs:
        """Return inputs without demand charge and demand response, each interval its own block."""
        edges = np.asarray(edges_s, dtype=np.float64)
        count = len(edges) - 1
        return cls(
            edges,
            np.broadcast_to(np.asarray(load_w, dtype=np.float64), (count,)),
            np.broadcast_to(np.asarray(solar_w, dtype=np.float64), (count,)),
            np.zeros(count),
            np.zeros(count, dtype=np.int64),
            np.arange(count),
            np.full(count, math.inf),
        )


@dataclass(frozen=True, slots=True)
class SiteFlows:
    """Mean powers of each interval, all >= 0: import + solar + discharge = load + charge + export + curtailed."""

    edges_s: Floats
    """(N + 1,)."""
    load_w: Floats
    """(N,), as all below but `stored_j`."""
    solar_w: Floats
    import_w: Floats
    export_w: Floats
    charge_w: Floats
    discharge_w: Floats
    curtailed_w: Floats
    stored_j: Floats
    """(N + 1,) in the battery at each edge."""

    @property
    def duration_s(self) -> Floats:
        """(N,)."""
        return np.diff(self.edges_s)

    def energy_j(self, name: str) -> float:
        """Return the integral over the run of one of the powers, J.

        >>> flows = settle(SiteInputs.plain([0.0, 10.0, 20.0], [5.0, 5.0], [8.0, 0.0]), None)
        >>> flows.energy_j("import_w"), flows.energy_j("curtailed_w")
        (50.0, 30.0)
        """
        return math.fsum((getattr(self, name) * self.duration_s).tolist())

    def residual(self) -> float:
        """Return the largest relative residual of the balance at any interval; rounding only."""
        into = self.import_w + self.solar_w + self.discharge_w
        out = self.load_w + self.charge_w + self.export_w + self.curtailed_w
        scale = np.maximum(np.maximum(into, out), 1e-300)
        return float(np.max(np.abs(into - out) / scale, initial=0.0))


def settlement_edges(end_s: float, interval_s: float, *breakpoints_s: npt.ArrayLike) -> Floats:
    """Return the edges of settlement intervals over [0, end_s]: multiples of `interval_s` and all breakpoints.

    Breakpoints within a microsecond of another edge are left out.

    >>> settlement_edges(2000.0, 900.0, [1000.0, 1800.0]).tolist()
    [0.0, 900.0, 1000.0, 1800.0, 2000.0]
    """
    regular = np.append(np.arange(0.0, end_s, interval_s), end_s)
    others = np.concatenate([np.zeros(0), *(np.asarray(more, dtype=np.float64) for more in breakpoints_s)])
    others = np.unique(others[(others > 0.0) & (others < end_s)])
    place = np.searchsorted(regular, others)
    near = np.minimum(np.abs(others - regular[np.maximum(place - 1, 0)]), np.abs(regular[place] - others))
    edges = np.union1d(regular, others[near > _SLIVER_S])
    keep = np.append(np.diff(edges) > _SLIVER_S, True)
    keep[0] = True
    return np.asarray(edges[keep], dtype=np.float64)


def settle(
    inputs: SiteInputs,
    battery: Battery | None,
    policy: BatteryPolicy | None = None,
    grid_view: Callable[[float], GridView] | None = None,
    export: ExportRule | None = None,
) -> SiteFlows:
    """Return what flows in each interval, the battery's policy asked once at the start of each.

    The battery never charges and discharges at once, takes and gives what its rating, its charge and
    the connection allow, and never gives what would be curtailed. `policy` and `grid_view` (makes the
    forecast at a time) are needed with a battery. Raises `PolicyError` for a power that is no finite number.
    """
    rule = export or ExportRule()
    if battery is None or policy is None or grid_view is None:
        nothing = np.zeros(len(inputs.load_w))
        stored = np.zeros(len(inputs.edges_s))
        return _flows(inputs, nothing, nothing, stored, rule)
    charge, discharge, stored = _operate(inputs, battery, policy, grid_view, rule)
    return _flows(inputs, charge, discharge, stored, rule)


def _operate(
    inputs: SiteInputs,
    battery: Battery,
    policy: BatteryPolicy,
    grid_view: Callable[[float], GridView],
    rule: ExportRule,
) -> tuple[Floats, Floats, Floats]:
    """Return (N,) charge, (N,) discharge and (N + 1,) energy in store."""
    begins, durations = inputs.edges_s[:-1], np.diff(inputs.edges_s)
    net = inputs.load_w - inputs.solar_w
    day_before = np.searchsorted(begins, begins - _DAY_S)
    demand = _Demand()
    stored_j = battery.initial_j
    charges, discharges, history = [], [], [stored_j]
    columns = (
        begins,
        durations,
        net,
        inputs.demand_price_usd_per_w,
        inputs.limit_w,
        inputs.window,
        inputs.block,
    )
    rows = zip(*(column.tolist() for column in columns), day_before.tolist(), strict=True)
    for i, (now_s, duration_s, net_w, price, limit_w, window, block, first) in enumerate(rows):
        demand.enter(window, block)
        most_charge_w = battery.most_charge_w(stored_j, duration_s)
        # What the site does not use and the grid does not take is not worth discharging.
        room_w = max(net_w, 0.0) if rule.limit_w == 0.0 else max(net_w + rule.limit_w, 0.0)
        most_discharge_w = min(battery.most_discharge_w(stored_j, duration_s), room_w)
        view = BatteryView(
            now_s, duration_s, net_w, stored_j, battery.capacity_j, most_charge_w, most_discharge_w,
            battery.round_trip, demand.peak_w, grid_view(now_s), price, limit_w, battery.charge_limit_w,
            battery.discharge_limit_w, battery.lowest_j, battery.highest_j, battery.charge_efficiency,
            net[first:i], durations[first:i],
        )  # fmt: skip
        power_w = float(policy.power_w(view))
        if not math.isfinite(power_w):
            raise PolicyError(f"{policy.name}: {power_w} W at {now_s:g} s -> expected a finite power")
        charge_w = min(max(power_w, 0.0), most_charge_w)
        discharge_w = min(max(-power_w, 0.0), most_discharge_w)
        stored_j = battery.after_j(stored_j, charge_w, discharge_w, duration_s)
        demand.add(max(net_w + charge_w - discharge_w, 0.0), duration_s)
        charges.append(charge_w)
        discharges.append(discharge_w)
        history.append(stored_j)
    return np.array(charges), np.array(discharges), np.array(history)


class _Demand:
    """The largest block mean of import so far in the billing window."""

    __slots__ = ("_block", "_energy_j", "_time_s", "_window", "peak_w")

    def __init__(self) -> None:
        self.peak_w = 0.0
        self._window = self._block = -1
        self._energy_j = self._time_s = 0.0

    def enter(self, window: int, block: int) -> None:
        """Close the block that has ended, and the window."""
        if block != self._block:
            if self._time_s > 0.0:
                self.peak_w = max(self.peak_w, self._energy_j / self._time_s)
            self._block, self._energy_j, self._time_s = block, 0.0, 0.0
        if window != self._window:
            self._window, self.peak_w = window, 0.0

    def add(self, import_w: float, duration_s: float) -> None:
        """Count an interval of the present block."""
        self._energy_j += import_w * duration_s
        self._time_s += duration_s


def _flows(
    inputs: SiteInputs, charge_w: Floats, discharge_w: Floats, stored_j: Floats, rule: ExportRule
) -> SiteFlows:
    """Return the flows that close the balance of each interval."""
    missing_w = inputs.load_w + charge_w - inputs.solar_w - discharge_w
    surplus_w = np.maximum(-missing_w, 0.0)
    export_w = np.minimum(surplus_w, rule.limit_w)
    return SiteFlows(
        inputs.edges_s,
        inputs.load_w,
        inputs.solar_w,
        np.maximum(missing_w, 0.0),
        export_w,
        charge_w,
        discharge_w,
        surplus_w - export_w,
        stored_j,
    )
