"""Watching one job while a run is simulated: after every instant, which link holds it back and who else is on it."""

from __future__ import annotations

from collections.abc import Mapping

from dcsim.engine import Engine
from dcsim.facility.sharing import Flow, SharedLinks
from dcsim.simulation.explaining import DATA, NETWORK, Observer
from dcsim.simulation.running import RunningJob
from dcsim.simulation.transfers import Transfer

__all__ = ["Watch"]


class Watch:
    """Tells an observer of each stretch in which links hold its job back; the run itself takes no notice.

    A stretch lasts from the end of one instant to the next. A job that goes step by step is not watched.

    Args:
        observer: is told.
        engine: for the time.
        links: that everybody shares.
        running: the jobs that hold servers, by row.
    """

    def __init__(
        self, observer: Observer, engine: Engine, links: SharedLinks, running: Mapping[int, RunningJob]
    ) -> None:
        self._observer = observer
        self._engine = engine
        self._links = links
        self._running = running
        self._since_s = 0.0
        self._held: tuple[str, int, float, list[tuple[int, float]]] | None = None
        """What it was, on which link, the part of the time that is lost, and who else is there."""

    def settle(self) -> None:
        """An instant is over, all rates are as they will be: tell what has held until it, and look again."""
        now_s = self._engine.now
        if self._held is not None and now_s > self._since_s:
            kind, link, lost_part, others = self._held
            elapsed_s = now_s - self._since_s
            self._observer.held_back(self._since_s, elapsed_s, kind, link, lost_part * elapsed_s, others)
        self._since_s = now_s
        self._held = self._look()

    def _look(self) -> tuple[str, int, float, list[tuple[int, float]]] | None:
        """Return what holds the job back from now on; None: no link does."""
        running = self._running.get(self._observer.job_row)
        if running is None or running.bundle is None:
            return None
        bundle = running.bundle
        lost_part = 1.0 - bundle.rate / bundle.plan.rate
        kind, flow = (DATA, running.feed) if bundle.held_by_feed else (NETWORK, running.network)
        if lost_part <= 0.0 or flow is None or flow.group is None or flow.group.bottleneck is None:
            return None
        link = flow.group.bottleneck.number
        return kind, link, lost_part, self._others(link)

    def _others(self, link: int) -> list[tuple[int, float]]:
        """Return (job row, part of the link's capacity) of everybody else on a link."""
        capacity = self._links.capacity[link]
        load: dict[int, float] = {}
        for flow, weight in self._links.on(link).items():
            row = _row(flow)
            if row != self._observer.job_row and capacity > 0.0:
                load[row] = load.get(row, 0.0) + flow.rate * weight / capacity
        return list(load.items())


def _row(flow: Flow) -> int:
    """Return the row of the job that a flow is for; -1: none."""
    owner = flow.owner
    if isinstance(owner, RunningJob):
        return owner.index
    return owner.row if isinstance(owner, Transfer) else -1
