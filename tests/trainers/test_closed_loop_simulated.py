"""The simulated side: what the simulator is told, and what it makes of it, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dcsim.workload.profile import StartUp, StepTimeSurface
from tests.trainers.closed_loops import PROBE, STEP_S, measured, profile, queued, ran
from trainers.closed_loop import loop
from trainers.closed_loop.comparison import start_order
from trainers.closed_loop.dispatcher import ClosedLoopError, JobRun
from trainers.closed_loop.jobs import QueuedJob
from trainers.closed_loop.simulated import (
    EFFECTS,
    Effects,
    SimulatedJob,
    profile_for,
    scenario_text,
    share_beside,
    simulate,
)
from trainers.devices import core_numbers

MODELS = ("one", "other")
PROFILES = {name: profile(name) for name in MODELS}
STEP_AND_INPUT_S = STEP_S + PROBE.loop_s


def test_two_jobs_slow_each_other_and_start_up_beside_each_other(tmp_path: Path) -> None:
    jobs = [queued("a", steps=1000, model="one"), queued("b", steps=500, model="other")]
    found = simulate(
        jobs, PROFILES, measured(MODELS, factor=0.8, slowdown=1.5), policy="fifo", cores=2, folder=tmp_path
    )
    # Both start up for 6 x 1.5 = 9 s; b then needs 500 x 0.012 / 0.8 = 7.5 s, until 16.5 s; a has then done
    # 7.5 x 0.8 / 0.012 = 500 of its 1,000 steps, and does the others alone in 6 s.
    assert [job.end_s for job in found] == pytest.approx([22.5, 16.5], rel=1e-9)
    assert sorted(job.core for job in found) == [0, 1]
    assert [job.startup_s for job in found] == [9.0, 9.0]
    assert {path.name for path in tmp_path.iterdir()} == {
        "scenario.yaml", "jobs.csv", "one.json", "other.json", "result",
    }  # fmt: skip


def test_one_effect_left_out_leaves_its_time_out(tmp_path: Path) -> None:
    jobs = [queued("a", steps=100, model="one"), queued("b", submit_s=1.0, steps=10, model="one")]
    only = {"one": PROFILES["one"]}

    def ends(effects: Effects) -> list[float]:
        folder = tmp_path / "run"
        found = simulate(
            jobs, only, measured(("one",)), policy="shortest_first", cores=1, folder=folder, effects=effects
        )
        return [job.end_s for job in found]

    assert ends(EFFECTS["all"]) == pytest.approx([6.0 + 1.2, 7.2 + 6.0 + 0.12], rel=1e-9)
    assert ends(EFFECTS["steps only"]) == pytest.approx([1.0, 1.0 + 0.1], rel=1e-9)


@pytest.mark.parametrize("name", ["all", "steps only"])
def test_an_effect_left_out_does_not_change_what_the_policy_knows(tmp_path: Path, name: str) -> None:
    probes = {"one": PROBE, "other": replace(PROBE, process_s=0.0, data_s=0.0, compile_s=0.0)}
    told = replace(measured(MODELS), probes=probes)
    # By steps alone b is longer than a; with start-ups it is shorter, and so the dispatcher was told.
    jobs = [
        replace(queued("a", steps=100, model="one"), estimate_s=7.2),
        replace(queued("b", steps=300, model="other"), estimate_s=3.6),
    ]
    found = simulate(
        jobs, PROFILES, told, policy="shortest_first", cores=1, folder=tmp_path, effects=EFFECTS[name]
    )
    assert start_order(found) == ("b", "a")


def test_a_given_share_of_neighbours_is_kept(tmp_path: Path) -> None:
    (found,) = simulate(
        [queued("a", steps=100, model="one")], {"one": PROFILES["one"]}, measured(("one",), slowdown=1.5),
        policy="fifo", cores=1, folder=tmp_path, beside=0.5,
    )  # fmt: skip
    assert found.end_s == pytest.approx(6.0 * 1.25 + 1.2, rel=1e-9)


def test_a_calibrated_startup_is_replaced_by_the_probes() -> None:
    """What the simulator is told of start-ups are the loop's own probes, alone."""
    calibrated = PROFILES["one"].model_copy(
        update={"startup": StartUp(process_s=50.0, data_s=60.0, compile_s=70.0)}
    )
    found = profile_for(calibrated, PROBE, Effects(), startup_factor=1.0)
    assert found.startup is not None
    assert found.startup.total_s == PROBE.startup_s
    assert profile_for(calibrated, PROBE, EFFECTS["steps only"], startup_factor=1.0).startup is None


