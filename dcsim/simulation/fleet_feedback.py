"""What a router is told of its sites now and then: who runs since when, who waits, how long jobs really took."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.results.run_result import RunResult
from dcsim.simulation.fleet_jobs import FleetJobs, jobs_at_site
from dcsim.simulation.fleet_site import FleetSite
from dcsim.simulation.fleet_wan import Wan
from dcsim.simulation.run import simulate
from dcsim.spec.load import LoadedScenario

__all__ = ["Feedback"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ENOUGH_JOBS = 5
"""So many of a width must have ended before the router believes in a ratio of their run times."""


class Feedback:
    """The true state of the sites, found by running each with what it was sent, up to now and no further.

    Each look costs the run so far; n looks at even times cost n / 2 whole runs.

    Args:
        halls: scenarios of the sites.
        seeds: of the sites' runs.
        jobs: of the fleet.
        sites: whose ledgers are put right.
        wan: for what has arrived.
        every_s: time between two looks.
    """

    def __init__(
        self,
        halls: Sequence[LoadedScenario],
        seeds: Sequence[int],
        jobs: FleetJobs,
        sites: Sequence[FleetSite],
        wan: Wan,
        every_s: float,
    ) -> None:
        self._halls, self._seeds, self._jobs = halls, seeds, jobs
        self._sites, self._wan = sites, wan
        self._every_s = every_s
        self.next_s = every_s
        """When it is time to look again."""

    def look(self, now_s: float, site: Sequence[int], transfer: Sequence[int]) -> None:
        """Put the ledgers right; `site` and `transfer` are those of the jobs sent so far."""
        self.next_s = (math.floor(now_s / self._every_s) + 1.0) * self._every_s
        sent = len(site)
        at, moved = np.array(site, dtype=np.int64), np.array(transfer, dtype=np.int64)
        arrival_s = self._jobs.table.submit_s[:sent].copy()
        away = np.flatnonzero(moved >= 0)
        if len(away):
            # Exact for what has arrived: what is sent from now on cannot change the past.
            arrival_s[away] = np.maximum(self._wan.arrivals_s()[1][moved[away]], arrival_s[away])
        for number in range(len(self._sites)):
            self._tell(number, now_s, np.flatnonzero(at == number), arrival_s)

    def _tell(self, number: int, now_s: float, rows: Ints, arrival_s: Floats) -> None:
        site, hall = self._sites[number], self._halls[number]
        there = rows[arrival_s[rows] <= now_s]
        coming = rows[arrival_s[rows] > now_s]
        waiting: list[tuple[float, int]] = []
        running: list[tuple[float, int]] = []
        if len(there):
            table, order = jobs_at_site(self._jobs, arrival_s, there)
            known = simulate(
                hall.scenario.model_copy(update={"horizon_s": now_s}),
                self._seeds[number],
                base_dir=hall.base_dir,
                profiles=self._jobs.profiles,
                jobs=table,
            )
            self._learn(site, known, order)
            for row, status, start_s in zip(
                order.tolist(), known.jobs["status"].tolist(), known.jobs["start_s"].tolist(), strict=True
            ):
                if status == "running":
                    running.append((start_s, row))
                elif status == "waiting":
                    waiting.append((float(arrival_s[row]), row))
        self._restart(
            site, now_s, running, [*waiting, *((float(arrival_s[row]), row) for row in coming.tolist())]
        )

    def _learn(self, site: FleetSite, known: RunResult, order: Ints) -> None:
        """Note by how much jobs of each width took longer than estimated, of those that have ended."""
        jobs = known.jobs
        done = np.flatnonzero(jobs["status"] == "completed")
        took_s = jobs["end_s"][done] - jobs["start_s"][done]
        estimated_s = np.array(site.run_s)[order[done]]
        width = jobs["accelerators"][done]
        for value in np.unique(width).tolist():
            of_width = width == value
            expected_s = float(estimated_s[of_width].sum())
            if np.count_nonzero(of_width) >= _ENOUGH_JOBS and expected_s > 0.0:
                site.slowdown[int(value)] = float(took_s[of_width].sum()) / expected_s

    def _restart(
        self,
        site: FleetSite,
        now_s: float,
        running: list[tuple[float, int]],
        others: list[tuple[float, int]],
    ) -> None:
        table = self._jobs.table
        slots = table.accelerators * table.accelerator_share

        def run_s(row: int) -> float:
            return site.run_s[row] * site.slowdown.get(int(table.accelerators[row]), 1.0)

        ends = [(max(now_s, start_s + run_s(row)), float(slots[row])) for start_s, row in running]
        site.ledger.restart(now_s, ends)
        for arrives_s, row in sorted(others):
            site.ledger.send(arrives_s, float(slots[row]), run_s(row))
