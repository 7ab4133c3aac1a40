"""Small runs followed by hand: instants, energies and bytes as worked out in the comments."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import bisect

from dcsim.simulation.kinds import LogKind
from dcsim.workload.jobs import empty_jobs, job_table
from tests.simulation.halls import (
    DEVICE_IDLE_W,
    DEVICE_PEAK_W,
    IDLE_W,
    PEAK_W,
    SLEEP_W,
    WAKE_S,
    hall,
    run,
)

SERVER_IDLE_W = IDLE_W + 4 * DEVICE_IDLE_W  # 500 W


def rows(result, kind):
    """The (time, job, server, value) rows of one kind in the log."""
    events = result.events
    chosen = events["kind"] == kind
    return [
        tuple(events[name][chosen][i].item() for name in ("time_s", "job", "server", "value"))
        for i in range(int(chosen.sum()))
    ]


def test_one_job_by_hand():
    result = run(hall(servers=1), job_table(submit_s=5.0, duration_s=100.0, accelerators=2))
    assert result.jobs["start_s"].tolist() == [5.0]
    assert result.jobs["end_s"].tolist() == [105.0]
    # Two of four devices busy: 2 (450 - 50) W; half of the cores: (900 - 300) / 2 W; for 100 s.
    assert result.jobs["energy_j"].tolist() == [(800.0 + 300.0) * 100.0]
    assert result.summary["energy_it_j"] == 105.0 * SERVER_IDLE_W + 110_000.0
    assert result.summary["makespan_s"] == 100.0
    assert result.summary["accelerator_utilisation"] == pytest.approx(2 * 100 / (4 * 105), rel=1e-15)
    assert rows(result, LogKind.SUBMIT) == [(5.0, 0, -1, 2.0)]
    assert rows(result, LogKind.GRANT) == [(5.0, 0, 0, 2.0)]
    assert rows(result, LogKind.END) == [(105.0, 0, -1, 100.0)]


def test_second_job_waits_for_the_first():
    jobs = job_table(submit_s=[0.0, 1.0, 2.0], duration_s=[10.0, 10.0, 1.0], accelerators=[3, 2, 1])
    result = run(hall(servers=1), jobs)
    # Strictly first come, first served: the third fits beside the first, and waits for the second.
    assert result.jobs["start_s"].tolist() == [0.0, 10.0, 10.0]
    assert result.jobs["wait_s"].tolist() == [0.0, 9.0, 8.0]


def test_a_job_may_pass_a_blocked_one_where_the_order_lets_it():
    jobs = job_table(submit_s=[0.0, 1.0, 2.0], duration_s=[10.0, 10.0, 1.0], accelerators=[3, 2, 1])
    scenario = hall(servers=1, policies={"ordering": {"name": "fifo", "parameters": {"skip": 1}}})
    assert run(scenario, jobs).jobs["start_s"].tolist() == [0.0, 10.0, 2.0]


def test_shortest_first_among_those_that_wait():
    jobs = job_table(submit_s=[0.0, 1.0, 2.0], duration_s=[10.0, 9.0, 3.0], accelerators=4)
    scenario = hall(servers=1, policies={"ordering": "shortest_first"})
    assert run(scenario, jobs).jobs["start_s"].tolist() == [0.0, 13.0, 10.0]


def test_a_gang_over_two_servers_pays_for_its_ring(profiles):
    jobs = job_table(submit_s=0.0, steps=10.0, accelerators=8, profile="round", duration_s=math.nan)
    result = run(hall(servers=2), jobs, profiles=profiles)
    # Computing 0.5 + 8 x 0.0625 = 1 s. On the device it was measured on, traffic inside a server is
    # part of that. Between two servers each sends 2 (2 - 1) / 2 x 1 MB = 1 MB at 1 MB/s: 1 s more.
    # Reading: 8 devices x 8 samples x 12,500 B = 0.8 MB a step of 2 s, over a file system of 1 MB/s.
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0], rel=1e-12)
    assert result.jobs["servers"].tolist() == [2]
    assert result.jobs["network_bytes"].tolist() == pytest.approx([2 * 10 * 1e6])
    assert result.jobs["input_bytes"].tolist() == pytest.approx([10 * 8e5])
    # Devices draw above idle while they compute, half of the time: 8 x 400 W; all cores: 2 x 600 W.
    assert result.jobs["energy_j"].tolist() == pytest.approx([10 * 8 * 400.0 + 20 * 1200.0], rel=1e-6)


def test_a_gang_inside_one_server_sends_nothing(profiles):
    jobs = job_table(submit_s=0.0, steps=10.0, accelerators=4, profile="round", duration_s=math.nan)
    result = run(hall(servers=2), jobs, profiles=profiles)
    assert result.jobs["end_s"].tolist() == pytest.approx([10.0], rel=1e-12)
    assert result.jobs["network_bytes"].tolist() == [0.0]


def test_latency_is_paid_on_each_hop_of_the_ring(profiles):
    network = {
        "topology": "star", "server_bandwidth_bytes_per_s": 1e6, "latency_s": 0.25, "switch_power_w": 0.0
    }  # fmt: skip
    jobs = job_table(submit_s=0.0, steps=4.0, accelerators=8, profile="round", duration_s=math.nan)
    result = run(hall(servers=2, network=network), jobs, profiles=profiles)
    # 2 (2 - 1) x 0.25 s more a step.
    assert result.jobs["end_s"].tolist() == pytest.approx([4 * 2.5], rel=1e-12)


def test_two_jobs_share_the_file_system(make_profiles):
    # Each wants 4 x 8 x 25,000 B = 0.8 MB a step of 1 s; together 1.6 MB/s where there is 1 MB/s.
    profiles = make_profiles(input_bytes_per_sample=25_000.0)
    jobs = job_table(
        submit_s=[0.0, 4.0], steps=[10.0, 10.0], accelerators=4, profile="round", duration_s=math.nan
    )
    result = run(hall(servers=2), jobs, profiles=profiles)
    # Alone for 4 s: 4 steps. Then both at 0.5 MB/s: 0.625 steps/s; the first has 6 steps: 9.6 s, at 13.6 s.
    # The second did 6 by then and does its other 4 alone: until 17.6 s.
    assert result.jobs["end_s"].tolist() == pytest.approx([13.6, 17.6], rel=1e-9)
    # Starved devices draw less: energy above idle is that of the steps, and of the cores held.
    each = [10 * 4 * 400.0 + seconds * 600.0 for seconds in (13.6, 13.6)]
    assert result.jobs["energy_j"].tolist() == pytest.approx(each, rel=1e-6)


def test_local_disks_are_not_shared(make_profiles):
    profiles = make_profiles(input_bytes_per_sample=25_000.0)
    jobs = job_table(
        submit_s=[0.0, 4.0], steps=[10.0, 10.0], accelerators=4, profile="round", duration_s=math.nan
    )
    storage = {"shared": {"bandwidth_bytes_per_s": 1e6, "power_w": 0.0}, "feed": "local"}
    result = run(hall(servers=2, storage=storage), jobs, profiles=profiles)
    assert result.jobs["end_s"].tolist() == pytest.approx([10.0, 14.0], rel=1e-12)


def test_sleep_and_wake_by_hand():
    policies = {"energy": {"name": "sleep_idle", "parameters": {"after_s": 100.0}}}
    jobs = job_table(submit_s=[0.0, 500.0], duration_s=[50.0, 10.0], accelerators=4)
    result = run(hall(servers=1, policies=policies), jobs)
    # Idle from 50 s, asleep at 150 s, told to wake at 500 s, awake at 620 s, done at 630 s.
    assert rows(result, LogKind.SLEEP) == [(150.0, -1, 0, SLEEP_W)]
    assert rows(result, LogKind.WAKE) == [(500.0, -1, 0, WAKE_S)]
    assert rows(result, LogKind.AWAKE) == [(620.0, -1, 0, 0.0)]
    assert result.jobs["start_s"].tolist() == [0.0, 500.0]
    assert result.jobs["end_s"].tolist() == [50.0, 630.0]
    busy_w = 4 * 400.0 + 600.0
    asleep_s = 350.0
    expected_j = 630 * SERVER_IDLE_W - asleep_s * (SERVER_IDLE_W - SLEEP_W) + 60 * busy_w
    assert result.summary["energy_it_j"] == pytest.approx(expected_j, rel=1e-12)
    # Nobody works while the server wakes, and nothing beyond its idle power is drawn.
    assert result.jobs["energy_j"].tolist() == pytest.approx([50 * busy_w, 10 * busy_w], rel=1e-12)


def test_a_gang_waits_for_its_last_server_to_wake():
    policies = {"energy": {"name": "sleep_idle", "parameters": {"after_s": 10.0}}}
    jobs = job_table(submit_s=[0.0, 20.0], duration_s=[100.0, 5.0], accelerators=[1, 7])
    result = run(hall(servers=2, policies=policies), jobs)
    # The second server sleeps from 10 s; the gang of 3 + 4 gets both and starts to work at 20 + 120 s.
    assert result.jobs["end_s"].tolist() == [100.0, 145.0]


def test_a_server_does_not_fall_asleep_between_two_jobs():
    policies = {"energy": {"name": "sleep_idle", "parameters": {"after_s": 100.0}}}
    jobs = job_table(submit_s=[0.0, 60.0, 150.0], duration_s=[50.0, 10.0, 5.0], accelerators=1)
    result = run(hall(servers=1, policies=policies), jobs)
    assert rows(result, LogKind.SLEEP) == []


def test_a_power_cap_slows_and_saves():
    policies = {"energy": {"name": "power_cap", "parameters": {"cap_fraction": 0.7}}}
    jobs = job_table(submit_s=0.0, duration_s=100.0, accelerators=4)
    capped, free = run(hall(servers=1, policies=policies), jobs), run(hall(servers=1), jobs)
    # The curve of the V100 at the phases of 1.637 of a job that draws its peak: static .154, voltage flat up to a
    # clock of .704 and .391 more at the full one; the board lets 98 % of its limit through.
    allowed = {cap: (0.98 * cap - 0.154) / (1.637 - 0.154) * 1.391**2 for cap in (0.7, 1.0)}
    clock = {
        cap: bisect(lambda x, y=y: x * (1.0 + 0.391 * max(0.0, x - 0.704) / 0.296) ** 2 - y, 0.01, 1.0)
        for cap, y in allowed.items()
    }
    speed = clock[0.7] / clock[1.0]
    assert 0.8 < speed < 0.95
    assert capped.jobs["end_s"].tolist() == pytest.approx([100.0 / speed], rel=1e-9)
    seconds = float(capped.jobs["end_s"][0])
    assert capped.jobs["energy_j"][0] == pytest.approx(
        seconds * (4 * (0.7 * DEVICE_PEAK_W - DEVICE_IDLE_W) + PEAK_W - IDLE_W), rel=1e-6
    )
    assert free.jobs["end_s"].tolist() == [100.0]


def _day(clean_hour, dirty=500.0, clean=100.0):
    hours = [dirty / 3.6e9] * 24
    hours[clean_hour] = clean / 3.6e9
    return {"carbon": {"kind": "daily", "intensity_kg_per_j": hours}}


def test_a_deferrable_job_waits_for_the_clean_hour():
    scenario = hall(servers=1, grid=_day(3), policies={"energy": "carbon_shift"})
    jobs = job_table(
        submit_s=[0.0, 0.0, 0.0], duration_s=3600.0, accelerators=1, slack_s=[0.0, 6 * 3600.0, 3600.0]
    )
    result = run(scenario, jobs)
    # Only the second can reach 03:00; in the window of the third all hours are alike, so it starts at once.
    assert result.jobs["start_s"].tolist() == [0.0, 3 * 3600.0, 0.0]
    assert result.jobs["eligible_s"].tolist() == [0.0, 3 * 3600.0, 0.0]
    assert rows(result, LogKind.HOLD) == [(0.0, 1, -1, 3 * 3600.0)]


def test_parts_of_an_accelerator_pack_on_one():
    jobs = job_table(submit_s=[0.0] * 3, duration_s=10.0, accelerator_share=[0.5, 0.5, 0.4])
    result = run(hall(servers=1, devices=1), jobs)
    assert result.jobs["start_s"].tolist() == [0.0, 0.0, 10.0]
    # Two halves of a device draw what one device draws, and hold the cores that go with them.
    assert float(result.jobs["energy_j"][:2].sum()) == pytest.approx(10.0 * (400.0 + 600.0), rel=1e-6)
    assert result.summary["accelerator_utilisation"] == pytest.approx((10 + 0.4 * 10) / 20.0)


def test_jobs_without_accelerators_share_the_cores():
    jobs = job_table(submit_s=[0.0] * 3, duration_s=10.0, accelerators=0, cpu_cores=[32.0, 32.0, 1.0])
    result = run(hall(servers=1), jobs)
    assert result.jobs["start_s"].tolist() == [0.0, 0.0, 10.0]
    assert result.jobs["energy_j"].tolist() == pytest.approx([3000.0, 3000.0, 600.0 / 64 * 10.0], rel=1e-6)


def test_cores_come_back_whole_after_many_fractions():
    jobs = job_table(
        submit_s=[*np.arange(300.0).tolist(), 1000.0],
        duration_s=2.5,
        accelerators=[*[1] * 300, 4],
        cpu_cores=[*[0.1, 0.7, 1 / 3] * 100, 64.0],
    )
    assert run(hall(servers=1), jobs).jobs["start_s"][-1] == 1000.0


def test_an_empty_trace_takes_no_time_and_no_energy():
    result = run(hall(), empty_jobs())
    assert (result.summary["makespan_s"], result.summary["energy_it_j"]) == (0.0, 0.0)


def test_an_empty_trace_idles_through_the_horizon():
    result = run(hall(servers=2, horizon_s=3600.0), empty_jobs())
    assert result.summary["energy_it_j"] == 3600.0 * 2 * SERVER_IDLE_W
    assert result.summary["makespan_s"] == 0.0


def test_jobs_without_work_end_when_they_start():
    result = run(hall(servers=1), job_table(submit_s=[0.0, 3.0, 3.0], duration_s=0.0, accelerators=4))
    assert result.jobs["end_s"].tolist() == [0.0, 3.0, 3.0]


def test_the_horizon_leaves_jobs_running_and_not_submitted():
    jobs = job_table(submit_s=[0.0, 1.0, 50.0], duration_s=[10.0, 10.0, 1.0], accelerators=4)
    result = run(hall(servers=1, horizon_s=15.0), jobs)
    assert result.jobs["status"].tolist() == ["completed", "running", "not submitted yet"]
    assert result.jobs["end_s"][0] == 10.0
    assert np.isnan(result.jobs["end_s"][1:]).all()
    busy_w = 4 * 400.0 + 600.0
    assert result.jobs["energy_j"].tolist() == pytest.approx([10 * busy_w, 5 * busy_w, 0.0])
    assert result.summary["energy_it_j"] == pytest.approx(15 * (SERVER_IDLE_W + busy_w))


def test_accelerators_idle_while_they_communicate(make_profiles):
    """Two devices lose half a second a step to each other: 1.5 s, of which they compute 1 s."""
    fit = {
        "overhead_s": 0.0,
        "per_sample_s": 0.125,
        "per_device_s": 0.5,
        "devices_min": 1,
        "devices_max": 8,
        "batch_per_device_min": 1,
        "batch_per_device_max": 8,
        "residual_relative": 0.0,
        "held_out_error_relative": None,
    }
    jobs = job_table(submit_s=0.0, steps=10.0, accelerators=2, profile="round", duration_s=math.nan)
    result = run(hall(), jobs, profiles=make_profiles(fit=fit))
    assert result.jobs["end_s"].tolist() == pytest.approx([15.0], rel=1e-12)
    devices_j = 2 * (DEVICE_PEAK_W - DEVICE_IDLE_W) * 10.0
    host_j = (PEAK_W - IDLE_W) * 2 / 4 * 15.0
    assert result.jobs["energy_j"].tolist() == pytest.approx([devices_j + host_j], rel=1e-9)
