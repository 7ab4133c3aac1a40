"""Allocation programs: arrays of rates, gangs and capacities in, shares of time out.

X[j, t] is the fraction of time job j is to hold its gang on accelerators of type t; every row sums to at
most 1 and the accelerators of each type suffice. A round-based scheduler realises X.
"""

from __future__ import annotations

from dcsim.policies.programs.arrival import fifo_fastest, fifo_last_listed, one_hot
from dcsim.policies.programs.fairness import max_min_fairness, water_filling
from dcsim.policies.programs.finish_time import finish_time_fairness, finish_time_ratio
from dcsim.policies.programs.makespan import min_makespan
from dcsim.policies.programs.matching import match_shortest, shortest_first
from dcsim.policies.programs.pairs import Pairs
from dcsim.policies.programs.polytope import Polytope, checked_demand
from dcsim.policies.programs.references import isolated_rate, proportional_rate
from dcsim.policies.programs.throughput import max_sum_throughput

__all__ = [
    "Pairs",
    "Polytope",
    "checked_demand",
    "fifo_fastest",
    "fifo_last_listed",
    "finish_time_fairness",
    "finish_time_ratio",
    "isolated_rate",
    "match_shortest",
    "max_min_fairness",
    "max_sum_throughput",
    "min_makespan",
    "one_hot",
    "proportional_rate",
    "shortest_first",
    "water_filling",
]
