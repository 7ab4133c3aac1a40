"""The power tree: sums, ratings, and energies at each node against an integrator that steps event by event."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dcsim.facility.power import build_chain, chain_losses_w
from dcsim.facility.power_tree import PowerTree, RackLog, build_power_tree, tree_energies
from dcsim.spec.power import PowerChainSpec
from dcsim.spec.power_tree import PowerTreeSpec, power_tree_issues

GROUPS = [("a", 4), ("b", 2)]
STAGES = [
    {
        "name": "rectifier",
        "loss_constant": 0.01,
        "loss_linear": 0.03,
        "loss_quadratic": 0.02,
        "level": "rack",
    },
    {"name": "pdu", "loss_constant": 0.004, "loss_quadratic": 0.03, "level": "pdu"},
    {"name": "ups", "loss_constant": 0.02, "loss_quadratic": 0.02},
]
PEAK_W = 600.0
"""Of all six racks, alike."""


def _spec(**fields: object) -> PowerTreeSpec:
    pdus = [{"name": "p", "count": 2, "racks": ["a"]}, {"name": "q", "racks": ["b-0", "b-1"]}]
    return PowerTreeSpec.model_validate({"pdus": pdus, **fields})


def _tree(other_w: float = 0.0, **fields: object) -> PowerTree:
    chain = build_chain(PowerChainSpec.model_validate({"stages": STAGES}), PEAK_W, 0.0)
    return build_power_tree(_spec(**fields), GROUPS, chain, other_w=other_w)


def test_nodes_and_who_feeds_them() -> None:
    tree = _tree()
    assert tree.names == ("a-0", "a-1", "a-2", "a-3", "b-0", "b-1", "p-0", "p-1", "q", "hall")
    assert tree.parent == (6, 6, 7, 7, 8, 8, 9, 9, 9, -1)
    assert tree.racks == 6


def test_evenly_loaded_nodes_lose_what_the_chain_says() -> None:
    chain = build_chain(PowerChainSpec.model_validate({"stages": STAGES}), PEAK_W, 0.0)
    tree = build_power_tree(_spec(), GROUPS, chain)
    for rack in range(6):
        tree.set_rack(rack, 70.0)
    in_chain = chain_losses_w(chain, 6 * 70.0)
    assert tree.power_w[-1] == pytest.approx(float(in_chain[2][0]), rel=1e-12)
    lost = tree.input_w - tree.power_w
    assert lost[:6].sum() == pytest.approx(float(in_chain[0][1]), rel=1e-12)
    assert lost[6:9].sum() == pytest.approx(float(in_chain[1][1]), rel=1e-12)
    # The same power on half of the racks loses more: the quadratic part grows.
    for rack in range(6):
        tree.set_rack(rack, 140.0 * (rack % 2))
    assert tree.power_w[-1] > float(in_chain[2][0])


def test_crossings_are_told_once_and_only_as_they_stand_at_the_end_of_an_instant() -> None:
    tree = build_power_tree(_spec(rack_breaker_w=100.0, hall_rated_power_w=300.0), GROUPS)
    tree.set_rack(0, 80.0)
    assert tree.crossings() == []  # at the rating is not over it
    tree.set_rack(0, 95.0)
    tree.set_rack(0, 60.0)
    assert tree.crossings() == []
    tree.set_rack(0, 81.0)
    assert tree.crossings() == [(0, 81.0, 80.0, True)]
    tree.set_rack(0, 90.0)
    assert tree.crossings() == []
    for rack in range(1, 6):
        tree.set_rack(rack, 50.0)
    assert tree.crossings() == [(9, 340.0, 300.0, True)]
    tree.set_rack(0, 0.0)
    assert tree.crossings() == [(0, 0.0, 80.0, False), (9, 250.0, 300.0, False)]


def test_a_breaker_carries_the_losses_inside_its_rack() -> None:
    tree = _tree(rack_breaker_w=100.0, continuous_fraction=1.0)
    tree.set_rack(0, 97.0)
    ((node, power_w, rating_w, began),) = tree.crossings()
    assert (node, rating_w, began) == (0, 100.0, True)
    assert power_w == tree.input_w[0] > 100.0


def test_budgets_are_those_given_or_the_ratings() -> None:
    pdus = [
        {"name": "p", "racks": ["a"], "rated_power_w": 500.0, "budget_w": 400.0},
        {"name": "q", "racks": ["b"]},
    ]
    spec = PowerTreeSpec.model_validate({"pdus": pdus, "rack_breaker_w": 200.0, "rack_budget_w": 120.0})
    tree = build_power_tree(spec, GROUPS, hall_budget_w=550.0)
    assert tree.rating_w.tolist() == [160.0] * 6 + [500.0, math.inf, math.inf]
    assert tree.budget_w.tolist() == [120.0] * 6 + [400.0, math.inf, 550.0]
    for rack in range(6):
        tree.set_rack(rack, 110.0)
    assert tree.over_budget().tolist() == [6, 8]


def test_many_changes_do_not_drift() -> None:
    tree = build_power_tree(_spec(), GROUPS)
    draws = np.random.default_rng(1)
    for rack, power_w in zip(
        draws.integers(0, 6, 70_000).tolist(), draws.uniform(0, 1e5, 70_000).tolist(), strict=True
    ):
        tree.set_rack(rack, power_w)
    for rack in range(6):
        tree.set_rack(rack, 0.1)
    assert tree.power_w[-1] == pytest.approx(0.6, abs=1e-6)
    assert tree.power_w[:6].tolist() == [0.1] * 6


logs = st.lists(
    st.tuples(st.floats(0.0, 1_000.0), st.integers(0, 5), st.floats(0.0, 200.0)), max_size=40
).map(lambda rows: sorted(rows, key=lambda row: row[0]))


@given(rows=logs, other_w=st.floats(0.0, 50.0))
def test_energy_is_conserved_at_each_node_and_that_of_an_event_by_event_integrator(
    rows: list[tuple[float, int, float]], other_w: float
) -> None:
    tree, end_s = _tree(other_w=other_w), 1_000.0
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    log = RackLog(
        np.array(columns[0], dtype=float),
        np.array(columns[1], dtype=int),
        np.array(columns[2], dtype=float),
        end_s,
    )
    found = tree_energies(tree, log)
    scale = 1e-9 * max(float(found.in_j.max()), 1.0)
    np.testing.assert_allclose(found.in_j, found.out_j + found.loss_j, rtol=1e-9, atol=scale)
    for node in range(tree.racks, len(tree.names)):
        fed = sum(float(found.in_j[child]) for child, above in enumerate(tree.parent) if above == node)
        fed += other_w * end_s if node == len(tree.names) - 1 else 0.0
        assert float(found.out_j[node]) == pytest.approx(fed, rel=1e-9, abs=scale)
    out_j, in_j, now_s = np.zeros(len(tree.names)), np.zeros(len(tree.names)), 0.0
    for time_s, rack, power_w in [*rows, (end_s, 0, 0.0)]:
        out_j += tree.power_w * (time_s - now_s)
        in_j += tree.input_w * (time_s - now_s)
        tree.set_rack(rack, power_w)
        now_s = time_s
    np.testing.assert_allclose(found.out_j, out_j, rtol=1e-9, atol=scale)
    np.testing.assert_allclose(found.in_j, in_j, rtol=1e-9, atol=scale)
    lasts_s = np.diff(np.append(found.time_s, end_s))
    lost_j = float(np.sum(found.loss_w * lasts_s))
    assert lost_j == pytest.approx(float(found.loss_j[:-1].sum()), rel=1e-9, abs=scale)


def test_a_hall_without_pdus_feeds_its_racks() -> None:
    tree = build_power_tree(PowerTreeSpec(), [("a", 2)])
    tree.set_rack(1, 5.0)
    assert tree.parent == (2, 2, -1)
    log = RackLog(np.array([0.0]), np.array([1]), np.array([5.0]), 10.0)
    assert tree_energies(tree, log).out_j.tolist() == [0.0, 50.0, 50.0]


@pytest.mark.parametrize(
    ("said", "where", "got", "expected"),
    [
        ({"pdus": [{"name": "p", "racks": ["a", "c"]}]}, "pdus.0.racks.1", "'c'", "a rack of"),
        ({"pdus": [{"name": "p", "racks": ["a"]}]}, "pdus", "no PDU for b-0, b-1", "every rack"),
        (
            {"pdus": [{"name": "p", "racks": ["a", "b"]}, {"name": "q", "racks": ["a-1"]}]},
            "pdus.1.racks.0",
            "'a-1'",
            "'p' does not feed already",
        ),
        ({"pdus": [{"name": "p", "count": 7, "racks": ["a", "b"]}]}, "pdus.0.count", "7 PDUs", "its 6 racks"),
        ({"rack_breaker_w": 120}, "rack_breaker_w", "120 W", "125 W"),
        ({"rack_budget_w": 99}, "rack_budget_w", "99 W", "100 W"),
        ({"hall_rated_power_w": 500}, "hall_rated_power_w", "500 W", "600 W"),
        ({"server_breaker_w": 99}, "server_breaker_w", "99 W", "100 W"),
        (
            {"pdus": [{"name": "p", "racks": ["a", "b"], "rated_power_w": 599}]},
            "pdus.0.rated_power_w",
            "599 W",
            "600 W",
        ),
    ],
)
def test_trees_that_cannot_be_are_refused_with_their_cure(
    said: dict[str, object], where: str, got: str, expected: str
) -> None:
    tree = PowerTreeSpec.model_validate(said)
    (issue,) = power_tree_issues(tree, GROUPS, [100.0] * 6, {"a": 80.0})
    assert ".".join(map(str, issue.at)) == where
    assert got in issue.got
    assert expected in issue.expected
    assert issue.hint


def test_a_tree_that_fits_has_no_issues() -> None:
    assert power_tree_issues(_spec(rack_breaker_w=125.0), GROUPS, [100.0] * 6, {"a": 80.0}) == ()


def test_two_pdus_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="a PDU name of its own"):
        PowerTreeSpec.model_validate({"pdus": [{"name": "p", "racks": ["a"]}, {"name": "P", "racks": ["b"]}]})
