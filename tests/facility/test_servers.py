"""The fleet's books: what is taken and given back, device by device, core by core, byte by byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import GuardError
from dcsim.facility.hardware import CATALOGUE
from dcsim.facility.servers import Fleet, exact_host, share_units
from dcsim.spec.cluster import ClusterSpec


def make_fleet(*, shares=True, host=True, kinds=False):
    """Return two servers of 4 and one of 2 T4, 64 cores and 512 GiB each."""
    groups = [
        {"count": 2, "accelerator": "T4", "accelerators": 4},
        {"count": 1, "accelerator": "T4", "accelerators": 2},
        {"count": 1},
    ]
    fleet = Fleet(ClusterSpec.model_validate({"racks": [{"name": "r", "servers": groups}]}), CATALOGUE)
    fleet.has_shares, fleet.track_cpu_memory, fleet.track_kinds = shares, host, kinds
    return fleet


def state_of(fleet):
    """Return all that jobs change."""
    columns = [fleet.free, fleet.free_cpu, fleet.free_memory, fleet.largest_share, fleet.units, fleet.kinds]
    copied = [None if column is None else column.tolist() for column in columns]
    return [*copied, list(fleet.jobs_on)]


@pytest.mark.parametrize(
    ("share", "units"),
    [
        (0.55, 550),
        (0.14, 140),
        (0.81, 810),
        (0.29, 290),
        (0.3334, 334),
        (1e-6, 1),
        (0.9999, 1000),
        (0.5, 500),
    ],
)
def test_thousandths_are_what_was_asked_for(share, units):
    """0.55 * 1000 is 550.0000000000001 in floats, and 550 thousandths all the same."""
    assert share_units(share) == units


def test_every_thousandth_is_itself():
    assert [share_units(milli / 1000.0) for milli in range(1, 1001)] == list(range(1, 1001))


def test_parts_go_on_the_tightest_device_that_fits():
    fleet = make_fleet()
    assert fleet.take_share(0, 600, 1.0, 1.0) == (0, 0, 0)
    assert fleet.take_share(0, 500, 1.0, 1.0) == (0, 0, 1)  # 400 left on device 0: too little
    assert fleet.take_share(0, 400, 1.0, 1.0) == (0, 0, 0)
    assert fleet.take_share(0, 400, 1.0, 1.0) == (0, 0, 1)
    assert fleet.units[0].tolist() == [0, 100, 1000, 1000]
    assert fleet.free[0] == 2
    assert fleet.largest_share[0] == 1.0


def test_a_policy_may_name_the_device():
    fleet = make_fleet()
    assert fleet.take_share(0, 600, 1.0, 1.0, device=2) == (0, 0, 2)
    assert fleet.take_share(0, 300, 1.0, 1.0, device=3) == (0, 0, 3)
    assert fleet.units[0].tolist() == [1000, 1000, 400, 700]
    for device in (2, 4, 64):
        with pytest.raises(GuardError, match=f"500/1000 of device {device}"):
            fleet.take_share(0, 500, 1.0, 1.0, device=device)
    assert fleet.jobs_on[0] == 2


def test_whole_devices_are_the_first_free_ones():
    fleet = make_fleet()
    fleet.take_share(0, 1, 1.0, 1.0, device=1)
    held = fleet.take(0, 2, 1.0, 1.0)
    assert held == (0, 2, -1 - 0b101)
    assert fleet.units[0].tolist() == [0, 999, 0, 1000]
    fleet.give_back(held, 0, 1.0, 1.0)
    assert fleet.units[0].tolist() == [1000, 999, 1000, 1000]


@pytest.mark.parametrize(
    "take",
    [
        lambda fleet: fleet.take(2, 3, 1.0, 1.0),
        lambda fleet: fleet.take(2, 1, 65.0, 1.0),
        lambda fleet: fleet.take(2, 1, 1.0, 2.0**39 + 1.0),
        lambda fleet: fleet.take_share(3, 1, 1.0, 1.0),
        lambda fleet: fleet.take_share(2, 1, 65.0, 1.0),
        lambda fleet: fleet.take_share(2, 1, 1.0, 2.0**39 + 1.0),
        lambda fleet: fleet.retake((2, 2, -1 - 0b11), 0, 65.0, 1.0),
        lambda fleet: fleet.retake((2, 0, 2), 1, 1.0, 1.0),
    ],
)
def test_what_is_not_there_is_not_taken_in_part(take):
    fleet = make_fleet(kinds=True)
    before = state_of(fleet)
    with pytest.raises(GuardError, match="r/"):
        take(fleet)
    assert state_of(fleet) == before


def test_thirds_of_a_server_fit_three_times():
    fleet = make_fleet()
    for _ in range(3):
        fleet.take(0, 1, 64.0 / 3.0, 2.0**39 / 3.0)
    assert 0.0 <= fleet.free_cpu[0] < 1e-5
    assert 0.0 <= fleet.free_memory[0] < 3.0


@given(st.floats(0.0, 1e5), st.floats(0.0, 1e15))
def test_counted_cores_and_bytes_are_just_below_the_asked_ones(cores, memory):
    counted = exact_host(cores, memory)
    assert cores - 2.0**-20 < counted[0] <= cores
    assert memory - 1.0 < counted[1] <= memory


ASKED = st.tuples(
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 1000),
    st.floats(0.0, 20.0),
    st.floats(0.0, 2.0**37),
)


def take_some(fleet, asked):
    """Take whatever fits; return what `give_back` needs for each."""
    taken = []
    for server, devices, units, cores, memory in asked:
        try:
            if units and fleet.has_shares:
                held = fleet.take_share(server, units, cores, memory)
            else:
                held = fleet.take(server, devices, cores, memory)
        except GuardError:
            continue
        taken.append((held, units, cores, memory))
        fleet.check()
    return taken


@given(st.lists(ASKED, max_size=12), st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_all_given_back_in_any_order_leaves_nothing_behind(asked, order, shares, kinds):
    fleet = make_fleet(shares=shares, kinds=kinds)
    idle = state_of(fleet)
    taken = take_some(fleet, asked)
    used = sum(units if held[2] >= 0 else held[1] * 1000 for held, units, _, _ in taken)
    assert fleet.used_units().sum() == used
    order.shuffle(taken)
    for part in taken:
        fleet.give_back(*part)
        fleet.check()
    assert state_of(fleet) == idle


@given(st.lists(ASKED, max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_what_if_leaves_no_trace(asked, order, shares):
    """Some jobs are put aside and taken again, in any order: the same state, device by device."""
    fleet = make_fleet(shares=shares, kinds=True)
    taken = take_some(fleet, asked)
    before = state_of(fleet)
    aside = order.sample(taken, order.randint(0, len(taken)))
    for part in aside:
        fleet.give_back(*part)
    order.shuffle(aside)
    for part in aside:
        fleet.retake(*part)
    assert state_of(fleet) == before


def test_what_somebody_else_has_taken_cannot_be_retaken():
    fleet = make_fleet()
    held = fleet.take(0, 3, 1.0, 1.0)
    fleet.give_back(held, 0, 1.0, 1.0)
    fleet.take(0, 2, 1.0, 1.0)
    before = state_of(fleet)
    with pytest.raises(GuardError, match="3 accelerators wanted"):
        fleet.retake(held, 0, 1.0, 1.0)
    assert state_of(fleet) == before


def test_kinds_of_jobs_on_a_server():
    fleet = make_fleet(kinds=True)
    parts = [fleet.take_share(0, 300, 1.0, 1.0) for _ in range(2)]
    fleet.take(0, 0, 1.0, 1.0)  # a CPU-only job is of no kind
    whole = fleet.take(0, 2, 1.0, 1.0)
    assert fleet.kinds.tolist() == [0b101, 0, 0, 0]
    fleet.give_back(parts[0], 300, 1.0, 1.0)
    assert fleet.kinds[0] == 0b101
    fleet.give_back(parts[1], 300, 1.0, 1.0)
    fleet.give_back(whole, 0, 1.0, 1.0)
    assert fleet.kinds[0] == 0


def test_what_is_counted_is_chosen_on_an_idle_fleet():
    fleet = make_fleet()
    fleet.take(0, 1, 1.0, 1.0)
    for name in ("has_shares", "track_cpu_memory", "track_kinds"):
        with pytest.raises(GuardError, match=name):
            setattr(fleet, name, False)


def test_columns_are_live_and_cannot_be_written():
    fleet = make_fleet()
    columns = fleet.columns()
    fleet.take_share(0, 250, 2.0, 1.0)
    assert columns["free_units"][0].tolist() == [750, 1000, 1000, 1000]
    assert columns["free_cpu_cores"][0] == 62.0
    assert columns["accelerator_type"].tolist() == [0, 0, 0, -1]
    assert "job_kinds" not in columns
    for column in columns.values():
        assert not column.flags.writeable


def test_check_finds_a_lost_device():
    fleet = make_fleet()
    fleet.units[0, 1] = 999
    with pytest.raises(GuardError, match="r/0"):
        fleet.check()
    fleet = make_fleet()
    fleet.free_cpu[1] = np.nextafter(64.0, 65.0)
    with pytest.raises(GuardError, match="r/1"):
        fleet.check()


def test_a_fleet_without_accelerators_has_none_to_share():
    cluster = ClusterSpec.model_validate({"racks": [{"name": "r", "servers": [{"count": 2}]}]})
    fleet = Fleet(cluster, CATALOGUE)
    fleet.has_shares = fleet.track_cpu_memory = True
    held = fleet.take(1, 0, 4.0, 1.0)
    fleet.check()
    with pytest.raises(GuardError, match="no device"):
        fleet.take_share(0, 1, 1.0, 1.0)
    fleet.give_back(held, 0, 4.0, 1.0)
    assert fleet.columns()["accelerator_type"].tolist() == [-1, -1]
