"""The clock: SimPy's measured hazards are closed, its processes still work."""

from __future__ import annotations

import math
from typing import Any

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from dcsim.engine import Engine, EventLog
from dcsim.engine.clock import ID_LIMIT
from dcsim.errors import ClockError, DeadlockError

BAD_TIMES = [math.nan, math.inf, -math.inf, -1.0]


@pytest.mark.parametrize("time_s", BAD_TIMES)
def test_a_call_at_no_time_is_refused(time_s):
    engine = Engine()
    with pytest.raises(ClockError, match="kind 1, id 2"):
        engine.call_at(time_s, 1, 2, print, None)
    engine.run_calls()
    assert engine.now == 0.0


@pytest.mark.parametrize("delay", [math.nan, math.inf])
def test_simpy_accepts_such_a_delay_and_the_engine_does_not(delay):
    simpy.Environment().timeout(delay)
    with pytest.raises(ClockError):
        Engine().timeout(delay)


def test_a_negative_delay_is_refused():
    with pytest.raises((ClockError, ValueError)):
        Engine().timeout(-1.0)


def test_a_delay_beyond_the_largest_number_is_refused():
    engine = Engine()
    engine.call_at(1.5e308, 0, 0, lambda _: engine.timeout(1.5e308), None)
    with pytest.raises(ClockError):
        engine.run_calls()


def test_the_past_is_refused_and_now_is_not():
    engine = Engine()
    seen: list[Any] = []
    engine.call_at(5.0, 0, 0, lambda _: engine.call_at(5.0, 0, 0, seen.append, "now"), None)
    engine.call_at(6.0, 0, 0, lambda _: engine.call_at(5.0, 0, 0, seen.append, "past"), None)
    with pytest.raises(ClockError, match=r"at 5\.0 s, now 6\.0 s"):
        engine.run_calls()
    assert seen == ["now"]


def test_an_entry_smuggled_into_the_past_is_found():
    engine = Engine()
    queue: list[Any] = engine._queue
    engine.call_at(5.0, 0, 0, lambda _: queue.insert(0, (1.0, 0, 0, print, None)), None)
    with pytest.raises(ClockError, match="after 5"):
        engine.run_calls()


times = st.integers(0, 5).map(float)


@given(st.lists(st.tuples(times, st.integers(0, 4), st.integers(0, ID_LIMIT - 1)), unique=True))
def test_order_is_time_kind_id_whatever_the_order_of_creation(calls):
    engine = Engine()
    seen: list[Any] = []
    for call in calls:
        time_s, kind, ident = call
        engine.call_at(time_s, kind, ident, seen.append, call)
    engine.run_calls()
    assert seen == sorted(calls)


def test_equal_calls_run_in_the_order_they_were_made():
    engine = Engine()
    seen: list[Any] = []
    for number in range(5):
        engine.call_at(1.0, 2, 3, seen.append, number)
    engine.run_calls()
    assert seen == [0, 1, 2, 3, 4]


def test_until_includes_its_instant_and_the_clock_stands_there():
    engine = Engine()
    seen: list[Any] = []
    for time_s in (1.0, 2.0, 3.0):
        engine.call_at(time_s, 0, 0, seen.append, time_s)
    engine.run_calls(2.0)
    assert (seen, engine.now) == ([1.0, 2.0], 2.0)
    engine.run_calls(2.5)
    assert engine.now == 2.5
    engine.run_calls(10.0)
    assert (seen, engine.now) == ([1.0, 2.0, 3.0], 10.0)


def test_until_nan_is_refused_though_simpy_returns_silently():
    with pytest.raises(ClockError, match="NaN"):
        Engine().run_calls(math.nan)


