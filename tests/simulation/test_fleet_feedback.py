"""What routers are told of the past puts their picture right, and nobody is ever told of the future."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.simulation.fleet_run import simulate_fleet
from dcsim.workload.jobs import job_table
from tests.simulation.fleets import CLEAN, DIRTY, fleet, site

CAPPED = {"energy": {"name": "power_cap", "parameters": {"cap_fraction": 0.5}}}
"""Jobs take longer than the router thinks, who goes by uncapped run times."""


def crowd(count):
    """As many as the clean site could just take, if they took no longer than they say."""
    return job_table(submit_s=600.0 * np.arange(count), duration_s=1_200.0, accelerators=4, slack_s=86_400.0)


def run_with(every_s, count=90):
    two = fleet(
        {"dirty": site(DIRTY), "clean": site(CLEAN, policies=CAPPED)},
        routing={"name": "follow_the_sun"},
        feedback_every_s=every_s,
    )
    return simulate_fleet(two, jobs=crowd(count)).result


def test_feedback_puts_a_router_right_that_underestimates_run_times():
    blind, told = run_with(None), run_with(600.0)
    assert blind.sites[1]["wait_estimate_bias_s"] < -600.0
    assert abs(told.sites[1]["wait_estimate_bias_s"]) < 0.2 * abs(blind.sites[1]["wait_estimate_bias_s"])
    assert any("give `feedback_every_s`" in text for text in blind.warnings)
    assert not any("feedback_every_s" in text for text in told.warnings)
    last = told.jobs["estimated_run_s"][told.jobs["site"] == "clean"][-1]
    took = (told.jobs["end_s"] - told.jobs["start_s"])[told.jobs["site"] == "clean"]
    assert last == pytest.approx(took[0], rel=1e-9)


def test_feedback_changes_nothing_where_the_picture_was_right():
    jobs = crowd(20)
    for every_s in (None, 300.0):
        two = fleet(
            {"dirty": site(DIRTY), "clean": site(CLEAN)},
            routing={"name": "follow_the_sun"},
            feedback_every_s=every_s,
        )
        result = simulate_fleet(two, jobs=jobs).result
        assert result.total["wait_estimate_error_s"] == pytest.approx(0.0, abs=1e-6)
        assert result.total["jobs_moved"] == 20


def test_who_runs_on_and_who_waits_is_known_after_a_look():
    jobs = job_table(
        submit_s=[0.0, 10.0, 1_000.0, 1_001.0],
        duration_s=[5_000.0, 700.0, 1.0, 1.0],
        accelerators=[8, 8, 8, 1],
    )
    one = fleet({"a": site()}, feedback_every_s=300.0)
    columns = simulate_fleet(one, jobs=jobs).result.jobs
    assert columns["estimated_start_s"].tolist() == pytest.approx([0.0, 5_000.0, 5_700.0, 5_701.0])
    assert columns["start_s"].tolist() == pytest.approx(columns["estimated_start_s"].tolist())


@settings(max_examples=12)
@given(st.data())
def test_no_decision_depends_on_what_comes_later(data):
    draw = data.draw
    count = draw(st.integers(4, 14))
    jobs = job_table(
        submit_s=np.cumsum([float(draw(st.integers(0, 900))) for _ in range(count)]),
        duration_s=[float(draw(st.integers(1, 4_000))) for _ in range(count)],
        accelerators=[draw(st.sampled_from([1, 4, 8])) for _ in range(count)],
        slack_s=[float(draw(st.sampled_from([0, 3_600]))) for _ in range(count)],
        tenant=[f"tenant-{draw(st.integers(0, 1))}" for _ in range(count)],
    )
    name = draw(st.sampled_from(["cleanest", "cheapest", "follow_the_sun", "load_balance"]))
    two = fleet(
        {"dirty": site(DIRTY), "clean": site(CLEAN, policies=CAPPED)},
        homes="round_robin",
        routing={"name": name},
        data={"job_bytes": 1e9},
        wan={"latency_s": 0.1, "bandwidth_bytes_per_s": 1e7},
        feedback_every_s=draw(st.sampled_from([None, 700.0])),
    )
    whole = simulate_fleet(two, jobs=jobs).result.jobs
    seen = draw(st.integers(2, count))
    early = simulate_fleet(two, jobs=jobs.take(slice(0, seen))).result.jobs
    assert whole["site"][:seen].tolist() == early["site"].tolist()
    for column in ("estimated_start_s", "estimated_arrival_s", "transfer_bytes"):
        assert whole[column][:seen].tolist() == early[column].tolist()
