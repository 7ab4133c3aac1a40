"""FLOPs, bytes and calls by kind of operator: against counting by hand, closed forms, and XLA's own totals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from trainers.hlo_text import parse_module, parse_shapes
from trainers.operators import KindCost, module_cost, operator_costs

ADD = """%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %sum = f32[] add(%x, %y)
}
"""


def entry(*lines: str, before: str = "") -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"HloModule test\n\n{before}\nENTRY %main (a: f32[8]) -> f32[8] {{\n{body}\n}}\n"


def test_a_fusion_computes_inside_and_moves_at_its_boundary_only() -> None:
    fused = """%fused (p0: f32[64,32], p1: f32[32]) -> f32[64] {
  %p0 = f32[64,32]{1,0} parameter(0)
  %p1 = f32[32]{0} parameter(1)
  %b = f32[64,32]{1,0} broadcast(%p1), dimensions={1}
  %m = f32[64,32]{1,0} multiply(%p0, %b)
  %e = f32[64,32]{1,0} exponential(%m)
  %zero = f32[] constant(0)
  ROOT %r = f32[64]{0} reduce(%e, %zero), dimensions={1}, to_apply=%add
}
"""
    text = entry(
        "%a = f32[64,32]{1,0} parameter(0)",
        "%b = f32[32]{0} parameter(1)",
        "ROOT %f = f32[64]{0} fusion(%a, %b), kind=kLoop, calls=%fused",
        before=ADD + fused,
    )
    kinds = module_cost(text).kinds
    assert kinds["elementwise"] == KindCost(flops=2 * 64 * 32)
    assert kinds["reduction"] == KindCost(flops=64 * 31, size_bytes=4 * (64 * 32 + 32 + 64), calls=1)
    assert set(kinds) == {"elementwise", "reduction"}


def loop(attributes: str) -> str:
    body = """%body (s: (f32[8,8], s32[])) -> (f32[8,8], s32[]) {
  %s = (f32[8,8]{1,0}, s32[]) parameter(0)
  %x = f32[8,8]{1,0} get-tuple-element(%s), index=0
  %i = s32[] get-tuple-element(%s), index=1
  %d = f32[8,8]{1,0} dot(%x, %x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %one = s32[] constant(1)
  %n = s32[] add(%i, %one)
  ROOT %t = (f32[8,8]{1,0}, s32[]) tuple(%d, %n)
}
%condition (s: (f32[8,8], s32[])) -> pred[] {
  %s = (f32[8,8]{1,0}, s32[]) parameter(0)
  %i = s32[] get-tuple-element(%s), index=1
  %five = s32[] constant(5)
  ROOT %c = pred[] compare(%i, %five), direction=LT
}
"""
    return entry(
        "%s = (f32[8,8]{1,0}, s32[]) parameter(0)",
        f"ROOT %w = (f32[8,8]{{1,0}}, s32[]) while(%s), condition=%condition, body=%body{attributes}",
        before=body,
    )


def test_a_loop_costs_its_body_once_a_turn() -> None:
    cost = module_cost(loop(', backend_config={"known_trip_count":{"n":"5"},"x":1}'))
    assert cost.kinds["matmul"] == KindCost(flops=5 * 2 * 8**3, size_bytes=5 * 4 * 2 * 64, calls=5)
    assert cost.unknown == ()


def test_a_loop_of_unknown_length_counts_once_and_says_so() -> None:
    cost = module_cost(loop(""))
    assert cost.kinds["matmul"].flops == 2 * 8**3
    assert cost.unknown == ("loop w: number of turns not known, counted once",)


def test_of_a_choice_the_dearest_branch_counts() -> None:
    branches = """%cheap (x: f32[8,8]) -> f32[8,8] {
  %x = f32[8,8]{1,0} parameter(0)
  ROOT %n = f32[8,8]{1,0} negate(%x)
}
%dear (x: f32[8,8]) -> f32[8,8] {
  %x = f32[8,8]{1,0} parameter(0)
  ROOT %d = f32[8,8]{1,0} dot(%x, %x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""
    text = entry(
        "%p = pred[] parameter(0)",
        "%a = f32[8,8]{1,0} parameter(1)",
        "ROOT %c = f32[8,8]{1,0} conditional(%p, %a, %a), branch_computations={%cheap, %dear}",
        before=branches,
    )
    assert module_cost(text).kinds == {"matmul": KindCost(flops=2 * 8**3, size_bytes=2 * 4 * 64, calls=1)}


def test_slices_read_what_they_take_and_updates_in_place_write_what_they_replace() -> None:
    fused = """%fused (p0: f32[1000,64], p1: s32[]) -> f32[1,64] {
  %p0 = f32[1000,64]{1,0} parameter(0)
  %p1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %s = f32[1,64]{1,0} dynamic-slice(%p0, %p1, %zero), dynamic_slice_sizes={1,64}
}
"""
    text = entry(
        "%a = f32[1000,64]{1,0} parameter(0)",
        "%i = s32[] parameter(1)",
        "%zero = s32[] constant(0)",
        "%row = f32[1,64]{1,0} fusion(%a, %i), kind=kLoop, calls=%fused",
        "ROOT %u = f32[1000,64]{1,0} dynamic-update-slice(%a, %row, %i, %zero)",
        before=fused,
    )
    row = 4 * 64
    assert module_cost(text).kinds["data_movement"].size_bytes == (row + 4 + row) + 2 * row


def test_what_stays_on_a_tpus_chip_is_no_traffic_but_what_crosses_links_is() -> None:
    text = entry(
        "%a = f32[256]{0:T(128)} parameter(0)",
        "%c = (f32[256]{0:T(128)S(1)}, f32[256]{0:T(128)}, u32[]{:S(2)}) copy-start(%a)",
        "%d = f32[256]{0:T(128)S(1)} copy-done(%c)",
        "%m = f32[256]{0:T(128)S(1)} multiply(%d, %d)",
        "ROOT %r = f32[256]{0:T(128)S(1)} all-reduce(%m), replica_groups={}, to_apply=%add",
        before=ADD,
    )
    kinds = module_cost(text).kinds
    assert kinds["data_movement"] == KindCost(size_bytes=1024, calls=1)
    assert kinds["elementwise"] == KindCost(flops=256, calls=1)
    assert kinds["collective"] == KindCost(size_bytes=2048, calls=1)


def test_a_gpus_matrix_library_is_a_product_and_an_unknown_library_is_named() -> None:
    text = entry(
        "%a = f32[64,100]{1,0} parameter(0)",
        "%b = f32[100,32]{1,0} parameter(1)",
        '%g = (f32[64,32]{1,0}, s8[4194304]{0}) custom-call(%a, %b), custom_call_target="__cublas$gemm", '
        'backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],'
        '"rhs_contracting_dimensions":["0"]}}}',
        '%u = f32[4]{0} custom-call(%a), custom_call_target="mystery"',
        'ROOT %s = f32[64,100]{1,0} custom-call(%a), custom_call_target="Sharding"',
    )
    cost = module_cost(text)
    assert cost.kinds["matmul"].flops == 2 * 64 * 32 * 100
    assert cost.kinds["other"].calls == 1
    assert cost.unknown == ("custom call mystery: its FLOPs are not known",)


@pytest.mark.parametrize(
    ("window", "image", "result", "positions"),
    [
        ("size=3x3 pad=1_1x1_1", (28, 28), (28, 28), (3 * 28 - 2) ** 2),
        ("size=3x3", (28, 28), (26, 26), (3 * 26) ** 2),
        # SAME with stride 2 pads 0 before and 1 behind: only the last window has its last item outside.
        ("size=3x3 stride=2x2 pad=0_1x0_1", (28, 28), (14, 14), (3 * 14 - 1) ** 2),
        # The gradient of a convolution of stride 2: every second item is a zero in between.
        ("size=2x2 pad=1_1x1_1 lhs_dilate=2x2", (4, 4), (8, 8), (2 * 4) ** 2),
        ("size=3x3 rhs_dilate=2x2", (9, 9), (5, 5), 15**2),
    ],
)
def test_convolutions_count_pairs_that_are_no_padding(
    window: str, image: tuple[int, int], result: tuple[int, int], positions: int
) -> None:
    size = int(window.split("size=")[1][0])
    text = entry(
        f"%x = f32[5,{image[0]},{image[1]},7]{{3,2,1,0}} parameter(0)",
        f"%k = f32[{size},{size},7,11]{{3,2,1,0}} parameter(1)",
        f"ROOT %c = f32[5,{result[0]},{result[1]},11]{{3,2,1,0}} convolution(%x, %k), window={{{window}}}, "
        "dim_labels=b01f_01io->b01f",
    )
    assert module_cost(text).kinds["convolution"].flops == 2 * 5 * 7 * 11 * positions


def test_a_tpus_products_are_convolutions_in_name_only() -> None:
    text = entry(
        "%x = f32[16,784]{1,0:T(8,128)} parameter(0)",
        "%k = f32[784,128]{1,0:T(8,128)} parameter(1)",
        "%c = f32[16,128]{1,0:T(8,128)} convolution(%x, %k), dim_labels=bf_io->bf",
        "%q = bf16[4,64,4,16]{3,2,1,0} parameter(2)",
        # A batched product of 4 x 4 pairs of 64 x 16 and 16 x 64.
        "ROOT %s = f32[4,4,64,64]{3,2,1,0} convolution(%q, %q), window={size=4x4 stride=3x3 lhs_dilate=4x4}, "
        'dim_labels=0b1f_0o1i->01bf, metadata={op_name="jit(step)/bqhk,bshk->bhqs/dot_general"}',
    )
    assert module_cost(text).kinds["matmul"].flops == 2 * 16 * 784 * 128 + 2 * 16 * 64 * 64 * 16


def test_text_without_an_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="no ENTRY"):
        parse_module("nothing at all")


def test_types_of_every_width() -> None:
    text = "(pred[8]{0}, u4[8]{0}, f8e4m3fn[8]{0}, bf16[8]{0}, f64[<=8]{0}, c128[], token[])"
    assert [shape.size_bytes for shape in parse_shapes(text)] == [8, 4, 8, 16, 64, 16]


def test_costs_are_of_one_sample_and_samples_are_above_nothing() -> None:
    text = entry("%a = f32[8]{0} parameter(0)", "ROOT %n = f32[8]{0} negate(%a)")
    (found,) = operator_costs(SimpleNamespace(as_text=lambda: text), 4)
    assert (found.flops_per_sample, found.bytes_per_sample, found.calls_per_step) == (2.0, 16.0, 1.0)
    with pytest.raises(ValueError, match="> 0"):
        operator_costs(SimpleNamespace(as_text=lambda: text), 0)


BATCH, LENGTH, WIDTH, HEADS, VOCABULARY, BLOCKS = 4, 64, 64, 4, 256, 2
"""Of the smallest Transformer."""


@pytest.fixture(scope="module")
def transformer(eight_devices: int) -> Any:
    """Return the compiled step of the smallest Transformer on one device."""
    from trainers.data import batches
    from trainers.parallel import parallelise
    from trainers.registry import initial_state, load_task

    task = load_task("tiny_transformer")
    dataset = task.card.dataset(0)
    step = parallelise(task, "jit", 1)
    arguments = step.abstract(initial_state(task, dataset, 0), next(batches(dataset, BATCH, 0)))
    return step.step.lower(*arguments).compile()


def test_products_of_the_transformer_are_six_a_weight_and_token_and_attention(transformer: Any) -> None:
    tokens = BATCH * LENGTH
    weights = BLOCKS * 12 * WIDTH**2 + WIDTH * VOCABULARY
    attention = 12 * BLOCKS * LENGTH**2 * WIDTH * BATCH
    assert module_cost(transformer.as_text()).kinds["matmul"].flops == 6 * weights * tokens + attention


@pytest.mark.slow
def test_the_same_holds_for_the_large_vocabulary(eight_devices: int) -> None:
    from trainers.data import batches
    from trainers.parallel import parallelise
    from trainers.registry import initial_state, load_task

    samples, length, width, blocks, vocabulary = 2, 64, 128, 6, 10_000
    task = load_task("transformer_lm")
    dataset = task.card.dataset(0)
    step = parallelise(task, "jit", 1)
    arguments = step.abstract(initial_state(task, dataset, 0), next(batches(dataset, samples, 0)))
    text = step.step.lower(*arguments).compile().as_text()
    weights = blocks * 12 * width**2 + width * vocabulary
    attention = 12 * blocks * length**2 * width * samples
    assert module_cost(text).kinds["matmul"].flops == 6 * weights * samples * length + attention


def test_totals_are_xlas_own(transformer: Any) -> None:
    analysis, cost = transformer.cost_analysis(), module_cost(transformer.as_text())
    assert cost.flops == pytest.approx(analysis["flops"] + analysis["transcendentals"], rel=1e-6)
    assert cost.size_bytes == pytest.approx(analysis["bytes accessed"], rel=0.02)


def test_a_compiled_loop_of_products_and_a_convolution_and_their_gradients(eight_devices: int) -> None:
    import jax
    import jax.numpy as jnp

    turns, width, side, features = 3, 16, 8, 4

    def loss(kernel: Any, weights: Any, x: Any) -> Any:
        image = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        start = image.reshape(x.shape[0], -1)[:, :width]
        end, _ = jax.lax.scan(lambda carry, each: (jnp.tanh(carry @ each), None), start, weights)
        return (end**2).sum()

    shapes = [(3, 3, 1, features), (turns, width, width), (5, side, side, 1)]
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    compiled: Any = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(*arguments).compile()
    kinds = module_cost(compiled.as_text()).kinds
    # Forward, and gradients by input and by weights, once a turn; XLA's own count has one turn.
    assert kinds["matmul"].flops == 3 * turns * 2 * 5 * width**2
    forward = 2 * 5 * features * (3 * side - 2) ** 2
    assert kinds["convolution"].flops == pytest.approx(2 * forward)