@pytest.mark.parametrize("until_s", [None, 100.0])
def test_running_dry_while_something_waits_says_what(until_s):
    engine = Engine()
    engine.call_at(3.0, 0, 0, lambda _: None, None)
    names = [f"job {number}" for number in range(12)]
    with pytest.raises(DeadlockError, match=r"after 3\.0 s while 12 wait: job 0; .*; and 2 more"):
        engine.run_calls(until_s, lambda: names)


def test_waiting_at_the_horizon_is_no_deadlock_while_something_can_happen():
    engine = Engine()
    engine.call_at(30.0, 0, 0, lambda _: None, None)
    engine.run_calls(10.0, lambda: ["job 1"])
    assert engine.now == 10.0


def test_settle_runs_once_after_the_last_event_of_an_instant():
    seen: list[Any] = []
    engine = Engine(settle=lambda: seen.append(("settle", engine.now)))
    for number in range(3):
        engine.call_at(1.0, 0, number, seen.append, number)
    engine.call_at(2.0, 0, 0, seen.append, "later")
    engine.run_calls()
    assert seen == [0, 1, 2, ("settle", 1.0), "later", ("settle", 2.0)]


def test_settle_runs_again_when_it_adds_to_its_own_instant():
    seen: list[Any] = []

    def settle():
        seen.append("settle")
        if len(seen) == 1:
            engine.call_at(engine.now, 0, 0, seen.append, "added")

    engine = Engine(settle=settle)
    engine.call_at(1.0, 0, 0, lambda _: None, None)
    engine.run_calls()
    assert seen == ["settle", "added", "settle"]


def test_clear_forgets_what_was_to_come():
    engine = Engine()
    seen: list[Any] = []
    engine.call_at(1.0, 0, 0, lambda _: engine.clear(), None)
    engine.call_at(2.0, 0, 0, seen.append, "never")
    engine.run_calls()
    assert (seen, engine.now) == ([], 1.0)


def test_processes_of_simpy_work_beside_calls():
    engine = Engine()
    seen: list[Any] = []
    gate = engine.event()

    def process():
        yield engine.timeout(1.0)
        seen.append(("process", engine.now))
        value = yield gate
        seen.append((value, engine.now))

    engine.process(process())
    engine.call_at(1.0, 0, 0, lambda _: seen.append(("call", engine.now)), None)
    engine.call_at(4.0, 0, 0, lambda _: gate.succeed("opened"), None)
    engine.run_calls()
    # SimPy's own events come first in an instant.
    assert seen == [("process", 1.0), ("call", 1.0), ("opened", 4.0)]


def test_resources_of_simpy_work():
    engine = Engine()
    resource, served = simpy.Resource(engine, capacity=1), []

    def customer(name):
        with resource.request() as request:
            yield request
            yield engine.timeout(2.0)
            served.append((name, engine.now))

    for name in "abc":
        engine.process(customer(name))
    engine.run_calls()
    assert served == [("a", 2.0), ("b", 4.0), ("c", 6.0)]


def test_an_unhandled_failure_surfaces():
    engine = Engine()

    def process():
        yield engine.timeout(1.0)
        raise RuntimeError("the pump broke")

    engine.process(process())
    with pytest.raises(RuntimeError, match="the pump broke"):
        engine.run_calls()


def test_run_of_simpy_still_stops_at_a_time():
    engine = Engine()
    seen: list[Any] = []
    engine.call_at(1.0, 0, 0, seen.append, 1)
    engine.call_at(3.0, 0, 0, seen.append, 3)
    engine.run(until=2.0)
    assert (seen, engine.now) == ([1], 2.0)


def test_the_log_grows_and_shares_its_memory():
    log = EventLog()
    for row in range(1000):
        log.add(row / 2.0, row % 8, row, -1, row * 0.25)
    assert len(log) == 1000
    columns = log.columns()
    assert [column.dtype.name for column in columns.values()] == [
        "float64", "int16", "int32", "int32", "float64",
    ]  # fmt: skip
    assert columns["value"][-1] == 999 * 0.25
    assert columns["time_s"].base is not None
