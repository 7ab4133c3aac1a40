"""A job of a stored run: explained from its tables, watched again where links matter, told where that fails."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcsim
from dcsim.errors import InputError, ResultError
from dcsim.results.run_result import RunResult
from dcsim.results.store import write_run
from dcsim.simulation.explaining import DATA, NETWORK, Observer
from dcsim.simulation.kinds import EVENT_KINDS
from dcsim.study import explain
from tests.results.synthetic import make_result, make_scenario


def made(**changes: Any) -> RunResult:
    """Return a run whose log has no gangs: its kinds are those of the simulator, its rows only submissions."""
    result = make_result(count=6, bins=6)
    return replace(
        result, event_kinds=EVENT_KINDS, events={n: v[:0] for n, v in result.events.items()}, **changes
    )


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return write_run(made(), tmp_path / "run", scenario=make_scenario(), base_dir=tmp_path)


class Watched:
    """Stands in for the simulator; tells the observer of one link."""

    def __init__(self, result: RunResult | Exception) -> None:
        self.result = result
        self.calls: list[tuple[int, int]] = []

    def __call__(self, _scenario: object, seed: int, *, base_dir: Path, observer: Observer) -> RunResult:
        assert base_dir.is_dir()
        self.calls.append((seed, observer.job_row))
        if isinstance(self.result, Exception):
            raise self.result
        observer.link_names = ("up", "down")
        others: Sequence[tuple[int, float]] = [(1, 0.75), (4, 0.25)]
        observer.held_back(0.0, 10.0, NETWORK, 1, 4.0, others)
        return self.result


def test_a_job_held_back_by_links_is_watched_again(stored: Path) -> None:
    simulate = Watched(made())
    found = explain(stored, "job-00002", simulate=simulate)
    assert simulate.calls == [(0, 2)]
    assert found.note == ""
    assert found.links is not None
    (loss,) = found.links
    assert (loss.link, loss.lost_s) == ("down", 4.0)
    assert [(share.job_id, share.amount_s) for share in loss.others] == [
        ("job-00001", 3.0),
        ("job-00004", 1.0),
    ]


def test_a_job_that_links_did_not_hold_back_needs_no_second_run(tmp_path: Path) -> None:
    result = made()
    result = replace(result, jobs={**result.jobs, "network_stall_s": np.zeros(6)})
    path = write_run(result, tmp_path / "run", scenario=make_scenario(), base_dir=tmp_path)
    simulate = Watched(result)
    found = explain(path, "job-00002", simulate=simulate)
    assert simulate.calls == []
    assert (found.links, found.note) == ((), "")


def test_another_outcome_of_the_second_run_is_told(stored: Path) -> None:
    other = made()
    other = replace(other, jobs={**other.jobs, "end_s": other.jobs["end_s"] + 1.0})
    assert "differs from the stored one" in explain(stored, "job-00002", simulate=Watched(other)).note


def test_where_the_run_cannot_be_made_again_the_rest_is_told(stored: Path) -> None:
    error = ResultError("data file 'jobs.csv' is not the one this run was made with\nand more")
    found = explain(stored, "job-00002", simulate=Watched(error))
    assert found.links is None
    assert found.note.endswith(
        "cannot be made again: data file 'jobs.csv' is not the one this run was made with"
    )
    assert sum(part.time_s for part in found.spent) == pytest.approx(found.time_s)


def test_an_unknown_job_is_refused_with_those_like_it(stored: Path) -> None:
    with pytest.raises(InputError, match="no job 'job-0002'; did you mean 'job-00002'"):
        explain(stored, "job-0002")
    with pytest.raises(InputError, match="it has 6 jobs, the first 'job-00000'"):
        explain(stored, "xyz")


def test_a_run_without_jobs_has_none_to_explain(tmp_path: Path) -> None:
    path = write_run(make_result(count=0), tmp_path / "run", scenario=make_scenario(), base_dir=tmp_path)
    with pytest.raises(InputError, match="it has no jobs"):
        explain(path, "a")


def test_it_is_part_of_the_public_interface(stored: Path) -> None:
    found = dcsim.explain(stored, "job-00001", simulate=Watched(made()))
    assert isinstance(found, dcsim.Explanation)


JOBS = """\
job_id,submit_s,accelerators,duration_s,tenant,profile,batch_per_accelerator
first,0,4,3600,vision,digits_mlp,64
second,600,4,3600,vision,digits_mlp,64
third,900,4,1800,speech,digits_mlp,64
wide,1200,16,1800,speech,digits_mlp,64
"""
SCENARIO = """\
name: starved
cluster:
  racks: [{name: r, count: 2, servers: [{count: 2, accelerator: cpu-core, accelerators: 4}]}]
network: {topology: fat_tree, server_bandwidth_bytes_per_s: 10 Gbit/s, oversubscription: 8}
storage: {shared: {bandwidth_bytes_per_s: 400 MB/s}}
workload: {kind: trace, path: jobs.csv}
"""


def test_what_links_cost_in_a_real_run_is_what_the_job_table_says(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(JOBS, encoding="utf-8")
    (tmp_path / "starved.yaml").write_text(SCENARIO, encoding="utf-8")
    loaded = dcsim.load_scenario(tmp_path / "starved.yaml")
    result = dcsim.simulate(loaded.scenario, base_dir=tmp_path)
    path = write_run(result, tmp_path / "run", scenario=loaded.scenario, base_dir=tmp_path)
    kinds = {"data_stall": DATA, "network_stall": NETWORK}
    held_back = 0
    for job_id in ("first", "second", "third", "wide"):
        found = explain(path, job_id)
        assert found.note == ""
        assert math.fsum(part.time_s for part in found.spent) == pytest.approx(found.time_s, rel=1e-12)
        spent = {part.cause: part.time_s for part in found.spent}
        for cause, kind in kinds.items():
            lost_s = [loss.lost_s for loss in found.links or () if loss.kind == kind]
            assert math.fsum(lost_s) == pytest.approx(spent[cause], rel=1e-9)
            held_back += spent[cause] > 0.0
        for loss in found.links or ():
            assert math.fsum(share.amount_s for share in loss.others) == pytest.approx(
                loss.lost_s if loss.others else 0.0
            )
            assert job_id not in [share.job_id for share in loss.others]
    assert held_back >= 4
