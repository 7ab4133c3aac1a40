"""The figures of `dcsim trace describe`, counted by hand."""

from __future__ import annotations

import math

import pytest

from dcsim.workload.describe import describe, offered_accelerators
from dcsim.workload.jobs import JobTable, empty_jobs, job_table


@pytest.fixture
def table() -> JobTable:
    return job_table(
        submit_s=[0.0, 10.0, 40.0, 100.0],
        duration_s=[10.0, 20.0, 30.0, float("nan")],
        steps=[float("nan")] * 3 + [500.0],
        profile=["", "", "", "p"],
        accelerators=[1, 8, 0, 2],
        accelerator_share=[0.5, 1.0, 1.0, 1.0],
        slack_s=[0.0, 5.0, 0.0, 0.0],
        tenant=["x", "y", "x", "x"],
        accelerator_types=["T4|A10", "", "", ""],
    )


def test_figures(table: JobTable) -> None:
    facts = {(fact.section, fact.name): (fact.value, fact.unit) for fact in describe(table, 10)}
    assert facts["jobs", "jobs"] == (4, "")
    assert facts["jobs", "CPU only"] == (1, "")
    assert facts["jobs", "deferrable"] == (1, "")
    assert facts["arrivals", "span"] == (100.0, "s")
    assert facts["arrivals", "mean rate"] == (0.03, "1/s")
    assert facts["width", "8"] == (1, "")
    assert facts["width", "mean"] == (2.75, "")
    assert facts["run time", "p50"] == (20.0, "s")
    assert facts["run time", "mean"] == (20.0, "s")
    assert facts["steps", "longest"] == (500.0, "")
    assert facts["share", "mean part"] == (0.5, "")
    assert facts["tenant", "x"] == (3, "")
    assert facts["profile", "p"] == (1, "")
    assert facts["type constraint", "T4|A10"] == (1, "")
    # (1 x 0.5 x 10 + 8 x 20) accelerator-seconds in 100 s
    load, _ = facts["load", "over 10 accelerators"]
    assert load == pytest.approx(0.165)
    assert offered_accelerators(table) == pytest.approx(1.65)


def test_long_lists_are_summed_up() -> None:
    table = job_table(
        submit_s=[float(i) for i in range(30)], duration_s=1.0, tenant=[f"t{i:02d}" for i in range(30)]
    )
    tenants = [fact for fact in describe(table) if fact.section == "tenant"]
    assert len(tenants) == 13
    assert (tenants[-1].name, tenants[-1].value) == ("18 others", 18)


def test_an_empty_table_has_no_load() -> None:
    assert math.isnan(offered_accelerators(empty_jobs()))
    assert describe(empty_jobs())[0].value == 0
