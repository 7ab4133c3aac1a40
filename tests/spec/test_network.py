"""What a scenario may say of the network: what goes with which topology, and how the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dcsim.spec import load_scenario, plausibility
from dcsim.spec.check import check_scenario
from dcsim.spec.network import TOPOLOGIES, NetworkSpec

GROUPS: dict[str, dict[str, Any]] = {
    "star": {},
    "fat_tree": {},
    "k_ary_fat_tree": {"k_ary": {"k": 4}},
    "rail_optimised": {},
    "dragonfly": {"dragonfly": {"groups": 9, "routers_per_group": 4, "servers_per_router": 2}},
    "torus": {"torus": {"shape": (4, 4)}},
    "graph": {"graph": "network.json"},
}


def test_old_scenarios_mean_what_they_meant() -> None:
    spec = NetworkSpec()
    assert (spec.topology, spec.server_bandwidth_bytes_per_s, spec.oversubscription) == (
        "fat_tree",
        50e9,
        1.0,
    )
    assert (spec.latency_s, spec.switch_power_w, spec.route) == (5e-6, 600.0, "spread")
    assert (spec.contention, spec.traffic, spec.events) == (True, "fluid", ())


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_topology_has_a_routing_and_takes_any(topology: str) -> None:
    spec = NetworkSpec(topology=topology, **GROUPS[topology])
    assert spec.routing is None
    assert spec.route in {"shortest", "ecmp", "spread"}
    for routing in ("shortest", "ecmp", "spread"):
        assert NetworkSpec(topology=topology, routing=routing, **GROUPS[topology]).route == routing


@pytest.mark.parametrize("name", ["k_ary", "rails", "dragonfly", "torus", "graph"])
def test_a_group_goes_with_its_topology_only(name: str) -> None:
    owner = "rail_optimised" if name == "rails" else next(t for t in TOPOLOGIES if name in GROUPS[t])
    group = {"rails": {}} | {key: value for groups in GROUPS.values() for key, value in groups.items()}
    for topology in TOPOLOGIES:
        given = GROUPS[topology] | {name: group[name]}
        if topology == owner:
            NetworkSpec(topology=topology, **given)
            continue
        with pytest.raises(
            ValidationError, match=f"nothing with topology: {topology}, write `topology: {owner}`"
        ):
            NetworkSpec(topology=topology, **given)


@pytest.mark.parametrize("topology", ["k_ary_fat_tree", "dragonfly", "torus", "graph"])
def test_a_topology_says_what_it_needs(topology: str) -> None:
    with pytest.raises(ValidationError, match=rf"missing -> expected what {topology} needs, add `\w+: "):
        NetworkSpec(topology=topology)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"topology": "mesh"}, "Input should be 'star'"),
        ({"topology": "k_ary_fat_tree", "k_ary": {"k": 5}}, "5 -> expected an even number.*write 6"),
        ({"topology": "k_ary_fat_tree", "k_ary": {"k": 130}}, "less than or equal to 128"),
        ({"topology": "k_ary_fat_tree", "k_ary": {"k": 4.0}}, "valid integer"),
        ({"topology": "torus", "torus": {"shape": (4,)}}, "at least 2 items"),
        ({"topology": "torus", "torus": {"shape": (4, 4, 4, 4)}}, "at most 3 items"),
        ({"topology": "torus", "torus": {"shape": (0, 4)}}, "greater than or equal to 1"),
        ({"topology": "torus", "torus": {"shape": (1000, 1000, 2)}}, "2,000,000 nodes -> expected at most"),
        (
            {
                "topology": "dragonfly",
                "dragonfly": {**GROUPS["dragonfly"]["dragonfly"], "global_links_per_router": 1},
            },
            "1 a router -> expected at least 2, so that a group has a link to each of the 8 others",
        ),
        ({"topology": "star", "spines": 4}, "write `topology: fat_tree or rail_optimised`"),
        ({"storage_link_bandwidth_bytes_per_s": 1e9}, "nothing with topology: fat_tree"),
        ({"level_oversubscription": (2.0,)}, "write `topology: graph`"),
        ({"steps_from_s": 5.0}, "5 s -> expected nothing with traffic: fluid, add `traffic: steps`"),
        ({"steps_until_s": 5.0}, "nothing with traffic: fluid"),
        (
            {"traffic": "steps", "steps_from_s": "2 h", "steps_until_s": "1 h"},
            r"1 h -> expected later than steps_from_s \(2 h\)",
        ),
        ({"traffic": "steps", "steps_from_s": 1.0, "steps_until_s": 1.0}, "later than steps_from_s"),
        ({"hop_latency_s": -1.0}, "greater than or equal to 0"),
        ({"server_bandwith_bytes_per_s": 1.0}, "Extra inputs"),
    ],
)
def test_what_does_not_hold_together_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        NetworkSpec(**fields)


def test_a_window_of_steps_may_be_open_at_either_end() -> None:
    assert NetworkSpec(traffic="steps").steps_from_s is None
    assert NetworkSpec(traffic="steps", steps_from_s=0.0).steps_until_s is None
    assert NetworkSpec(traffic="steps", steps_until_s="1 h").steps_until_s == 3600.0


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"action": "degrade"}, "missing -> expected the part of the bandwidth that is left"),
        (
            {"action": "degrade", "fraction": 0},
            "0 -> expected more than 0 and less than 1, write `action: fail`",
        ),
        ({"action": "degrade", "fraction": 1}, "write `action: repair`"),
        ({"action": "fail", "fraction": 0.5}, "0.5 -> expected nothing with action: fail"),
        ({"action": "repair", "fraction": 0.5}, "nothing with action: repair"),
        ({"action": "cut"}, "Input should be 'fail'"),
        ({"action": "fail", "at_s": -1}, "greater than or equal to 0"),
        ({"action": "fail", "link": ""}, "at least 1 character"),
    ],
)
def test_events_that_make_no_sense_are_refused(event: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        NetworkSpec(events=[{"at_s": 1.0, "link": "rack 0 up", **event}])


SCENARIO = """\
name: hall
cluster:
  racks: [{name: r, count: 3, servers: [{count: 8, accelerator: H100, accelerators: 8}]}]
