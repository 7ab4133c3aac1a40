"""Collectives are read from compiled text as XLA prints it, synchronous or not, joined or not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trainers.hlo import Collective, collectives, step_cost


@pytest.mark.parametrize(
    ("line", "size_bytes"),
    [
        ("%ar = f32[] all-reduce(%x), replica_groups={{0,1}}", 4),
        ("ROOT %ar = f32[10,4]{1,0} all-reduce(%x), to_apply=%add", 160),
        ("%ar = (f32[784,128]{1,0}, f32[128]{0}, f32[]) all-reduce(%a, %b, %c)", 4 * (784 * 128 + 128 + 1)),
        ("%ar = bf16[8,2]{1,0:T(8,128)(2,1)S(1)} all-reduce(%x)", 32),
        ("%ar = (s8[3]{0}, pred[5]{0}, f64[2]{0}, c128[1]{0}) all-reduce(%a, %b, %c, %d)", 3 + 5 + 16 + 16),
        ("%ar = u4[10]{0} all-reduce(%x)", 5),
        ("%ar = f8e4m3fn[7]{0} all-reduce(%x)", 7),
        ("%ar = f32[4,0]{1,0} all-reduce(%x)", 0),
    ],
)
def test_size_of_one_all_reduce(line: str, size_bytes: float) -> None:
    assert collectives(line) == {"all-reduce": Collective(1, size_bytes)}


def test_an_asynchronous_pair_counts_once() -> None:
    text = """
      %s = (f32[4]{0}, f32[2]{0}) all-reduce-start(%a, %b), channel_id=1
      %d = (f32[4]{0}, f32[2]{0}) all-reduce-done(%s)
    """
    assert collectives(text) == {"all-reduce": Collective(1, 24)}


def test_users_of_a_result_and_names_do_not_count() -> None:
    text = """
      %all-reduce.3 = f32[4]{0} all-reduce(%dot), metadata={op_name="jit(step)/all-reduce"}
      %copy = f32[4]{0} copy(%all-reduce.3)
      %gte = f32[] get-tuple-element(%all-reduce), index=2
    """
    assert collectives(text) == {"all-reduce": Collective(1, 16)}


def test_kinds_are_kept_apart_and_summed() -> None:
    text = """
      %a = f32[4]{0} all-reduce(%x)
      %b = f32[6]{0} all-reduce(%y)
      %c = f32[8]{0} all-gather(%z), dimensions={0}
    """
    assert collectives(text) == {"all-reduce": Collective(2, 40), "all-gather": Collective(1, 32)}


def test_no_collectives_cost_nothing_and_aliased_outputs_are_not_counted_twice() -> None:
    memory = SimpleNamespace(
        argument_size_in_bytes=100, output_size_in_bytes=60, alias_size_in_bytes=56, temp_size_in_bytes=7
    )
    compiled = SimpleNamespace(
        cost_analysis=lambda: [{"flops": 5.0, "bytes accessed": 9.0}],
        memory_analysis=lambda: memory,
        as_text=lambda: "%x = f32[4]{0} add(%a, %b)",
    )
    cost = step_cost(compiled)
    assert (cost.flops, cost.bytes_accessed, cost.memory_bytes) == (5.0, 9.0, 111.0)
    assert cost.all_reduce == Collective(0, 0.0)


def test_a_backend_without_memory_analysis_says_so() -> None:
    compiled = SimpleNamespace(cost_analysis=dict, memory_analysis=lambda: None)
    with pytest.raises(RuntimeError, match="does not report"):
        step_cost(compiled)
