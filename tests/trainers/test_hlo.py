"""Collectives are read from compiled text as XLA prints it, synchronous or not, joined or not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trainers.hlo import (
    Collective,
    CollectiveCall,
    collective_calls,
    collective_kinds,
    collectives,
    step_cost,
)


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


LOOP = """HloModule jit_step, is_scheduled=true

%body.1 (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %state = (s32[], f32[8]{0}) parameter(0)
  %value = f32[8]{0} get-tuple-element(%state), index=1
  %sum = f32[8]{0} all-reduce(%value), replica_groups={{0,1},{2,3}}, to_apply=%add
  ROOT %next = (s32[], f32[8]{0}) tuple(%value, %sum)
}

%condition.1 (state: (s32[], f32[8])) -> pred[] {
  ROOT %state.1 = (s32[], f32[8]{0}) parameter(0)
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = (s32[], f32[8]{0}) parameter(0)
  %loop = (s32[], f32[8]{0}) while(%x), condition=%condition.1, body=%body.1, backend_config={TRIPS}
  ROOT %out = f32[8]{0} get-tuple-element(%loop), index=1
}
"""


@pytest.mark.parametrize(("trips", "times"), [('"known_trip_count":{"n":"5"}', 5), ('"other":{}', 1)])
def test_what_is_in_a_loop_counts_once_a_turn_where_the_turns_are_known(trips: str, times: int) -> None:
    text = LOOP.replace("TRIPS", "{" + trips + "}")
    assert collectives(text) == {"all-reduce": Collective(times, times * 32)}
    assert collective_calls(text) == (CollectiveCall("all-reduce", 32, times, 2),)


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("replica_groups={{0,1,2,3}}", 4),
        ("replica_groups={{0,1},{2,3}}", 2),
        ("replica_groups={}", None),
        ("channel_id=1", None),
        ("replica_groups=[2,4]<=[8]", 4),
        ("replica_groups=[4,2]<=[2,4]T(1,0)", 2),
        ("replica_groups=mesh['data'=4,'tensor'=2] {'data'}, use_global_device_ids=true", 4),
        ("replica_groups=mesh['data'=4,'tensor'=2] {'data','tensor'}", 8),
        ("replica_groups=mesh['data'=8] {'data':(1)2}", 2),
    ],
)
def test_size_of_the_groups_that_reduce_together(groups: str, size: int | None) -> None:
    (call,) = collective_calls(f"%r = f32[4]{{0}} all-reduce(%x), {groups}, to_apply=%add")
    assert call.group_size == size


@pytest.mark.parametrize(
    "groups",
    [
        "replica_groups={{0},{1}}",
        "replica_groups=[8,1]<=[8]",
        "replica_groups=mesh['data'=4,'tensor'=1] {'tensor'}",
    ],
)
def test_devices_alone_in_their_group_send_nothing(groups: str) -> None:
    assert collectives(f"%r = f32[4]{{0}} all-reduce(%x), {groups}") == {}


def test_starts_that_return_their_operands_count_their_results() -> None:
    text = """
      %g = (f32[4]{0}, f32[16]{0}) all-gather-start(%x), dimensions={0}
      %h = f32[16]{0} all-gather-done(%g)
      %p = (f32[4]{0}, f32[4]{0}, u32[], u32[]) collective-permute-start(%y), source_target_pairs={{0,1},{1,0}}
      %q = f32[4]{0} collective-permute-done(%p)
    """
    assert collectives(text) == {"all-gather": Collective(1, 64), "collective-permute": Collective(1, 16)}


def test_collectives_are_named_as_cost_profiles_name_them() -> None:
    text = "%a = f32[4]{0} all-reduce(%x)\n%p = f32[2]{0} collective-permute(%y), source_target_pairs={{0,1}}"
    found = collective_kinds(SimpleNamespace(as_text=lambda: text), 2, "pipeline")
    assert [(each.kind, each.count, each.size_bytes) for each in found] == [
        ("all_reduce", 1, 16),
        ("send_recv", 1, 8),
    ]
    assert {(each.devices, each.mode) for each in found} == {(2, "pipeline")}
