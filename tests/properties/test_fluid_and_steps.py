"""How far the fluid run is from every step told: theorems for jobs over one link, and the difference measured.

docs/decisions/0075-steps-told-one-by-one.md has the derivations and the figures of the long measurement.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.simulation import simulate
from tests.simulation.exchanging import both, costs, gang, net, tier_bytes
from tests.simulation.halls import hall, run

SPREAD = {"placement": "spread"}
"""Gangs of two devices on both servers of a hall: all exchange over the same two links of 1 MB/s."""
TOLERANCE = 1e-9
lengths_s = st.sampled_from((0.1, 0.5, 1.0, 1.7, 3.0, 10.0))


def profiles_of(lengths: list[tuple[float, float]]) -> dict[str, Any]:
    """Return profiles p0, p1, ...: a step computes c and exchanges for m with nobody else on the links."""
    found = {}
    for number, (compute_s, exchange_s) in enumerate(lengths):
        loaded = costs(compute_s, exchange_s * 1e6)["round"]
        name = f"p{number}"
        found[name] = replace(loaded, profile=loaded.profile.model_copy(update={"name": name}))
    return found


def beside_each_other(
    lengths: list[tuple[float, float]], submit_s: Any, steps: Any, *, guards: bool = True
) -> tuple[Any, Any]:
    """Return the run times of jobs over the same link, by job, in the fluid run and told step by step."""
    count = len(lengths)
    jobs = gang(submit_s=submit_s, steps=steps, accelerators=2, profile=[f"p{i}" for i in range(count)])
    found = []
    for traffic in ("fluid", "steps"):
        scenario = hall(2, 4, network=net(traffic=traffic), policies=SPREAD)
        result = simulate(scenario, jobs=jobs, profiles=profiles_of(lengths), guards=guards)
        row = [int(name[1:]) for name in result.jobs["profile"]]
        run_s = np.empty(count)
        run_s[row] = result.jobs["end_s"] - result.jobs["start_s"]
        found.append(run_s)
    return found[0], found[1]


@settings(max_examples=25)
@given(lengths_s, lengths_s, st.integers(2, 4), st.integers(1, 5))
def test_equal_jobs_in_step_take_at_most_two_less_one_kth_times_as_long(compute_s, exchange_s, jobs, steps):
    """In step: c + k m a step, where the fluid run has max(c + m, k m); most at c = (k - 1) m."""
    fluid_s, steps_s = beside_each_other(
        [(compute_s, exchange_s)] * jobs, [0.0] * jobs, [float(steps)] * jobs
    )
    assert fluid_s == pytest.approx(
        [steps * max(compute_s + exchange_s, jobs * exchange_s)] * jobs, rel=TOLERANCE
    )
    assert steps_s == pytest.approx([steps * (compute_s + jobs * exchange_s)] * jobs, rel=TOLERANCE)
    ratio = steps_s / fluid_s
    assert (ratio >= 1.0 - TOLERANCE).all()
    assert (ratio <= 2.0 - 1.0 / jobs + TOLERANCE).all()


@settings(max_examples=25)
@given(lengths_s, lengths_s, st.floats(0.0, 1.0), st.integers(2, 8))
def test_two_equal_jobs_stay_as_far_apart_as_they_began(compute_s, exchange_s, part, steps):
    """The second d later, d <= min(c, m): bursts of 2 m - d for ever; at d = m <= c nobody waits."""
    offset_s = part * min(compute_s, exchange_s)
    _, steps_s = beside_each_other([(compute_s, exchange_s)] * 2, [0.0, offset_s], [float(steps)] * 2)
    assert steps_s == pytest.approx([steps * (compute_s + 2 * exchange_s - offset_s)] * 2, rel=1e-6)


@settings(max_examples=25)
@given(st.data())
def test_no_job_is_further_off_than_its_neighbours_can_make_it(data):
    """Of k jobs over one link none takes more than (c + k m) / (c + m) times as long as told fluid, nor less than 1/k."""
    count = data.draw(st.integers(2, 4))
    lengths = data.draw(st.lists(st.tuples(lengths_s, lengths_s), min_size=count, max_size=count))
    submit_s = data.draw(st.lists(st.integers(0, 12).map(lambda q: q / 4), min_size=count, max_size=count))
    steps = data.draw(st.lists(st.integers(1, 12).map(float), min_size=count, max_size=count))
    fluid_s, steps_s = beside_each_other(lengths, submit_s, steps)
    compute_s, exchange_s = (np.array(column) for column in zip(*lengths, strict=True))
    alone_s = np.array(steps) * (compute_s + exchange_s)
    most_s = np.array(steps) * (compute_s + count * exchange_s)
    for found in (fluid_s, steps_s):
        assert (found >= alone_s * (1 - TOLERANCE)).all()
        assert (found <= most_s * (1 + TOLERANCE)).all()
    assert (steps_s / fluid_s <= most_s / alone_s * (1 + TOLERANCE)).all()
    assert (steps_s / fluid_s >= (1 - TOLERANCE) / count).all()
    # Nothing gets over a link faster than it lets it.
    if max(submit_s) == 0.0:
        assert steps_s.max() >= (np.array(steps) * exchange_s).sum() * (1 - TOLERANCE)


@settings(max_examples=15)
@given(lengths_s, lengths_s, st.lists(st.integers(0, 20).map(lambda q: q / 4), min_size=3, max_size=3))
def test_where_no_link_is_overbooked_by_bursts_both_tell_the_same(compute_s, exchange_s, submit_s):
    """Three gangs across an uplink as wide as their servers' links together."""
    network = {"topology": "fat_tree", "spines": 1}
    jobs = gang(submit_s=submit_s, steps=4.0)
    pairs = [(0, 3), (1, 4), (2, 5)]
    fluid, steps = both(jobs, costs(compute_s, exchange_s * 1e6), network, servers=3, racks=2, gangs=pairs)
    assert steps.jobs["end_s"] == pytest.approx(fluid.jobs["end_s"], rel=TOLERANCE)
    assert steps.jobs["network_stall_s"] == pytest.approx([0.0] * 3, abs=1e-9)


