"""Latencies are percentiles of the timed calls, and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

from trainers import inference
from trainers.__main__ import main
from trainers.inference import Latency, measure_inference

pytestmark = pytest.mark.usefixtures("eight_devices")

SAMPLES = np.arange(30, dtype=np.float32).reshape(10, 3)


def test_percentiles_are_of_the_timed_calls_only(monkeypatch: pytest.MonkeyPatch) -> None:
    # A clock that moves 1 s with each reading: calls that are not timed would show as longer ones.
    readings = iter(range(10**6))
    monkeypatch.setattr("trainers.inference.time.perf_counter", lambda: float(next(readings)))
    (row,) = measure_inference(lambda weight, x: x * weight, np.float32(2.0), SAMPLES, [4], calls=100)
    assert (row.calls, row.batch, row.compile_s) == (100, 4, 1.0)
    assert row.mean_s == row.p50_s == row.p99_s == 1.0
    assert row.samples_per_s == 4.0


def test_percentiles_are_times_that_were_measured() -> None:
    bench = inference._Bench(
        lambda: None, 5, 0.1, None, wall_s=[float(n) for n in range(100, 0, -1)], cpu_s=50.0
    )
    row = inference._latency(bench)
    assert (row.p50_s, row.p95_s, row.p99_s) == (50.0, 95.0, 99.0)
    assert (row.mean_s, row.cpu_s) == (50.5, 0.5)
    assert row.samples_per_s == pytest.approx(5 / 50.5)


@pytest.mark.parametrize(
    ("calls", "p95_s", "p99_s"), [(19, None, None), (20, 19.0, None), (99, 95.0, None), (100, 95.0, 99.0)]
)
def test_a_tail_takes_calls_enough(calls: int, p95_s: float | None, p99_s: float | None) -> None:
    bench = inference._Bench(
        lambda: None, 5, 0.1, None, wall_s=[float(n) for n in range(1, calls + 1)], cpu_s=1.0
    )
    row = inference._latency(bench)
    assert (row.p95_s, row.p99_s) == (p95_s, p99_s)


@pytest.mark.parametrize(("batches", "calls"), [([0], 10), ([1], 0)])
def test_nothing_to_time_is_refused(batches: list[int], calls: int) -> None:
    with pytest.raises(ValueError, match="expected integers >= 1"):
        measure_inference(lambda _, x: x, None, SAMPLES, batches, calls=calls)


def test_the_command_prints_a_row_a_batch_and_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "infer",
        "linear",
        "--batch",
        "2,30",
        "--calls",
        "8",
        "--precision",
        "int8",
        "--out",
        str(tmp_path),
    ]
    assert main(asked) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:3]] == ["batch", "2", "30"]
    written: Any = json.loads((tmp_path / "inference.json").read_text())
    rows = written["rows"]
    assert written["provenance"]["command"].endswith(
        "linear --batch 2,30 --calls 8 --precision int8 --seed 0"
    )
    assert {"p50_s", "p95_s", "p99_s"} <= written["units"].keys()
    for row in (Latency(**each) for each in rows):
        assert row.p50_s > 0.0
        assert row.p95_s is row.p99_s is None
        assert row.calls == 8
        # 10 products, two operations each, and little besides.
        assert row.flops is None or row.flops >= 20 * row.batch


@pytest.mark.parametrize("command", ["infer", "compress"])
@pytest.mark.parametrize("batch", ["99999999999999", "1e11", "0"])
def test_a_call_that_would_fill_the_memory_is_refused(
    command: str, batch: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "linear", "--batch", batch])
    assert ended.value.code == 2
    assert "expected an integer from 1 to 16384" in capsys.readouterr().err