def test_effects_change_the_profile_and_nothing_else() -> None:
    whole = profile_for(PROFILES["one"], PROBE, Effects(), startup_factor=2.0)
    assert whole.startup is not None
    assert (whole.startup.process_s, whole.startup.data_s, whole.startup.compile_s) == (4.0, 2.0, 6.0)
    assert whole.fit.overhead_s == STEP_AND_INPUT_S
    assert whole.input_bytes_per_sample == 0.0
    without = profile_for(PROFILES["one"], PROBE, Effects(startup=False, input=False), startup_factor=1.0)
    assert without.startup is not None
    assert without.startup.total_s == PROBE.compile_s
    assert without.fit.overhead_s == STEP_S
    assert profile_for(PROFILES["one"], PROBE, Effects(False, False), startup_factor=1.0).startup is None


def test_input_is_part_of_each_step_of_a_surface() -> None:
    knots = [{"devices": 1, "batch_per_device": batch, "step_time_s": batch * 1e-3} for batch in (8, 64)]
    surface = StepTimeSurface.model_validate({"knots": knots, "interval_relative": 0.1, "coverage": 0.9})
    curved = PROFILES["one"].model_copy(update={"surface": surface})
    found = profile_for(curved, PROBE, Effects(), startup_factor=1.0).surface
    assert found is not None
    assert [knot.step_time_s for knot in found.knots] == [0.008 + 0.002, 0.064 + 0.002]


def test_start_ups_beside_nobody_and_beside_several() -> None:
    jobs = [
        SimulatedJob("a", 0.0, 0.0, 4.0, startup_s=4.0),
        SimulatedJob("b", 0.0, 10.0, 20.0, startup_s=4.0),
    ]
    assert share_beside(jobs) == 0.0
    both = [
        SimulatedJob("c", 0.0, 9.0, 12.0, startup_s=3.0),
        SimulatedJob("d", 0.0, 9.0, 13.0, startup_s=3.0),
    ]
    # a: 0 of 4; b: 3 of 4, told once though two are beside it; c: 3 of 3, d: 3 of 3.
    assert share_beside([*jobs, *both]) == pytest.approx(9.0 / 14.0)
    assert share_beside([replace(job, startup_s=0.0) for job in jobs]) == 0.0


def test_only_pairs_that_were_measured_are_told() -> None:
    text = scenario_text(["one", "other"], measured(("one",), factor=0.9).colocation, "fifo", 2)
    assert text.count("relative_throughput") == 1
    assert "colocation" not in scenario_text(["one"], measured((), 1.0).colocation, "fifo", 2)


def test_what_the_simulator_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(ClosedLoopError, match="best_guess"):
        simulate(
            [queued("a", model="one")], {"one": PROFILES["one"]}, measured(("one",)),
            policy="best_guess", cores=1, folder=tmp_path,
        )  # fmt: skip


@pytest.mark.skipif(len(core_numbers()) < 2, reason="needs two cores")
def test_nothing_of_the_real_runs_reaches_the_simulated_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clusters, one of them three times as slow: the simulator is asked the same, word for word."""
    models = ("digits_mlp", "digits_conv")
    profiles = {name: profile(name) for name in models}
    monkeypatch.setattr(loop, "_profiles", lambda *_: profiles)
    known = measured(models, 0.9, 1.2)
    probes = {name: [probe] for name, probe in known.probes.items()}
    monkeypatch.setattr(loop._Bench, "probes", lambda *_: probes)
    monkeypatch.setattr(loop._Bench, "colocation", lambda *_: known.colocation)

    def asked(factor: float) -> list[str]:
        said: list[str] = []

        class Cluster:
            def __init__(self, *_: object) -> None:
                pass

            def run(self, jobs: Sequence[QueuedJob], policy: str) -> list[JobRun]:
                return [ran(job, job.submit_s, job.submit_s + factor * len(policy)) for job in jobs]

        def asks(*given: object, folder: Path, **more: object) -> list[SimulatedJob]:
            said.append(f"{folder.name} {given} {more}")
            return [SimulatedJob("a", 0.0, 0.0, 9.0, startup_s=3.0)]

        monkeypatch.setattr(loop, "Dispatcher", Cluster)
        monkeypatch.setattr(loop, "simulate", asks)
        settings = loop.LoopSettings(models=models, jobs=4, repeats=2)
        found = loop.run_loop(settings, tmp_path / str(factor), lambda _: None)
        assert found.real["fifo"][0][0].completion_s == pytest.approx(4.0 * factor)
        return said

    slow, fast = asked(3.0), asked(1.0)
    assert slow == fast
    assert len(fast) == 2 * len(EFFECTS)
