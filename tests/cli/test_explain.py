"""`dcsim explain` as a user types it: what it prints, that it adds up, and how it refuses."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from dcsim.cli.explain import CAUSES
from dcsim.results.schema import TIMES
from dcsim.simulation.explaining import DATA, NETWORK, Explanation, LinkLoss, Share, Spent

Dcsim = Callable[..., Result]


@pytest.fixture
def run_dir(dcsim: Dcsim, scenario_file: Path, tmp_path: Path) -> Path:
    assert dcsim("run", scenario_file, "--out", tmp_path / "run").exit_code == 0
    return tmp_path / "run"


def test_every_cause_has_a_name() -> None:
    assert list(CAUSES) == [column.name.removesuffix("_s") for column in TIMES]


def test_a_job_that_waited_for_another_is_told_for_which(dcsim: Dcsim, run_dir: Path) -> None:
    told = dcsim("explain", "second", run_dir)
    assert told.exit_code == 0
    lines = [line.strip() for line in told.stdout.splitlines()]
    assert all(len(line) <= 80 for line in told.stdout.splitlines())
    (queueing,) = [line for line in lines if line.startswith("queueing")]
    assert "59 min 50 s" in queueing  # from 10 s until the first job frees its server after an hour
    (total,) = [line for line in lines if line.startswith("from submission to end")]
    assert total.endswith("100.0 %")
    (held,) = [line for line in lines if line.startswith("first")]
    assert held.split()[-2:] == ["100.0", "%"]


def test_json_says_the_same_and_adds_up(dcsim: Dcsim, run_dir: Path) -> None:
    told = json.loads(dcsim("explain", "second", run_dir, "--json").stdout)
    spent = {part["cause"]: part["time_s"] for part in told["spent"]}
    assert spent["queue"] == 3590.0
    assert spent["compute"] == 600.0
    assert math.fsum(spent.values()) == pytest.approx(told["time_s"], rel=1e-12)
    (first,) = told["held_by_jobs"]
    assert (first["job_id"], first["accelerator_s"], first["fraction"]) == ("first", 4 * 3590.0, 1.0)
    assert told["links"] == []


def test_an_unknown_job_is_refused_with_the_nearest_name(dcsim: Dcsim, run_dir: Path) -> None:
    refused = dcsim("explain", "secnd", run_dir)
    assert refused.exit_code == 2
    assert "did you mean 'second'" in refused.stderr
    assert refused.stdout == ""


def test_a_folder_without_a_run_is_refused(dcsim: Dcsim, tmp_path: Path) -> None:
    assert dcsim("explain", "second", tmp_path).exit_code == 1


def test_links_and_who_else_was_on_them_align(
    dcsim: Dcsim, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    others = (
        Share("job-1", "ada", 1, 40.0, 2 / 3),
        Share("", "", 4, 15.0, 0.25),
        Share("", "", 0, 5.0, 1 / 12),
    )
    found = Explanation(
        scenario_name="s",
        job_id="job-7",
        tenant="grace",
        status="running",
        submit_s=5.0,
        time_s=100.0,
        spent=tuple(Spent(cause, 0.0, math.nan) for cause in CAUSES),
        not_eligible_s=30.0,
        held_by_jobs=(Share("job-1", "ada", 1, 7200.0, 1.0),),
        held_by_tenants=(Share("", "ada", 3, 7000.0, 0.9), Share("", "", 1, 200.0, 0.1)),
        links=(LinkLoss(NETWORK, "rack 3 up", 60.0, others), LinkLoss(DATA, "shared file system", 9.0, ())),
        note="all of it",
    )
    monkeypatch.setattr("dcsim.study.explain", lambda _run_dir, _job, **_: found)
    lines = dcsim("explain", "job-7", tmp_path).stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(line.strip() for line in lines)
    assert "so far (running)" in text
    assert "Not yet allowed to start: 30 s" in text
    assert "(4 others)" in text
    assert "(no job)" in text
    assert "(nobody else)" in text
    assert "note: all of it" in text
    shares = [line for line in lines if re.search(r"(66\.7|25\.0|8\.3) %", line)]
    assert len({line.rstrip().rfind("%") for line in shares}) == 1
    assert re.search(r"^ada +3 +1 h 57 min +90\.0 %", text, re.MULTILINE)
    assert re.search(r"^\(none\) +1 ", text, re.MULTILINE)
