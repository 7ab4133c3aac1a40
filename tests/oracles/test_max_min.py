"""Max-min fairness: its certificate, a lexicographic linear program, and the upkeep over time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from dcsim.facility.sharing import Flow, SharedLinks, max_min_rates
from tests.oracles.figures import Figures
from tests.oracles.graphs import finish_times_s, random_graph

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


def lexicographic_max_min(weights: Matrix, capacity: Floats, demand: Floats) -> Floats:
    """Return max-min fair rates by linear programs only: raise the worst, fix whom it binds, repeat.

    `weights` (L, F). The definition (Bertsekas, Gallager 1992, 6.5.2), at the price of F^2 programs.
    """
    flows = len(demand)
    scale = float(capacity.max())
    fixed: dict[int, float] = {}
    while len(fixed) < flows:
        free = [f for f in range(flows) if f not in fixed]
        bounds = [(fixed[f], fixed[f]) if f in fixed else (0.0, demand[f] / scale) for f in range(flows)]
        # Variables x_1..x_F and t: the largest t with t <= x_f for all that are free.
        above = np.zeros((len(free), flows + 1))
        above[np.arange(len(free)), free] = -1.0
        above[:, -1] = 1.0
        rows = np.vstack([np.hstack([weights, np.zeros((len(capacity), 1))]), above])
        limits = np.concatenate([capacity / scale, np.zeros(len(free))])
        worst = linprog(np.append(np.zeros(flows), -1.0), A_ub=rows, b_ub=limits, bounds=[*bounds, (0, None)])
        level = -float(worst.fun or 0.0)
        raised = [(max(low, level - 1e-10), high) if f in free else (low, high)
                  for f, (low, high) in enumerate(bounds)]  # fmt: skip
        for f in free:
            goal = np.zeros(flows)
            goal[f] = -1.0
            best = linprog(goal, A_ub=weights, b_ub=capacity / scale, bounds=raised)
            if -float(best.fun or 0.0) <= level + 1e-8:
                fixed[f] = level
    return np.array([fixed[f] for f in range(flows)]) * scale


def _uses(weights: Matrix) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    link, flow = np.nonzero(weights)
    return flow.astype(np.int64), link.astype(np.int64), weights[link, flow]


def _weighted_case(draws: np.random.Generator) -> tuple[Matrix, Floats, Floats]:
    links, flows = int(draws.integers(1, 6)), int(draws.integers(1, 7))
    weights = draws.integers(1, 5, (links, flows)) * (draws.random((links, flows)) < 0.5)
    weights[draws.integers(0, links, flows), np.arange(flows)] += 1
    capacity = draws.integers(1, 100, links).astype(float)
    demand = np.where(draws.random(flows) < 0.6, 1e4, draws.integers(1, 40, flows).astype(float))
    return weights.astype(float), capacity, demand


@pytest.mark.parametrize("seed", range(40))
def test_rates_are_those_of_the_linear_programs(seed: int) -> None:
    weights, capacity, demand = _weighted_case(np.random.default_rng(seed))
    flow, link, weight = _uses(weights)
    rates = max_min_rates(capacity, demand, flow, link, weight)
    expected = lexicographic_max_min(weights, capacity, demand)
    np.testing.assert_allclose(rates, expected, rtol=1e-6, atol=1e-6)


def test_parking_lot_and_a_demand_below_its_share() -> None:
    # By hand: C = 12 on both links; the long flow and one short flow share link 0, link 1 has two
    # more, one of which wants only 2. Link 1 fills at (12 - 2) / 2 = 5, then link 0 leaves 7.
    flow = np.array([0, 0, 1, 2, 3])
    link = np.array([0, 1, 0, 1, 1])
    demand = np.array([1e9, 1e9, 1e9, 2.0])
    rates = max_min_rates(np.array([12.0, 12.0]), demand, flow, link, np.ones(5))
    np.testing.assert_allclose(rates, [5.0, 7.0, 5.0, 2.0])


def _bottlenecked(flows: list[Flow], capacity: list[float]) -> bool:
    """Return whether every flow has its demand or a full link on which none is faster, and no link overflows."""
    used = [0.0] * len(capacity)
    fastest = [0.0] * len(capacity)
    for flow in flows:
        for link, weight, _ in flow.uses:
            used[link] += weight * flow.rate
            fastest[link] = max(fastest[link], flow.rate)
    if any(u > c * (1.0 + 1e-9) for u, c in zip(used, capacity, strict=True)):
        return False
    return all(
        flow.rate >= flow.demand * (1.0 - 1e-9)
        or any(
            used[link] >= capacity[link] * (1.0 - 1e-9) and flow.rate >= fastest[link] * (1.0 - 1e-9)
            for link, _, _ in flow.uses
        )
        for flow in flows
    )


@given(data=st.data())
def test_every_flow_has_a_bottleneck_after_any_changes(data: st.DataObject) -> None:
    capacity = data.draw(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=6))
    links = SharedLinks(capacity)
    flows: list[Flow] = []
    for _ in range(data.draw(st.integers(1, 12))):
        leave: bool = data.draw(st.booleans())
        if flows and leave:
            links.remove(flows.pop(data.draw(st.integers(0, len(flows) - 1))))
        else:
            route = data.draw(st.sets(st.integers(0, len(capacity) - 1), min_size=1))
            demand = data.draw(st.integers(1, 2_000_000))
            weights = {link: data.draw(st.sampled_from([0.25, 1.0, 3.0])) for link in sorted(route)}
            uses = [(link, weight, math.ceil(weight * demand)) for link, weight in weights.items()]
            flows.append(Flow(len(flows), demand, uses))
            links.add(flows[-1])
        if data.draw(st.booleans()):
            links.settle()
            assert _bottlenecked(flows, capacity)
    links.settle()
    assert _bottlenecked(flows, capacity)


def test_transfers_by_hand() -> None:
    # One link of 10^8 B/s; 10^8 and 3 x 10^8 bytes from 0: halves until 2 s, then alone until 4 s.
    graph = random_graph(np.random.default_rng(0))
    by_hand = type(graph)([1e8], [[0], [0]], [0.0, 0.0], [10**8, 3 * 10**8])
    assert finish_times_s(by_hand) == pytest.approx([2.0, 4.0], rel=1e-12)


@pytest.mark.oracle
def test_linear_programs_at_length(figure: Figures) -> None:
    worst = 0.0
    for seed in range(1_000, 1_300):
        weights, capacity, demand = _weighted_case(np.random.default_rng(seed))
        flow, link, weight = _uses(weights)
        rates = max_min_rates(capacity, demand, flow, link, weight)
        expected = lexicographic_max_min(weights, capacity, demand)
        worst = max(worst, float(np.max(np.abs(rates - expected) / np.maximum(expected, 1e-3))))
    figure.at_most("max-min against lexicographic linear programs, 300 graphs, worst relative", worst, 1e-6)
