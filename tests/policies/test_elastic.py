"""Elastic gangs: closed forms, small optima by brute force, and runs followed by hand."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.policies import make_policy
from dcsim.policies.elastic_goodput import concave_corners, equal_widths, greedy_widths
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import preemption, spent, story
from tests.simulation.halls import hall, run

points = st.lists(st.integers(0, 30), min_size=1, max_size=8)


@given(points)
def test_chosen_points_lie_on_the_least_concave_curve_above(values):
    width = list(range(1, len(values) + 1))
    corners = concave_corners(width, values)
    assert corners[0] == 0
    assert values[corners[-1]] == max(values)
    slopes = np.diff([values[at] for at in corners]) / np.diff([width[at] for at in corners])
    assert (slopes > 0.0).all()
    assert (np.diff(slopes) <= 1e-6).all()
    above = np.interp(width, [width[at] for at in corners], [values[at] for at in corners])
    assert (above >= np.array(values) - 1e-9).all()


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=4), st.integers(0, 9)
)
def test_greedy_is_best_where_every_curve_is_concave(gains, room):
    curves = []
    for steps in gains:
        value = np.concatenate([[1.0], 1.0 + np.cumsum(sorted(steps, reverse=True))])
        curves.append((list(range(2, 2 + len(value))), value.tolist()))
    chosen = greedy_widths(room, curves)
    worth = [dict(zip(*curve, strict=True)) for curve in curves]
    assert sum(chosen) - 2 * len(curves) <= room
    best = max(
        sum(worth[n][width] for n, width in enumerate(widths))
        for widths in product(*(curve[0] for curve in curves))
        if sum(widths) - 2 * len(curves) <= room
    )
    assert sum(worth[n][width] for n, width in enumerate(chosen)) == pytest.approx(best)


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6), min_size=1, max_size=4), st.integers(0, 12)
)
def test_greedy_keeps_to_its_room_and_harms_nobody(values, room):
    curves = [(list(range(1, 1 + len(value))), value) for value in values]
    chosen = greedy_widths(room, curves)
    assert sum(chosen) - len(curves) <= room
    assert all(value[width - 1] >= value[0] for (_, value), width in zip(curves, chosen, strict=True))


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), min_size=1, max_size=5),
    st.integers(0, 20),
)
def test_equal_widths_are_max_min_fair(spans, room):
    least, most = [low for low, _ in spans], [low + more for low, more in spans]
    widths = equal_widths(room, least, most)
    assert all(low <= width <= high for low, width, high in zip(least, widths, most, strict=True))
    used = sum(widths) - sum(least)
    assert used == min(room, sum(most) - sum(least))
    # Nobody could have more at the cost of somebody who has at least two more than he.
    for width, high in zip(widths, most, strict=True):
        for other, low in zip(widths, least, strict=True):
            assert width == high or other == low or other <= width + 1


LINEAR: dict[str, Any] = {
    "duration_s": 800.0,
    "accelerators": 1,
    "min_accelerators": 1,
    "max_accelerators": 8,
}


def _widths(result, job):
    """Return (time, width) of each gang granted to a job."""
    events = result.events
    mine = (events["kind"] == 2) & (events["job"] == job)
    times = events["time_s"][mine]
    return [(float(t), float(events["value"][mine][times == t].sum())) for t in np.unique(times)]


@pytest.mark.parametrize("name", ["elastic", "elastic_equal"])
def test_alone_a_job_takes_all_it_can_use(name):
    result = run(hall(policies={"ordering": name}), job_table(submit_s=0.0, **LINEAR))
    assert result.jobs["end_s"].tolist() == [100.0]
    capped = job_table(submit_s=0.0, **(LINEAR | {"max_accelerators": 5}))
    assert run(hall(policies={"ordering": name}), capped).jobs["end_s"].tolist() == [160.0]


@pytest.mark.parametrize("name", ["elastic", "elastic_equal"])
def test_equal_jobs_have_equal_widths_and_every_step_is_done_once(name):
    parameters = {"round_s": 60.0} | ({"restart_s": 0.0} if name == "elastic" else {})
    scenario = hall(policies={"ordering": {"name": name, "parameters": parameters}}, preemption=preemption())
    result = run(scenario, job_table(submit_s=[0.0, 60.0], **LINEAR))
    # 480 steps by 60; then four each: the first is done at 140, the other has 480 by 180, then all eight.
    assert result.jobs["end_s"].tolist() == [140.0, 220.0]
    assert _widths(result, 0) == [(0.0, 8.0), (60.0, 4.0)]
    assert _widths(result, 1) == [(60.0, 4.0), (180.0, 8.0)]
    # Linear: 800 device-seconds, whatever the widths.
    assert spent(result, 0) == spent(result, 1) == {"productive": 800.0}


def test_concave_jobs_share_evenly():
    jobs = job_table(
        submit_s=[0.0] * 4,
        duration_s=[5000.0] * 4,
        accelerators=2,
        min_accelerators=1,
        max_accelerators=8,
        batch_per_accelerator=32,
        noise_scale_samples=64.0,
    )
    result = run(hall(policies={"ordering": "elastic"}, horizon_s=50.0), jobs)
    assert [_widths(result, job) for job in range(4)] == [[(0.0, 2.0)]] * 4


def test_who_scales_better_gets_more():
    jobs = job_table(
        submit_s=[0.0, 0.0],
        duration_s=5000.0,
        accelerators=1,
        min_accelerators=1,
        max_accelerators=8,
        batch_per_accelerator=32,
        noise_scale_samples=[1e6, 32.0],
    )
    result = run(hall(policies={"ordering": "elastic"}, horizon_s=50.0), jobs)
    # A step of the second at width w is worth 2 w / (1 + w): 1 to 1.6 at 4; of the first nearly w.
    assert _widths(result, 0) == [(0.0, 7.0)]
    assert _widths(result, 1) == [(0.0, 1.0)]


def test_a_resize_must_pay_back_within_the_round():
    jobs = job_table(
        submit_s=[0.0, 0.0],
        duration_s=[10.0, 9000.0],
        accelerators=4,
        min_accelerators=[0, 4],
        max_accelerators=[0, 8],
        batch_per_accelerator=32,
        noise_scale_samples=[np.nan, 256.0],
    )
    # Eight devices instead of four: (256 + 128) / (256 + 256) x 2 = 1.5 times the progress.
    for restart_s, grants in ((19.0, [(0.0, 4.0), (60.0, 8.0)]), (21.0, [(0.0, 4.0)])):
        policies = {"ordering": {"name": "elastic", "parameters": {"restart_s": restart_s}}}
        result = run(hall(policies=policies, preemption=preemption(), horizon_s=300.0), jobs)
        assert _widths(result, 1) == grants  # 1.5 x (60 - 19) / 60 is above 1, 1.5 x 39 / 60 is not


def test_elastic_jobs_shrink_to_let_others_in_and_rigid_ones_stay_rigid():
    jobs = job_table(
        submit_s=[0.0, 30.0, 30.0],
        duration_s=[10_000.0, 1000.0, 1000.0],
        accelerators=[4, 2, 4],
        min_accelerators=[4, 0, 0],
        max_accelerators=[8, 0, 0],
    )
    result = run(hall(policies={"ordering": "elastic"}, preemption=preemption(), horizon_s=100.0), jobs)
    # Admitted: 4 of the first and the rigid 2; the third needs 4 and waits; the first has what is left.
    assert _widths(result, 0) == [(0.0, 8.0), (60.0, 6.0)]
    assert _widths(result, 1) == [(60.0, 2.0)]
    assert _widths(result, 2) == []


def test_gangs_start_at_their_least_width_or_not_at_all():
    jobs = job_table(
        submit_s=[0.0, 1.0],
        duration_s=100.0,
        accelerators=[6, 6],
        min_accelerators=[5, 5],
        max_accelerators=[6, 8],
    )
    result = run(hall(policies={"ordering": "elastic"}), jobs)
    assert story(result, "grant", "preempt", "end") == [
        (0.0, "grant", 0),
        (100.0, "end", 0),
        (120.0, "grant", 1),
        (195.0, "end", 1),
    ]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("elastic", {"round_s": 0.0}), ("elastic", {"restart_s": -1.0}), ("elastic_equal", {"round_s": -3.0})],
)
def test_parameters_that_mean_nothing_are_refused(name, parameters):
    with pytest.raises(PolicyError, match="expected a finite duration"):
        make_policy("ordering", name, parameters)


@pytest.mark.parametrize("name", ["elastic", "elastic_equal"])
def test_no_gang_is_wider_than_its_servers_may_be(name):
    # One server of four only: eight devices would never be had together.
    jobs = job_table(submit_s=0.0, max_servers=1, **LINEAR)
    assert run(hall(policies={"ordering": name}), jobs).jobs["end_s"].tolist() == [200.0]


def test_what_does_not_fit_at_its_width_starts_narrower():
    # Each device takes 256 GiB of a server of 512 GiB with it: four do not fit, two do.
    jobs = job_table(
        submit_s=0.0,
        duration_s=100.0,
        accelerators=1,
        memory_bytes=2.0**38,
        min_accelerators=1,
        max_accelerators=4,
        max_servers=1,
    )
    result = run(hall(servers=1, policies={"ordering": "elastic"}), jobs)
    assert _widths(result, 0) == [(0.0, 2.0)]
