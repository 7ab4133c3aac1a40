"""Routing: at which site of a fleet a job runs, decided when it is submitted."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

from dcsim.errors import PolicyError
from dcsim.policies.views import GridView

__all__ = [
    "Cheapest",
    "Cleanest",
    "FollowTheSun",
    "Home",
    "LeastCost",
    "LoadBalance",
    "RoutedJob",
    "RoutingPolicy",
    "ScoringRouter",
    "SiteOption",
    "SitesView",
]


_ROUNDING = 1e-9
"""Scores that differ by less of the largest are equal."""


class RoutedJob(NamedTuple):
    """The job to be sent somewhere."""

    row: int
    """Of the fleet's job table."""
    submit_s: float
    accelerators: int
    slack_s: float
    """How long it may be held back; 0: not deferrable."""
    deadline_s: float
    """Absolute; NaN: none."""
    tenant: int


class SiteOption(NamedTuple):
    """One site as the router knows it now, and what the job would do there by its forecast."""

    site: int
    """Index of the site; what `choose` returns."""
    name: str
    is_home: bool
    """Whether the job and its data are there already."""
    arrival_s: float
    """When job and data would be there, by the transfers under way now."""
    start_s: float
    """When it would start, by the jobs sent there so far and their estimated run times."""
    run_s: float
    """Estimated run time, alone and uncapped."""
    total_accelerators: int
    free_accelerators: float
    """Not held by jobs sent there so far, nor promised to jobs on their way."""
    it_energy_j: float
    """Of the job above what the hall draws idle."""
    pue: float
    """Facility energy for each joule of it, mean forecast over the run (the plant's marginal response)."""
    carbon_kg: float
    """Of the run at the forecast intensity, overhead included, transfer not."""
    energy_cost_usd: float
    """Of the run at the forecast price, overhead included, transfer not."""
    pue_now: float
    carbon_now_kg_per_j: float
    price_now_usd_per_j: float
    transfer_bytes: float
    """Still to be moved there; 0 at home and where its data set is already."""
    transfer_s: float
    """Estimate, latency included."""
    transfer_energy_j: float
    transfer_carbon_kg: float
    transfer_cost_usd: float

    @property
    def end_s(self) -> float:
        """When it would end."""
        return self.start_s + self.run_s

    @property
    def queue_s(self) -> float:
        """How long it would wait there for accelerators."""
        return self.start_s - self.arrival_s


class SitesView(NamedTuple):
    """All that a router may read for one decision: the present and forecasts, never what is to come."""

    now_s: float
    job: RoutedJob
    options: tuple[SiteOption, ...]
    """Sites that can hold the job and to which its data may go, in the order of the fleet; at least one."""
    grid: Callable[[int], GridView]
    """Forecast of carbon intensity and price at a site, by its index."""


class RoutingPolicy(ABC):
    """Decides where a job runs. Must be deterministic and keep no state."""

    name: ClassVar[str]
    optimises: ClassVar[str]
    source: ClassVar[str]
    """Where the policy is from."""
    needs: ClassVar[str]
    """What it has to know of sites and jobs."""
    complexity: ClassVar[str] = "O(sites) a job"
    """Cost of a decision."""

    @abstractmethod
    def choose(self, view: SitesView) -> int:
        """Return the index of one of the sites in `view.options`."""


class ScoringRouter(RoutingPolicy):
    """The site with the least score among those where the job starts in time; home where scores are equal.

    In time means: it would end by its deadline, and start no later than where it would start first by more than
    its slack and `max_delay_s`. So a queue is left for another site, be it at home, and nobody is sent into one
    for longer than it may wait. Where no site is in time, the one where it would end first.
    """

    def __init__(self, *, max_delay_s: float = 60.0) -> None:
        """Take `max_delay_s`: how much later than it could, beyond its slack, a job may start; >= 0.

        Raises:
            PolicyError: negative, NaN or infinite.
        """
        if not 0.0 <= max_delay_s < math.inf:
            msg = f"{self.name}.max_delay_s: {max_delay_s} -> expected a finite duration in seconds >= 0"
            raise PolicyError(msg)
        self.max_delay_s = max_delay_s

    @abstractmethod
    def score(self, option: SiteOption) -> float:
        """Return what is to be small."""

    def choose(self, view: SitesView) -> int:
        """Return the site with the least score that is in time."""
        timely = self.in_time(view)
        if not timely:
            return min(view.options, key=lambda option: (option.end_s, not option.is_home)).site
        scores = [self.score(option) for option in timely]
        least = min(scores)
        # Means over the same prices differ in their last bits; that must not send anybody around the world.
        most = least + _ROUNDING * max(map(abs, scores))
        equal = [option for option, score in zip(timely, scores, strict=True) if score <= most]
        return min(equal, key=lambda option: not option.is_home).site

    def in_time(self, view: SitesView) -> list[SiteOption]:
        """Return the options where the job meets its deadline and does not start too late."""
        job, options = view.job, view.options
        latest_s = min(option.start_s for option in options) + job.slack_s + self.max_delay_s
        # A deadline of NaN is none: no time is later than it.
        return [
            option for option in options if option.start_s <= latest_s and not option.end_s > job.deadline_s
        ]