network:
  topology: %s
workload: {kind: generated, jobs: 5, mix: [{profile: digits_mlp}]}
"""


def test_too_few_ports_are_found_by_the_check_with_their_line(tmp_path) -> None:
    path = tmp_path / "hall.yaml"
    path.write_text(SCENARIO % "k_ary_fat_tree\n  k_ary:\n    k: 4")
    loaded = load_scenario(path)
    problems = check_scenario(loaded.scenario, tmp_path, file="hall.yaml", lines=loaded.lines)
    assert [str(problem) for problem in problems] == [
        "hall.yaml:7: network.k_ary.k: 24 servers -> expected at most 16 servers (k^3 / 4), write `k: 6`"
    ]


def test_the_file_of_a_graph_is_one_of_the_data_files(tmp_path) -> None:
    path = tmp_path / "hall.yaml"
    path.write_text(SCENARIO % "graph\n  graph: ../net.json")
    loaded = load_scenario(path)
    (problem,) = check_scenario(loaded.scenario, tmp_path, lines=loaded.lines)
    assert (problem.path, problem.line) == ("network.graph", 6)
    assert problem.got == "'../net.json'"


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("star\n  oversubscription: 2.0", "network.oversubscription: has no effect in a star"),
        (
            "star\n  hop_latency_s: 1 us\n  latency_s: 5 us",
            "network.latency_s: has no effect beside hop_latency_s",
        ),
        ("star\n  hop_latency_s: 1 s", "network.hop_latency_s: 1 s is unusual"),
        (
            "k_ary_fat_tree\n  k_ary: {k: 8}",
            "cluster.racks.0: racks of 8 straddle switches, with 4 servers to each",
        ),
        ("rail_optimised\n  rails: {servers_per_group: 12}", "racks of 8 straddle switches, with 12 servers"),
        (
            "dragonfly\n  dragonfly: {groups: 9, routers_per_group: 2, servers_per_router: 3}",
            "with 6 servers to each group of routers",
        ),
        (
            "torus\n  torus: {shape: [4, 6], link_bandwidth_bytes_per_s: 50}",
            "network.torus.link_bandwidth_bytes_per_s: 50 B/s is unusual",
        ),
        (
            "star\n  events: [{at_s: 2 d, link: server 0 up, action: fail}]\nhorizon_s: 1 d",
            "network.events.0: after the horizon",
        ),
    ],
)
def test_what_is_possible_but_unlikely_is_said(tmp_path, network: str, words: str) -> None:
    path = tmp_path / "hall.yaml"
    path.write_text(SCENARIO % network)
    warnings = plausibility(load_scenario(path).scenario)
    assert len(warnings) == 1
    assert words in warnings[0]


@pytest.mark.parametrize(
    "network",
    [
        "k_ary_fat_tree\n  k_ary: {k: 16}",
        "rail_optimised",
        "rail_optimised\n  rails: {servers_per_group: 16}",
        "dragonfly\n  dragonfly: {groups: 9, routers_per_group: 4, servers_per_router: 2}",
        "torus\n  torus: {shape: [4, 6]}",
    ],
)
def test_racks_that_fit_under_switches_are_not_doubted(tmp_path, network: str) -> None:
    path = tmp_path / "hall.yaml"
    path.write_text(SCENARIO % network)
    assert plausibility(load_scenario(path).scenario) == ()
