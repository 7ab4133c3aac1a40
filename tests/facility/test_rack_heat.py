"""Fans and leakage in mixing air: one answer, whatever the start; by hand; against scipy's root finder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import fsolve

from dcsim.facility.hardware import CATALOGUE
from dcsim.facility.rack_heat import HeatFeedback, ServerCells, contraction, mixed_inlets
from dcsim.facility.room import make_room
from dcsim.facility.server_power import fan_power_w
from dcsim.facility.servers import Fleet
from dcsim.spec.cluster import ClusterSpec

FANS = {"power_w": 8.0, "full_power_w": 216.0, "reference_inlet_deg_c": 25.0, "full_inlet_deg_c": 40.0}
THERMAL = {"resistance_k_per_w": 0.1, "leakage_fraction_per_k": 0.01, "leakage_reference_deg_c": 60.0}


def fleet(racks=3, servers=2, **parts):
    server = {"count": servers, "accelerator": "A100-80", "accelerators": 8, "idle_power_w": 500.0}
    rack = {"name": "r", "count": racks, "servers": [server | parts]}
    return Fleet(ClusterSpec.model_validate({"racks": [rack]}), CATALOGUE)


def feedback(built):
    cells = ServerCells.of(built)
    return cells, HeatFeedback(built.types, cells, len(built.rack_start))


def test_cells_are_servers_of_one_type_in_one_rack():
    plain, other = {"count": 2, "idle_power_w": 100.0}, {"count": 1, "idle_power_w": 200.0}
    racks = [{"name": "a", "count": 2, "servers": [plain, other]}, {"name": "b", "servers": [plain]}]
    cells = ServerCells.of(Fleet(ClusterSpec.model_validate({"racks": racks}), CATALOGUE))
    assert cells.rack.tolist() == [0, 0, 1, 1, 2]
    assert cells.start.tolist() == [0, 2, 3, 5, 6]
    assert cells.servers.tolist() == [2, 1, 2, 1, 2]
    assert cells.of_server.tolist() == [0, 0, 1, 2, 2, 3, 4, 4]


def test_what_a_rack_draws_more_by_hand():
    """Fans at 32.5 degC: speed 2 + (6 - 2) / 2 = 4, 64 W. Device at 32.5 + 0.1 x 300: 2.5 K above 60 before it leaks."""
    cells, found = feedback(fleet(racks=1, servers=2, fans=FANS, thermal=THERMAL))
    device = CATALOGUE["A100-80"]
    slope = 0.01 * device.idle_power_w
    warmer = 2.5 / (1.0 - 0.1 * slope)
    extra = found.extra_w(np.array([32.5]), np.array([2.0]), np.array([16 * 300.0]))
    assert float(extra[0]) == pytest.approx(2 * 56.0 + 16 * slope * warmer)
    # Asleep, neither fans nor devices draw anything more or less.
    assert float(found.extra_w(np.array([32.5]), np.zeros(1), np.zeros(1))[0]) == 0.0
    # Cold, no more is saved than there is.
    cold = found.extra_w(np.array([-200.0]), np.array([2.0]), np.array([16 * 60.0]))
    assert float(cold[0]) == -16 * device.idle_power_w
    assert len(cells) == 1


@given(st.floats(0.0, 60.0))
def test_fans_are_those_of_a_server(inlet):
    _, found = feedback(fleet(racks=1, fans=FANS))
    more = float(found.extra_w(np.array([inlet]), np.array([2.0]), np.zeros(1))[0])
    assert more == pytest.approx(2.0 * (float(fan_power_w(inlet, **FANS)) - 8.0), rel=1e-12, abs=1e-9)


@given(st.floats(20.0, 45.0), st.floats(-1.0, 1.0))
def test_no_rack_answers_a_kelvin_with_more_than_its_slope(inlet, step):
    _, found = feedback(fleet(racks=1, fans=FANS, thermal=THERMAL))
    here, there = (
        found.extra_w(np.array([at]), np.array([2.0]), np.array([5_000.0])) for at in (inlet, inlet + step)
    )
    assert abs(float(there[0] - here[0])) <= found.slope_w_per_k()[0] * abs(step) * (1.0 + 1e-9) + 1e-9


PARTS = np.array([[0.1, 0.1, 0.0], [0.0, 0.1, 0.2], [0.1, 0.0, 0.1]])


def solve(start, flow=1.0, supply=27.0, **parts):
    built = fleet(**({"fans": FANS, "thermal": THERMAL} | parts))
    _, found = feedback(built)
    room = make_room(PARTS, np.full(3, 900.0))
    node = np.arange(3)
    base, awake, device = np.array([9e3, 6e3, 2e3]), np.full(3, 2.0), np.array([6e3, 4e3, 1e3])
    answer = mixed_inlets(
        room,
        node,
        found,
        base_w=base,
        awake=awake,
        device_w=device,
        supply_deg_c=supply,
        flow_fraction=flow,
        start_deg_c=np.asarray(start, dtype=np.float64),
    )

    def far(inlet):
        power = base + found.by_rack(found.extra_w(inlet, awake, device))
        return supply + room.inlet_rise_k(power, flow) - inlet

    return answer, far, contraction(room, node, found, flow)


def test_inlets_and_powers_belong_together():
    answer, far, q = solve(np.full(3, 27.0))
    assert q < 1.0
    np.testing.assert_allclose(far(answer.inlet_deg_c), 0.0, atol=1e-11)
    np.testing.assert_allclose(answer.inlet_deg_c, fsolve(far, np.full(3, 30.0), xtol=1e-13), rtol=1e-9)


@given(st.lists(st.floats(-50.0, 150.0), min_size=3, max_size=3), st.floats(0.5, 1.0))
def test_the_answer_does_not_depend_on_the_start(start, flow):
    one, two = solve(start, flow)[0], solve(np.full(3, 27.0), flow)[0]
    np.testing.assert_allclose(one.inlet_deg_c, two.inlet_deg_c, rtol=1e-11)


def test_each_step_brings_two_starts_nearer_by_the_contraction():
    _, far, q = solve(np.full(3, 27.0))
    one, two = np.array([20.0, 45.0, 30.0]), np.array([35.0, 38.0, 26.0])
    for _ in range(5):
        apart = np.abs(one - two).max()
        one, two = one + far(one), two + far(two)
        assert np.abs(one - two).max() <= q * apart * (1.0 + 1e-12)


def test_cool_servers_with_steady_fans_add_nothing():
    answer, _, q = solve(np.zeros(3), fans=None, thermal=None)
    assert (answer.steps, q) == (2, 0.0)
    assert (answer.extra_w == 0.0).all()
