"""Caps that change at random while jobs run, ratings that are exceeded, servers that throttle and sleep: what always holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.policies import EnergyPolicy, make_policy
from dcsim.results.schema import TIMES
from dcsim.simulation import Policies, simulate
from dcsim.simulation.gangs import gangs_of
from dcsim.simulation.kinds import LogKind
from dcsim.testing import strategies as dst
from dcsim.testing.whole_run import scenario_of
from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

QUANTUM_W = 2.0**-22


class AnyCaps(EnergyPolicy):
    """Caps drawn beforehand, in turn, asked for again after drawn times; proves what it sees."""

    name = "any_caps"
    optimises = "nothing: for tests"
    source = "-"
    recaps = True

    def __init__(self, caps: list[float], again_s: list[float]) -> None:
        self._caps, self._again_s = caps, again_s
        self.asked = 0

    def sleep_after_s(self) -> float:
        return 3.0

    def caps_now(self, jobs: Any, power: Any, grid: Any) -> tuple[Any, float]:
        in_force = power.cap_fraction
        assert (power.power_w <= power.power_at(in_force) * (1 + 1e-9) + QUANTUM_W).all()
        # No more is asked of `power_at`: a slowed job that exchanges may draw a little more, as it computes longer.
        speed = power.speed_at(in_force)
        assert ((speed > 0.0) & (speed <= 1.0 + 1e-12)).all()
        assert (in_force >= power.floor_fraction).all()
        assert (in_force <= power.thermal_cap_fraction).all()
        assert power.power_w.sum() <= power.it_power_w * (1 + 1e-9) + len(power) * QUANTUM_W
        self.asked += 1
        wanted = [self._caps[(self.asked + place) % len(self._caps)] for place in range(len(power))]
        return np.array(wanted), power.now_s + self._again_s[self.asked % len(self._again_s)]


@st.composite
def runs(draw: st.DrawFn) -> tuple[Any, dict[str, Any], Any]:
    """Draw (scenario, arguments of simulate, what makes its energy policy)."""
    cluster = draw(dst.clusters(max_servers=4, max_accelerators=4))
    jobs = draw(dst.job_tables(cluster, min_jobs=1, max_jobs=6, profiles=("drawn",), rules=True))
    warm = draw(dst.warm_clusters(cluster))
    parts = draw(dst.sites(warm))
    parts["policies"]["ordering"] = draw(st.sampled_from(("fifo", "priority", "tiresias")))
    caps = draw(st.lists(st.integers(1, 1000).map(lambda step: step / 1000), min_size=1, max_size=5))
    again_s = draw(st.lists(st.sampled_from((1.0, 3.7, 1e9)), min_size=1, max_size=3))
    scenario = scenario_of(
        warm,
        network=draw(dst.networks(starved=False)),
        storage=draw(dst.storages(starved=False)),
        preemption=draw(dst.preemptions()),
        horizon_s=draw(st.sampled_from((None, 40.0))),
        **parts,
    )
    arguments = {"jobs": jobs, "profiles": draw(dst.loaded_profiles())}
    return scenario, arguments, lambda: AnyCaps(caps, again_s)


def _policies(scenario: Any, energy: EnergyPolicy) -> Policies:
    chosen = scenario.policies
    made: list[Any] = [
        make_policy(kind, getattr(chosen, kind).name, getattr(chosen, kind).parameters)
        for kind in ("ordering", "placement", "cooling", "battery")
    ]
    return Policies(made[0], made[1], energy, made[2], made[3])


@settings(max_examples=40)
@given(runs())
def test_caps_that_change_at_random_keep_all_books(drawn):
    """The guards and the policy's own proofs stay silent; the log alone tells caps, overloads and heat."""
    scenario, arguments, make = drawn
    one, two = (
        simulate(scenario, guards=guards, policies=_policies(scenario, make()), **arguments)
        for guards in (True, False)
    )
    assert all(_equal(one.jobs[name], two.jobs[name]) for name in one.jobs if one.jobs[name].dtype != object)
    assert all(_equal(one.events[name], two.events[name]) for name in one.events)
    end_s = (
        float(one.series["time_s"][-1] + one.series["duration_s"][-1]) if len(one.series["time_s"]) else 0.0
    )
    _time_adds_up(one)
    _log_tells_the_mean_cap(one, arguments["jobs"], end_s)
    _log_tells_overloads(one, end_s)
    _servers_throttle_in_turn(one)


def _equal(one: Any, other: Any) -> bool:
    return bool(one.tobytes() == other.tobytes())


