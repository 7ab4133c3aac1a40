"""Gangs that divide their model: bytes on each tier of a run by hand, and layouts as traces and mixes say them."""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.errors import TraceError
from dcsim.simulation import simulate
from dcsim.workload.profile import DimensionTraffic
from dcsim.workload.readers.native import read_native, write_jobs
from tests.simulation.exchanging import both, costs, gang, link_bytes, net, tier_bytes
from tests.simulation.halls import hall, run

# A model whose gradients are G bytes; a sample's activations are X bytes between stages, Y reduced in all layers.
GRADIENTS, STAGES, TENSOR = 6.4e7, 1e4, 3e3
BATCH = 8
WIDE: dict[str, Any] = {"server_bandwidth_bytes_per_s": 1e9}


def model(**traffic: Any) -> Any:
    """Return the profile of the model."""
    parallel = (
        DimensionTraffic(dimension="tensor", collective="all_reduce", bytes_per_sample=TENSOR),
        DimensionTraffic(dimension="pipeline", collective="send_recv", bytes_per_sample=STAGES),
    )
    return costs(1.0, GRADIENTS, 0.0, parallel=parallel, **traffic)


def test_a_large_language_model_by_tensors_stages_and_replicas():
    """128 devices on 16 servers of 8, t = 8 and p = 8 (the layout of a 175 B model in Narayanan et al. 2021), so d = 2.

    Ranks count tensor fastest, then data, then stages: stage i of replica d is server 2 i + d.
    """
    jobs = gang(steps=3.0, accelerators=128, parallelism="tensor=8 pipeline=8 micro_batches=16")
    samples = BATCH * 64
    # Each device's gradients are G / 64, exchanged by two: m out of each of the eight of a server.
    data = 8 * GRADIENTS / 64
    # Eight equal tensor ranks pass a sample's activations on in eight parts, and get their gradients back.
    stage = samples * STAGES
    # Rings of eight inside servers: 2 (8 - 1) m in all, and m is a replica's samples over eight stages.
    inside = 14 * samples * TENSOR / 8
    for result in both(jobs, model(), WIDE, servers=16, devices=8):
        sent = link_bytes(result)
        assert result.jobs["servers"].tolist() == [16]
        assert [sent[f"server {s} up"] for s in (0, 1, 2, 13, 14, 15)] == pytest.approx(
            [3 * (data + neighbours * stage) for neighbours in (1, 1, 2, 2, 1, 1)]
        )
        between = 16 * data + 2 * 7 * 2 * stage
        assert result.jobs["network_bytes"].tolist() == pytest.approx([3 * between])
        assert tier_bytes(result, "server") == pytest.approx(2 * 3 * between)
        assert tier_bytes(result, "fabric") == pytest.approx(3 * 16 * inside)
        # Computing 1 s and 7/16 of that in bubbles, then one part after the other: gradients and stages over
        # 1 GB/s by the busiest server, tensors inside over the 4 MB/s of each device's own links.
        device = 2 * 7 / 8 * samples * TENSOR / 8 / 4e6
        step_s = 1.0 + 7 / 16 + data / 1e9 + 2 * stage / 1e9 + device
        assert result.jobs["end_s"].tolist() == pytest.approx([3 * step_s], rel=1e-9)


@pytest.mark.parametrize(
    ("layout", "between", "inside"),
    [
        # Two servers of four devices. d = 8 in one ring a device index: m by each server each way.
        ("", 2 * GRADIENTS, 2 * 6 * GRADIENTS),
        # Tensors over a whole server: gradients of a quarter each, of 32 samples a replica.
        ("tensor=4", 2 * GRADIENTS, 2 * 6 * 4 * BATCH * TENSOR),
        # A stage a server: four replicas inside each, halves of the gradients, 16 samples a replica.
        ("pipeline=2", 2 * 4 * 2 * BATCH * STAGES, 2 * 6 * GRADIENTS / 2),
        # Both: one replica, no gradients to exchange.
        ("tensor=4 pipeline=2", 2 * 8 * BATCH * STAGES, 2 * 6 * 8 * BATCH * TENSOR / 2),
        # Gradients scattered and parameters gathered are as much as a reduction; at stage 3 one gather more.
        ("zero_stage=1", 2 * GRADIENTS, 2 * 6 * GRADIENTS),
    ],
)
def test_each_layout_puts_its_bytes_where_they_belong(layout, between, inside):
    for result in both(gang(steps=2.0, parallelism=layout), model(), WIDE):
        assert result.jobs["network_bytes"].tolist() == pytest.approx([2 * between])
        assert tier_bytes(result, "server") == pytest.approx(2 * 2 * between)
        assert tier_bytes(result, "fabric") == pytest.approx(2 * inside)


