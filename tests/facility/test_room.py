"""Air that mixes: the balances of air and heat, hand calculations, another way to the same temperatures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import ScenarioError
from dcsim.facility.room import (
    AIR_HEAT_J_PER_M3_K,
    heat_capacity_rate_w_per_k,
    make_room,
    recirculation_faults,
    supply_heat_index,
    supply_red_line_deg_c,
)
from dcsim.facility.room_layout import aisle_matrix, build_room
from dcsim.spec.room import RoomSpec

flows = st.floats(0.2, 1.0)


@st.composite
def halls(draw, most=8):
    """Return (A, K, P): parts of exhaust such that no node gives or breathes more air than it has."""
    count = draw(st.integers(1, most))
    rate = np.array([draw(st.floats(50.0, 5_000.0)) for _ in range(count)])
    moved = np.array([[draw(st.floats(0.0, 1.0)) for _ in range(count)] for _ in range(count)])
    fullest = max((moved.sum(axis=1) / rate).max(), (moved.sum(axis=0) / rate).max(), 1e-9)
    moved *= draw(st.floats(0.0, 0.95)) / fullest
    power = np.array([draw(st.floats(0.0, 20_000.0)) for _ in range(count)])
    return moved / rate[:, None], rate, power


def mixed_by_turns(parts, rate, power, supply, turns=700):
    """Return inlets by letting air go round until nothing changes: no matrix is inverted."""
    inlet = np.full(len(rate), supply)
    fresh = rate - rate @ parts
    for _ in range(turns):
        outlet = inlet + power / rate
        inlet = ((rate * outlet) @ parts + fresh * supply) / rate
    return inlet


@given(halls())
def test_inlets_are_those_that_air_going_round_tends_to(hall):
    parts, rate, power = hall
    room = make_room(parts, rate)
    expected = mixed_by_turns(parts, rate, power, 20.0)
    np.testing.assert_allclose(20.0 + room.inlet_rise_k(power), expected, rtol=1e-9)


@given(halls(), flows, st.booleans())
def test_heat_comes_out_as_it_went_in(hall, flow, matched):
    """Sum K (Tout - Tin) = sum P, and the air that goes back carries all of it."""
    parts, rate, power = hall
    room = make_room(parts, rate, matched=matched)
    own = rate * (flow if matched else 1.0)
    gained = room.outlet_rise_k(power, flow) - room.inlet_rise_k(power, flow)
    scale = max(1.0, power.sum())
    assert float(own @ gained) == pytest.approx(power.sum(), abs=1e-9 * scale)
    returned = room.return_rise_k(power, flow) * room.return_rate_w_per_k
    # Servers that move all their air while the air movers give a part breathe the rest of it again.
    assert returned * flow == pytest.approx(power.sum(), abs=1e-9 * scale)


@given(halls())
def test_more_heat_makes_no_inlet_cooler(hall):
    parts, rate, _ = hall
    assert (make_room(parts, rate).rise_k_per_w >= 0.0).all()


@given(halls())
def test_without_recirculation_all_breathe_supply_air(hall):
    _, rate, power = hall
    for matched in (True, False):
        room = make_room(np.zeros((len(rate), len(rate))), rate, matched=matched)
        assert (room.inlet_rise_k(power) == 0.0).all()
        assert (room.recirculation_factors() == 0.0).all()


@given(halls(), flows)
def test_less_air_from_the_plant_is_made_up_from_the_return(hall, flow):
    """The closed form against the matrix with the return air's way to each node written into it."""
    parts, rate, power = hall
    room = make_room(parts, rate, matched=False)
    back = 1.0 - parts.sum(axis=1)
    fresh = rate - rate @ parts
    # Of the air that goes back 1 - f is not replaced: each node gets its share of the mix of all of it.
    with_return = parts + (1.0 - flow) * np.outer(back, fresh / fresh.sum())
    expected = mixed_by_turns(with_return, rate, power, 0.0, turns=3_000)
    found = room.inlet_rise_k(power, flow)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * (1.0 + found.max()))


@given(halls(), flows)
def test_at_the_supply_red_line_the_hottest_inlet_is_at_its_limit(hall, flow):
    parts, rate, power = hall
    room = make_room(parts, rate)
    supply = supply_red_line_deg_c(room, power, 27.0, flow)
    assert (supply + room.inlet_rise_k(power, flow)).max() == pytest.approx(27.0, abs=1e-9)


def test_two_racks_by_hand():
    """Rack 0 gives a fifth of its air to rack 1, which gives none: T1 = Tsup + 0.2 x 10 K."""
    room = make_room([[0.0, 0.2], [0.0, 0.0]], [100.0, 100.0])
    np.testing.assert_allclose(room.rise_k_per_w, [[0.0, 0.0], [0.002, 0.0]], atol=1e-18)
    np.testing.assert_allclose(room.inlet_rise_k(np.array([1000.0, 5000.0])), [0.0, 2.0])
    np.testing.assert_allclose(room.outlet_rise_k(np.array([1000.0, 5000.0])), [10.0, 52.0])
    np.testing.assert_allclose(room.recirculation_factors(), [0.2, 0.0])


