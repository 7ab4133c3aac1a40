"""Traces and tables of Gavel and Pollux: rows by hand, and what the published files hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from dcsim.errors import TraceError
from dcsim.workload.readers.gavel import read_gavel, read_gavel_rates
from dcsim.workload.readers.pollux import read_pollux, read_pollux_rates
from dcsim.workload.readers.pollux_applications import POLLUX_APPLICATIONS

WORKLOAD = "name,time,application,num_replicas,batch_size\n"
PLACEMENTS = "placement,local_bsz,step_time,sync_time\n"
SCALABILITY = "num_nodes,num_replicas,local_bsz,step_time,sync_time\n"


def _gavel(kind: str = "LM", steps: object = 100, width: object = 2, slo: object = -1, at: object = 0) -> str:
    return f"{kind}\tpython3 x.py %s\tlm\t--steps\t1\t{steps}\t{width}\t1\t{slo}\t{at}\n"


def test_gavel_lines_become_jobs(tmp_path: Path) -> None:
    path = tmp_path / "jobs.trace"
    path.write_text("".join(_gavel(at=10 - i, width=1 + i % 2, slo=-1 + i % 2) for i in range(11)))
    table = read_gavel(path)
    assert table.job_id[-1] == "gavel-00"
    assert table.submit_s.tolist() == list(range(11))
    assert table.steps.tolist() == [100.0] * 11
    assert set(table.texts("profile")) == {"LM"}
    assert any("the service level of 5 jobs is not used" in note for note in table.notes)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (_gavel(steps=0), "total_steps: '0' -> expected a finite number > 0"),
        (_gavel(width=0), "scale_factor: '0' -> expected a whole number >= 1"),
        (_gavel(width=1.5), "scale_factor: '1.5' -> expected a whole number"),
        (_gavel(at="soon"), "arrival_s: 'soon' -> expected a finite number"),
        (_gavel(kind=""), "job_type: blank"),
        ("LM 5 5\n", "1 fields -> expected 10 fields, fields are separated by tabs"),
    ],
)
def test_malformed_gavel_lines_are_refused_or_skipped(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "jobs.trace"
    path.write_text(_gavel() + line)
    with pytest.raises(TraceError, match=f"jobs.trace:2: {words}"):
        read_gavel(path)
    assert len(read_gavel(path, on_bad="skip")) == 1


def test_gavel_rates_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    lm, other = "('LM (batch size 5)', {})", "('A3C', {})"
    content = {
        "v100": {
            lm.format(1): {"null": 8.0, other.format(1): [4.0, 0.5], lm.format(1): [3.0, 3.0]},
            lm.format(4): {"null": 24.0},
            other.format(1): {"null": 1.0, lm.format(1): [0.5, 4.0]},
        },
        "v100_unconsolidated": {lm.format(1): {"null": 7.0}, lm.format(4): {"null": 12.0}},
        "k80": {lm.format(1): {"null": 0.0}},
    }
    path.write_text(json.dumps(content))
    table = read_gavel_rates(path)
    kind = "LM (batch size 5)"
    assert table.rate_steps_per_s(kind, "V100", (1,)) == (8.0, False, "measured")
    assert table.rate_steps_per_s(kind, "V100", (4,)) == (24.0, False, "measured")
    assert table.rate_steps_per_s(kind, "V100", (1, 1, 1, 1), 5) == (12.0, False, "measured")
    # Two servers of one and four: a third of the way in seconds a step.
    between = table.rate_steps_per_s(kind, "V100", (2, 2))
    assert between.steps_per_s == pytest.approx(1 / (1 / 24 + (1 / 12 - 1 / 24) / 3))
    assert not between.extrapolated
    assert table.rate_steps_per_s(kind, "K80", (1,)).steps_per_s == 0.0
    assert table.pair_rates(kind, "A3C", "V100") == (4.0, 0.5)
    assert table.pair_rates("A3C", kind, "V100") == (0.5, 4.0)
    assert table.pair_rates(kind, kind, "V100") == (3.0, 3.0)
    assert table.pair_rates("A3C", "A3C", "V100") is None
    assert list(table.provenance.files_sha256) == ["rates.json"]
    blind = read_gavel_rates(path, any_layout=True)
    assert blind.rate_steps_per_s(kind, "V100", (1, 1, 1, 1)) == (24.0, False, "measured")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "list -> expected a JSON object"),
        ("{}", "no rates -> expected at least one"),
        ('{"v100": 5}', "v100: int -> expected an object of kinds"),
        ('{"v100": {"LM": {"null": 1}}}', "'LM' -> expected a key such as"),
        ('{"v100": {"(\'LM\', 1)": {"null": -1}}}', "-1 -> expected a rate >= 0"),
        ('{"v100": {"(\'LM\', 1)": {}}}', "None -> expected a rate >= 0"),
        ('{"v100": {"(\'LM\', 1)": 5}}', "-> expected a rate >= 0"),
        ('{"v100": {"(\'LM\', 1)": {"null": true}}}', "True -> expected a rate >= 0"),
        (
            '{"v100": {"(\'LM\', 1)": {"null": 1, "(\'LM\', 2)": [1, 1]}}}',
            "two rates >= 0 of gangs equally wide",
        ),
        (
            '{"v100": {"(\'LM\', 1)": {"null": 1, "(\'LM\', 1)": [1]}}}',
            "two rates >= 0 of gangs equally wide",
        ),
        ('{"v100": {"__import__(\'os\')": {"null": 1}}}', "expected a key such as"),
    ],
)
def test_malformed_gavel_tables_are_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "rates.json"
    path.write_text(content)
    with pytest.raises(TraceError) as caught:
        read_gavel_rates(path)
    assert words in str(caught.value)


def test_pollux_rows_become_jobs(tmp_path: Path) -> None:
    path = tmp_path / "workload.csv"
    path.write_text(WORKLOAD + "ncf-1,60,ncf,1,32768\nbert-0,5,bert,6,384\n")
    table = read_pollux(path)
    assert table.job_id == ("bert-0", "ncf-1")
    assert table.submit_s.tolist() == [5.0, 60.0]
    assert table.accelerators.tolist() == [6, 1]
    assert table.texts("profile") == ["bert", "ncf"]
    assert table.batch_per_accelerator.tolist() == [64, 32768]
    # bert takes 360 of its 384 samples a step: 88,644 / 12 * (1 / 30 + 29 / 30 x) a step in each epoch.
    by_hand = sum(88_644 / 12 * (12 / 360 + (1 - 12 / 360) * x) for x in (0.00176, 0.00054))
    assert table.steps[0] == pytest.approx(by_hand, rel=1e-12)
    assert table.noise_scale_samples[0] == pytest.approx(12 * (1 / 0.00115 - 1))


def test_at_the_initial_batch_an_epoch_is_its_samples() -> None:
    for application in POLLUX_APPLICATIONS.values():
        steps = application.epoch_steps(application.initial_batch)
        assert steps == pytest.approx(application.samples_per_epoch / application.initial_batch)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,0,bertt,1,12", "application: 'bertt' -> expected one of .*did you mean 'bert'"),
        ("a,0,bert,0,12", "num_replicas"),
        ("a,-1,bert,1,12", "time"),
        ("good,0,bert,1,12", "name"),
    ],
)
def test_malformed_pollux_rows_are_refused_or_skipped(tmp_path: Path, row: str, words: str) -> None:
    path = tmp_path / "workload.csv"
    path.write_text(WORKLOAD + f"good,0,bert,1,12\n{row}\n")
    with pytest.raises(TraceError, match=f"workload.csv:3: {words}"):
        read_pollux(path)
    assert read_pollux(path, on_bad="skip").job_id == ("good",)


def test_pollux_tables_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "placements.csv").write_text(PLACEMENTS + "1,8,0.5,0.1\n1,16,0.9,0.1\n12,8,1.0,0.5\n")
    (folder / "scalability.csv").write_text(SCALABILITY + "6,6,8,2.0,1.0\n")
    table = read_pollux_rates(tmp_path)
    assert table.names() == ("toy",)
    assert table.rate_steps_per_s("toy", "T4", (1,), 12).steps_per_s == pytest.approx(1 / 0.7)
    for layout in ((1, 2), (2, 1)):
        assert table.rate_steps_per_s("toy", "T4", layout, 8).steps_per_s == 1.0
    assert table.rate_steps_per_s("toy", "T4", (1,) * 6, 8).steps_per_s == 0.5
    assert read_pollux_rates(folder) == table
    (folder / "scalability.csv").write_text(SCALABILITY + "6,5,8,2.0,1.0\n")
    (folder / "placements.csv").write_text(PLACEMENTS + "101,8,0.5,0.6\n")
    with pytest.raises(TraceError) as caught:
        read_pollux_rates(tmp_path)
    assert "placements.csv:2: sync_time: 0.6 -> expected at most step_time" in str(caught.value)


def test_no_tables_are_told(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"no \*/placements.csv"):
        read_pollux_rates(tmp_path)
    with pytest.raises(TraceError, match="no folder"):
        read_pollux_rates(tmp_path / "none")


def test_the_published_gavel_files(shared_data: Path) -> None:
    folder = shared_data / "traces/gavel"
    jobs = read_gavel(folder / "physical_96.trace")
    assert len(jobs) == 96
    assert (jobs.job_id[0], jobs.steps[0], jobs.accelerators[0]) == ("gavel-00", 925_982.0, 4)
    for name in ("simulation", "physical_cluster"):
        table = read_gavel_rates(folder / f"{name}_throughputs.json")
        assert table.problems() == []
        assert len(table.names()) == 26
        assert table.accelerators("A3C") == ("K80", "P100", "V100")
        raw = json.loads((folder / f"{name}_throughputs.json").read_text())
        for kind, width in zip(jobs.texts("profile"), jobs.accelerators.tolist(), strict=True):
            for label in ("v100", "p100", "k80"):
                expected = raw[label][str((kind, width))]["null"]
                assert table.rate_steps_per_s(kind, label.upper(), (width,)) == (expected, False, "measured")
        # Every pair of the file is there, whichever of the two comes first.
        for label, kinds in raw.items():
            if label.endswith("_unconsolidated"):
                continue
            for text, partners in kinds.items():
                kind, width = _key(text)
                for other, rates in partners.items():
                    if other != "null":
                        assert table.pair_rates(kind, _key(other)[0], label.upper(), (width,)) == tuple(rates)


def _key(text: str) -> tuple[str, int]:
    kind, _, width = text.strip("()").rpartition(",")
    return kind.strip("'"), int(width)


def test_the_published_pollux_files(shared_data: Path) -> None:
    folder = shared_data / "traces/pollux"
    table = read_pollux_rates(folder / "placements")
    assert len(table.rates) == 5_542
    assert table.problems() == []
    for number in (6, 7, 8):
        jobs = read_pollux(folder / f"workload-{number}.csv")
        assert len(jobs) == 160
        assert np.isfinite(jobs.steps).all()
        # No job of the workloads leaves what was measured, on full servers of four.
        for row in range(len(jobs)):
            whole, rest = divmod(int(jobs.accelerators[row]), 4)
            layout = (4,) * whole + ((rest,) if rest else ())
            kind, batch = jobs.texts("profile")[row], int(jobs.batch_per_accelerator[row])
            found = table.rate_steps_per_s(kind, "T4", layout, batch)
            assert not found.extrapolated, (jobs.job_id[row], found)
            assert math.isfinite(found.steps_per_s)
            assert found.steps_per_s > 0


@pytest.mark.oracle
def test_interpolated_layouts_are_near_delaunay_interpolation(shared_data: Path) -> None:
    """Pollux's simulator interpolates linearly on a Delaunay mesh of (servers, GPUs, batch); ours axis by axis."""
    from scipy.interpolate import LinearNDInterpolator

    table = read_pollux_rates(shared_data / "traces/pollux/placements")
    for kind, servers, devices, batch in (
        ("bert", 5, 16, 12),
        ("cifar10", 5, 12, 342),
        ("cifar10", 5, 16, 256),
        ("imagenet", 6, 24, 134),
        ("imagenet", 7, 24, 134),
        ("imagenet", 12, 48, 134),
        ("imagenet", 13, 48, 134),
    ):
        points: dict[tuple[int, int, int], list[float]] = {}
        for rate in table.rates:
            if rate.kind == kind and rate.step_s is not None:
                points.setdefault((len(rate.layout), sum(rate.layout), rate.batch), []).append(rate.step_s)
        for shape in table.shapes:
            if shape.kind == kind and shape.step_s is not None:
                points.setdefault((shape.servers, shape.accelerators, shape.batch), []).append(shape.step_s)
        mesh = LinearNDInterpolator(list(points), [np.mean(steps) for steps in points.values()])
        layout = (devices // servers,) * (servers - devices % servers) + (devices // servers + 1,) * (
            devices % servers
        )
        ours = table.rate_steps_per_s(kind, "T4", layout, batch).steps_per_s
        assert ours == pytest.approx(1.0 / float(mesh([servers, devices, batch])[0]), rel=0.012)