def test_a_generated_mix_says_how_its_gangs_are_divided():
    mix = [{"profile": "round", "widths": {"8": 1}, "parallelism": {"tensor": 4, "pipeline": 2}}]
    workload = {"kind": "generated", "jobs": 3, "mix": mix, "sizes": {"median_s": 60.0, "sigma": 0.0}}
    scenario = hall(2, network=net(**WIDE), workload=workload)
    result = simulate(scenario, profiles=model(), guards=True)
    steps = result.jobs["network_bytes"] / (2 * 8 * BATCH * STAGES)
    assert (steps > 1.0).all()
    assert tier_bytes(result, "fabric") == pytest.approx(float(steps.sum()) * 2 * 6 * 8 * BATCH * TENSOR / 2)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_trace_keeps_the_layouts_of_its_jobs(tmp_path, suffix):
    layouts = ["tensor=4 pipeline=2", "", "zero_stage=3"]
    table = gang(submit_s=[0.0, 1.0, 2.0], parallelism=layouts)
    write_jobs(table, tmp_path / f"jobs{suffix}")
    again = read_native(tmp_path / f"jobs{suffix}")
    assert again.texts("parallelism") == layouts
    assert again.parallelism_names == table.parallelism_names
    results = [run(hall(2, network=net(**WIDE)), jobs, profiles=model()) for jobs in (table, again)]
    assert results[0].jobs["end_s"].tolist() == results[1].jobs["end_s"].tolist()
    trace = {"kind": "trace", "path": f"jobs{suffix}", "format": "native"}
    scenario = hall(2, network=net(**WIDE), workload=trace)
    told = simulate(scenario, profiles=model(), base_dir=tmp_path)
    assert told.jobs["end_s"].tolist() == results[0].jobs["end_s"].tolist()


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ("b,1,6,2,tensor=4,,", "'tensor=4'"),
        ("b,1,8,2,tensor=3 pipeline=2,,", "'tensor=3 pipeline=2'"),
        ("b,1,8,2,tensors=2,,", "'tensors=2'"),
        ("b,1,8,2,tensor=2 tensor=2,,", "'tensor=2 tensor=2'"),
        ("b,1,8,2,tensor=2,4,16", "'tensor=2'"),
    ],
)
def test_a_trace_whose_gangs_do_not_divide_is_refused_where_it_says_so(tmp_path, row, got):
    header = "job_id,submit_s,accelerators,steps,parallelism,min_accelerators,max_accelerators,profile"
    text = f"{header}\na,0,8,2,tensor=4,,,round\n{row},round\n"
    (tmp_path / "jobs.csv").write_text(text)
    with pytest.raises(TraceError) as error:
        read_native(tmp_path / "jobs.csv")
    (problem,) = error.value.problems
    assert (problem.file, problem.line, problem.path) == (str(tmp_path / "jobs.csv"), 3, "parallelism")
    assert problem.got == got
    assert "whose product divides the accelerators" in problem.expected


def test_a_table_whose_gangs_do_not_divide_is_refused():
    with pytest.raises(TraceError, match=r"'job-0'\.parallelism: 'tensor=3' of 8 -> expected degrees"):
        gang(parallelism="tensor=3")
    with pytest.raises(TraceError, match="none where elastic"):
        gang(parallelism="tensor=2", min_accelerators=4, max_accelerators=16)
    assert len(gang(parallelism="zero_stage=2", min_accelerators=4, max_accelerators=16)) == 1


def test_an_elastic_gang_shards_its_optimizer_at_any_width():
    jobs = gang(min_accelerators=8, max_accelerators=16, parallelism="zero_stage=2", steps=40.0)
    fluid, steps = both(jobs, model(), WIDE, servers=4, policies={"ordering": "elastic"})
    assert fluid.jobs["end_s"].tolist() == pytest.approx(steps.jobs["end_s"].tolist(), rel=1e-9)
    assert fluid.jobs["network_bytes"][0] > 0.0