def _time_adds_up(result: Any) -> None:
    jobs = result.jobs
    done = np.isfinite(jobs["jct_s"])
    own_s = np.sum([jobs[column.name] for column in TIMES], axis=0)
    np.testing.assert_allclose(own_s[done], jobs["jct_s"][done], rtol=1e-9, atol=1e-9)
    assert (jobs["throttled_s"] >= 0.0).all()
    held_s = jobs["jct_s"] - jobs["queue_s"]
    assert (jobs["throttled_s"][done] <= held_s[done] * (1 + 1e-9) + 1e-9).all()


def _log_tells_the_mean_cap(result: Any, table: Any, end_s: float) -> None:
    """5: the mean cap of each job over the time it held whole accelerators, from the log alone."""
    events, gangs = result.events, gangs_of(result.events)
    rows = events["job"][gangs.row]
    for job in range(len(table)):
        if table.accelerators[job] == 0 or table.accelerator_share[job] < 1.0:
            continue
        changes = np.flatnonzero((events["kind"] == LogKind.CAP) & (events["job"] == job))
        total_s, weighted, cap = 0.0, 0.0, 1.0
        for gang in np.flatnonzero(rows == job).tolist():
            first, last = int(gangs.row[gang]), int(gangs.release_row[gang])
            until_s = events["time_s"][last] if last >= 0 else end_s
            since_s = events["time_s"][first]
            for row in changes.tolist():
                told_s = events["time_s"][row]
                if since_s <= told_s <= until_s:
                    weighted += cap * (told_s - since_s)
                    total_s += told_s - since_s
                    since_s, cap = told_s, events["value"][row]
            weighted += cap * (until_s - since_s)
            total_s += until_s - since_s
        if total_s > 0.0:
            assert result.jobs["power_cap_fraction"][job] == pytest.approx(weighted / total_s, rel=1e-9)


def _log_tells_overloads(result: Any, end_s: float) -> None:
    """15: each overload has an end or lasts to the end of the run; together they are what the account says."""
    events = result.events
    over, since_s, total_s = set[int](), 0.0, 0.0
    for kind, node, time_s in zip(
        *(events[name].tolist() for name in ("kind", "server", "time_s")), strict=True
    ):
        if kind == LogKind.OVERLOAD:
            assert node not in over
            since_s = time_s if not over else since_s
            over.add(node)
        elif kind == LogKind.LOAD_OK:
            over.remove(node)
            total_s += time_s - since_s if not over else 0.0
    total_s += end_s - since_s if over else 0.0
    assert result.account["seconds_above_rating"] == pytest.approx(total_s, rel=1e-9, abs=1e-9)


def _servers_throttle_in_turn(result: Any) -> None:
    events = result.events
    hot = set[int]()
    for kind, server in zip(*(events[name].tolist() for name in ("kind", "server")), strict=True):
        if kind == LogKind.THROTTLE:
            assert server not in hot
            hot.add(server)
        elif kind == LogKind.UNTHROTTLE:
            hot.remove(server)


def test_the_overloads_of_a_rack_are_logged_for_as_long_as_they_last():
    """One rack of 500 W idle, 2,700 W busy, a breaker of 2,500 W that may carry 80 % of that for ever."""
    scenario = hall(1, power={"stages": [], "tree": {"rack_breaker_w": 2500.0}}, horizon_s=100.0)
    result = run(scenario, job_table(submit_s=[10.0, 50.0], duration_s=[20.0, 5.0], accelerators=[4, 2]))
    kinds = np.isin(result.events["kind"], (LogKind.OVERLOAD, LogKind.LOAD_OK))
    assert result.events["time_s"][kinds].tolist() == [10.0, 30.0]
    assert result.events["value"][kinds].tolist() == [2700.0, 500.0]
    assert math.isclose(result.account["seconds_above_rating"], 20.0)


def test_a_reserve_that_wants_to_be_asked_again_does_not_keep_the_run_open():
    policies = {"energy": {"name": "sleep_forecast", "parameters": {"after_s": 3.0}}}
    jobs = job_table(submit_s=[0.0, 5.0, 10.0], duration_s=5.0, accelerators=4)
    series = run(hall(3, policies=policies), jobs).series
    assert series["time_s"][-1] + series["duration_s"][-1] == 15.0


def test_a_set_point_of_the_first_instant_holds_from_then_on_though_no_job_comes():
    cooling = {"envelope": "A1", "supply_temperature_deg_c": 20.0}
    highest = {"name": "highest_supply", "parameters": {"margin_k": 0.0}}
    scenario = hall(1, room={}, cooling=cooling, policies={"cooling": highest}, horizon_s=1000.0)
    series = run(scenario, job_table(submit_s=900.0, duration_s=5.0, accelerators=4)).series
    # With nobody else's exhaust in the air the inlet is as warm as servers may breathe.
    assert series["hottest_inlet_deg_c"][0] >= series["supply_temperature_deg_c"][0] > 30.0
