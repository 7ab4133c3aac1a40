"""The ledger: balances for any policy whatever it asks for, limits, and the peak that a policy is told."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import GuardError, PolicyError
from dcsim.facility.battery import build_battery
from dcsim.facility.series import StepSeries
from dcsim.policies.battery import BatterySolar
from dcsim.policies.facility import BatteryPolicy, BatteryView, IdleBattery
from dcsim.policies.views import GridView
from dcsim.simulation.site_ledger import ExportRule, SiteInputs, settle, settlement_edges
from dcsim.spec.onsite import BatterySpec

FLAT = StepSeries.constant(1.0)


def _view(now_s: float) -> GridView:
    return GridView(now_s, FLAT.mean, FLAT.mean, FLAT.breakpoints, FLAT.breakpoints)


class Told(BatteryPolicy):
    """Does what it is told, and remembers what it saw."""

    name = "told"

    def __init__(self, powers_w: list[float]) -> None:
        self.powers_w = powers_w
        self.seen: list[BatteryView] = []

    def power_w(self, view: BatteryView) -> float:
        self.seen.append(view)
        return self.powers_w[len(self.seen) - 1]


rows = st.lists(
    st.tuples(
        st.floats(1.0, 3_600.0), st.floats(0.0, 1e6), st.one_of(st.just(0.0), st.floats(0.0, 2e6)),
        st.floats(-1e7, 1e7),
    ),
    min_size=1,
    max_size=30,
)  # fmt: skip


@given(
    rows=rows,
    limit_w=st.sampled_from([0.0, 1e5, math.inf]),
    lost=st.sampled_from([0.0, 0.0007, 0.5]),
    capacity_j=st.floats(1e6, 1e10),
)
def test_every_interval_balances_and_the_battery_stays_within_its_bounds(
    rows: list[tuple[float, float, float, float]], limit_w: float, lost: float, capacity_j: float
) -> None:
    lasts_s, load_w, solar_w, asked_w = (np.array(column) for column in zip(*rows, strict=True))
    battery = build_battery(BatterySpec(capacity_j=capacity_j, self_discharge_per_day=lost))
    inputs = SiteInputs.plain(np.append(0.0, np.cumsum(lasts_s)), load_w, solar_w)
    flows = settle(inputs, battery, Told(asked_w.tolist()), _view, ExportRule(limit_w))
    assert flows.residual() <= 1e-9
    into_j = flows.energy_j("import_w") + flows.energy_j("solar_w") + flows.energy_j("discharge_w")
    out_j = sum(flows.energy_j(name) for name in ("load_w", "charge_w", "export_w", "curtailed_w"))
    assert into_j == pytest.approx(out_j, rel=1e-9)
    for name in ("import_w", "export_w", "charge_w", "discharge_w", "curtailed_w"):
        assert np.all(getattr(flows, name) >= 0.0), name
    assert not np.any((flows.charge_w > 0.0) & (flows.discharge_w > 0.0))
    assert not np.any((flows.import_w > 0.0) & (flows.export_w + flows.curtailed_w > 0.0))
    assert np.all(flows.export_w <= limit_w)
    scale = 1e-9 * battery.capacity_j
    assert np.all((flows.stored_j >= -scale) & (flows.stored_j <= battery.highest_j + scale))
    # What comes out was once put in, less the losses on both ways.
    change_j = float(flows.stored_j[-1] - flows.stored_j[0])
    in_cells_j = flows.energy_j("charge_w") * battery.charge_efficiency
    from_cells_j = flows.energy_j("discharge_w") / battery.discharge_efficiency
    lost_j = in_cells_j - from_cells_j - change_j
    assert lost_j >= -1e-9 * (in_cells_j + from_cells_j + battery.capacity_j)
    # A battery that may not export never gives what would be curtailed.
    if limit_w == 0.0:
        assert np.all(flows.curtailed_w <= np.maximum(solar_w - load_w, 0.0) + 1e-6)


def test_a_day_by_hand() -> None:
    """900 s each: 4 kW surplus of 6 is stored, 2 curtailed by the rating; then 3 kW of load from the store."""
    spec = BatterySpec(
        capacity_j=1e8, charge_power_w=4_000.0, self_discharge_per_day=0.0, charge_efficiency=0.9,
        discharge_efficiency=0.8, initial_charge=0.5,
    )  # fmt: skip
    inputs = SiteInputs.plain([0.0, 900.0, 1_800.0], [2_000.0, 3_000.0], [8_000.0, 0.0])
    flows = settle(inputs, build_battery(spec), BatterySolar(), _view)
    assert flows.charge_w.tolist() == [4_000.0, 0.0]
    assert flows.curtailed_w.tolist() == [2_000.0, 0.0]
    assert flows.discharge_w.tolist() == [0.0, 3_000.0]
    assert flows.import_w.tolist() == [0.0, 0.0]
    assert flows.stored_j.tolist() == [5e7, 5e7 + 900 * 3_600.0, 5e7 + 900 * 3_600.0 - 900 * 3_750.0]


def test_without_a_battery_the_rest_is_bought_sold_or_curtailed() -> None:
    inputs = SiteInputs.plain([0.0, 1.0, 2.0], [5.0, 5.0], [2.0, 9.0])
    flows = settle(inputs, None, export=ExportRule(3.0))
    assert (flows.import_w.tolist(), flows.export_w.tolist()) == ([3.0, 0.0], [0.0, 3.0])
    assert flows.curtailed_w.tolist() == [0.0, 1.0]


def test_the_peak_told_is_that_of_blocks_of_the_present_window() -> None:
    """Blocks of two intervals: means 15 and 5; the second window starts anew."""
    base = SiteInputs.plain(np.arange(7.0), [10.0, 20.0, 5.0, 5.0, 1.0, 1.0])
    inputs = SiteInputs(
        base.edges_s, base.load_w, base.solar_w, np.full(6, 2.0), np.array([0, 0, 0, 0, 1, 1]),
        np.array([0, 0, 1, 1, 2, 2]), base.limit_w,
    )  # fmt: skip
    policy = Told([0.0] * 6)
    settle(inputs, build_battery(BatterySpec(capacity_j=1e6)), policy, _view)
    assert [view.peak_import_w for view in policy.seen] == [0.0, 0.0, 15.0, 15.0, 0.0, 0.0]
    assert [view.demand_price_usd_per_w for view in policy.seen] == [2.0] * 6


def test_a_policy_sees_the_past_day_and_no_more() -> None:
    hours = np.arange(31) * 3_600.0
    policy = Told([0.0] * 30)
    settle(
        SiteInputs.plain(hours, np.arange(30.0)), build_battery(BatterySpec(capacity_j=1e6)), policy, _view
    )
    assert policy.seen[0].past_load_w.tolist() == []
    assert policy.seen[5].past_load_w.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert policy.seen[29].past_load_w.tolist() == list(np.arange(5.0, 29.0))
    assert policy.seen[29].past_duration_s.sum() == 86_400.0


def test_edges_are_merged_and_slivers_left_out() -> None:
    assert settlement_edges(1_800.0, 900.0).tolist() == [0.0, 900.0, 1_800.0]
    assert settlement_edges(1_000.0, 900.0, [900.0 + 1e-9, 950.0]).tolist() == [0.0, 900.0, 950.0, 1_000.0]
    assert settlement_edges(900.0, 900.0, [0.0, 900.0, 2_000.0]).tolist() == [0.0, 900.0]
    assert settlement_edges(10.0, 900.0).tolist() == [0.0, 10.0]


@pytest.mark.parametrize("power_w", [math.nan, math.inf])
def test_a_policy_that_asks_for_no_finite_power_is_an_error(power_w: float) -> None:
    with pytest.raises(PolicyError, match="expected a finite power"):
        settle(
            SiteInputs.plain([0.0, 1.0], [1.0]),
            build_battery(BatterySpec(capacity_j=1.0)),
            Told([power_w]),
            _view,
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda: SiteInputs.plain([0.0, 0.0], [1.0]),
        lambda: SiteInputs.plain([0.0, 1.0], [-1.0]),
        lambda: SiteInputs.plain([0.0, 1.0], [math.nan]),
        lambda: SiteInputs.plain([0.0, 1.0], [1.0], [math.inf]),
    ],
)
def test_inputs_that_cannot_be_are_refused(make: Callable[[], SiteInputs]) -> None:
    with pytest.raises(GuardError):
        make()


def test_nothing_happens_in_no_time() -> None:
    flows = settle(
        SiteInputs.plain([0.0], []), build_battery(BatterySpec(capacity_j=1.0)), IdleBattery(), _view
    )
    assert flows.residual() == 0.0
    assert len(flows.stored_j) == 1


@pytest.mark.slow
def test_a_year_of_quarter_hours_takes_about_a_second() -> None:
    edges = np.arange(35_041) * 900.0
    inputs = SiteInputs.plain(edges, 1e6 + 3e5 * np.sin(edges[:-1] * 2.0 * np.pi / 86_400.0))
    began = time.process_time()
    settle(inputs, build_battery(BatterySpec(capacity_j=1e10)), IdleBattery(), _view)
    assert time.process_time() - began < 1.0
