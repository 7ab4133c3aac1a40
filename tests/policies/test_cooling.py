"""Cooling policies: the inlet limit is kept, searches meet brute force, parameters are checked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.policies.cooling import FlowByLoad, HighestSupply, LeastPower, WeatherReset
from dcsim.policies.facility import CoolingPolicy, HallView
from dcsim.policies.registry import known_policies, make_policy

PEAK_W = 1e6
POLICIES: tuple[CoolingPolicy, ...] = (HighestSupply(), WeatherReset(), FlowByLoad(), LeastPower())


def hall(
    power, rise=0.0, wet=15.0, *, supply=24.0, bounds=(18.0, 27.0), inlet=27.0, least_flow=0.4, more=None
) -> HallView:
    """Return the view of a hall whose servers move as much of their air as the air movers; `more`: always all."""
    power = np.atleast_1d(np.asarray(power, float))
    full = np.full_like(power, 1.0)
    return HallView(
        now_s=np.arange(len(power), dtype=np.float64) * 3_600.0,
        it_power_w=power,
        peak_it_power_w=PEAK_W,
        dry_bulb_deg_c=(wet + 5.0) * full,
        wet_bulb_deg_c=wet * full,
        hottest_rise_k=rise * full,
        flow_rise_k=(rise if more is None else more) * full,
        supply_deg_c=supply,
        lowest_supply_deg_c=bounds[0],
        highest_supply_deg_c=bounds[1],
        highest_inlet_deg_c=inlet,
        least_flow=least_flow,
    )


rows = st.lists(
    st.tuples(st.floats(0.0, PEAK_W), st.floats(0.0, 8.0), st.floats(-20.0, 30.0)), min_size=1, max_size=20
)


@given(
    rows=rows,
    low=st.floats(15.0, 24.0),
    high=st.floats(24.0, 35.0),
    least_flow=st.floats(0.1, 1.0),
    matched=st.booleans(),
)
def test_set_points_are_within_bounds_and_inlets_under_the_limit(
    rows: list[tuple[float, float, float]], low: float, high: float, least_flow: float, *, matched: bool
) -> None:
    """Servers that move all their air breathe return air, up to 12 K over supply, for what the movers do not bring."""
    power, rise, wet = (np.array(column) for column in zip(*rows, strict=True))
    more = None if matched else 12.0 * power / PEAK_W
    view = hall(power, rise, wet, bounds=(low, high), inlet=32.0, least_flow=least_flow, more=more)
    for policy in POLICIES:
        supply, flow = policy.set_points(view)
        assert supply.shape == flow.shape == power.shape
        own = np.clip(power / PEAK_W, least_flow, 1.0)
        flow = np.where(np.isnan(flow), own, flow)
        assert np.all((flow >= least_flow) & (flow <= 1.0)), policy.name
        if not isinstance(policy, FlowByLoad):  # its supply is the scenario's
            assert np.all(supply <= high), policy.name
        inlet = supply + rise + (1.0 / flow - 1.0) * (rise if matched else 12.0 * power / PEAK_W)
        # Where even the lowest supply, or full flow, is not enough, that is what is asked for.
        cannot = (supply <= low + 1e-9) | ((flow == 1.0) & isinstance(policy, FlowByLoad))
        assert np.all((inlet <= 32.0 + 1e-6) | cannot), policy.name


@given(rows)
def test_row_by_row(rows: list[tuple[float, float, float]]) -> None:
    """No decision knows of a later one."""
    power, rise, wet = (np.array(column) for column in zip(*rows, strict=True))
    for policy in POLICIES:
        together = np.array(policy.set_points(hall(power, rise, wet)))
        alone = [policy.set_points(hall(power[k], rise[k], wet[k])) for k in range(len(power))]
        np.testing.assert_array_equal(together, np.array(alone)[:, :, 0].T)


def test_highest_supply_by_hand() -> None:
    """At full flow 27 - 4; at half the load half the flow, and twice the rise that remains of 2 K."""
    supply, flow = HighestSupply(margin_k=0.0).set_points(hall([1e6, 5e5], np.array([4.0, 2.0])))
    np.testing.assert_allclose(supply, [23.0, 23.0])
    assert np.isnan(flow).all()  # the plant's own, which goes with every event
    cooler, _ = HighestSupply(margin_k=1.5).set_points(hall(1e6, 4.0))
    assert float(cooler[0]) == pytest.approx(21.5)


def test_highest_supply_where_servers_move_all_their_air_by_hand() -> None:
    """At half the flow what the movers do not bring adds 6 K: 27 - 2 - 6. With 10 K, 1 + (1 / f - 1) 10 = 9 at 18 degC."""
    supply, flow = HighestSupply(margin_k=0.0).set_points(hall(5e5, 2.0, more=6.0))
    assert float(supply[0]) == pytest.approx(19.0)
    assert np.isnan(flow[0])
    for policy in (HighestSupply(margin_k=0.0), WeatherReset(margin_k=0.0)):
        supply, flow = policy.set_points(hall(5e5, 1.0, more=10.0))
        assert float(supply[0]) == 18.0
        assert float(flow[0]) == pytest.approx(1.0 / 1.8)


def test_weather_reset_by_hand() -> None:
    policy = WeatherReset(
        cool_wet_bulb_deg_c=10, warm_wet_bulb_deg_c=20, cool_supply_deg_c=20, warm_supply_deg_c=26
    )
    supply, _ = policy.set_points(hall(np.full(4, 5e5), 0.0, np.array([0.0, 10.0, 15.0, 30.0])))
    np.testing.assert_allclose(supply, [20.0, 20.0, 23.0, 26.0])


def test_flow_by_load_by_hand() -> None:
    supply, flow = FlowByLoad().set_points(hall([2e5, 7e5, 1e6, 2e5], np.array([0.0, 0.0, 0.0, 2.4])))
    np.testing.assert_allclose(supply, 24.0)
    # 2.4 K / 0.8 is the 3 K between supply and limit; else the plant's own does.
    np.testing.assert_allclose(flow, [np.nan, np.nan, np.nan, 0.8])
    # 1 + (1 / f - 1) 6 = 3 at f = 0.75; and 4 K are too many at any flow.
    _, flow = FlowByLoad().set_points(hall([5e5, 5e5], np.array([1.0, 4.0]), more=6.0))
    np.testing.assert_allclose(flow, [0.75, 1.0])


def test_least_power_meets_a_search_over_both_set_points() -> None:
    """Every pair of supply and flow that is allowed, on a grid; the plant written down once more."""
    policy = LeastPower(flows=1_001, margin_k=0.0)
    for power, rise, wet in ((1e6, 3.0, 20.0), (4e5, 1.5, 12.0), (6e5, 4.0, 25.0), (5e5, 0.0, 5.0)):
        view = hall(power, rise, wet, bounds=(15.0, 27.0))
        supply, flow = (float(values[0]) for values in policy.set_points(view))

        def cost(supply, flow, power=power, wet=wet):
            fan = 0.04 * PEAK_W * flow**3
            chilled, water = supply - 12.0, wet + 4.0
            left = np.clip((water - chilled) / 5.56, 0.0, 1.0)
            return fan + (power + fan) * left * np.maximum(water + 5.0 - chilled, 1.0) / (
                0.5 * (chilled + 273.15)
            )

        supplies, flows = np.meshgrid(
            np.linspace(15.0, 27.0, 601), np.linspace(max(0.4, power / PEAK_W), 1.0, 601)
        )
        allowed = supplies + rise / flows <= 27.0 + 1e-9
        best = float(np.min(cost(supplies, flows)[allowed]))
        # Finer than the grid in supply, so it may be a little better; never worse.
        assert best * (1.0 - 5e-3) <= float(cost(supply, flow)) <= best * (1.0 + 1e-4)


def test_they_are_in_the_registry() -> None:
    names = {"highest_supply", "weather_reset", "flow_by_load", "least_power", "fixed"}
    assert names <= set(known_policies("cooling"))
    assert isinstance(make_policy("cooling", "highest_supply", {"margin_k": 2}), HighestSupply)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("highest_supply", {"margin_k": -1.0}, "margin_k: -1.0 -> expected 0..20 K"),
        ("highest_supply", {"interval_s": 0.0}, "interval_s: 0.0 -> expected 1..inf s"),
        ("weather_reset", {"warm_wet_bulb_deg_c": 1.0}, "warm_wet_bulb_deg_c: 1.0 -> expected more than"),
        ("weather_reset", {"warm_supply_deg_c": 300.0}, "warm_supply_deg_c: 300.0 -> expected 5..45 degC"),
        ("flow_by_load", {"interval_s": float("nan")}, "interval_s: nan -> expected 1..inf s"),
        ("least_power", {"flows": 1}, "flows: 1 -> expected 2..1001"),
        ("least_power", {"carnot_fraction": 0.0}, "carnot_fraction: 0.0 -> expected 0.05..1"),
    ],
)
def test_parameters_that_cannot_be(name: str, parameters: dict[str, float], said: str) -> None:
    with pytest.raises(PolicyError, match=said.replace(".", r"\.")):
        make_policy("cooling", name, parameters)