@settings(max_examples=25)
@given(
    st.integers(0, 80).map(lambda q: q / 4),
    st.one_of(st.none(), st.integers(1, 80).map(lambda q: q / 4)),
    st.sampled_from((0.0, 0.7, 2.0, 3.3)),
    st.sampled_from((0.0, 0.4, 1.0)),
)
def test_a_window_of_steps_neither_loses_nor_doubles_work(from_s, length_s, input_s, overlap):
    """A lone job is late by no more than one step, or one input if that takes longer, and its bytes are all there."""
    until_s = None if length_s is None else from_s + length_s
    network = net(traffic="steps", steps_from_s=from_s, steps_until_s=until_s)
    disk = {"feed": "local", "local": {"bandwidth_bytes_per_s": 1e6}}
    profiles = costs(1.0, 1e6, input_s * 0.25e6, overlap_fraction=overlap)
    result = run(hall(2, network=network, storage=disk), gang(), profiles=profiles)
    step_s = 2.0 - overlap
    fluid_s = 10 * max(step_s, input_s)
    late_s = float(result.jobs["end_s"][0]) - fluid_s
    assert -1e-9 <= late_s <= (max(step_s, input_s) if input_s else 0.0) + 1e-9
    assert result.jobs["network_bytes"][0] == pytest.approx(2e7, rel=TOLERANCE)
    assert result.jobs["input_bytes"][0] == pytest.approx(20 * input_s * 1e6, rel=TOLERANCE)
    # What was on its way when the window ended is sent again as an average: at most one exchange.
    assert abs(tier_bytes(result, "server") - 4e7) <= 4e6 + 1.0


def measured(cases: int, *, equal: bool) -> dict[str, Any]:
    """Return the ratios of run times, steps over fluid, of random jobs over one link, by how full that is on average."""
    draws = np.random.Generator(np.random.PCG64(7))
    found: dict[str, list[float]] = {"fits": [], "overbooked": []}
    for _ in range(cases):
        count = int(draws.integers(2, 5))
        compute_s, exchange_s = np.exp(draws.uniform(math.log(0.1), math.log(10.0), (2, count)))
        if equal:
            compute_s[:], exchange_s[:] = compute_s[0], exchange_s[0]
        step_s = compute_s + exchange_s
        steps = np.clip(np.round(40 * step_s.max() / step_s), 1, 400)
        submit_s = np.round(draws.uniform(0.0, step_s), 3)
        lengths = list(zip(compute_s.tolist(), exchange_s.tolist(), strict=True))
        fluid_s, steps_s = beside_each_other(lengths, submit_s, steps, guards=False)
        name = "fits" if float((exchange_s / step_s).sum()) <= 1.0 else "overbooked"
        found[name] += (steps_s / fluid_s).tolist()
    return {name: np.quantile(ratios, (0.0, 0.5, 0.9, 1.0)) for name, ratios in found.items()}


@pytest.mark.parametrize(
    "cases", [pytest.param(20, id="some"), pytest.param(600, id="many", marks=pytest.mark.deep)]
)
@pytest.mark.parametrize("equal", [True, False])
def test_how_far_the_fluid_run_is_off(cases, equal):
    """It is optimistic below saturation, by some percent as a rule and by up to a half where bursts collide."""
    found = measured(cases, equal=equal)
    for name, (least, median, most_of_them, most) in found.items():
        kind = "equal" if equal else "any"
        print(
            f"\n{kind} jobs, average load {name}: steps / fluid {least:.3f} at least, {median:.3f} median,"
            f" {most_of_them:.3f} at 90 %, {most:.3f} at most"
        )
        assert 0.8 <= least <= 1.1
        assert 1.0 - 1e-3 <= median <= 1.15
        assert most <= (1.55 if equal else 1.85)
    if equal:  # a link that is full all the time leaves bursts no room to be early or late
        assert found["overbooked"][1] <= 1.02
