"""Memory against the closed forms of Korthikanti et al. 2022 and of ZeRO, and the refusal of what does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dcsim.errors import InputError
from dcsim.facility.hardware import CATALOGUE
from trainers.large.architecture import Architecture
from trainers.large.architectures import architecture
from trainers.large.layout import TrainingLayout, layout_problems
from trainers.large.links import Cluster
from trainers.large.memory import (
    RESERVED_BYTES,
    activations_in_flight,
    checkpoint_bytes,
    layer_activation_bytes,
    memory_parts,
)
from trainers.large.predict import predict

SHAPE = Architecture("x", 8, 1024, 16, 2048, 4096)
ONE = TrainingLayout(devices=1, global_batch=8, micro_batch=2)
A100 = Cluster(CATALOGUE["A100-80"])
S, B, H, A = 2048, 2, 1024, 16


@pytest.mark.parametrize(
    ("change", "closed"),
    [
        ({}, S * B * H * (34 + 5 * A * S / H)),
        ({"devices": 4, "tensor": 4}, S * B * H * (10 + 24 / 4 + 5 * A * S / (H * 4))),
        ({"devices": 4, "tensor": 4, "sequence_parallel": True}, S * B * H / 4 * (34 + 5 * A * S / H)),
        ({"devices": 4, "tensor": 4, "recomputation": "selective"}, S * B * H * (10 + 24 / 4)),
        ({"recomputation": "full"}, 2 * S * B * H),
        ({"fused_attention": True}, S * B * H * 34),
    ],
)
def test_activations_of_a_layer_are_those_of_the_closed_form(
    change: dict[str, object], closed: float
) -> None:
    layout = replace(ONE, **change)  # type: ignore[arg-type]
    assert layer_activation_bytes(SHAPE, layout) == pytest.approx(closed, rel=1e-12)


def test_activations_of_gpt3_are_as_published() -> None:
    # Korthikanti et al. 2022, section 4: 5 a s / h = 80 for GPT-3.
    layout = TrainingLayout(devices=1, global_batch=1)
    shape = architecture("gpt3-175b")
    assert layer_activation_bytes(shape, layout) == 2048 * 12288 * (34 + 80)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_parameters_take_sixteen_bytes_divided_from_their_zero_stage_on(stage: int) -> None:
    layout = TrainingLayout(devices=8, global_batch=8, zero_stage=stage)
    parts = memory_parts(SHAPE, layout)
    n = SHAPE.parameters
    divided = [n * size / (8 if stage >= least else 1) for size, least in ((12, 1), (2, 2), (2, 3))]
    assert [parts[name] for name in ("optimizer_states", "gradients", "weights")] == divided


def test_fp32_keeps_no_second_copy_of_the_weights() -> None:
    parts = memory_parts(SHAPE, replace(ONE, precision="fp32"))
    assert (parts["weights"] + parts["gradients"] + parts["optimizer_states"]) == 16 * SHAPE.parameters


def test_one_forward_one_backward_holds_as_many_micro_batches_as_stages_are_ahead() -> None:
    layout = TrainingLayout(devices=4, global_batch=64, pipeline=4)
    assert [activations_in_flight(layout, stage) for stage in range(4)] == [4, 3, 2, 1]
    assert activations_in_flight(replace(layout, global_batch=2)) == 2


def test_interleaving_holds_more_by_the_published_factor() -> None:
    layout = TrainingLayout(devices=8, global_batch=64, pipeline=8, interleaving=3)
    assert activations_in_flight(layout) == pytest.approx(8 * (1 + 7 / (8 * 3)))


@pytest.mark.parametrize(("p", "v"), [(4, 2), (8, 3), (4, 8)])
def test_interleaved_stages_hold_what_came_before_their_first_backward(p: int, v: int) -> None:
    """Chunks counted in the order in which they go: p micro-batches through one chunk, then through the next."""
    order = [(chunk, micro) for chunk in range(v) for micro in range(p)]
    for stage in range(p):
        # The last stage turns as soon as micro-batch 0 is through its last chunk; others meanwhile take one chunk more for each
        # hop there and each hop back.
        before = order.index((v - 1, 0)) + 1 + 2 * (p - 1 - stage)
        layout = TrainingLayout(devices=p, global_batch=8 * p, pipeline=p, interleaving=v)
        assert activations_in_flight(layout, stage) == pytest.approx(before / v)
    few = TrainingLayout(devices=p, global_batch=p, pipeline=p, interleaving=v)
    assert activations_in_flight(few) == p


def test_a_last_stage_with_a_large_head_is_the_fullest() -> None:
    shape = Architecture("g", 32, 4096, 32, 2048, 256_000)
    layout = TrainingLayout(
        devices=4, global_batch=64, micro_batch=4, pipeline=4, interleaving=8, recomputation="selective"
    )
    parts = memory_parts(shape, layout)
    # Logits, in fp32 and as they are exchanged, only the last stage has; it holds 29 chunks of one layer in flight.
    assert parts["workspace"] == 2048 * 4 * 256_000 * (4.0 + layout.value_bytes) + RESERVED_BYTES
    layer = layer_activation_bytes(shape, layout)
    assert parts["activations"] == pytest.approx(29 * layer + 2 * layout.value_bytes * 2048 * 4 * 4096)


def test_a_checkpoint_of_a_trillion_parameters_is_as_large_as_published() -> None:
    # Narayanan et al. 2021, section 5.10: 13.8 terabytes, here with two bytes more a weight than they may store.
    size = checkpoint_bytes(architecture("megatron-1t"), TrainingLayout(devices=1, global_batch=1))
    assert size == pytest.approx(13.8e12, rel=0.03)


def test_what_does_not_fit_is_refused_with_what_it_would_hold() -> None:
    layout = TrainingLayout(devices=8, global_batch=8, tensor=8)
    with pytest.raises(InputError) as caught:
        predict(architecture("gpt3-175b"), layout, A100)
    text = str(caught.value)
    assert "GB a device -> expected at most 80.0 GB, the memory of A100-80" in text
    assert "optimizer states 261" in text  # 12 bytes x 174.6e9 / 8


def test_what_does_not_divide_is_refused_with_all_reasons() -> None:
    layout = TrainingLayout(devices=12, global_batch=7, tensor=3, pipeline=2, sequence_parallel=True)
    text = "\n".join(map(str, layout_problems(Architecture("x", 9, 1024, 16, 2048, 4096), layout)))
    for part in (
        "global_batch: 7 -> expected a multiple of data x micro_batch = 2",
        "tensor: 3 -> expected a divisor of heads = 16",
        "tensor: 3 -> expected a divisor of vocabulary = 4096",
        "sequence_parallel: tensor 3 -> expected a divisor of sequence = 2048",
        "pipeline: 2 x 1 -> expected pipeline x interleaving that divides layers = 9",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"devices": 9}, "devices"),
        ({"interleaving": 2}, "interleaving"),
        ({"zero_stage": 2, "pipeline": 2}, "zero_stage"),
        ({"zero_stage": 4}, "zero_stage"),
        ({"overlap": 1.5}, "overlap"),
        ({"precision": "fp8"}, "precision"),
        ({"recomputation": "some"}, "recomputation"),
        ({"micro_batch": 0}, "micro_batch"),
        ({"pipeline": 2, "interleaving": 2, "global_batch": 18}, "interleaving"),
    ],
)
def test_each_wrong_value_is_named(change: dict[str, object], path: str) -> None:
    layout = replace(TrainingLayout(devices=8, global_batch=8, tensor=2), **change)  # type: ignore[arg-type]
    assert [problem.path for problem in layout_problems(SHAPE, layout)] == [path]


def test_tensor_parallelism_stays_in_a_server() -> None:
    layout = TrainingLayout(devices=16, global_batch=16, tensor=16)
    with pytest.raises(InputError, match="at most the devices of a server, 8"):
        predict(SHAPE, layout, A100)


def test_the_workspace_holds_the_logits_or_the_layer_that_is_computed_again() -> None:
    logits = S * B * 4096 * 6.0
    assert memory_parts(SHAPE, ONE)["workspace"] == logits + RESERVED_BYTES
    again = memory_parts(SHAPE, replace(ONE, recomputation="full"))["workspace"]
    assert again == S * B * H * (34 + 5 * A * S / H) + RESERVED_BYTES
