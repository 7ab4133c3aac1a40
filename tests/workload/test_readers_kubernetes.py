"""Kubernetes dumps: quantities, nodes as racks of servers, finished pods as jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import TraceError
from dcsim.workload.readers import kubernetes_objects
from dcsim.workload.readers.accelerator_names import catalogue_names
from dcsim.workload.readers.kubernetes_nodes import read_kubernetes_nodes
from dcsim.workload.readers.kubernetes_objects import parse_quantity
from dcsim.workload.readers.kubernetes_pods import read_kubernetes_pods

Thing = dict[str, Any]


def _node(
    name: str, gpus: int = 0, product: str = "NVIDIA-A100-SXM4-80GB", labels: dict[str, str] | None = None
) -> Thing:
    resources: Thing = {"cpu": "63500m", "memory": "257Gi", "ephemeral-storage": "1e12", "pods": "110"}
    if gpus:
        resources["nvidia.com/gpu"] = str(gpus)
        labels = {"nvidia.com/gpu.product": product, **(labels or {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "status": {"allocatable": resources, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _container(**requests: str) -> Thing:
    return {"name": "c", "resources": {"requests": {key.replace("_", "."): v for key, v in requests.items()}}}


def _pod(name: str, *containers: Thing, start: str = "10:00:10", end: str = "11:00:10", **more: Any) -> Thing:
    over = {"startedAt": f"2024-05-01T{start}Z", "finishedAt": f"2024-05-01T{end}Z", "exitCode": 0}
    pod: Thing = {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ml", "creationTimestamp": "2024-05-01T10:00:00Z"},
        "spec": {"containers": list(containers) or [_container(cpu="1")]},
        "status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": over}}]},
    }
    for part, changes in more.items():
        pod[part] = {**pod[part], **changes}
    return pod


@pytest.fixture(params=["yaml", "json"])
def dump(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    def write(*items: Thing) -> Path:
        path = tmp_path / f"dump.{request.param}"
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
        # Read again, so that YAML has no anchors for parts that tests use twice.
        path.write_text(text if request.param == "json" else yaml.safe_dump(json.loads(text)))
        return path

    return write


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64.0),
        (64, 64.0),
        ("63500m", 63.5),
        ("257Gi", 257 * 2.0**30),
        ("1e3Ki", 1_024_000.0),
        ("1E3", 1000.0),
        ("1E", 1e18),
        ("5k", 5000.0),
        ("100n", 1e-7),
        (".5", 0.5),
        ("2Ei", 2.0**61),
    ],
)
def test_quantities_by_hand(text: str | int, value: float) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "Gi", "1gi", "1 Gi", "1KiB", "0x10", "nan", "inf", "1e999", "1_0", "--1", True, None, []]
)
def test_other_quantities_are_refused(text: object) -> None:
    with pytest.raises(ValueError):
        parse_quantity(text)


@given(st.integers(0, 10**12), st.sampled_from(["m", "", "k", "M", "G", "Ki", "Mi", "Gi", "Ti"]))
def test_quantities_are_exact(number: int, suffix: str) -> None:
    binary = {name: 2**power for name, power in (("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40))}
    scales = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, **binary}
    exact = Decimal(number) / 1000 if suffix == "m" else Decimal(number * scales[suffix])
    assert parse_quantity(f"{number}{suffix}") == float(exact)


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("NVIDIA-A100-SXM4-80GB", ("A100-80",)),
        ("NVIDIA-A100-PCIE-40GB", ("A100-40",)),
        ("nvidia-tesla-t4", ("T4",)),
        ("Tesla-V100-SXM2-16GB", ("V100M16",)),
        ("NVIDIA-H100-80GB-HBM3", ("H100",)),
        ("NVIDIA-GH200-480GB", ()),
        ("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", ()),
        ("a100_1g.5gb", ()),
        ("tpu-v5-lite-podslice", ("TPU-v5e",)),
        ("tpu-v4-podslice", ("TPU-v4",)),
        ("a10", ("A10",)),
        ("A100-80", ("A100-80",)),
        ("v100", ("V100", "V100M16", "V100M32")),
        ("Instinct-MI300X", ()),
    ],
)
def test_labels_are_found_in_the_catalogue(label: str, names: tuple[str, ...]) -> None:
    assert catalogue_names(label) == names


def test_nodes_become_racks(dump: Callable[..., Path]) -> None:
    cluster, notes = read_kubernetes_nodes(
        dump(
            _node("a", 8, labels={"example.com/rack": "r2", "topology.kubernetes.io/zone": "z"}),
            _node("b", 8, labels={"example.com/rack": "r1", "topology.kubernetes.io/zone": "z"}),
            _node("c", 8, labels={"example.com/rack": "r1", "topology.kubernetes.io/zone": "z"}),
            _node("d", labels={"topology.kubernetes.io/zone": "z"}),
            {**_node("e"), "spec": {"unschedulable": True}},
        )
    )
    assert [(rack.name, [server.count for server in rack.servers]) for rack in cluster.racks] == [
        ("r1", [2]),
        ("r2", [1]),
        ("cpu-0x-63.5c-257g", [1]),
        ("z-cpu-0x-63.5c-257g", [1]),
    ]
    server = cluster.racks[0].servers[0]
    assert (server.accelerator, server.accelerators, server.cpu_cores) == ("A100-80", 8, 63.5)
    assert server.memory_bytes == 257 * 2.0**30
    assert server.idle_power_w == pytest.approx(300.0 * 63.5 / 64.0)
    text = "\n".join(notes)
    assert "racks are the values of the label example.com/rack" in text
    assert "2 nodes name no rack" in text
    assert "1 nodes are cordoned or not ready" in text


def test_the_label_of_racks_can_be_given(dump: Callable[..., Path]) -> None:
    path = dump(_node("a", labels={"row": "x"}), _node("b", labels={"row": "y"}))
    cluster = read_kubernetes_nodes(path, rack_label="row").cluster
    assert [rack.name for rack in cluster.racks] == ["x", "y"]
    with pytest.raises(TraceError, match="no node has this label"):
        read_kubernetes_nodes(path, rack_label="rows")


def test_accelerators_of_any_vendor(dump: Callable[..., Path]) -> None:
    amd, tpu = _node("a"), _node("t")
    amd["status"]["allocatable"]["amd.com/gpu"] = 4
    tpu["status"]["allocatable"]["google.com/tpu"] = "4"
    tpu["metadata"]["labels"]["cloud.google.com/gke-tpu-accelerator"] = "tpu-v5p-slice"
    shared = _node("s", 8, "Tesla-T4-SHARED", labels={"nvidia.com/gpu.replicas": "4"})
    path = dump(amd, tpu, shared)
    with pytest.raises(TraceError, match=r"--accelerator amd.com/gpu=H100"):
        read_kubernetes_nodes(path)
    cluster, notes = read_kubernetes_nodes(path, accelerator_names={"amd.com/gpu": "MI300X"})
    servers = [server for rack in cluster.racks for server in rack.servers]
    assert [(s.accelerator, s.accelerators) for s in servers] == [("MI300X", 4), ("TPU-v5p", 4), ("T4", 2)]
    assert any("offer each GPU several times" in note for note in notes)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"cpu": "many"}, r"allocatable.cpu: 'many' -> expected a quantity"),
        ({"cpu": "-4"}, r"allocatable.cpu: '-4' -> expected a quantity"),
        ({"cpu": "0"}, r"allocatable.cpu: '0' -> expected more than 0"),
        ({"memory": None}, r"allocatable.memory: None -> expected a quantity"),
        ({"nvidia.com/gpu": "1.5"}, r"nvidia.com/gpu: '1.5' -> expected a whole number"),
        ({"nvidia.com/gpu": "1", "amd.com/gpu": "1"}, r"one kind of accelerator"),
        ({"nvidia.com/gpu": "100"}, r"at most 64 accelerators"),
    ],
)
def test_malformed_nodes_are_refused_or_skipped(
    dump: Callable[..., Path], resources: Thing, words: str
) -> None:
    bad = _node("bad", 1)
    bad["status"]["allocatable"] |= resources
    path = dump(_node("good"), bad)
    with pytest.raises(TraceError, match=words) as caught:
        read_kubernetes_nodes(path)
    assert "bad." in str(caught.value)
    if path.suffix == ".yaml":
        line = path.read_text().splitlines().index("- apiVersion: v1", 3) + 1
        assert f"dump.yaml:{line}: " in str(caught.value)
    else:
        assert "items 1.bad" in str(caught.value)
    cluster, notes = read_kubernetes_nodes(path, on_bad="skip")
    assert len(cluster.racks) == 1
    assert "1 malformed rows left out" in notes[-1]


def test_finished_pods_become_jobs(dump: Callable[..., Path]) -> None:
    job = {
        "kind": "Job",
        "metadata": {"name": "sweep", "namespace": "ml"},
        "spec": {"parallelism": 2, "completions": 9},
    }
    table = read_kubernetes_pods(
        dump(
            _pod(
                "a",
                _container(cpu="1500m", memory="4Gi", nvidia_com="x"),
                _container(cpu="500m"),
                metadata={"ownerReferences": [{"kind": "Job", "name": "sweep"}]},
                spec={
                    "priority": 1000,
                    "activeDeadlineSeconds": 60,
                    "nodeSelector": {"nvidia.com/gpu.product": "Tesla-T4"},
                    "containers": [
                        {
                            "resources": {
                                "requests": {"cpu": "1500m", "memory": "4Gi"},
                                "limits": {"nvidia.com/gpu": 2},
                            }
                        },
                        _container(cpu="500m"),
                    ],
                    "overhead": {"cpu": "250m"},
                },
            ),
            _pod("b", start="10:30:00", metadata={"creationTimestamp": "2024-05-01T10:20:00Z"}),
            _pod("c", status={"phase": "Running"}),
            _pod("d", status={"phase": "Failed", "containerStatuses": []}),
            job,
        )
    )
    assert table.job_id == ("ml/a", "ml/b")
    assert table.submit_s.tolist() == [0.0, 1200.0]
    assert table.duration_s.tolist() == [3600.0, 1810.0]
    assert table.accelerators.tolist() == [2, 0]
    assert table.cpu_cores.tolist() == [2.25, 1.0]
    assert table.memory_bytes.tolist() == [4 * 2.0**30, 0.0]
    assert table.max_servers.tolist() == [1, 1]
    assert table.texts("tenant") == ["ml", "ml"]
    assert table.texts("accelerator_types") == ["T4", ""]
    assert table.priority.tolist() == [1000.0, 0.0]
    assert table.time_limit_s[0] == 3600.0
    assert (table.texts("array"), table.array_limit.tolist()) == (["ml/sweep", ""], [2, 0])
    text = "\n".join(table.notes)
    assert "t = 0 is 2024-05-01T10:00:00Z" in text
    assert "1 pods have not finished" in text
    assert "1 pods ended before they ran" in text


@pytest.mark.parametrize(
    ("init", "cores"),
    [
        ([("4", "")], 4.0),
        ([("1", "")], 3.0),
        ([("1", "Always")], 4.0),
        ([("1", "Always"), ("3", "")], 4.0),
        ([("1", "Always"), ("5", "")], 6.0),
        ([("5", ""), ("1", "Always")], 5.0),
    ],
)
def test_init_containers_and_side_cars(
    dump: Callable[..., Path], init: list[tuple[str, str]], cores: float
) -> None:
    containers = [{**_container(cpu=cpu), **({"restartPolicy": p} if p else {})} for cpu, p in init]
    pod = _pod("a", _container(cpu="1"), _container(cpu="2"))
    pod["spec"]["initContainers"] = containers
    assert read_kubernetes_pods(dump(pod)).cpu_cores.tolist() == [cores]


def test_gangs_and_shares(dump: Callable[..., Path]) -> None:
    gang = {"annotations": {"scheduling.k8s.io/group-name": "train"}}
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "4"}, "requests": {"cpu": "8"}}}
    share = {
        "annotations": {"alibabacloud.com/gpu-milli": "250", "alibabacloud.com/gpu-card-model": "V100M16|T4"}
    }
    pods = [_pod(f"w{i}", gpu, end=f"1{i + 1}:00:10") for i in range(2)]
    for pod in pods:
        pod["metadata"] |= gang
    one = _pod("s")
    one["metadata"] |= share
    table = read_kubernetes_pods(dump(*pods, one))
    assert table.job_id == ("ml/s", "ml/train")
    assert table.accelerators.tolist() == [1, 8]
    assert table.accelerator_share.tolist() == [0.25, 1.0]
    assert table.max_servers.tolist() == [1, 2]
    assert table.cpu_cores.tolist() == [1.0, 16.0]
    assert table.duration_s.tolist() == [3600.0, 7200.0]
    assert table.texts("accelerator_types") == ["V100M16|T4", ""]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"metadata": {"creationTimestamp": "yesterday"}},
            r"creationTimestamp: 'yesterday' -> expected a time",
        ),
        ({"metadata": {"creationTimestamp": "2024-02-30T00:00:00Z"}}, r"expected a time such as"),
        ({"metadata": {"name": "good"}}, r"expected a name used once"),
        ({"metadata": {"name": 7.5e300}}, r""),
        ({"spec": {"containers": [7]}}, r"spec.containers: .* -> expected a list of mappings"),
        (
            {"spec": {"containers": [{"resources": {"requests": {"cpu": "x"}}}]}},
            r"requests?.*cpu|resources.cpu",
        ),
        ({"spec": {"containers": [{"resources": "4"}]}}, r"expected mappings `requests` and `limits`"),
        ({"spec": {"priority": "high"}}, r"spec.priority: 'high' -> expected a whole number"),
        ({"metadata": {"annotations": {"x/gpu-milli": "1500"}}}, r"gpu-milli from 0 to 1000"),
    ],
)
def test_malformed_pods_are_refused_or_skipped(dump: Callable[..., Path], changes: Thing, words: str) -> None:
    path = dump(_pod("good"), {**_pod("bad"), **{k: {**_pod("bad")[k], **v} for k, v in changes.items()}})
    if not words:
        assert len(read_kubernetes_pods(path)) == 2
        return
    with pytest.raises(TraceError, match=words):
        read_kubernetes_pods(path)
    assert read_kubernetes_pods(path, on_bad="skip").job_id == ("ml/good",)


def test_an_end_before_the_start_is_malformed(dump: Callable[..., Path]) -> None:
    with pytest.raises(TraceError, match="an end not before the start"):
        read_kubernetes_pods(dump(_pod("a", end="09:00:00")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: List\nitems: [&a {kind: Pod}, *a]\n", "alias"),
        ("kind: List\nitems: !!python/object:os.system []\n", "tag"),
        ("kind: List\nkind: List\n", "second time"),
        ("- 1\n", "a list"),
        ("kind: List\nitems: 5\n", "items: int -> expected a list of objects"),
        ("apiVersion: v1\n", "expected a Kubernetes object or list"),
        ("kind: Service\n", "kind: Service -> expected Pod objects, write it with kubectl get pods"),
        ('{"kind": "List", "items": [', "is the file cut off"),
        ('{"kind": "List", "kind": "List"}', "kind: given twice"),
        ('{"kind": NaN}', "NaN"),
        ('{"kind": "List", "x": 1e999}', "1e999"),
        ('{"kind": "List", "items": ' + "[" * 100_000, "out of bounds"),
        ('{"kind": "List", "items": ' + "[" * 70 + "]" * 70 + "}", "at most 64 levels"),
        ("kind: List\nitems: " + "[" * 100, "nesting"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "dump"
    path.write_text(text)
    with pytest.raises(TraceError, match=words):
        read_kubernetes_pods(path)


def test_a_large_yaml_dump_is_told_of_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dump"
    path.write_text(yaml.safe_dump({"kind": "List", "items": [_pod(f"p{i}") for i in range(20)]}))
    assert len(read_kubernetes_pods(path)) == 20
    monkeypatch.setattr(kubernetes_objects, "YAML_VALUES_MAX", 100)
    with pytest.raises(TraceError, match="at most 100 values in a file, write it with -o json"):
        read_kubernetes_pods(path)


def test_a_single_object_and_typed_lists(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_text(json.dumps(_pod("a")))
    assert len(read_kubernetes_pods(path)) == 1
    pod = _pod("a")
    del pod["kind"]
    path.write_text(json.dumps({"kind": "PodList", "items": [pod]}))
    assert len(read_kubernetes_pods(path)) == 1


def test_other_devices_are_told_of_and_can_be_named(dump: Callable[..., Path]) -> None:
    node = _node("n1")
    node["status"]["allocatable"] |= {
        "habana.ai/gaudi": "8",
        "nvidia.com/mig-1g.10gb": "0",
        "example.k8s.io/x": "4",
    }
    cluster, notes = read_kubernetes_nodes(dump(node))
    assert cluster.racks[0].servers[0].accelerators == 0
    assert any("passed over are habana.ai/gaudi (1 times);" in note for note in notes)
    cluster, notes = read_kubernetes_nodes(dump(node), accelerator_names={"habana.ai/gaudi": "H100"})
    server = cluster.racks[0].servers[0]
    assert (server.accelerator, server.accelerators) == ("H100", 8)
    assert not any("passed over" in note for note in notes)
    path = dump(_pod("a", _container(cpu="1", **{"habana_ai/gaudi": "2"})))
    pods = read_kubernetes_pods(path)
    assert pods.accelerators.tolist() == [0]
    assert any("passed over are habana.ai/gaudi" in note for note in pods.notes)
    told = read_kubernetes_pods(path, accelerator_names={"habana.ai/gaudi": "Gaudi-2", "x9": "H100"})
    assert told.accelerators.tolist() == [2]
    assert told.texts("accelerator_types") == ["Gaudi-2"]
    assert any("nothing in the file is called 'x9'" in note for note in told.notes)
    assert any("'Gaudi-2' is in no catalogue" in note for note in told.notes)
