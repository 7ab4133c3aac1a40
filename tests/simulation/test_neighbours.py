"""Jobs that share a device slow each other by what was measured, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import job_table
from dcsim.workload.measured_kind import MeasuredKind
from dcsim.workload.rate_table import MeasuredPair, MeasuredRate, RateProvenance, RateTable
from tests.simulation.deciders import Recapping, under
from tests.simulation.halls import DEVICE_IDLE_W, DEVICE_PEAK_W, hall, run
from tests.simulation.test_caps_by_hand import at, capped_to

PAIR = {"profiles": ["a", "b"], "relative_throughput": [0.8, 0.6]}


def _kinds(**parts: Any) -> dict[str, MeasuredKind]:
    """Kinds a, b and c of one step a second alone."""
    table = RateTable(
        provenance=RateProvenance(source="by hand", measured_on="paper"),
        rates=tuple(
            MeasuredRate(kind=kind, accelerator="D", layout=(1,), batch=8, steps_per_s=1.0) for kind in "abc"
        ),
        **parts,
    )
    return {name: MeasuredKind(table, name) for name in table.names()}


def _jobs(*rows: tuple[str, float, float, float]) -> Any:
    """Rows of (profile, submit s, steps, share)."""
    profile, submit_s, steps, share = zip(*rows, strict=True)
    return job_table(
        submit_s=submit_s,
        steps=steps,
        profile=list(profile),
        batch_per_accelerator=8,
        accelerator_share=share,
    )


def _device(*pairs: dict[str, Any], **parts: Any) -> Scenario:
    return hall(servers=1, devices=1, colocation=list(pairs), **parts)


def test_each_runs_at_its_measured_rate_beside_the_other() -> None:
    result = run(_device(PAIR), _jobs(("a", 0.0, 100.0, 0.5), ("b", 20.0, 30.0, 0.5)), profiles=_kinds())
    # a: 20 s alone; both from 20 s: b needs 30 / 0.6 = 50 s; a has 20 + 50 x 0.8 = 60 steps at 70 s.
    assert result.jobs["end_s"].tolist() == pytest.approx([110.0, 70.0], rel=1e-12)
    # Of 110 s a worked 100 s' worth, on half a device; of 50 s b 30 s' worth.
    assert result.jobs["stalled_accelerator_s"].tolist() == pytest.approx([5.0, 10.0], rel=1e-12)
    assert result.jobs["productive_accelerator_s"].tolist() == pytest.approx([50.0, 15.0], rel=1e-12)
    assert not result.jobs["extrapolated"].any()


def test_together_they_draw_no_more_than_the_device() -> None:
    result = run(_device(PAIR), _jobs(("a", 0.0, 80.0, 0.5), ("b", 0.0, 60.0, 0.5)), profiles=_kinds())
    assert result.jobs["end_s"].tolist() == pytest.approx([100.0, 100.0], rel=1e-12)
    cpu_j = result.jobs["energy_j"].sum() - (DEVICE_PEAK_W - DEVICE_IDLE_W) * 100.0
    assert cpu_j >= -1e-6  # what the cores add; the device itself no more than its peak
    shares = result.jobs["energy_j"] / result.jobs["energy_j"].sum()
    assert shares.tolist() == pytest.approx([0.5, 0.5], rel=1e-6)


def test_without_measurements_a_part_is_a_partition() -> None:
    result = run(_device(), _jobs(("a", 0.0, 50.0, 0.5), ("b", 0.0, 30.0, 0.5)), profiles=_kinds())
    assert result.jobs["end_s"].tolist() == [100.0, 60.0]


def test_a_pair_that_was_not_measured_runs_in_proportion_and_says_so() -> None:
    result = run(_device(PAIR), _jobs(("a", 0.0, 50.0, 0.5), ("c", 0.0, 25.0, 0.5)), profiles=_kinds())
    # Both at half speed until c ends at 50 s; then a has the device: 25 steps in 25 s.
    assert result.jobs["end_s"].tolist() == pytest.approx([75.0, 50.0], rel=1e-12)
    assert result.jobs["extrapolated"].all()
    assert any("beside kinds it was not measured with" in warning for warning in result.warnings)


def test_a_rate_tables_own_pairs_count() -> None:
    pair = MeasuredPair(kind_a="a", kind_b="b", accelerator="D", layout=(1,), rate_a=0.5, rate_b=0.25)
    kinds = _kinds(pairs=(pair,))
    result = run(_device(), _jobs(("a", 0.0, 50.0, 0.5), ("b", 0.0, 25.0, 0.5)), profiles=kinds)
    assert result.jobs["end_s"].tolist() == pytest.approx([100.0, 100.0], rel=1e-12)


def test_three_on_one_device_multiply_and_say_so() -> None:
    pairs = [{"profiles": [x, y], "relative_throughput": [0.5, 0.5]} for x, y in ("aa", "ab", "bb")]
    jobs = _jobs(("a", 0.0, 25.0, 0.25), ("a", 0.0, 25.0, 0.25), ("b", 0.0, 25.0, 0.25))
    result = run(_device(*pairs), jobs, profiles=_kinds())
    assert result.jobs["end_s"].tolist() == pytest.approx([100.0] * 3, rel=1e-12)
    assert result.jobs["extrapolated"].all()


def test_a_preempted_neighbour_leaves_the_device_to_the_other() -> None:
    policies = {"ordering": {"name": "priority", "parameters": {"preemptive": 1}}}
    scenario = _device(PAIR, policies=policies, preemption={"checkpoint_s": 0.0, "restore_s": 0.0})
    jobs = job_table(
        job_id=["long", "low", "urgent"],
        submit_s=[0.0, 0.0, 10.0],
        steps=[100.0, 60.0, 30.0],
        profile=["a", "b", "b"],
        batch_per_accelerator=8,
        accelerator_share=[0.5, 0.5, 0.5],
        priority=[2.0, 0.0, 1.0],
    )
    result = run(scenario, jobs, profiles=_kinds())
    # b beside a all the time until 60 s, when the urgent one ends (10 + 30 / 0.6); low goes on then.
    assert result.jobs["attempts"].tolist() == [1, 2, 1]
    assert result.jobs["end_s"][2] == pytest.approx(60.0, rel=1e-12)
    # At 125 s a has its 100 steps, low 6 + 39 = 45 of 60; the rest alone.
    assert result.jobs["end_s"][[0, 1]].tolist() == pytest.approx([125.0, 140.0], rel=1e-12)


def test_neighbours_that_finish_together_are_both_done_before_anyone_is_placed() -> None:
    policies = {"ordering": {"name": "priority", "parameters": {"preemptive": 1, "skip": 9}}}
    pair = {"profiles": ["a", "a"], "relative_throughput": [0.7, 0.7]}
    jobs = job_table(
        submit_s=[0.0, 0.0, 10.0],
        steps=[7.0, 7.0, 5.0],
        profile="a",
        batch_per_accelerator=8,
        accelerator_share=[0.5, 0.5, 1.0],
        priority=[0.0, 0.0, 1.0],
    )
    result = run(_device(pair, policies=policies), jobs, profiles=_kinds())
    # 7 steps at 0.7 a second are done at 10 s, when one comes that would push them out.
    assert result.jobs["end_s"].tolist() == [10.0, 10.0, 15.0]
    assert result.jobs["attempts"].tolist() == [1, 1, 1]


def test_a_run_time_given_as_such_is_kept_beside_others() -> None:
    jobs = job_table(
        submit_s=[0.0, 0.0],
        duration_s=[100.0, float("nan")],
        steps=[float("nan"), 100.0],
        profile=["", "a"],
        batch_per_accelerator=8,
        accelerator_share=0.5,
    )
    result = run(_device(PAIR), jobs, profiles=_kinds())
    # The other runs in proportion, for the two were not measured: 50 steps in 100 s, the rest alone.
    assert result.jobs["end_s"].tolist() == pytest.approx([100.0, 150.0], rel=1e-12)
    assert result.jobs["extrapolated"].tolist() == [False, True]


# -- devices of one server -------------------------------------------------------------------------------

IN_SERVER = PAIR | {"sharing": "server"}


def test_jobs_in_one_server_slow_each_other_as_measured_there() -> None:
    result = run(hall(servers=1, devices=2, colocation=[IN_SERVER]), _jobs(("a", 0.0, 100.0, 1.0), ("b", 20.0, 30.0, 1.0)), profiles=_kinds())  # fmt: skip
    # As on one device above: a 20 s alone, 50 s at 0.8, 40 s alone; b 30 / 0.6 = 50 s.
    assert result.jobs["end_s"].tolist() == pytest.approx([110.0, 70.0], rel=1e-12)
    assert result.jobs["neighbour_stall_s"].tolist() == pytest.approx([10.0, 20.0], rel=1e-12)
    assert result.jobs["stalled_accelerator_s"].tolist() == pytest.approx([10.0, 20.0], rel=1e-12)
    assert result.jobs["ideal_s"].tolist() == pytest.approx([100.0, 30.0], rel=1e-12)
    assert not result.jobs["extrapolated"].any()


def test_in_another_server_nobody_is_slowed() -> None:
    scenario = hall(servers=2, devices=1, colocation=[IN_SERVER])
    result = run(scenario, _jobs(("a", 0.0, 100.0, 1.0), ("b", 0.0, 30.0, 1.0)), profiles=_kinds())
    assert result.jobs["end_s"].tolist() == pytest.approx([100.0, 30.0], rel=1e-12)


def test_a_gang_is_as_slow_as_in_the_slowest_of_its_servers() -> None:
    pairs = [IN_SERVER, {"profiles": ["a", "c"], "relative_throughput": [0.5, 1.0], "sharing": "server"}]
    scenario = hall(servers=2, devices=2, colocation=pairs, policies={"placement": "spread"})
    table = RateTable(
        provenance=RateProvenance(source="by hand", measured_on="paper"),
        rates=tuple(
            MeasuredRate(kind=kind, accelerator="D", layout=layout, batch=8, steps_per_s=1.0)
            for kind in "abc"
            for layout in ((1,), (1, 1))
        ),
    )
    kinds = {name: MeasuredKind(table, name) for name in table.names()}
    jobs = job_table(
        submit_s=[0.0, 0.0, 0.0],
        steps=[60.0, 50.0, 100.0],
        profile=["b", "c", "a"],
        accelerators=[1, 1, 2],
        batch_per_accelerator=8,
    )
    result = run(scenario, jobs, profiles=kinds)
    # a is at 0.5 while c, which it does not slow, is in one of its servers: 25 steps until 50 s; then at 0.8 beside
    # b, which has gone at 0.6 all along and ends at 100 s: 40 steps more; the last 35 alone.
    assert result.jobs["end_s"].tolist() == pytest.approx([100.0, 50.0, 135.0], rel=1e-12)


def test_a_pair_not_measured_in_a_server_runs_as_alone_and_says_so() -> None:
    result = run(hall(servers=1, devices=2, colocation=[IN_SERVER]), _jobs(("a", 0.0, 50.0, 1.0), ("c", 0.0, 25.0, 1.0)), profiles=_kinds())  # fmt: skip
    assert result.jobs["end_s"].tolist() == pytest.approx([50.0, 25.0], rel=1e-12)
    assert result.jobs["extrapolated"].all()


def test_caps_that_change_and_neighbours_in_a_server_slow_a_job_together() -> None:
    speed = capped_to(0.6)[0]
    jobs = _jobs(("a", 0.0, 100.0, 1.0), ("b", 0.0, 1000.0, 1.0))
    policies = under("fifo", Recapping(at([50.0], [0.6])))
    result = run(
        hall(servers=1, devices=2, colocation=[IN_SERVER]), jobs, profiles=_kinds(), policies=policies
    )
    # a: 50 s at 0.8 uncapped, then its last 60 steps at 0.8 of its rate under the cap; b alone from there, at `speed`.
    a_s = 50.0 + 60.0 / (0.8 * speed)
    b_done = 50.0 * 0.6 + (a_s - 50.0) * 0.6 * speed
    assert result.jobs["end_s"].tolist() == pytest.approx([a_s, a_s + (1000.0 - b_done) / speed], rel=1e-9)
    assert result.jobs["throttled_s"][0] == pytest.approx(60.0 / speed - 60.0, rel=1e-9)
    assert result.jobs["neighbour_stall_s"][0] == pytest.approx(a_s - 40.0 - 60.0 / speed, rel=1e-9)
