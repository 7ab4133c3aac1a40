"""A watched job over links of round capacities: what is lost, where, and to whom, worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dcsim.engine import Engine
from dcsim.facility.sharing import Flow, SharedLinks
from dcsim.simulation.explaining import DATA, NETWORK, Observer
from dcsim.simulation.running import RunningJob
from dcsim.simulation.watching import Watch

ME, OTHER, THIRD = 0, 1, 2


class Told(Observer):
    """Keeps every call as it came."""

    def __init__(self, job_row: int) -> None:
        super().__init__(job_row)
        self.calls: list[tuple[Any, ...]] = []

    def held_back(self, *call: Any) -> None:
        self.calls.append(call)


def job(row: int) -> RunningJob:
    running = RunningJob.__new__(RunningJob)
    running.index, running.network, running.feed, running.bundle = row, None, None, None
    return running


class Hall:
    """One link of 10 bytes/s at file servers, one of 12 between servers, and a clock set by hand."""

    def __init__(self) -> None:
        self.links = SharedLinks([10.0, 12.0])
        self.jobs = {row: job(row) for row in (ME, OTHER, THIRD)}
        self.clock = SimpleNamespace(now=0.0)
        self.told = Told(ME)
        self.watch = Watch(self.told, cast("Engine", self.clock), self.links, self.jobs)

    def put(self, row: int, link: int, demand: float) -> Flow:
        flow = Flow.over(self.jobs[row], demand, [(link, 1.0)])
        self.links.add(flow)
        return flow

    def settle(self, now_s: float, rate: float, *, held_by_feed: bool) -> None:
        """End an instant at which the watched job goes at `rate` steps/s where it would go at 1."""
        self.links.settle()
        bundle = SimpleNamespace(rate=rate, held_by_feed=held_by_feed, plan=SimpleNamespace(rate=1.0))
        self.jobs[ME].bundle = cast("Any", bundle)
        self.clock.now = now_s
        self.watch.settle()


def test_the_loss_goes_to_who_else_is_on_the_bottleneck() -> None:
    hall = Hall()
    hall.jobs[ME].feed = hall.put(ME, 0, 8.0)
    hall.put(OTHER, 0, 1.0)
    hall.put(THIRD, 0, 8.0)
    # 1 for the modest one, 4.5 each for the others: the job goes at 4.5 / 8 of its rate.
    hall.settle(5.0, 4.5 / 8.0, held_by_feed=True)
    assert hall.told.calls == []
    hall.settle(25.0, 4.5 / 8.0, held_by_feed=True)
    ((since_s, elapsed_s, kind, link, lost_s, others),) = hall.told.calls
    assert (since_s, elapsed_s, kind, link) == (5.0, 20.0, DATA, 0)
    assert lost_s == pytest.approx(20.0 * 3.5 / 8.0)
    assert dict(others) == pytest.approx({OTHER: 0.1, THIRD: 0.45})


def test_the_exchange_is_told_apart_from_the_input() -> None:
    hall = Hall()
    hall.jobs[ME].network = hall.put(ME, 1, 24.0)
    hall.settle(0.0, 0.5, held_by_feed=False)
    hall.settle(4.0, 0.5, held_by_feed=False)
    assert hall.told.calls == [(0.0, 4.0, NETWORK, 1, 2.0, [])]


def test_nothing_is_told_while_links_suffice_or_the_job_is_away() -> None:
    hall = Hall()
    hall.jobs[ME].feed = hall.put(ME, 0, 8.0)
    hall.settle(0.0, 1.0, held_by_feed=False)
    hall.settle(10.0, 1.0, held_by_feed=False)
    hall.jobs[ME].bundle = None
    hall.clock.now = 20.0
    hall.watch.settle()
    del hall.jobs[ME]
    hall.clock.now = 30.0
    hall.watch.settle()
    assert hall.told.calls == []


def test_a_link_that_is_down_is_told_too() -> None:
    hall = Hall()
    hall.jobs[ME].feed = hall.put(ME, 0, 8.0)
    hall.links.set_capacity(0, 0.0)
    hall.settle(0.0, 0.0, held_by_feed=True)
    hall.settle(7.0, 0.0, held_by_feed=True)
    assert hall.told.calls == [(0.0, 7.0, DATA, 0, 7.0, [])]
