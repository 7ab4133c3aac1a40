"""Steps told one by one: alone as long as the fluid run says, whatever befalls a job; bursts that meet, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcsim.simulation.kinds import LogKind
from dcsim.workload.profile import DimensionTraffic
from tests.simulation.exchanging import WALL, both, costs, gang, net, spent, tier_bytes
from tests.simulation.halls import IDLE_W, PEAK_W, hall, run

CORES_W = 2 * (PEAK_W - IDLE_W)
"""All cores of two servers, busy while a job holds them."""
TENSOR = DimensionTraffic(
    dimension="tensor", collective="all_reduce", bytes_per_sample=1e4, overlap_fraction=0.1
)
STAGES = DimensionTraffic(
    dimension="pipeline", collective="send_recv", bytes_per_sample=3e4, overlap_fraction=0.2
)
LAYOUTS = ("", "tensor=2", "pipeline=2 micro_batches=4", "tensor=2 pipeline=4", "tensor=2 zero_stage=2")
DISK = {"feed": "local", "local": {"bandwidth_bytes_per_s": 1e6}}
"""A server reads 1 MB/s, over no link that its exchange takes."""


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("collective", ["ring", "tree", "hierarchical", "in_network", "auto"])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 1.0])
def test_a_lone_job_takes_as_long_as_in_the_fluid_run_and_its_first_input(layout, collective, overlap):
    """T_steps = T_fluid + min(step, input of a step): what the first step waits for and no other."""
    profiles = costs(0.8, 1.1e6, 0.25 * 0.1e6, overlap_fraction=overlap, parallel=(TENSOR, STAGES))
    jobs = gang(parallelism=layout, steps=7.0)
    fluid, steps = both(jobs, profiles, {"collective": collective, "latency_s": 0.01}, storage=DISK)
    first_s = 4 * 0.25 * 0.1  # four devices of a server read 0.1 MB of a disk that gives 1 MB/s
    assert steps.jobs["end_s"][0] == pytest.approx(fluid.jobs["end_s"][0] + first_s, rel=1e-12)
    assert steps.jobs["energy_j"][0] == pytest.approx(fluid.jobs["energy_j"][0] + CORES_W * first_s, rel=1e-9)
    expected = spent(fluid) | {"data_stall_s": first_s}
    assert spent(steps) == pytest.approx(expected, abs=1e-9)
    for name in ("network_bytes", "input_bytes"):
        assert steps.jobs[name].tolist() == fluid.jobs[name].tolist()
    for tier in ("server", "fabric", "local disk"):
        assert tier_bytes(steps, tier) == pytest.approx(tier_bytes(fluid, tier), rel=1e-9)


@pytest.mark.parametrize("input_s", [0.0, 0.5, 2.0, 2.5, 7.0])
def test_a_job_slower_than_its_input_ends_with_the_computing_of_its_last_step(input_s):
    # Fluid: 10 max(step, input). Steps: the first input, nine times the longer of the two, the last step.
    fluid, steps = both(gang(), costs(input_bytes=input_s * 0.25e6), storage=DISK)
    assert fluid.jobs["end_s"].tolist() == pytest.approx([10 * max(2.0, input_s)], rel=1e-12)
    assert steps.jobs["end_s"].tolist() == pytest.approx([input_s + 9 * max(2.0, input_s) + 2.0], rel=1e-12)
    stalled_s = input_s + 9 * max(0.0, input_s - 2.0)
    assert steps.jobs["data_stall_s"].tolist() == pytest.approx([stalled_s], abs=1e-9)
    assert steps.jobs["network_stall_s"].tolist() == pytest.approx([0.0], abs=1e-9)


@pytest.mark.parametrize("ahead", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("input_s", [1.0, 5.0])
def test_input_that_is_not_read_ahead_is_waited_for_between_steps(ahead, input_s):
    """Each step but the last takes max(step, o input) + (1 - o) input, the first input comes before, the last step after."""
    cache = {"where": "none", "prefetch_bytes": ahead * input_s * 1e6}
    datasets = {"here": {"size_bytes": 1e9, "place": "shared"}}
    storage = {"shared": {"bandwidth_bytes_per_s": 2e6, "power_w": 0.0}, "cache": cache, "datasets": datasets}
    network = {"server_bandwidth_bytes_per_s": 1e7}
    jobs = gang(dataset="here")
    fluid, steps = both(jobs, costs(1.9, input_bytes=input_s * 0.25e6), network, storage=storage)
    each_s = max(2.0, ahead * input_s) + (1.0 - ahead) * input_s
    assert fluid.jobs["end_s"].tolist() == pytest.approx([10 * each_s], rel=1e-12)
    assert steps.jobs["end_s"].tolist() == pytest.approx([input_s + 9 * each_s + 2.0], rel=1e-12)


def test_a_lone_job_shares_its_own_links_with_its_own_input():
    # The exchange hides behind the second half of computing, and meets the input of the next step, 0.8 s
    # over the same link into each server: from 0.5 s on each gets half of it. Input: 0.5 s alone, then 0.3 MB
    # at half: until 1.1 s, with 0.3 MB of the exchange there; the other 0.7 MB until 1.8 s.
    profiles = costs(1.0, 1e6, 0.2e6, overlap_fraction=0.5)
    storage = {"shared": {"bandwidth_bytes_per_s": 1e9, "power_w": 0.0}}
    _, steps = both(gang(steps=3.0), profiles, storage=storage)
    # First input 0.8 s; two steps of 1.8 s; the last has no other input beside it: 1.5 s.
    assert steps.jobs["end_s"].tolist() == pytest.approx([0.8 + 2 * 1.8 + 1.5], rel=1e-12)
    assert spent(steps) == pytest.approx(
        {"compute_s": 3.0, "communication_s": 1.5, "network_stall_s": 0.6, "data_stall_s": 0.8}
    )


def test_the_fluid_run_books_exchange_and_input_of_a_job_that_one_of_them_holds_up_in_full():
    # 0.4 MB of input a step leave 0.6 MB/s to an exchange of 1 MB that hides behind computing. Told step by step
    # both share the link until 0.8 s, then the other 0.6 MB come alone: 1.4 s; the last step has no input beside it.
    storage = {"shared": {"bandwidth_bytes_per_s": 1e6, "power_w": 0.0}}
    fluid, steps = both(gang(), costs(1.0, 1e6, 1e5, overlap_fraction=1.0), storage=storage)
    assert fluid.jobs["end_s"].tolist() == pytest.approx([10 / 0.6], rel=1e-6)
    assert steps.jobs["end_s"].tolist() == pytest.approx([0.8 + 9 * 1.4 + 1.0], rel=1e-9)


def test_a_power_cap_stretches_the_computing_of_each_step():
    policies = {"energy": {"name": "power_cap", "parameters": {"cap_fraction": 0.7}}}
    fluid, steps = both(gang(), costs(), policies=policies)
    assert steps.jobs["end_s"].tolist() == pytest.approx(fluid.jobs["end_s"].tolist(), rel=1e-12)
    assert steps.jobs["energy_j"].tolist() == pytest.approx(fluid.jobs["energy_j"].tolist(), rel=1e-9)
    assert spent(steps) == pytest.approx(spent(fluid), rel=1e-9)


def test_stages_wait_for_each_other_before_they_exchange():
    # One micro-batch over two stages: 1 s of computing and 1 s of bubbles, then 0.96 MB one way and back at once.
    profiles = costs(1.0, 0.0, parallel=(STAGES.model_copy(update={"overlap_fraction": 0.0}),))
    stage_s = 2 * 4 * 8 * 3e4 / 1e6
    for until_s, sent in ((1.9, 0.0), (2.5, 4 * 0.5e6)):
        result = run(
            hall(2, network=net(traffic="steps"), horizon_s=until_s),
            gang(parallelism="pipeline=2"),
            profiles=profiles,
        )
        assert tier_bytes(result, "server") == pytest.approx(sent)
        # The devices draw what they draw in 1 s of computing, spread over the 2 s.
        busy_s = min(until_s, 2.0) / 2.0
        assert result.jobs["energy_j"].tolist() == pytest.approx([8 * 400.0 * busy_s + CORES_W * until_s])
    for result in both(gang(parallelism="pipeline=2"), profiles):
        assert result.jobs["end_s"].tolist() == pytest.approx([10 * (2.0 + stage_s)], rel=1e-12)


def test_part_of_a_step_is_part_of_its_time_and_bytes():
    fluid, steps = both(gang(steps=2.25), costs())
    assert steps.jobs["end_s"].tolist() == pytest.approx([4.5], rel=1e-12)
    assert steps.jobs["network_bytes"].tolist() == fluid.jobs["network_bytes"].tolist() == [4.5e6]
    assert tier_bytes(steps, "server") == pytest.approx(9e6, rel=1e-12)


def test_a_job_without_work_is_over_at_once():
    _, steps = both(gang(steps=0.0), costs(input_bytes=1e5), storage=DISK)
    assert steps.jobs["end_s"].tolist() == [0.0]


def test_jobs_without_traffic_have_no_steps_to_tell():
    fluid, steps = both(gang(profile="", duration_s=30.0, steps=math.nan), costs())
    assert steps.jobs["end_s"].tolist() == fluid.jobs["end_s"].tolist() == [30.0]
    assert len(steps.events["kind"]) == len(fluid.events["kind"])


# -- windows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("from_s", "until_s"), [(0.0, 9.7), (3.3, 9.7), (3.3, None), (4.0, 10.0), (19.0, None)]
)
def test_a_window_of_steps_changes_nothing_for_a_lone_job_without_input(from_s, until_s):
    network = net(traffic="steps", steps_from_s=from_s, steps_until_s=until_s)
    result = run(hall(2, network=network), gang(), profiles=costs())
    # A step that is under way when the window begins or ends goes on where it stands.
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0], rel=1e-12)
    assert spent(result) == pytest.approx({"compute_s": 10.0, "communication_s": 10.0})
    assert abs(tier_bytes(result, "server") - 2 * result.jobs["network_bytes"][0]) <= 2 * 2e6


@pytest.mark.parametrize("input_s", [0.5, 1.9, 3.1])
@pytest.mark.parametrize(("from_s", "until_s"), [(0.0, 9.7), (3.3, 9.7), (3.3, None), (10.1, 10.2)])
def test_a_window_costs_no_more_than_one_step(input_s, from_s, until_s):
    """What is read ahead when it begins and ends is lost: at most the longer of a step and its input."""
    profiles = costs(input_bytes=input_s * 0.25e6)
    network = net(traffic="steps", steps_from_s=from_s, steps_until_s=until_s)
    result = run(hall(2, network=network, storage=DISK), gang(), profiles=profiles)
    fluid_s = 10 * max(2.0, input_s)
    assert fluid_s - 1e-9 <= result.jobs["end_s"][0] <= fluid_s + max(2.0, input_s) + 1e-9
    assert result.jobs["status"].tolist() == ["completed"]
    assert result.jobs["input_bytes"].tolist() == pytest.approx([10 * input_s * 2e6])


# -- what else befalls a job -----------------------------------------------------------------------------


def test_a_horizon_in_the_middle_of_a_step():
    # Input 0.4 s; 2 s a step; at 5.1 s two steps are done, and 0.7 s of the third, all of it computing.
    fluid, steps = both(gang(), costs(input_bytes=1e5), storage=DISK, horizon_s=5.1)
    assert steps.jobs["compute_s"] + steps.jobs["communication_s"] == pytest.approx([4.7])
    assert steps.jobs["data_stall_s"].tolist() == pytest.approx([0.4])
    assert steps.jobs["network_bytes"].tolist() == pytest.approx([2 * 1e6 * 4.7 / 2.0])
    # Devices draw 400 W each while they compute, 2.7 s by then; in the fluid run half of all the time.
    assert steps.jobs["energy_j"].tolist() == pytest.approx([8 * 400.0 * 2.7 + CORES_W * 5.1])
    assert fluid.jobs["energy_j"].tolist() == pytest.approx([8 * 400.0 * 2.55 + CORES_W * 5.1])
    # On the links is what has really crossed them: two exchanges, and none of the third.
    assert tier_bytes(steps, "server") == pytest.approx(2 * 2 * 2e6)


def test_a_time_limit_in_the_middle_of_a_step():
    jobs = gang(time_limit_s=5.5)
    preemption = {"enforce_time_limits": True, "checkpoint_interval_s": 3.0, "checkpoint_s": 0.0}
    result = run(hall(2, network=net(traffic="steps"), preemption=preemption), jobs, profiles=costs())
    assert result.jobs["status"].tolist() == ["timed out"]
    assert result.jobs["end_s"].tolist() == [5.5]
    # Saved at 3 s, after one and a half steps; the 2.5 s from then on are lost.
    assert spent(result) == pytest.approx({"compute_s": 1.5, "communication_s": 1.5, "redone_s": 2.5})
    killed = result.events["value"][result.events["kind"] == LogKind.KILL]
    assert killed.tolist() == pytest.approx([1.5])


@pytest.mark.parametrize("latency_s", [0.0, 0.3])
@pytest.mark.parametrize("interval_s", [1.0, 1.7, 4.0])
def test_checkpoints_in_the_middle_of_steps_lose_and_double_nothing(interval_s, latency_s):
    preemption = {"checkpoint_interval_s": interval_s, "checkpoint_s": 0.25}
    fluid, steps = both(gang(), costs(), {"latency_s": latency_s}, preemption=preemption)
    assert steps.jobs["end_s"].tolist() == pytest.approx(fluid.jobs["end_s"].tolist(), rel=1e-12)
    assert spent(steps) == pytest.approx(spent(fluid), rel=1e-9)
    # Nothing is exchanged twice: a step that was broken off goes on where it stood.
    assert tier_bytes(steps, "server") == pytest.approx(2 * steps.jobs["network_bytes"][0], rel=1e-9)


def test_a_preempted_job_goes_on_where_its_checkpoint_stands():
    jobs = gang(submit_s=[0.0, 6.3], steps=[10.0, 2.0], priority=[0.0, 1.0])
    policies = {"ordering": {"name": "priority", "parameters": {"preemptive": 1}}}
    for on_preempt, end_s, redone_s in (("checkpoint", 24.0, 0.0), ("kill", 30.3, 6.3)):
        rules = {"on_preempt": on_preempt, "checkpoint_s": 0.0, "restore_s": 0.0}
        for result in both(jobs, costs(), policies=policies, preemption=rules):
            assert result.jobs["attempts"].tolist() == [2, 1]
            assert result.jobs["end_s"].tolist() == pytest.approx([end_s, 10.3], rel=1e-12)
            assert result.jobs["redone_s"].tolist() == pytest.approx([redone_s, 0.0])


def test_an_elastic_gang_goes_step_by_step_at_each_of_its_widths():
    jobs = gang(submit_s=[0.0, 10.0], steps=[60.0, 20.0], min_accelerators=[2, 8], max_accelerators=[16, 8])
    ordering = {"name": "elastic", "parameters": {"round_s": 25.0, "restart_s": 1.0}}
    fluid, steps = both(jobs, costs(), servers=4, policies={"ordering": ordering})
    assert fluid.jobs["attempts"].tolist() == steps.jobs["attempts"].tolist()
    assert max(fluid.jobs["attempts"]) > 1
    for name in ("end_s", *WALL):
        assert steps.jobs[name].tolist() == pytest.approx(fluid.jobs[name].tolist(), rel=1e-9, abs=1e-9)


def test_neighbours_on_a_device_slow_each_step():
    pair = {"profiles": ["round", "round"], "relative_throughput": [0.5, 0.5]}
    jobs = gang(submit_s=[0.0, 4.5], steps=[10.0, 3.0], accelerators=1, accelerator_share=0.5)
    fluid, steps = both(jobs, costs(input_bytes=1e5), servers=1, devices=1, storage=DISK, colocation=[pair])
    # Half as fast from 4.5 s on, until the second has done its three steps.
    assert fluid.jobs["end_s"].tolist() == pytest.approx([13.0, 10.5])
    # Each reads 0.1 s before its first step; 4.6 s to 10.6 s they are beside each other.
    assert steps.jobs["end_s"].tolist() == pytest.approx([13.15, 10.6])
    assert steps.jobs["neighbour_stall_s"].tolist() == pytest.approx([3.05, 3.0])


def test_contention_can_be_left_out_of_steps_as_well():
    jobs = gang(submit_s=[0.0, 0.0], accelerators=[4, 4], max_servers=2)
    policies = {"placement": "spread"}
    fluid, steps = both(jobs, costs(0.5), {"contention": False}, policies=policies)
    assert fluid.jobs["servers"].tolist() == [2, 2]
    assert steps.jobs["end_s"].tolist() == pytest.approx([15.0, 15.0], rel=1e-12)
    assert fluid.jobs["end_s"].tolist() == pytest.approx([15.0, 15.0], rel=1e-12)


def test_two_runs_of_steps_have_the_same_bytes():
    scenario = hall(2, network=net(traffic="steps"), storage=DISK)
    one, two = (
        run(scenario, gang(submit_s=[0.0, 1.0], accelerators=4), profiles=costs(input_bytes=1e5))
        for _ in "12"
    )
    for table in ("jobs", "events", "links", "tiers"):
        for name, column in getattr(one, table).items():
            assert np.array_equal(column, getattr(two, table)[name], equal_nan=column.dtype.kind == "f")
