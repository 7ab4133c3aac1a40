"""The openb and Philly readers: rows written by hand, and what the published files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcsim.errors import TraceError
from dcsim.facility.hardware import CATALOGUE
from dcsim.spec.workload import SizeSpec
from dcsim.workload.readers import read_openb, read_openb_nodes, read_philly

PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
NODES = "sn,cpu_milli,memory_mib,gpu,model\n"
PHILLY = "timestamp,duration,num_gpus,gpu_time,cluster\n"


def _file(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


def test_pods_become_jobs(tmp_path: Path) -> None:
    rows = [
        "late,4000,1024,2,1000,V100M16|V100M32,LS,Running,700,1000,701",
        "share,500,2048,1,250,,BE,Failed,100,130,100",
        "cpu,1000,0,0,0,,BE,Pending,100,100,",
        "whole,1000,0,1,1000,G2,Burstable,Running,101,200,101",
    ]
    table = read_openb(_file(tmp_path, PODS + "\n".join(rows) + "\n\n"))
    assert table.job_id == ("cpu", "share", "whole", "late")
    assert table.submit_s.tolist() == [0.0, 0.0, 1.0, 600.0]
    assert table.duration_s.tolist() == [0.0, 30.0, 99.0, 300.0]
    assert table.accelerators.tolist() == [0, 1, 1, 2]
    assert table.accelerator_share.tolist() == [1.0, 0.25, 1.0, 1.0]
    assert table.max_servers.tolist() == [1, 1, 1, 1]
    assert table.cpu_cores.tolist() == [1.0, 0.5, 1.0, 4.0]
    assert table.memory_bytes.tolist() == [0.0, 2.0**31, 0.0, 2.0**30]
    assert table.texts("tenant") == ["BE", "BE", "Burstable", "LS"]
    assert table.texts("accelerator_types") == ["", "", "G2", "V100M16|V100M32"]
    assert table.type_constraints == (("G2",), ("V100M16", "V100M32"))
    text = "\n".join(table.notes)
    for words in (
        "1 (line 4) pods were never placed",
        "1 (line 4) pods of no run time",
        "1 (line 5) pods say no memory",
    ):
        assert words in text
    assert "t = 0 is creation_time 100" in text


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,1,1,1,1000,,LS,Running,100,99,", "deletion_time: 99 -> expected a time not before creation_time"),
        ("a,1,1,1,1000,,LS,Running,100,,", "deletion_time: blank"),
        ("a,1,1,1,0,,LS,Running,1,2,", "gpu_milli: 0 -> expected 1 to 1000"),
        ("a,1,1,2,500,,LS,Running,1,2,", "gpu_milli: 500 -> expected 1000 where num_gpu is above 1"),
        ("a,1,1,0,500,,LS,Running,1,2,", "gpu_milli: 500 -> expected 0 where num_gpu is 0"),
        ("a,1,1,1,1500,,LS,Running,1,2,", "gpu_milli: '1500'"),
        ("a,1,1,-1,1000,,LS,Running,1,2,", "num_gpu: '-1'"),
        ("a,1,1,0.5,1000,,LS,Running,1,2,", "num_gpu: '0.5' -> expected a whole number"),
        ("a,1,1,1,1000,T4|,LS,Running,1,2,", "gpu_spec: 'T4|' -> expected names joined by |"),
        ("a,1,1,1,1000,,LS,Running,1600000000000,1600000000001,", "creation_time: '1600000000000'"),
        ("a,1,1,1,1000,,,Running,1,2,", "qos: blank"),
        ("a,1,1,1,1000,,LS,Running,1,2", "10 fields"),
    ],
)
def test_malformed_pods_are_refused_or_counted(tmp_path: Path, row: str, words: str) -> None:
    sound = "ok,1,1,1,1000,,LS,Running,5,6,5"
    path = _file(tmp_path, f"{PODS}{row}\n{sound}\n")
    with pytest.raises(TraceError) as caught:
        read_openb(path)
    assert {problem.line for problem in caught.value.problems} == {2}
    assert words in str(caught.value)
    table = read_openb(path, on_bad="skip")
    assert table.job_id == ("ok",)
    assert "1 malformed rows left out (line 2)" in table.notes


def test_pods_of_one_name_are_refused(tmp_path: Path) -> None:
    row = "a,1,1,1,1000,,LS,Running,5,6,5\n"
    with pytest.raises(TraceError, match=r":3: name: 'a' -> expected a name used once"):
        read_openb(_file(tmp_path, PODS + row + row))


def test_nodes_become_racks_of_equal_servers(tmp_path: Path) -> None:
    rows = ["n0,32000,262144,0,", *(f"n{i},96000,393216,8,G2" for i in range(1, 6)), "n6,32000,262144,0,"]
    cluster = read_openb_nodes(_file(tmp_path, NODES + "\n".join(rows)), servers_per_rack=2)
    assert [(rack.name, rack.count, rack.servers[0].count) for rack in cluster.racks] == [
        ("cpu-0x-32c-256g", 1, 2),
        ("G2-8x-96c-384g", 2, 2),
        ("G2-8x-96c-384g-rest", 1, 1),
    ]
    server = cluster.racks[1].servers[0]
    assert (server.accelerator, server.accelerators, server.cpu_cores, server.memory_bytes) == (
        "G2",
        8,
        96.0,
        384 * 2.0**30,
    )
    assert cluster.racks[0].servers[0].accelerator is None
    # Twice the cores, twice the power.
    idle_w = [rack.servers[0].idle_power_w / rack.servers[0].cpu_cores for rack in cluster.racks]
    assert idle_w == pytest.approx([idle_w[0]] * 3)
    with pytest.raises(ValueError, match="servers_per_rack: 0"):
        read_openb_nodes(tmp_path / "trace.csv", servers_per_rack=0)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,0,1,0,", "cpu_milli: '0' -> expected a whole number > 0"),
        ("a,1000,1,1,", "model: '' -> expected a GPU type where gpu is above 0"),
        ("a,1000,1,0,T4", "gpu: 0 -> expected at least 1 where a model is given"),
        ("a,1000,1,1,T4|V100", "model: 'T4|V100' -> expected a name of letters"),
        ("a,1000,1,1,T4\nb,1000,1,1,t4", "differs only by case"),
    ],
)
def test_malformed_nodes_are_refused(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(TraceError) as caught:
        read_openb_nodes(_file(tmp_path, f"{NODES}{row}\n"))
    assert words in str(caught.value)


def test_philly_rows_become_jobs(tmp_path: Path) -> None:
    rows = [
        "2017-10-09 07:01:55,66.0,1,66.0,b",
        "2017-10-08 07:01:55,10.5,16,168.0,a",
        "2017-10-09 07:01:55,0,0,0,b",
    ]
    table = read_philly(_file(tmp_path, PHILLY + "\n".join(rows)))
    assert table.job_id == ("philly-2", "philly-1", "philly-3")
    assert table.submit_s.tolist() == [0.0, 86_400.0, 86_400.0]
    assert table.duration_s.tolist() == [10.5, 66.0, 0.0]
    assert table.accelerators.tolist() == [16, 1, 0]
    assert table.max_servers.tolist() == [0, 0, 0]
    assert table.texts("tenant") == ["a", "b", "b"]
    assert "t = 0 is 2017-10-08T07:01:55" in table.notes[0]
    assert any("1 (line 4) jobs of no run time" in note for note in table.notes)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("2017-02-30 00:00:00,1,1,1,a", "timestamp: '2017-02-30 00:00:00' -> expected a date that exists"),
        ("2017-10-09 25:00:00,1,1,1,a", "timestamp: '2017-10-09 25:00:00'"),
        ("2016-12-31 23:59:60,1,1,1,a", "timestamp: '2016-12-31 23:59:60'"),
        ("2017-10-09T07:01:55Z,1,1,1,a", "without offset"),
        ("1507532515,1,1,1,a", "timestamp: '1507532515'"),
        (",1,1,1,a", "timestamp: blank"),
        ("2017-10-09 07:01:55,-1,1,1,a", "duration: '-1'"),
        ("2017-10-09 07:01:55,,1,1,a", "duration: blank"),
        ("2017-10-09 07:01:55,1,1.5,1,a", "num_gpus: '1.5'"),
    ],
)
def test_malformed_philly_rows_are_refused_or_counted(tmp_path: Path, row: str, words: str) -> None:
    path = _file(tmp_path, f"{PHILLY}2017-10-09 07:01:55,1,1,1,a\n{row}\n")
    with pytest.raises(TraceError) as caught:
        read_philly(path)
    assert [problem.line for problem in caught.value.problems] == [3]
    assert words in str(caught.value)
    assert len(read_philly(path, on_bad="skip")) == 1


@pytest.mark.parametrize("name", ["default", "gpushare40"])
def test_the_published_pods(shared_data: Path, name: str) -> None:
    table = read_openb(shared_data / f"traces/openb/openb_pod_list_{name}.csv")
    assert len(table) == 8_152
    assert set(table.tenant_names) == {"LS", "BE", "Burstable", "Guaranteed"}
    shared = {"default": 3_078, "gpushare40": 4_001}[name]
    assert int(np.count_nonzero(table.accelerator_share < 1)) == shared
    widths = {
        "default": {0: 1_088, 1: 6_989, 2: 16, 4: 15, 8: 44},
        "gpushare40": {0: 1_088, 1: 7_002, 2: 12, 4: 11, 8: 39},
    }
    assert (
        dict(zip(*(x.tolist() for x in np.unique(table.accelerators, return_counts=True)), strict=True))
        == widths[name]
    )
    assert any("never placed" in note for note in table.notes)


def test_the_published_nodes(shared_data: Path) -> None:
    cluster = read_openb_nodes(shared_data / "traces/openb/openb_node_list_all_node.csv")
    servers = [(server, rack.count * server.count) for rack in cluster.racks for server in rack.servers]
    assert sum(count for _, count in servers) == 1_523
    assert sum(server.accelerators * count for server, count in servers) == 6_212
    assert sum(count for server, count in servers if server.accelerators) == 1_213
    assert {server.accelerator for server, _ in servers if server.accelerator} <= set(CATALOGUE)


def test_the_default_sizes_are_those_of_philly(shared_data: Path) -> None:
    table = read_philly(shared_data / "traces/philly/philly.csv")
    median_s, high_s = np.percentile(table.duration_s, [50, 90])
    sizes = SizeSpec()
    assert sizes.median_s == pytest.approx(median_s, rel=0.02)
    assert sizes.median_s * np.exp(1.2816 * sizes.sigma) == pytest.approx(high_s, rel=0.02)


def test_the_published_philly_jobs(shared_data: Path) -> None:
    table = read_philly(shared_data / "traces/philly/philly.csv")
    # 82,249 lines: the header, 82,247 jobs and a last empty line.
    assert len(table) == 82_247
    assert len(table.tenant_names) == 15
    assert table.submit_s[-1] == (
        np.datetime64("2017-12-22T08:02:11") - np.datetime64("2017-09-04T10:30:41")
    ).astype(int)
    assert int((table.accelerators == 1).sum()) == 76_627
    assert table.accelerators.max() == 128
    assert len(table.notes) == 1
