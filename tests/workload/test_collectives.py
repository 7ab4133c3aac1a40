"""Collectives against published closed forms, and against themselves run rank by rank."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dcsim.workload.collective_cost import Links, choose_algorithm, pattern_time_s
from dcsim.workload.collectives import SWITCH, Algorithm, Collective, Pattern, collective_pattern
from dcsim.workload.double_tree import double_tree, tree_depth
from tests.workload import rank_machine
from tests.workload.rank_machine import RankMachine

M = 6e9
SHARDED: tuple[Collective, ...] = ("all_reduce", "all_gather", "reduce_scatter")
EVERY: tuple[Collective, ...] = (*SHARDED, "all_to_all", "broadcast", "send_recv")
ALL_ALGORITHMS: tuple[Algorithm, ...] = ("ring", "tree", "hierarchical", "in_network")

counts_of_servers = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def pattern(collective: Collective, algorithm: Algorithm, counts: tuple[int, ...], m: float = M) -> Pattern:
    return collective_pattern(collective, algorithm, list(enumerate(counts)), m)


def sent_by_each(found: Pattern, servers: int) -> list[float]:
    return [math.fsum(size for source, _, size in found.transfers if source == i) for i in range(servers)]


def got_by_each(found: Pattern, servers: int) -> list[float]:
    return [math.fsum(size for _, target, size in found.transfers if target == i) for i in range(servers)]


@pytest.mark.parametrize("n", [2, 3, 4, 8, 17])
def test_a_ring_sends_the_least_that_is_possible(n: int) -> None:
    share = (n - 1) / n * M
    for collective, factor in (
        ("all_reduce", 2),
        ("all_gather", 1),
        ("reduce_scatter", 1),
        ("all_to_all", 1),
    ):
        found = pattern(collective, "ring", (1,) * n)  # type: ignore[arg-type]
        assert sent_by_each(found, n) == pytest.approx([factor * share] * n)
        assert got_by_each(found, n) == pytest.approx([factor * share] * n)
        assert found.rounds_between == factor * (n - 1)
        assert found.inside == ()


def test_a_broadcast_brings_the_message_to_every_server_once() -> None:
    for algorithm in ALL_ALGORITHMS:
        found = pattern("broadcast", algorithm, (1, 2, 3))
        assert got_by_each(found, 3) == [0.0, M, M]
        assert found.inside_bytes == 3 * M


def test_send_and_receive() -> None:
    found = pattern("send_recv", "ring", (1, 1))
    assert found.transfers == ((0, 1, M),)
    assert (found.rounds_inside, found.rounds_between) == (0, 1)


@pytest.mark.parametrize("s", [2, 3, 4, 5, 8, 64])
def test_a_tree_sends_twice_the_message_at_most_in_twice_log2_rounds(s: int) -> None:
    found = pattern("all_reduce", "tree", (1,) * s)
    assert math.fsum(sent_by_each(found, s)) == pytest.approx(2 * (s - 1) * M)  # the total of a ring
    assert max(sent_by_each(found, s)) <= 2 * M
    assert max(got_by_each(found, s)) <= 2 * M
    assert found.rounds_between == 2 * math.ceil(math.log2(s))


@pytest.mark.parametrize("n", range(1, 70))
def test_two_trees_span_all_members_and_share_no_inner_one(n: int) -> None:
    inner = []
    for edges in double_tree(n):
        parent = dict(edges)
        assert len(edges) == len(parent) == n - 1
        for member in range(n):
            path = [member]
            while path[-1] in parent:
                path.append(parent[path[-1]])
                assert len(path) <= tree_depth(n) + 1
        assert all(list(parent.values()).count(member) <= 2 for member in range(n))
        inner.append(set(parent.values()))
    assert len(inner[0] & inner[1]) <= n % 2  # with an even number none


@pytest.mark.parametrize(("g", "s"), [(8, 16), (4, 2), (1, 5), (2, 3)])
def test_hierarchical_rings_send_a_share_of_the_message_by_each_device(g: int, s: int) -> None:
    found = pattern("all_reduce", "hierarchical", (g,) * s)
    assert sent_by_each(found, s) == pytest.approx([g * (2 * (s - 1) / s * M / g)] * s)
    assert found.inside_bytes == pytest.approx(s * g * (2 * (g - 1) / g * M))
    assert found.device_bytes == pytest.approx(2 * (g - 1) / g * M)
    assert (found.rounds_inside, found.rounds_between) == (2 * (g - 1), 2 * (s - 1))


def test_switches_take_the_message_once_from_every_server_and_bring_it_once() -> None:
    found = pattern("all_reduce", "in_network", (8, 8, 8))
    assert sent_by_each(found, 3) == got_by_each(found, 3) == [M] * 3
    assert {pair[:2] for pair in found.transfers} == {(i, SWITCH) for i in range(3)} | {
        (SWITCH, i) for i in range(3)
    }
    assert found.busiest_bytes == M


@given(st.sampled_from(EVERY), st.sampled_from(ALL_ALGORITHMS))
def test_one_participant_moves_nothing(collective: Collective, algorithm: Algorithm) -> None:
    assert pattern(collective, algorithm, (1,)) == Pattern((), (), 0.0, 0, 0, sequential=False)


@given(st.sampled_from(EVERY), st.sampled_from(ALL_ALGORITHMS), st.integers(2, 8))
def test_inside_one_server_nothing_crosses(collective: Collective, algorithm: Algorithm, g: int) -> None:
    found = pattern(collective, algorithm, (g,))
    assert found.transfers == ()
    assert found.rounds_between == 0
    assert found.inside_bytes > 0.0


@given(st.sampled_from(["ring", "hierarchical", "in_network"]), counts_of_servers)
def test_an_all_reduce_moves_what_its_two_halves_move(algorithm: Algorithm, counts: tuple[int, ...]) -> None:
    whole, *halves = (pattern(collective, algorithm, counts) for collective in SHARDED)
    assert whole.between_bytes == pytest.approx(sum(half.between_bytes for half in halves))
    assert whole.inside_bytes == pytest.approx(sum(half.inside_bytes for half in halves))
    s = range(len(counts))
    if algorithm != "hierarchical" or len(set(counts)) == 1:
        sums = [sum(size) for size in zip(*(sent_by_each(half, len(s)) for half in halves), strict=True)]
        assert sent_by_each(whole, len(s)) == pytest.approx(sums)


@given(st.sampled_from(SHARDED), st.sampled_from(ALL_ALGORITHMS), counts_of_servers)
def test_servers_get_as_much_as_they_send(
    collective: Collective, algorithm: Algorithm, counts: tuple[int, ...]
) -> None:
    found, s = pattern(collective, algorithm, counts), len(counts)
    assert all(source != target for source, target, _ in found.transfers)
    assert len({pair[:2] for pair in found.transfers}) == len(found.transfers)
    if algorithm != "in_network":  # a switch sends more copies than it gets, or adds up
        assert math.fsum(sent_by_each(found, s)) == pytest.approx(math.fsum(got_by_each(found, s)))
    if collective == "all_reduce" and s > 1:
        # No server can do with less than its part of a ring between servers (Patarasuk, Yuan 2009).
        least = M if algorithm == "in_network" else 2 * (s - 1) / s * M
        assert max(sent_by_each(found, s)) >= least * (1 - 1e-12)


RUNS: dict[Algorithm, Callable[[RankMachine, str], None]] = {
    "ring": rank_machine.ring,
    "tree": lambda machine, _: rank_machine.tree(machine),
    "hierarchical": rank_machine.hierarchical,
    "in_network": lambda machine, collective: rank_machine.hierarchical(machine, collective, in_network=True),
}
CASES = [
    (algorithm, collective)
    for algorithm in ALL_ALGORITHMS
    for collective in (SHARDED if algorithm != "tree" else SHARDED[:1])
]


def check_against(machine: RankMachine, found: Pattern) -> None:
    assert {pair[:2]: pair[2] for pair in found.transfers} == pytest.approx(
        {pair: float(size) for pair, size in machine.between_servers().items()}, rel=1e-12
    )
    assert dict(found.inside) == pytest.approx(
        {server: float(size) for server, size in machine.inside_servers().items()}, rel=1e-12
    )
    assert found.device_bytes == pytest.approx(float(machine.busiest_device()), rel=1e-12)
    assert [found.rounds_inside, found.rounds_between] == machine.rounds


@pytest.mark.parametrize(("algorithm", "collective"), CASES)
@given(counts=counts_of_servers)
@example(counts=(3, 1))
@example(counts=(1, 4, 2, 3))
def test_every_byte_of_a_run_rank_by_rank_is_there(
    algorithm: Algorithm, collective: Collective, counts: tuple[int, ...]
) -> None:
    machine = RankMachine(counts)
    RUNS[algorithm](machine, collective)
    check_against(machine, pattern(collective, algorithm, counts, 1.0))


@given(counts=counts_of_servers)
def test_exchanges_and_broadcasts_rank_by_rank(counts: tuple[int, ...]) -> None:
    for run, collective in ((rank_machine.broadcast, "broadcast"), (rank_machine.all_to_all, "all_to_all")):
        machine = RankMachine(counts)
        run(machine)
        check_against(machine, pattern(collective, "ring", counts, 1.0))  # type: ignore[arg-type]


def test_the_alpha_beta_cost_of_a_ring() -> None:
    # Thakur, Rabenseifner, Gropp 2005: 2 (p - 1) alpha + 2 (p - 1) / p m beta.
    links = Links(1e12, 1e9, 1e-9, 5e-6)
    found = pattern_time_s(pattern("all_reduce", "ring", (1,) * 6, 3e6), links)
    assert found == pytest.approx(2 * 5 * 5e-6 + 2 * 5 / 6 * 3e6 / 1e9)


def test_the_cheapest_algorithm_is_chosen() -> None:
    servers = [(i, 8) for i in range(16)]
    links = Links(300e9, 25e9, 3e-6, 10e-6)
    sizes = (1e3, 1e9)
    for size in sizes:
        times = {
            name: pattern_time_s(collective_pattern("all_reduce", name, servers, size), links)
            for name in ("ring", "tree", "hierarchical")
        }
        chosen = choose_algorithm("all_reduce", servers, size, links)
        assert times[chosen] == min(times.values())
    assert choose_algorithm("all_reduce", servers, 1e3, links) == "tree"
    assert choose_algorithm("all_gather", servers, 1e9, links) == "hierarchical"
    assert choose_algorithm("all_to_all", servers, 1e9, links) == "ring"  # of equals the first
    switches = Links(300e9, 25e9, 3e-6, 10e-6, switch_reduction=True)
    assert choose_algorithm("all_reduce", servers, 1e9, switches) == "in_network"


@pytest.mark.parametrize(
    ("placement", "size"),
    [
        ([], 1.0),
        ([(0, 1), (0, 2)], 1.0),
        ([(0, 0)], 1.0),
        ([(-1, 2)], 1.0),
        ([(0, 1)], -1.0),
        ([(0, 1)], math.nan),
    ],
)
def test_what_makes_no_sense_is_refused(placement: list[tuple[int, int]], size: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        collective_pattern("all_reduce", "ring", placement, size)
