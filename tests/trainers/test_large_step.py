"""Step time by parts: closed forms of kernels, pipelines and exchange, and bounds that hold for any layout."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.hardware import CATALOGUE
from trainers.large.architecture import Architecture
from trainers.large.efficiency import ASSUMED
from trainers.large.kernels import device_s, kernel_times_s
from trainers.large.layout import RECOMPUTATIONS, TrainingLayout, layout_problems
from trainers.large.links import Cluster, ring_s, transfer_s
from trainers.large.operators import Kernel, block_backward, block_forward, head_kernels, slice_of
from trainers.large.predict import Prediction, predict
from trainers.large.step import bubble_fraction, step_time

A100 = CATALOGUE["A100-80"]
CLUSTER = Cluster(A100)
SHAPE = Architecture("x", 8, 1024, 16, 1024, 4096)
IDEAL = replace(
    ASSUMED, product_fraction=1.0, small_tile_fraction=1.0, ramp_depth=0.0, memory_fraction=1.0, kernel_s=0.0,
    operator_s=0.0, inside_fraction=1.0, inside_call_s=0.0, inside_round_s=0.0, between_fraction=1.0,
    between_round_s=0.0, step_s=0.0,
)  # fmt: skip
"""A device and links that give all of their data sheets."""


def test_a_product_that_fills_all_processors_runs_at_the_peak() -> None:
    # 108 tiles of 256 x 128: one wave.
    kernel = Kernel("product", 0.0, 256 * 12, 128 * 9, 4096)
    (time_s,) = kernel_times_s([kernel], A100, "bf16", IDEAL)
    assert time_s == pytest.approx(kernel.flops / 312e12, rel=1e-12)


def test_one_tile_more_than_a_wave_takes_a_second_wave() -> None:
    # M N K of 109 tiles of 64 x 64 and K = 64: no other tile or split of K is faster than two waves of these.
    one, more = (Kernel("product", 0.0, 64 * n, 64, 64) for n in (108, 109))
    times_s = kernel_times_s([one, more], A100, "bf16", IDEAL)
    assert times_s[1] == pytest.approx(2.0 * times_s[0], rel=1e-12)


def test_a_pass_over_memory_takes_its_bytes() -> None:
    (time_s,) = kernel_times_s([Kernel("pass", 2.039e9)], A100, "bf16", IDEAL)
    assert time_s == pytest.approx(1e-3, rel=1e-12)


@given(
    rows=st.integers(1, 5000),
    columns=st.integers(1, 5000),
    depth=st.integers(1, 5000),
    copies=st.integers(1, 20),
)
def test_no_kernel_is_faster_than_the_roofline(rows: int, columns: int, depth: int, copies: int) -> None:
    size = 2.0 * copies * (rows * depth + depth * columns + rows * columns)
    kernel = Kernel("product", size, rows, columns, depth, copies)
    (time_s,) = kernel_times_s([kernel], A100, "bf16", IDEAL)
    assert time_s >= max(kernel.flops / 312e12, size / 2.039e12) * (1 - 1e-12)


@pytest.mark.parametrize("tensor", [1, 2, 8])
def test_the_kernels_of_a_layer_do_the_operations_of_the_model(tensor: int) -> None:
    layout = TrainingLayout(devices=tensor, global_batch=2, micro_batch=2, tensor=tensor)
    part = slice_of(SHAPE, layout)
    layer = sum(kernel.flops for kernel in (*block_forward(part), *block_backward(part)))
    head = sum(kernel.flops for kernels in head_kernels(part) for kernel in kernels)
    assert tensor * (8 * layer + head) == pytest.approx(2 * SHAPE.flops_per_sample, rel=1e-12)


def test_a_forward_pass_is_a_third_of_the_operations() -> None:
    part = slice_of(SHAPE, TrainingLayout(devices=1, global_batch=1))
    forward, backward = (sum(k.flops for k in block(part)) for block in (block_forward, block_backward))
    assert backward == pytest.approx(2.0 * forward, rel=1e-12)


def test_fused_causal_attention_does_half_of_the_scores() -> None:
    part = slice_of(SHAPE, TrainingLayout(devices=1, global_batch=1, fused_attention=True))
    (attend,) = (kernel for kernel in block_forward(part) if kernel.name == "attend")
    assert attend.flops == 2.0 * 1024 * 1024 * 1024  # 4 s^2 h / 2


@pytest.mark.parametrize(
    ("change", "hardware"), [({"recomputation": "none"}, 1.0), ({"recomputation": "full"}, 4.0 / 3.0)]
)
def test_recomputing_all_layers_computes_eight_times_the_weights_in_place_of_six(
    change: dict[str, str], hardware: float
) -> None:
    shape = replace(SHAPE, vocabulary=16)  # next to nothing but layers
    layout = replace(TrainingLayout(devices=8, global_batch=8), **change)  # type: ignore[arg-type]
    prediction = predict(shape, layout, CLUSTER)
    assert prediction.hfu / prediction.mfu == pytest.approx(hardware, rel=1e-3)


@pytest.mark.parametrize(("interleaving", "micro_batches"), [(1, 8), (2, 8), (4, 4)])
def test_the_bubble_is_the_published_part_of_equal_stages(interleaving: int, micro_batches: int) -> None:
    shape = replace(SHAPE, layers=16, vocabulary=8)  # a head of next to nothing: stages are equal
    layout = TrainingLayout(devices=4, global_batch=micro_batches, pipeline=4, interleaving=interleaving)
    slow = replace(ASSUMED, operator_s=0.0, kernel_s=0.0)
    step = step_time(shape, layout, CLUSTER, slow)
    working_s = step.forward_s + step.backward_s
    expected = bubble_fraction(4, micro_batches, interleaving)
    assert expected == 3 / (micro_batches * interleaving)
    assert step.bubble_s / working_s == pytest.approx(expected, rel=0.01)


def test_a_ring_moves_its_bytes_in_its_rounds() -> None:
    one_s = ring_s(8e9, 8, CLUSTER, IDEAL, inside=True)
    assert one_s == pytest.approx(7 / 8 * 8e9 / 300e9, rel=1e-12)
    between_s = ring_s(8e9, 8, CLUSTER, IDEAL, inside=False, sharing=8)
    assert between_s == pytest.approx(7 * 5e-6 + 7 / 8 * 8e9 * 8 / 200e9, rel=1e-12)
    assert ring_s(8e9, 1, CLUSTER, ASSUMED, inside=True) == 0.0


def test_a_transfer_takes_latency_and_bytes() -> None:
    assert transfer_s(200e9, CLUSTER, IDEAL, inside=False, sharing=2) == pytest.approx(2.0 + 5e-6, rel=1e-12)


def test_gradients_hide_behind_as_much_of_the_backward_pass_as_is_said() -> None:
    layout = TrainingLayout(devices=8, global_batch=8)
    plain, hidden = (step_time(SHAPE, replace(layout, overlap=part), CLUSTER, ASSUMED) for part in (0.0, 0.1))
    size = 2.0 * SHAPE.parameters
    ring = 2.0 * ring_s(size, 8, CLUSTER, ASSUMED, inside=True)
    assert plain.data_parallel_s == pytest.approx(ring, rel=0.01)
    assert hidden.data_parallel_s == pytest.approx(max(0.0, plain.data_parallel_s - 0.1 * hidden.backward_s))


def test_where_the_host_is_slow_a_step_takes_its_operators() -> None:
    layout = TrainingLayout(devices=1, global_batch=1)
    part = slice_of(SHAPE, layout)
    slow = replace(ASSUMED, operator_s=1.0, step_s=0.0, optimizer_bytes=0.0)
    operators = 8 * sum(k.operators for k in (*block_forward(part), *block_backward(part)))
    operators += sum(k.operators for kernels in head_kernels(part) for k in kernels)
    assert step_time(SHAPE, layout, CLUSTER, slow).total_s == pytest.approx(operators, rel=1e-9)


@st.composite
def layouts(draw: st.DrawFn) -> TrainingLayout:
    """Layouts that divide SHAPE."""
    tensor, pipeline, data = (draw(st.sampled_from([1, 2, 4, 8])) for _ in range(3))
    micro = draw(st.sampled_from([1, 2]))
    return TrainingLayout(
        devices=tensor * pipeline * data,
        global_batch=data * micro * 8,
        tensor=tensor,
        pipeline=pipeline,
        micro_batch=micro,
        recomputation=draw(st.sampled_from(RECOMPUTATIONS)),
        sequence_parallel=draw(st.booleans()),
        zero_stage=draw(st.sampled_from([0, 1])),
    )


@given(layout=layouts())
def test_parts_add_up_and_nothing_is_faster_than_the_peak(layout: TrainingLayout) -> None:
    assert not layout_problems(SHAPE, layout)
    step = step_time(SHAPE, layout, CLUSTER, IDEAL)
    assert step.total_s == pytest.approx(sum(step.parts_s.values()))
    assert min(step.parts_s.values()) >= 0.0
    prediction = Prediction(SHAPE, layout, CLUSTER, step, {}, 0.0)
    assert 0.0 < prediction.mfu <= prediction.hfu <= 1.0


@given(layout=layouts())
def test_worse_efficiencies_never_make_a_step_faster(layout: TrainingLayout) -> None:
    assert (
        step_time(SHAPE, layout, CLUSTER, ASSUMED).total_s >= step_time(SHAPE, layout, CLUSTER, IDEAL).total_s
    )


@given(layout=layouts())
def test_recomputing_more_never_makes_a_step_faster(layout: TrainingLayout) -> None:
    times_s = [
        step_time(SHAPE, replace(layout, recomputation=kind), CLUSTER, ASSUMED).total_s
        for kind in RECOMPUTATIONS
    ]
    assert times_s == sorted(times_s)


def test_devices_of_unknown_processors_waste_no_wave() -> None:
    kernel = Kernel("product", 0.0, 256, 128, 4096)
    tpu = CATALOGUE["TPU-v4"]
    assert device_s([kernel], tpu, "bf16", IDEAL) == pytest.approx(kernel.flops / 275e12, rel=1e-12)
