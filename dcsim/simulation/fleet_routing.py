"""The router's walk through the stream of jobs: at each submission it sees the sites as they are known then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.routing import RoutedJob, RoutingPolicy, SiteOption, SitesView
from dcsim.simulation.fleet_feedback import Feedback
from dcsim.simulation.fleet_jobs import FleetJobs
from dcsim.simulation.fleet_site import FleetSite
from dcsim.simulation.fleet_wan import Quote, Wan

__all__ = ["Routed", "route"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Routed:
    """Where each of N jobs was sent, and what the router expected."""

    site: Ints
    transfer: Ints
    """Number of its transfer; -1: it stayed at home."""
    size_bytes: Floats
    energy_j: Floats
    """Drawn by the network."""
    cost_usd: Floats
    """Paid for the transfer."""
    estimated_arrival_s: Floats
    estimated_start_s: Floats
    estimated_run_s: Floats


def route(
    jobs: FleetJobs,
    sites: Sequence[FleetSite],
    wan: Wan,
    policy: RoutingPolicy,
    feedback: Feedback | None = None,
) -> Routed:
    """Send every job somewhere, in the order of submission.

    What has been sent is remembered in the sites' ledgers and on the ways of `wan`; both are used up. With
    `feedback` the ledgers are put right now and then.

    Raises:
        PolicyError: the policy names a site that is none of its options.
    """
    walk = _Walk(jobs, sites, wan, policy)
    for row, (now_s, group) in enumerate(zip(walk.submit_s, jobs.group.tolist(), strict=True)):
        if feedback is not None and now_s >= feedback.next_s:
            feedback.look(now_s, walk.site[:row], walk.transfer[:row])
        walk.decide(row, group, now_s)
    return walk.result()


class _Walk:
    """The state between two decisions."""

    def __init__(self, jobs: FleetJobs, sites: Sequence[FleetSite], wan: Wan, policy: RoutingPolicy) -> None:
        table = jobs.table
        self.submit_s: list[float] = table.submit_s.tolist()
        self._jobs, self._sites, self._wan, self._policy = jobs, sites, wan, policy
        self._home: list[int] = jobs.home.tolist()
        self._width: list[int] = table.accelerators.tolist()
        self._slots: list[float] = (table.accelerators * table.accelerator_share).tolist()
        self._slack_s, self._deadline_s = table.slack_s.tolist(), table.deadline_s.tolist()
        self._tenant = table.tenant.tolist()
        masks = np.left_shift(np.int64(1), np.arange(len(sites), dtype=np.int64) % 62)
        self._code: list[int] = (
            (jobs.allowed * masks[:, None]).sum(axis=0).tolist() if len(sites) <= 62 else []
        )
        self._open: dict[int, tuple[int, ...]] = {}
        self.site = [-1] * len(table)
        self.transfer = [-1] * len(table)
        self._zero = Quote(0.0, 0.0, 0.0, 0.0)
        self._quotes: list[Quote] = [self._zero] * len(table)
        self._starts_s = [0.0] * len(table)
        self._runs_s = [0.0] * len(table)

    def decide(self, row: int, group: int, now_s: float) -> None:
        """Send one job: where its group went, or where the policy says."""
        for site in self._sites:
            site.ledger.advance(now_s)
            site.outlook.refresh(now_s)
        bound = self.site[group] if group != row else -1
        open_sites = (bound,) if bound >= 0 else self._allowed(row)
        quotes = {site: self._quote(row, site, now_s) for site in open_sites}
        options = tuple(self._option(row, site, now_s, quotes[site]) for site in open_sites)
        chosen = bound if bound >= 0 else self._asked(row, now_s, options)
        quote, option = quotes[chosen], options[open_sites.index(chosen)]
        home = self._home[row]
        if chosen != home:
            self.transfer[row] = self._wan.send(row, home, chosen, now_s, quote)
        ledger = self._sites[chosen].ledger
        ledger.send(quote.arrival_s, self._slots[row], option.run_s)
        self.site[row], self._quotes[row] = chosen, quote
        self._starts_s[row], self._runs_s[row] = option.start_s, option.run_s

    def _asked(self, row: int, now_s: float, options: tuple[SiteOption, ...]) -> int:
        job = RoutedJob(
            row, now_s, self._width[row], self._slack_s[row], self._deadline_s[row], self._tenant[row]
        )
        view = SitesView(now_s, job, options, lambda site: self._sites[site].outlook.view(now_s))
        chosen = self._policy.choose(view)
        if all(option.site != chosen for option in options):
            names = ", ".join(f"{option.site} ({option.name})" for option in options)
            msg = f"{self._policy.name}: site {chosen!r} for job {self._jobs.table.job_id[row]}"
            raise PolicyError(f"{msg} -> expected one of its options: {names}")
        return chosen

    def _allowed(self, row: int) -> tuple[int, ...]:
        if not self._code:
            return tuple(np.flatnonzero(self._jobs.allowed[:, row]).tolist())
        code = self._code[row]
        if code not in self._open:
            self._open[code] = tuple(site for site in range(len(self._sites)) if code >> site & 1)
        return self._open[code]

    def _quote(self, row: int, site: int, now_s: float) -> Quote:
        home = self._home[row]
        if site == home:
            return self._zero._replace(arrival_s=now_s)
        return self._wan.quote(row, home, site, now_s)

    def _option(self, row: int, number: int, now_s: float, quote: Quote) -> SiteOption:
        site, home = self._sites[number], self._home[row]
        outlook, energy_j = site.outlook, site.it_energy_j[row]
        run_s = site.run_s[row] * site.slowdown.get(self._width[row], 1.0)
        start_s = site.ledger.start_s(quote.arrival_s, self._slots[row])
        end_s = start_s + run_s
        moved_kg = 0.0
        if quote.energy_j > 0.0:
            ends = (outlook, self._sites[home].outlook)
            moved_kg = (
                quote.energy_j * 0.5 * sum(end.carbon_ahead.mean(now_s, quote.arrival_s) for end in ends)
            )
        return SiteOption(
            number,
            site.name,
            number == home,
            quote.arrival_s,
            start_s,
            run_s,
            site.accelerators,
            site.ledger.free(),
            energy_j,
            outlook.pue.mean(start_s, end_s),
            energy_j * outlook.carbon_of_it.mean(start_s, end_s),
            energy_j * outlook.price_of_it.mean(start_s, end_s),
            outlook.pue.at(now_s),
            outlook.carbon_ahead.at(now_s),
            outlook.price_ahead.at(now_s),
            quote.size_bytes,
            quote.arrival_s - now_s,
            quote.energy_j,
            moved_kg,
            quote.cost_usd,
        )

    def result(self) -> Routed:
        """Return what was decided."""
        return Routed(
            np.array(self.site, dtype=np.int64),
            np.array(self.transfer, dtype=np.int64),
            np.array([quote.size_bytes for quote in self._quotes], dtype=np.float64),
            np.array([quote.energy_j for quote in self._quotes], dtype=np.float64),
            np.array([quote.cost_usd for quote in self._quotes], dtype=np.float64),
            np.array([quote.arrival_s for quote in self._quotes], dtype=np.float64),
            np.array(self._starts_s, dtype=np.float64),
            np.array(self._runs_s, dtype=np.float64),
        )
