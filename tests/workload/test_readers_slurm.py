"""Host lists, and clusters from topology.conf and slurm.conf."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import TraceError
from dcsim.facility.network.hostlist import HostlistError, compress_hosts, expand_hosts
from dcsim.workload.readers.slurm_topology import read_slurm_cluster

NODES = "NodeName=n[001-008] Gres=gpu:h100:8 CPUs=128 RealMemory=1024000\n"


def _files(folder: Path, topology: str, nodes: str = NODES) -> tuple[Path, Path]:
    first, second = folder / "topology.conf", folder / "slurm.conf"
    first.write_text(topology)
    second.write_text(nodes)
    return first, second


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n1", ["n1"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[008-010,12]-ib,login", ["n008-ib", "n009-ib", "n010-ib", "n12-ib", "login"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("n[099-101]", ["n099", "n100", "n101"]),
    ],
)
def test_host_lists_by_hand(text: str, names: list[str]) -> None:
    assert list(expand_hosts(text)) == names


@pytest.mark.parametrize(
    "text",
    ["", "n[", "n]", "n[1-]", "n[3-1]", "n[[1]]", "a,,b", "n[a-b]", "n 1", "n[1]*", "n;rm", ",", "n[]"],
)
def test_other_host_lists_are_refused(text: str) -> None:
    with pytest.raises(HostlistError):
        expand_hosts(text)


@pytest.mark.parametrize("text", ["n[1-999999999]", "n[0-999999][0-999999]", "n[1-500000],m[1-500001]"])
def test_long_lists_are_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(HostlistError, match="at most 1,000,000 names"):
        expand_hosts(text)
    assert time.process_time() - began < 5.0


@given(st.lists(st.from_regex(r"[a-z]{1,3}(-[a-z])?[0-9]{0,4}", fullmatch=True), min_size=1, max_size=30))
def test_compressed_lists_expand_to_the_same_names(names: list[str]) -> None:
    assert expand_hosts(compress_hosts(tuple(names))) == tuple(names)


def test_a_tree_becomes_racks_in_its_order(tmp_path: Path) -> None:
    cluster, notes = read_slurm_cluster(
        *_files(
            tmp_path,
            "# two pods\n"
            "SwitchName=leaf3 Nodes=n[007-008] LinkSpeed=400\n"
            "switchname=leaf1 nodes=n001,n002,\\\n   n003 # the first\n"
            "SwitchName=leaf2 Nodes=n[004-006]\n"
            "SwitchName=spine Switches=pod[1-2]\n"
            "SwitchName=pod1 Switches=leaf[1-2]\n"
            "SwitchName=pod2 \\\n  Switches=leaf3\n",
        )
    )
    assert [(rack.name, rack.servers[0].count) for rack in cluster.racks] == [
        ("leaf1", 3),
        ("leaf2", 3),
        ("leaf3", 2),
    ]
    server = cluster.racks[0].servers[0]
    assert (server.accelerator, server.accelerators, server.cpu_cores) == ("H100", 8, 128.0)
    assert server.memory_bytes == 1_024_000 * 2**20
    assert any("switches above the leaves are not kept" in note for note in notes)


def test_blocks_become_racks(tmp_path: Path) -> None:
    topology = "BlockName=b1 Nodes=n[001-004]\nBlockName=b2 Nodes=n[005-008]\nBlockSizes=4,8\n"
    cluster, notes = read_slurm_cluster(*_files(tmp_path, topology))
    assert [(rack.name, rack.servers[0].count) for rack in cluster.racks] == [("b1", 4), ("b2", 4)]
    assert notes == ()


def test_nodes_by_defaults_sockets_and_quotes(tmp_path: Path) -> None:
    nodes = (
        "ClusterName=x\n"
        "NodeName=DEFAULT Sockets=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=1000\n"
        'NodeName=n[001-002] Gres=gpu:tesla_v100:4(S:0-1),nic:2 Reason="fan, broken" State=DRAIN\n'
        "NodeName=n003 Boards=2 SocketsPerBoard=2\n"
        "PartitionName=p Nodes=ALL\n"
    )
    cluster, notes = read_slurm_cluster(*_files(tmp_path, "SwitchName=s Nodes=n[001-002]\n", nodes))
    first, loose = cluster.racks
    assert [(s.accelerator, s.accelerators, s.cpu_cores) for s in first.servers] == [("V100", 4, 64.0)]
    assert [(s.accelerator, s.cpu_cores) for s in loose.servers] == [(None, 128.0)]
    assert any("1 nodes are put in racks of equal servers" in note for note in notes)
    assert any("may be V100 or V100M16 or V100M32" in note for note in notes)


def test_one_file_may_hold_it_all_and_nodes_may_be_unknown(tmp_path: Path) -> None:
    both = tmp_path / "both.conf"
    both.write_text(f"SwitchName=s Nodes=n[001-008]\n{NODES}")
    assert read_slurm_cluster(both).cluster.racks[0].servers[0].accelerators == 8
    both.write_text("SwitchName=s Nodes=n[001-008]\n")
    cluster, notes = read_slurm_cluster(both)
    assert cluster.racks[0].servers[0].count == 8
    assert any("each is a default CPU server" in note for note in notes)
    both.write_text(NODES)
    assert read_slurm_cluster(both).cluster.racks[0].servers[0].count == 8


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        ("Include other.conf\n", r"conf:1: Include: .* -> expected one file without Include"),
        ("SwitchName=s Nodes=n[001-\n", r"conf:1: nodes: .* -> expected brackets in pairs"),
        ("SwitchName=s Nodes=n001 Switches=t\n", r"expected either Nodes= or Switches="),
        ("SwitchName=s LinkSpeed=4\n", r"neither -> expected either"),
        ("SwitchName=s Switches=t\n", r"s.Switches: t -> expected a switch of this file"),
        ("SwitchName=s Nodes=n001\nSwitchName=s Nodes=n002\n", r"conf:2: switchname: s -> .*line 1 already"),
        ("SwitchName=a Nodes=n001\nSwitchName=b Nodes=n001\n", r"b.Nodes: n001 -> .*it is in a"),
        ("SwitchName=a Switches=b\nSwitchName=b Switches=a\n", r"a circle of switches -> expected a tree"),
        (
            "SwitchName=l Nodes=n001\nSwitchName=a Switches=l\nSwitchName=b Switches=l\n",
            r"b.Switches: l -> expected a switch below one other, it is below a",
        ),
        ("SwitchName=s Nodes=n[001-012]\n", r"s.Nodes: n009 and 3 more -> expected nodes that"),
        ("SwitchName=s Nodes=n001 Nodes=n002\n", r"Nodes: given twice"),
        ("Switch=s\n", r"Switch=s -> expected a line that starts with"),
        ("SwitchName=s Nodes=n001 rest\n", r"rest -> expected pairs Key=value"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, topology: str, words: str) -> None:
    with pytest.raises(TraceError, match=words):
        read_slurm_cluster(*_files(tmp_path, topology))


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ("NodeName=n001 Gres=gpu:8\n", r"--accelerator gpu=A100-80"),
        ("NodeName=n001 Gres=gpu:a100:4,gpu:v100:4\n", r"one type of GPU"),
        ("NodeName=n001 Gres=gpu:a100:many\n", r"expected gpu:TYPE:COUNT"),
        ("NodeName=n001 Gres=gpu:a100:80\n", r"at most 64 GPUs"),
        ("NodeName=n001 CPUs=0\n", r"cpus: 0 -> expected a whole number > 0"),
        ("NodeName=n001\nNodeName=n001\n", r"n001 -> expected a node named once"),
    ],
)
def test_malformed_nodes_are_named(tmp_path: Path, nodes: str, words: str) -> None:
    with pytest.raises(TraceError, match=words):
        read_slurm_cluster(*_files(tmp_path, "SwitchName=s Nodes=n001\n", nodes))


def test_a_type_can_be_given_for_gpus_that_have_none(tmp_path: Path) -> None:
    files = _files(tmp_path, "SwitchName=s Nodes=n001\n", "NodeName=n001 Gres=gpu:8\n")
    cluster = read_slurm_cluster(*files, accelerator_names={"gpu": "A100-80"}).cluster
    assert cluster.racks[0].servers[0].accelerator == "A100-80"


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no SwitchName=, BlockName= or NodeName="):
        read_slurm_cluster(*_files(tmp_path, "# nothing\n", "ClusterName=x\n"))
