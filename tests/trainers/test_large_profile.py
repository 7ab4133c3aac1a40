"""A prediction as a cost profile: traffic byte for byte as the simulator's, and the step time that it gets from it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from dcsim.errors import InputError
from dcsim.facility.hardware import CATALOGUE
from dcsim.simulation import simulate
from dcsim.spec.load import load_scenario
from dcsim.workload.profile_store import load_profile, save_profile
from dcsim.workload.step_traffic import step_traffic
from trainers.large.architecture import Architecture
from trainers.large.architectures import architecture
from trainers.large.cost_profile import cost_profile, simulated_step_s, simulator_layout
from trainers.large.layout import TrainingLayout
from trainers.large.links import Cluster
from trainers.large.predict import HIGH, LOW, predict
from trainers.large.rank import layouts, ranked
from trainers.large.text import describe, describe_ranking
from trainers.large.traffic import collective_traffic, sent_by_device

A100 = Cluster(CATALOGUE["A100-80"])
SHAPE = Architecture("x", 8, 1024, 16, 1024, 4096)
LAYOUTS = {
    "data": TrainingLayout(devices=8, global_batch=16),
    "zero": TrainingLayout(devices=16, global_batch=32, zero_stage=3),
    "tensor": TrainingLayout(devices=8, global_batch=4, tensor=8, recomputation="full"),
    "sequence": TrainingLayout(devices=16, global_batch=8, tensor=4, sequence_parallel=True),
    "pipeline": TrainingLayout(devices=32, global_batch=32, pipeline=4, tensor=4, micro_batch=2),
    "interleaved": TrainingLayout(devices=32, global_batch=32, pipeline=4, tensor=4, interleaving=2),
    "overlapped": TrainingLayout(devices=16, global_batch=32, overlap=0.5),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_simulator_gets_the_predicted_step_time(name: str) -> None:
    prediction = predict(SHAPE, LAYOUTS[name], A100)
    profile = cost_profile(prediction, "python -m trainers large")
    assert simulated_step_s(prediction, profile) == pytest.approx(prediction.step_time_s, rel=1e-9)
    assert profile.prediction is not None
    assert sum(profile.prediction.parts_s.values()) == pytest.approx(prediction.step_time_s)
    assert profile.prediction.step_time_low_s == LOW * prediction.step_time_s
    assert profile.prediction.step_time_high_s == HIGH * prediction.step_time_s
    # What is left to computing is what the layout computes, and what full rates leave out: never less.
    fit, step = profile.fit, prediction.step
    computing_s = fit.overhead_s + fit.per_sample_s * fit.batch_per_device_max
    assert computing_s >= 0.999 * (step.forward_s + step.backward_s + step.recomputation_s)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "zero"])
def test_bytes_of_a_device_are_those_that_the_simulator_moves(name: str) -> None:
    """All devices together send, in and between servers, what each sends by the closed form.

    Of a pipeline, devices at its ends have one neighbour, those between two: 2 (p - 1) / p boundaries a device.
    """
    layout = LAYOUTS[name]
    batch = layout.global_batch * SHAPE.sequence // layout.devices
    servers = [
        (server, min(8, layout.devices - 8 * server)) for server in range(math.ceil(layout.devices / 8))
    ]
    traffic = step_traffic(collective_traffic(SHAPE, layout), simulator_layout(layout), servers, batch)
    moved = traffic.between_bytes + traffic.inside_bytes
    sent = 0.0
    for one in sent_by_device(SHAPE, layout):
        share = (layout.pipeline - 1) / layout.pipeline if one.dimension == "pipeline" else 1.0
        sent += share * one.size_bytes * layout.devices
    assert moved == pytest.approx(sent, rel=1e-9)


def test_an_all_reduce_moves_the_bytes_of_all_weights() -> None:
    traffic = collective_traffic(SHAPE, LAYOUTS["data"])
    assert traffic.all_reduce_bytes == 2.0 * SHAPE.parameters


def test_a_profile_is_stored_and_read_and_the_same_command_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        prediction = predict(SHAPE, LAYOUTS["tensor"], A100)
        save_profile(cost_profile(prediction, "python -m trainers large x"), tmp_path / f"{name}.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    profile, _ = load_profile(tmp_path / "one.json")
    assert profile.origin == "predicted"
    assert profile.flops_per_sample == pytest.approx(SHAPE.flops_per_sample / SHAPE.sequence)


def test_tokens_that_do_not_divide_are_refused() -> None:
    layout = TrainingLayout(devices=8, global_batch=9, tensor=8)
    shape = replace(SHAPE, sequence=1021)
    with pytest.raises(InputError, match="tokens that are a multiple of devices = 8"):
        cost_profile(predict(shape, layout, A100), "")


def test_a_run_on_1024_accelerators_takes_the_predicted_steps(repository: Path) -> None:
    """The shipped scenario, its profile and its command end to end, through the simulator's network and placement."""
    layout = TrainingLayout(devices=1024, global_batch=1536, tensor=8, pipeline=16, recomputation="full")
    prediction = predict(replace(architecture("gpt3-175b"), name="gpt3_175b"), layout, A100)
    loaded = load_scenario(repository / "scenarios" / "large_model.yaml")
    kept, _ = load_profile(repository / "scenarios" / "profiles" / "gpt3_175b.json")
    made = cost_profile(prediction, kept.provenance.command)
    assert made.fit.per_sample_s == pytest.approx(kept.fit.per_sample_s, rel=1e-9)
    assert made.collectives == kept.collectives
    result = simulate(loaded.scenario, seed=0, base_dir=loaded.base_dir)
    jobs = result.jobs
    step_s = (jobs["compute_s"] + jobs["communication_s"]) / jobs["steps"]
    assert step_s.tolist() == [pytest.approx(prediction.step_time_s, rel=1e-3)] * 2


def test_ranking_gives_only_what_fits_and_the_fastest_first() -> None:
    given = TrainingLayout(devices=16, global_batch=64)
    shape = Architecture("x", 4, 4096, 32, 1024, 4096)
    found = ranked(shape, given, A100)
    times_s = [one.step_time_s for one in found]
    assert times_s == sorted(times_s)
    assert 0 < len(found) <= len(list(layouts(shape, given, A100)))
    assert all(one.memory_bytes <= 80e9 for one in found)
    assert len(describe_ranking(found, 3).splitlines()) == 4


def test_text_shows_parts_that_add_up() -> None:
    text = describe(predict(SHAPE, LAYOUTS["pipeline"], A100))
    for part in ("step time", "MFU", "bubble", "optimizer states", "send_recv", "checkpoint"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 130
