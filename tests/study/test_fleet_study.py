"""Fleets on disk and routers compared: replayable site by site, paired by seed, nothing of the user's overwritten."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import pytest

from dcsim.cli.options import noted_data_folders
from dcsim.errors import ResultError, ScenarioError
from dcsim.results.arrow import from_arrow
from dcsim.results.fleet import ADDITIVE, FLEET_JOBS
from dcsim.results.store import read_run
from dcsim.simulation.fleet_run import simulate_fleet
from dcsim.spec.fleet_load import load_fleet
from dcsim.study import replay
from dcsim.study.fleet_compare import compare_fleet, write_fleet_study
from dcsim.study.fleet_store import FLEET, read_fleet_summary, write_fleet

SITE = """\
name: hall
cluster: {racks: [{name: r, count: 2, servers: [{accelerator: A100-80, accelerators: 8, count: 2}]}]}
grid: {carbon: {kind: constant, intensity_kg_per_j: INTENSITY g/kWh}}
"""
TWO = """\
name: two
horizon_s: 2 d
sites:
  - {name: dirty, scenario: dirty.yaml}
  - {name: clean, scenario: clean.yaml}
workload:
  kind: generated
  jobs: 150
  arrivals: {load: 0.4}
  mix: [{profile: tiny_transformer, widths: {1: 1, 8: 1}, deferrable_fraction: 50 %}]
wan: {energy_j_per_byte: 0.004 kWh/GB, price_usd_per_byte: 0.02 USD/GB}
routing: {name: cleanest, parameters: {max_delay_s: 30}}
"""


@pytest.fixture
def two(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, intensity in (("dirty", "600"), ("clean", "100")):
        (folder / f"{name}.yaml").write_text(SITE.replace("INTENSITY", intensity), encoding="utf-8")
    (folder / "fleet.yaml").write_text(TWO, encoding="utf-8")
    return load_fleet(folder / "fleet.yaml")


def replay_with_notes(run_dir, monkeypatch):
    """Replay as `dcsim replay` does, with the data folders noted beside the run."""
    monkeypatch.setenv("DCSIM_DATA_DIRS", os.pathsep.join(map(str, noted_data_folders(run_dir))))
    return replay(run_dir)


def test_a_stored_fleet_is_read_back_and_each_site_replays_byte_for_byte(two, tmp_path, monkeypatch):
    done = simulate_fleet(two)
    out = write_fleet(done, tmp_path / "out", two)
    summary = read_fleet_summary(out)
    assert str(summary["total"]) == str(dict(done.result.total))
    for column in ADDITIVE:
        parts = [row[column.name] for row in (*summary["sites"].values(), summary["network"])]
        assert math.fsum(parts) == summary["total"][column.name]
    for name, run in zip(done.result.site_names, done.result.runs, strict=True):
        assert len(run.jobs["job_id"]) > 0
        stored = read_run(out / "sites" / name)
        assert str(stored.result.summary) == str(run.summary)
        assert replay_with_notes(out / "sites" / name, monkeypatch).identical
    import pyarrow.parquet as pq

    table = from_arrow(pq.read_table(out / "jobs.parquet"), FLEET_JOBS, "jobs")
    assert table["site"].tolist() == done.result.jobs["site"].tolist()


def test_the_same_fleet_is_written_as_the_same_bytes(two, tmp_path):
    folders = [write_fleet(simulate_fleet(two), tmp_path / name, two) for name in ("one", "other")]
    for path in sorted(folders[0].rglob("*")):
        if path.is_file() and path.name != "run.log.json":
            assert path.read_bytes() == (folders[1] / path.relative_to(folders[0])).read_bytes(), path.name


def test_a_folder_that_is_no_fleet_is_left_alone(two, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("years of work", encoding="utf-8")
    done = simulate_fleet(two)
    with pytest.raises(ResultError, match="not a dcsim fleet"):
        write_fleet(done, tmp_path / "thesis", two)
    out = write_fleet(done, tmp_path / "out", two)
    write_fleet(done, out, two)  # a fleet is replaced
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ResultError, match="not a dcsim fleet"):
        write_fleet(done, out, two)


def test_a_damaged_summary_is_found(two, tmp_path):
    out = write_fleet(simulate_fleet(two), tmp_path / "out", two)
    raw = (out / FLEET).read_bytes()
    (out / FLEET).write_bytes(raw.replace(b'"jobs": 150', b'"jobs": 151'))
    with pytest.raises(ResultError, match="damaged"):
        read_fleet_summary(out)


def test_routers_are_compared_in_pairs(two, tmp_path):
    told = []
    study = compare_fleet(
        two,
        routings=("home", "cleanest"),
        seeds=(0, 1, 2),
        progress=lambda done, total, cell: told.append((done, total, cell.routing)),
    )
    assert told[-1] == (6, 6, "cleanest")
    carbon = next(d for d in study.differences() if d.metric == "carbon_kg")
    assert carbon.verdict == "better"
    by_seed = {seed: study.values("cleanest", "carbon_kg")[seed] - study.values("home", "carbon_kg")[seed]
               for seed in study.seeds}  # fmt: skip
    assert carbon.difference.mean == pytest.approx(sum(by_seed.values()) / 3)
    assert 0.5 < study.moved("cleanest") < 1.0
    assert study.moved("home") == 0.0
    path = write_fleet_study(study, tmp_path / "study")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2 * 3 * 4
    fleet_rows = {(row["routing"], row["seed"]): row for row in rows if row["site"] == "(fleet)"}
    assert float(fleet_rows["home", "1"]["carbon_kg"]) == study.values("home", "carbon_kg")[1]
    write_fleet_study(study, tmp_path / "study")
    (tmp_path / "study/mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ResultError, match="not a dcsim fleet study"):
        write_fleet_study(study, tmp_path / "study")


def test_a_router_twice_or_none_is_refused(two):
    for routings in ((), ("home", "home")):
        with pytest.raises(ScenarioError, match="at least one, each once"):
            compare_fleet(two, routings=routings, seeds=(0,))
