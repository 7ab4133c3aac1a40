"""`dcsim trace import`, `trace rates` and `cluster import` on logs of other tools."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from dcsim.cli.imports import TraceFormat
from dcsim.spec import ClusterSpec
from dcsim.spec.workload import TraceWorkloadSpec
from dcsim.workload.rate_table_file import load_rate_table
from dcsim.workload.readers import TRACE_FORMATS
from dcsim.workload.readers.native import read_native

Dcsim = Callable[..., Result]

SACCT = """\
JobID|Account|State|Submit|Start|End|Elapsed|Timelimit|ReqTRES
1|ml|COMPLETED|2024-05-01T10:00:00|2024-05-01T10:00:00|2024-05-01T11:00:00|01:00:00|UNLIMITED|cpu=8,gres/gpu:a100=4
1.batch|ml|COMPLETED|2024-05-01T10:00:00|2024-05-01T10:00:00|2024-05-01T11:00:00|01:00:00||
2|cpu|COMPLETED|2024-05-01T10:05:00|2024-05-01T10:05:00|2024-05-01T11:00:00|00:55:00|01:00:00|cpu=8
"""
SWF = "1 0 5 100 4 -1 -1 4 200 -1 1 3 1 -1 1 -1 -1 -1\n2 9 5 100 4 -1 -1 4 200 -1 1 3 1 -1 1 -1 1 -1\n"


def test_every_format_is_known_everywhere() -> None:
    allowed = TraceWorkloadSpec.model_json_schema()["properties"]["format"]["enum"]
    assert list(TRACE_FORMATS) == list(allowed) == [form.value for form in TraceFormat]


def test_a_slurm_log_becomes_jobs(dcsim: Dcsim, tmp_path: Path) -> None:
    log, out = tmp_path / "sacct.txt", tmp_path / "jobs.csv"
    log.write_text(SACCT)
    result = dcsim("trace", "import", "sacct", log, "--out", out, "--accelerator", "a100=A100-80")
    assert result.exit_code == 0
    assert "wrote 2 jobs" in result.stdout
    assert "times are local without offset" in result.stdout
    jobs = read_native(out)
    assert jobs.texts("accelerator_types") == ["A100-80", ""]
    only = dcsim("trace", "import", "sacct", log, "--out", out, "--only-accelerators")
    assert "1 jobs without accelerators are left out" in only.stdout
    assert len(read_native(out)) == 1


def test_malformed_lines_are_refused_unless_told(dcsim: Dcsim, tmp_path: Path) -> None:
    log, out = tmp_path / "log.swf.gz", tmp_path / "jobs.parquet"
    log.write_bytes(gzip.compress((SWF + "3 4\n").encode()))
    refused = dcsim("trace", "import", "swf", log, "--out", out)
    assert refused.exit_code == 2
    assert "log.swf.gz:3: 2 fields -> expected 18 fields" in refused.stderr
    assert not out.exists()
    skipped = dcsim("trace", "import", "swf", log, "--out", out, "--on-bad", "skip")
    assert skipped.exit_code == 0
    assert "note: 1 malformed rows left out (line 3)" in skipped.stdout
    assert read_native(out).after == {"2": ("1",)}
    assert any("malformed rows left out" in note for note in read_native(out).notes)


def test_rates_become_a_table(dcsim: Dcsim, tmp_path: Path) -> None:
    source, out = tmp_path / "gavel.json", tmp_path / "rates.json"
    source.write_text(json.dumps({"v100": {"('LM', 1)": {"null": 2.0}, "('LM', 2)": {"null": 3.0}}}))
    result = dcsim("trace", "rates", "gavel", source, "--out", out)
    assert result.exit_code == 0
    assert "1 kinds of jobs, 2 rates, 0 pairs" in result.stdout
    assert load_rate_table(out)[0].layouts == "measured"
    assert dcsim("trace", "rates", "gavel", source, "--out", out, "--any-layout").exit_code == 0
    assert load_rate_table(out)[0].layouts == "any"
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "placements.csv").write_text("placement,local_bsz,step_time,sync_time\n1,8,0.5,0.1\n")
    assert dcsim("trace", "rates", "pollux", tmp_path, "--out", out, "--accelerator", "V100").exit_code == 0
    assert load_rate_table(out)[0].accelerators("toy") == ("V100",)


def test_clusters_of_slurm_and_kubernetes(dcsim: Dcsim, tmp_path: Path) -> None:
    topology, slurm, out = tmp_path / "topology.conf", tmp_path / "slurm.conf", tmp_path / "cluster.yaml"
    topology.write_text("SwitchName=leaf[1-1] Nodes=n[1-2]\n".replace("[1-1]", "1"))
    slurm.write_text("ClusterName=x\nNodeName=n[1-2] Gres=gpu:a100:8 CPUs=64 RealMemory=512000\n")
    result = dcsim(
        "cluster",
        "import",
        "slurm",
        topology,
        "--nodes",
        slurm,
        "--out",
        out,
        "--accelerator",
        "a100=A100-80",
    )
    assert result.exit_code == 0
    cluster = ClusterSpec.model_validate(yaml.safe_load(out.read_text())["cluster"])
    assert [(rack.name, rack.servers[0].accelerator) for rack in cluster.racks] == [("leaf1", "A100-80")]
    nodes = tmp_path / "nodes.yaml"
    nodes.write_text(
        "kind: List\nitems:\n"
        "- kind: Node\n  metadata: {name: a, labels: {row: x}}\n"
        '  status: {capacity: {cpu: "64", memory: 256Gi, nvidia.com/gpu: 8}}\n'
    )
    told = ("cluster", "import", "kubernetes", nodes, "--out", out, "--rack-label", "row")
    assert dcsim(*told).exit_code == 2
    assert dcsim(*told, "--accelerator", "nvidia.com/gpu=H100").exit_code == 0
    cluster = ClusterSpec.model_validate(yaml.safe_load(out.read_text())["cluster"])
    assert [(rack.name, rack.servers[0].accelerator) for rack in cluster.racks] == [("x", "H100")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trace", "import", "sacct", "x", "--accelerator", "a100"), "LABEL=NAME"),
        (("trace", "import", "sacct", "x", "--accelerator", "a=A b"), "LABEL=NAME"),
        (("trace", "import", "sacct", "x", "--accelerator", "a=A", "--accelerator", "A=B"), "given twice"),
        (("cluster", "import", "openb", "x", "--nodes", "y"), "only for slurm"),
        (("cluster", "import", "slurm", "x", "--rack-label", "y"), "only for kubernetes"),
        (("cluster", "import", "slurm", "x", "--on-bad", "skip"), "only for kubernetes"),
        (("trace", "rates", "pollux", "x", "--any-layout"), "only for gavel"),
        (("trace", "rates", "gavel", "x", "--accelerator", "T4"), "names its accelerators"),
        (("trace", "import", "swf", "x", "--accelerator", "a=T4"), "sacct or kubernetes"),
    ],
)
def test_options_of_other_formats_are_refused(dcsim: Dcsim, arguments: tuple[str, ...], words: str) -> None:
    result = dcsim(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_log_without_accelerators_cannot_be_cut_to_them(dcsim: Dcsim, tmp_path: Path) -> None:
    log = tmp_path / "sacct.txt"
    log.write_text("\n".join(SACCT.splitlines()[i] for i in (0, 3)) + "\n")
    result = dcsim("trace", "import", "sacct", log, "--only-accelerators", "--out", tmp_path / "jobs.csv")
    assert result.exit_code == 2
    assert "no job on accelerators" in result.stderr