def test_one_rack_that_breathes_its_own_air_by_hand():
    """A third of its air: T = Tsup + P / K (1/3 + 1/9 + ...) = P / K / 2."""
    room = make_room([[1.0 / 3.0]], [100.0])
    assert float(room.inlet_rise_k(np.array([1000.0]))[0]) == pytest.approx(5.0)


def test_racks_of_one_kind_have_the_heat_index_of_their_recirculation():
    """Where all air warms up alike, SHI is the part of exhaust in what is breathed (Sharma et al. 2002)."""
    parts = np.full((5, 5), 0.3 / 5.0)
    room = make_room(parts, np.full(5, 200.0))
    assert supply_heat_index(room, np.full(5, 3_000.0)) == pytest.approx(0.3)


def test_air_of_a_rack():
    """The trade's rule: cfm = 3.16 W / degF, so 10 kW at 10 K (18 degF) take 1,756 cfm."""
    rate = float(heat_capacity_rate_w_per_k(10_000.0, 10.0))
    assert rate / AIR_HEAT_J_PER_M3_K * 2118.88 == pytest.approx(1_756.0, rel=0.02)


@pytest.mark.parametrize(
    ("parts", "node", "got"),
    [
        ([[0.5, 0.5], [0.0, 0.0]], 0, "parts that add up to 1"),
        ([[0.0, -0.1], [0.0, 0.0]], 0, "a part of -0.1"),
        ([[0.0, float("nan")], [0.0, 0.0]], 0, "a part of nan"),
        ([[0.6, 0.0], [0.6, 0.0]], 0, "1.2 times its air"),
    ],
)
def test_what_air_cannot_do_is_refused(parts, node, got):
    faults = recirculation_faults(np.array(parts), np.array([100.0, 100.0]))
    assert faults[0][0] == node
    assert got in faults[0][1]
    with pytest.raises(ValueError, match=r"node 0"):
        make_room(parts, [100.0, 100.0])


def aisles(count=40, **changes):
    kinds = {
        "racks_per_row": 10,
        "recirculation_fraction": 0.2,
        "containment": 0.0,
        "decay_m": 1.0,
        "rack_width_m": 0.6,
    }
    rate = np.full(count, 1_000.0)
    return make_room(aisle_matrix(rate, **(kinds | changes)), rate)


def test_rows_of_racks_breathe_the_given_part_of_exhaust():
    for fraction, containment in ((0.2, 0.0), (0.3, 0.5), (0.2, 1.0)):
        room = aisles(recirculation_fraction=fraction, containment=containment)
        rate = room.heat_rate_w_per_k
        breathed = float(rate @ room.recirculation.sum(axis=1)) / float(rate.sum())
        assert breathed == pytest.approx(fraction * (1.0 - containment), abs=1e-12)


def test_racks_at_the_ends_of_rows_breathe_most():
    """As measured in raised-floor halls: hot air comes round the ends of rows (Schmidt, Cruz, Iyengar 2005)."""
    rise = aisles().inlet_rise_k(np.full(40, 12_000.0)).reshape(4, 10)
    assert (rise[:, [0, -1]] > 1.5 * rise[:, 4:6]).all()
    np.testing.assert_allclose(rise, rise[:, ::-1], rtol=1e-9)


def test_near_racks_breathe_more_of_a_rack_than_far_ones():
    rise = aisles().rise_k_per_w[:, 14].reshape(4, 10)
    assert (np.diff(rise[1, 4:9]) < 0.0).all()
    assert rise[3, 4] < rise[1, 4]


def test_a_scenario_s_room(tmp_path):
    (tmp_path / "a.csv").write_text("0, 0.2\n0, 0\n")
    spec = RoomSpec.model_validate({"layout": {"kind": "matrix", "path": "a.csv"}, "design_rise_k": 10.0})
    room = build_room(spec, np.array([1_000.0, 1_000.0]), tmp_path)
    np.testing.assert_allclose(room.rise_k_per_w, [[0.0, 0.0], [0.002, 0.0]], atol=1e-18)
    # Nodes of two racks: 3 racks make 2, the last with the air of one.
    grouped = build_room(spec.model_copy(update={"racks_per_node": 2}), np.full(3, 1_000.0), tmp_path)
    np.testing.assert_allclose(grouped.heat_rate_w_per_k, [200.0, 100.0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,0.2\n0,x\n", "numbers separated by commas"),
        ("0,1\n0,0\n", "adds up to 1"),
        ("0,0.2,0\n0,0\n", "3 numbers"),
        ("0\n", "1 rows"),
        ("0,-0.2\n0,0\n", "parts of at least 0"),
    ],
)
def test_a_matrix_file_that_cannot_be(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    spec = RoomSpec.model_validate({"layout": {"kind": "matrix", "path": "a.csv"}})
    with pytest.raises(ScenarioError, match=said):
        build_room(spec, np.array([1_000.0, 1_000.0]), tmp_path)


def test_a_matrix_file_outside_the_folder_is_refused(tmp_path):
    spec = RoomSpec.model_validate({"layout": {"kind": "matrix", "path": "../a.csv"}})
    with pytest.raises(ScenarioError):
        build_room(spec, np.array([1_000.0]), tmp_path)