class Home(RoutingPolicy):
    """Every job runs where it and its data are; one that does not fit there goes where it would end first."""

    name: ClassVar[str] = "home"
    optimises: ClassVar[str] = "nothing: the baseline"
    source: ClassVar[str] = "-"
    needs: ClassVar[str] = "the home of the job"

    def choose(self, view: SitesView) -> int:
        """Return the home."""
        return min(view.options, key=lambda option: (not option.is_home, option.end_s)).site


class Cleanest(ScoringRouter):
    """The site whose grid is cleanest now, times its PUE."""

    name: ClassVar[str] = "cleanest"
    optimises: ClassVar[str] = "carbon, knowing only the present"
    source: ClassVar[str] = (
        "Sukprasert, Souza, Bashir, Irwin, Shenoy, On the Limitations of Carbon-Aware Temporal and Spatial"
        " Workload Shifting in the Cloud, EuroSys (2024)"
    )
    needs: ClassVar[str] = "carbon intensity and PUE of each site now; estimated starts"

    def score(self, option: SiteOption) -> float:
        """Return kg for each joule of IT energy now."""
        return option.carbon_now_kg_per_j * option.pue_now


class Cheapest(ScoringRouter):
    """The site where running the job costs least by the forecast, the price of moving its data included."""

    name: ClassVar[str] = "cheapest"
    optimises: ClassVar[str] = "the electricity bill"
    source: ClassVar[str] = (
        "Qureshi, Weber, Balakrishnan, Guttag, Maggs, Cutting the Electric Bill for Internet-Scale Systems,"
        " SIGCOMM (2009)"
    )
    needs: ClassVar[str] = (
        "price forecast and PUE of each site, price of the transfer; estimated starts and runs"
    )

    def score(self, option: SiteOption) -> float:
        """Return USD of the run and of the transfer."""
        return option.energy_cost_usd + option.transfer_cost_usd


class LeastCost(ScoringRouter):
    """The site where energy, transfer and carbon at a price cost least together."""

    name: ClassVar[str] = "least_cost"
    optimises: ClassVar[str] = "cost with a price on carbon"
    source: ClassVar[str] = (
        "Gao, Curtis, Wong, Keshav, It's Not Easy Being Green, SIGCOMM (2012); Le et al., Capping the Brown"
        " Energy Consumption of Internet Services at Low Cost, IGCC (2010)"
    )
    needs: ClassVar[str] = "price and carbon forecast and PUE of each site, cost and carbon of the transfer"

    def __init__(self, *, carbon_price_usd_per_kg: float = 0.1, max_delay_s: float = 60.0) -> None:
        """Take `carbon_price_usd_per_kg` (0.1 is 100 USD a tonne), >= 0.

        Raises:
            PolicyError: a parameter out of range.
        """
        super().__init__(max_delay_s=max_delay_s)
        if not 0.0 <= carbon_price_usd_per_kg < math.inf:
            got = f"least_cost.carbon_price_usd_per_kg: {carbon_price_usd_per_kg}"
            msg = f"{got} -> expected a finite price >= 0"
            raise PolicyError(msg)
        self.carbon_price_usd_per_kg = carbon_price_usd_per_kg

    def score(self, option: SiteOption) -> float:
        """Return USD."""
        carbon_kg = option.carbon_kg + option.transfer_carbon_kg
        paid_usd = option.energy_cost_usd + option.transfer_cost_usd
        return paid_usd + self.carbon_price_usd_per_kg * carbon_kg


class FollowTheSun(ScoringRouter):
    """The site where the job emits least over its run by the forecast, its transfer included."""

    name: ClassVar[str] = "follow_the_sun"
    optimises: ClassVar[str] = "carbon over the run time, transfer included"
    source: ClassVar[str] = (
        "Zheng, Chien, Suh, Mitigating Curtailment and Carbon Emissions through Load Migration between Data"
        " Centers, Joule 4:2208 (2020)"
    )
    needs: ClassVar[str] = "carbon forecast and PUE of each site over the run; energy of the transfer"

    def score(self, option: SiteOption) -> float:
        """Return kg of the run and of the transfer."""
        return option.carbon_kg + option.transfer_carbon_kg


class LoadBalance(ScoringRouter):
    """The site where the job would wait least for accelerators, the emptiest among equals."""

    name: ClassVar[str] = "load_balance"
    optimises: ClassVar[str] = "waiting"
    source: ClassVar[str] = (
        "least work left: Harchol-Balter, Performance Modeling and Design of Computer Systems, ch. 24 (2013)"
    )
    needs: ClassVar[str] = "estimated starts and free accelerators"

    def choose(self, view: SitesView) -> int:
        """Return the site of the shortest wait; that alone would not tell sites apart that have room."""
        timely = self.in_time(view)
        if not timely:
            return super().choose(view)
        return min(timely, key=lambda option: (self.score(option), -_free(option), not option.is_home)).site

    def score(self, option: SiteOption) -> float:
        """Return the wait in s, the transfer left out."""
        return option.queue_s


def _free(option: SiteOption) -> float:
    """Return the part of a site's accelerators that is free."""
    return option.free_accelerators / max(option.total_accelerators, 1)
