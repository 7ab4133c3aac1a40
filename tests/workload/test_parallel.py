"""Layouts and the traffic of a step against hand-made cases, published formulas and loops over all ranks."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.workload.collective_cost import AlgorithmChoice, Links, pattern_time_s
from dcsim.workload.collectives import Collective
from dcsim.workload.overlap import exposed_communication_s
from dcsim.workload.parallel import Dimension, Layout, bubble_fraction, rank_groups
from dcsim.workload.profile import CollectiveTraffic, DimensionTraffic
from dcsim.workload.step_traffic import DimensionStep, StepTraffic, step_traffic
from dcsim.workload.transformer_traffic import TransformerShape, transformer_traffic

# GPT-3 with 175 billion parameters (Brown et al. 2020, table 2.1), activations of 2 bytes, gradients of 4.
GPT3 = TransformerShape(layers=96, hidden=12_288, sequence=2_048)
GPT3_TRAFFIC = CollectiveTraffic(
    all_reduce_bytes=4 * 175e9, all_reduce_count=1, parallel=transformer_traffic(GPT3)
)
SIXTEEN = [(server, 8) for server in range(16)]
PLANE = 2_048 * 12_288 * 2.0  # s h values of 2 bytes


def part(traffic: StepTraffic, dimension: Dimension, collective: Collective = "all_reduce") -> DimensionStep:
    (found,) = (p for p in traffic.parts if (p.dimension, p.collective) == (dimension, collective))
    return found


def test_ranks_are_laid_out_as_megatron_does() -> None:
    # Megatron Core's own example: 16 GPUs, tensor 2, pipeline 4: tensor groups [g0, g1], ...,
    # data groups [g0, g2], [g1, g3], [g4, g6], ..., pipelines [g0, g4, g8, g12], ...
    layout = Layout(tensor=2, pipeline=4)
    assert rank_groups("tensor", layout, 16).tolist() == [[2 * i, 2 * i + 1] for i in range(8)]
    data = [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9, 11], [12, 14], [13, 15]]
    assert rank_groups("data", layout, 16).tolist() == data
    assert rank_groups("pipeline", layout, 16).tolist() == [[i, 4 + i, 8 + i, 12 + i] for i in range(4)]


def test_experts_lie_inside_data_parallelism_and_context_beside_it() -> None:
    layout = Layout(tensor=2, context=2, expert=2)
    assert rank_groups("context", layout, 16).tolist()[:2] == [[0, 2], [1, 3]]
    assert rank_groups("expert", layout, 16).tolist()[:2] == [[0, 4], [1, 5]]
    assert rank_groups("expert_data", layout, 16).tolist()[0] == [0, 2, 8, 10]
    assert rank_groups("data", layout, 16).tolist()[0] == list(range(0, 16, 2))


def test_gpt3_on_sixteen_servers() -> None:
    # t = 8 fills a server; rank = t + 8 (d + 2 p): server k holds stage k // 2 of replica k % 2.
    traffic = step_traffic(GPT3_TRAFFIC, Layout(8, 8, micro_batches=32), SIXTEEN, 1)
    samples = 64  # one for each of the 64 devices of a replica
    tensor, pipeline, data = (
        part(traffic, "tensor"),
        part(traffic, "pipeline", "send_recv"),
        part(traffic, "data"),
    )
    # Tensor: 12 layers a stage, 4 all-reduces of samples s h each, sends 2 (7 / 8) of it by each of 8 devices.
    assert tensor.pattern.transfers == ()
    each = 12 * 4 * samples * PLANE * 2 * 7 / 8
    assert tensor.pattern.device_bytes == pytest.approx(each)
    assert dict(tensor.pattern.inside) == pytest.approx(dict.fromkeys(range(16), 8 * each))
    assert tensor.messages == 4 * 96 * 32 // 8
    # Pipeline: samples s h cross from server k to k + 2, and as much comes back.
    assert {pair[:2]: pair[2] for pair in pipeline.pattern.transfers} == pytest.approx(
        {pair: samples * PLANE for k in range(14) for pair in ((k, k + 2), (k + 2, k))}
    )
    assert pipeline.messages == 2 * (32 + 7)
    # Data: 8 groups of two, each with 1 / 64 of the gradients, 2 (1 / 2) of it each way.
    assert {pair[:2]: pair[2] for pair in data.pattern.transfers} == pytest.approx(
        {pair: 8 * 4 * 175e9 / 64 for k in range(0, 16, 2) for pair in ((k, k + 1), (k + 1, k))}
    )
    assert traffic.bubble_fraction == pytest.approx(7 / 32)
    assert traffic.between_bytes == pytest.approx(28 * samples * PLANE + 16 * 4 * 175e9 / 8)
    assert traffic.inside_bytes == pytest.approx(16 * 8 * each)
    assert math.fsum(size for *_, size in traffic.transfers) == pytest.approx(traffic.between_bytes)
    assert math.fsum(size for _, size in traffic.inside) == pytest.approx(traffic.inside_bytes)


@pytest.mark.parametrize("t", [2, 4, 8])
def test_tensor_parallelism_moves_what_narayanan_et_al_say(t: int) -> None:
    # Section 3.2: l_stage 8 b s h (t - 1) / t values for each device and micro-batch; between stages b s h.
    traffic = step_traffic(GPT3_TRAFFIC, Layout(t, 2), [(0, 2 * t)], 3)
    b = 3 * 2 * t
    assert part(traffic, "tensor").pattern.device_bytes == pytest.approx(48 * 8 * b * PLANE * (t - 1) / t)
    assert part(traffic, "pipeline", "send_recv").pattern.inside_bytes == pytest.approx(2 * b * PLANE)


def test_sequence_parallelism_moves_the_same_bytes() -> None:
    split = CollectiveTraffic(
        all_reduce_bytes=1.0, all_reduce_count=1, parallel=transformer_traffic(GPT3, sequence_parallel=True)
    )
    whole, halves = (step_traffic(costs, Layout(4), [(0, 2), (1, 2)], 1) for costs in (GPT3_TRAFFIC, split))
    kinds: tuple[Collective, ...] = ("all_gather", "reduce_scatter")
    sizes = [part(halves, "tensor", kind).pattern.between_bytes for kind in kinds]
    assert sizes[0] == sizes[1] > 0.0
    assert sum(sizes) == pytest.approx(part(whole, "tensor").pattern.between_bytes)


@pytest.mark.parametrize(("stage", "factor"), [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.5)])
def test_a_sharded_optimizer_moves_what_rajbhandari_et_al_say(stage: int, factor: float) -> None:
    # Section 7: twice the parameters with stages 0 to 2, three times with stage 3.
    traffic = step_traffic(8e9, Layout(zero_stage=stage), [(i, 1) for i in range(16)], 1)
    assert traffic.between_bytes / 16 == pytest.approx(factor * 2 * 15 / 16 * 8e9)


def test_micro_batches_scatter_gradients_and_gather_parameters_again() -> None:
    servers = [(0, 1), (1, 1)]
    one, four = (step_traffic(8e9, Layout(micro_batches=m, zero_stage=3), servers, 1) for m in (1, 4))
    assert four.between_bytes == pytest.approx(4 * one.between_bytes)
    two = step_traffic(8e9, Layout(micro_batches=4, zero_stage=2), servers, 1)
    assert two.between_bytes == pytest.approx(2 * 8e9 * (4 + 1) / 2)


def test_keys_and_values_go_round_the_ring() -> None:
    # Ring attention with grouped queries: C - 1 passes of 1 / C of keys and values, once forward and
    # once back with their gradients.
    shape = TransformerShape(layers=2, hidden=64, sequence=128, key_value_hidden=16)
    costs = CollectiveTraffic(all_reduce_bytes=0.0, all_reduce_count=0, parallel=transformer_traffic(shape))
    traffic = step_traffic(costs, Layout(context=4), [(i, 1) for i in range(4)], 1)
    found = part(traffic, "context", "all_gather")
    block = 4 * (128 / 4) * (2 * 16) * 2  # 4 samples, 2 bytes a value
    assert found.pattern.transfers == tuple((i, (i + 1) % 4, 2 * 3 * 3 * block) for i in range(4))
    assert found.pattern.rounds_between == 2 * 3 * 3


def test_tokens_go_to_their_experts_and_back() -> None:
    shape = TransformerShape(
        layers=4, hidden=8, sequence=16, expert_layers=2, experts_per_token=2, expert_gradient_bytes=480.0
    )
    costs = CollectiveTraffic(all_reduce_bytes=0.0, all_reduce_count=0, parallel=transformer_traffic(shape))
    traffic = step_traffic(costs, Layout(expert=4), [(i, 1) for i in range(8)], 5)
    tokens = part(traffic, "expert", "all_to_all")
    mine = 5 * 16 * 2 * (8 * 2.0)  # every token twice, 8 values of 2 bytes
    assert len(tokens.pattern.transfers) == 2 * 4 * 3  # two groups of four
    assert {size for *_, size in tokens.pattern.transfers} == {2 * 4 * mine / 4}
    assert part(traffic, "expert_data").pattern.transfers[0] == (0, 4, 480.0 / 4)  # 2 (1 / 2) of a quarter


def test_a_profile_without_parallel_entries_is_data_parallel_as_ever() -> None:
    costs = CollectiveTraffic(all_reduce_bytes=400_004.0, all_reduce_count=1)
    for servers in (2, 3, 7):
        traffic = step_traffic(costs, Layout(), [(i, 1) for i in range(servers)], 32)
        (only,) = traffic.parts
        assert only.overlap_fraction == 0.0
        assert traffic.transfers[0][2] == pytest.approx(2 * (servers - 1) / servers * 400_004.0)
    assert step_traffic(costs, Layout(), [(4, 1)], 32).parts == ()


def every_rank(layout: Layout, counts: list[int], sizes: dict[str, float]) -> dict[tuple[int, int], float]:
    """Bytes between servers, with a ring in every group and no group found by an array operation."""
    t, p, c, e = layout[:4]
    n = sum(counts)
    d = n // (t * p * c)
    server = [i for i, g in enumerate(counts) for _ in range(g)]
    where = {
        (a, b, x, y, z): a + t * (b + c * (x + e * (y + d // e * z)))
        for a, b, x, y, z in product(range(t), range(c), range(e), range(d // e), range(p))
    }
    free = {"data": (1, 2, 3), "tensor": (0,), "context": (1,), "expert_data": (1, 3)}
    found: dict[tuple[int, int], float] = defaultdict(float)
    for dimension, axes in free.items():
        groups = defaultdict(list)
        for place, rank in sorted(where.items(), key=lambda item: item[1]):
            groups[tuple(v for i, v in enumerate(place) if i not in axes)].append(rank)
        for ranks in groups.values():
            k = len(ranks)
            for i in range(k if k > 1 else 0):
                pair = server[ranks[i]], server[ranks[(i + 1) % k]]
                found[pair] += 2 * (k - 1) / k * sizes[dimension]
    for (a, b, x, y, z), rank in where.items():
        if z + 1 < p:
            pair = server[rank], server[where[a, b, x, y, z + 1]]
            found[pair] += sizes["pipeline"]
            found[pair[::-1]] += sizes["pipeline"]
        for other in range(e):
            if other != x:
                found[server[rank], server[where[a, b, other, y, z]]] += sizes["expert"] / e
    return found


@given(
    degrees=st.tuples(*[st.integers(1, 3)] * 4),
    replicas=st.integers(1, 3),
    weights=st.lists(st.integers(1, 5), min_size=1, max_size=6),
)
def test_every_group_of_every_rank_is_counted(
    degrees: tuple[int, int, int, int], replicas: int, weights: list[int]
) -> None:
    layout = Layout(*degrees)
    devices = layout.model * layout.expert * replicas
    counts, left = [], devices
    for weight in weights:
        counts.append(min(weight, left))
        left -= counts[-1]
    counts = [g for g in [*counts, left] if g]
    whole = dict(
        zip(
            ("data", "tensor", "pipeline", "context", "expert", "expert_data"),
            (7, 11, 13, 17, 19, 23),
            strict=True,
        )
    )
    entries = [
        DimensionTraffic(
            dimension=name,
            collective={"pipeline": "send_recv", "expert": "all_to_all"}.get(name, "all_reduce"),
            bytes_per_step=size,
        )
        for name, size in whole.items()
        if name != "data"
    ]
    costs = CollectiveTraffic(all_reduce_bytes=7, all_reduce_count=1, parallel=tuple(entries))
    traffic = step_traffic(costs, layout, list(enumerate(counts)), 1)
    t, p, c, e = layout[:4]
    divisor = {
        "data": t * p,
        "tensor": p * c,
        "pipeline": t * c,
        "context": t * p,
        "expert": t * p * c,
        "expert_data": t * p * e,
    }
    expected = every_rank(layout, counts, {name: size / divisor[name] for name, size in whole.items()})
    between = {pair: size for pair, size in expected.items() if pair[0] != pair[1]}
    inside: dict[int, float] = defaultdict(float)
    for (source, target), size in expected.items():
        if source == target:
            inside[source] += size
    assert {pair[:2]: pair[2] for pair in traffic.transfers} == pytest.approx(between)
    assert dict(traffic.inside) == pytest.approx(dict(inside))


def test_gangs_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match=r"6 devices -> expected a multiple of .* = 4"):
        step_traffic(1.0, Layout(tensor=4), [(0, 6)], 1)
    with pytest.raises(ValueError, match="data-parallel degree 3 -> expected a multiple of expert = 2"):
        step_traffic(1.0, Layout(expert=2), [(0, 3)], 1)
    with pytest.raises(ValueError, match="batch_per_accelerator 0"):
        step_traffic(1.0, Layout(), [(0, 3)], 0)
    with pytest.raises(ValueError, match="auto"):
        step_traffic(1.0, Layout(), [(0, 3)], 1, "auto")


def test_auto_takes_the_least_time_for_each_dimension() -> None:
    links = Links(300e9, 50e9, 2e-6, 10e-6)
    layout = Layout(8, 2, micro_batches=4)
    names: tuple[AlgorithmChoice, ...] = ("ring", "tree", "hierarchical")
    found = [step_traffic(GPT3_TRAFFIC, layout, SIXTEEN, 1, name, links) for name in (*names, "auto")]
    for i, chosen in enumerate(found[-1].parts):
        times = [pattern_time_s(traffic.parts[i].pattern, links) for traffic in found]
        assert times[-1] == min(times)
        assert chosen.algorithm in names
    assert found[-1].communication_s(links) <= min(traffic.communication_s(links) for traffic in found)


def test_the_bubble_of_a_pipeline() -> None:
    assert bubble_fraction(1, 8) == 0.0
    assert bubble_fraction(8, 8) == pytest.approx(7 / 8)


times_and_fractions = st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1)), max_size=5)


@given(parts=times_and_fractions, compute_s=st.floats(0, 1e3))
def test_a_step_lasts_as_long_as_the_longer_and_no_longer_than_both(
    parts: list[tuple[float, float]], compute_s: float
) -> None:
    communication_s = math.fsum(time_s for time_s, _ in parts)
    step_s = compute_s + exposed_communication_s(parts, compute_s)
    slip = 1e-9 * (compute_s + communication_s)
    assert max(compute_s, communication_s) - slip <= step_s <= compute_s + communication_s + slip


@given(time_s=st.floats(0, 1e3), fraction=st.floats(0, 1), compute_s=st.floats(0, 1e3))
def test_a_single_part_hides_behind_its_fraction(time_s: float, fraction: float, compute_s: float) -> None:
    expected = max(0.0, time_s - fraction * compute_s)
    assert exposed_communication_s([(time_s, fraction)], compute_s) == pytest.approx(expected, abs=1e-9)


def test_exposed_time_of_a_step() -> None:
    costs = CollectiveTraffic(all_reduce_bytes=10e9, all_reduce_count=1, overlap_fraction=0.5)
    traffic = step_traffic(costs, Layout(), [(0, 1), (1, 1)], 1)
    links = Links(1e9, 5e9)
    assert traffic.communication_s(links) == pytest.approx(2.0)
    assert traffic.exposed_s(links, 1.0) == pytest.approx(1.5)
    assert traffic.exposed_s(links, 8.0) == 0.0
