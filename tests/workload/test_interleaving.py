"""Interleaved pipelines (Narayanan et al. 2021, section 2.2.2): a bubble over v, and v crossings of each boundary."""

from __future__ import annotations

import pytest

from dcsim.spec.parallelism import ParallelismSpec
from dcsim.workload.layouts import layout_of, layout_text
from dcsim.workload.parallel import Layout, bubble_fraction
from dcsim.workload.profile import CollectiveTraffic, DimensionTraffic
from dcsim.workload.step_traffic import step_traffic

STAGES = CollectiveTraffic(
    all_reduce_bytes=0.0,
    all_reduce_count=0,
    parallel=(DimensionTraffic(dimension="pipeline", collective="send_recv", bytes_per_sample=10.0),),
)


def test_chunks_divide_the_bubble_and_multiply_what_stages_hand_over() -> None:
    servers = [(server, 1) for server in range(4)]
    plain = step_traffic(STAGES, Layout(pipeline=4, micro_batches=8), servers, 2)
    chunked = step_traffic(STAGES, Layout(pipeline=4, micro_batches=8, interleaving=3), servers, 2)
    assert (plain.bubble_fraction, chunked.bubble_fraction) == (3 / 8, 3 / 24)
    # Eight samples a replica and step, over three boundaries, both ways.
    assert plain.between_bytes == 8 * 10.0 * 3 * 2
    assert chunked.between_bytes == 3 * plain.between_bytes
    assert (plain.parts[0].messages, chunked.parts[0].messages) == (2 * (8 + 3), 2 * (24 + 3))


def test_a_scenario_and_a_trace_say_it_alike() -> None:
    spec = ParallelismSpec(pipeline=4, micro_batches=8, interleaving=3)
    assert layout_text(spec) == "pipeline=4 micro_batches=8 interleaving=3"
    assert layout_of("pipeline=4 micro_batches=8 interleaving=3") == Layout.of(spec)
    assert bubble_fraction(4, 8, 3) == pytest.approx(1 / 8)
