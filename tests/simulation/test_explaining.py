"""Where a job's time went, on a log small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dcsim.results.run_result import RunResult
from dcsim.results.schema import TIMES
from dcsim.simulation.explaining import DATA, NETWORK, Observer, explain_run
from dcsim.simulation.kinds import EVENT_KINDS, LogKind
from tests.results.synthetic import make_result

GRANT, END, PREEMPT = LogKind.GRANT, LogKind.END, LogKind.PREEMPT
END_OF_RUN_S = 300.0
A, B, C, D, E = range(5)
# The watched job is c: it comes at 10 s, may start at 20 s, and waits from 20 to 90 s and from 120 to 150 s.
LOG = [
    (0.0, GRANT, A, 0, 3.0), (0.0, GRANT, A, 1, 1.0), (0.0, GRANT, B, 1, 2.0), (0.0, GRANT, D, 2, 1.0),
    (40.0, PREEMPT, B, -1, 0.0), (60.0, GRANT, B, 1, 2.0), (90.0, END, B, -1, 0.0), (90.0, GRANT, C, 1, 2.0),
    (100.0, END, A, -1, 0.0), (100.0, END, D, -1, 0.0), (120.0, PREEMPT, C, -1, 0.0), (130.0, GRANT, E, 0, 1.0),
    (150.0, GRANT, C, 1, 2.0), (200.0, END, C, -1, 0.0),
]  # fmt: skip


def run(log: list[tuple[Any, ...]] = LOG, **changes: dict[int, float]) -> RunResult:
    """Return the run of jobs a to e; the tables hold only what is explained."""
    made = make_result(count=5, bins=4)
    columns = list(zip(*log, strict=True))
    events = {
        name: np.array(values, dtype=kind)
        for (name, kind), values in zip(
            (("time_s", "f8"), ("kind", "i2"), ("job", "i4"), ("server", "i4"), ("value", "f8")),
            columns,
            strict=True,
        )
    }
    jobs = dict(made.jobs) | {
        "job_id": np.array(list("abcde"), dtype=object),
        "tenant": np.array(["ada", "grace", "ada", "ada", "grace"], dtype=object),
        "status": np.array(["completed"] * 4 + ["running"], dtype=object),
        "submit_s": np.array([0.0, 0.0, 10.0, 0.0, 125.0]),
        "eligible_s": np.array([0.0, 0.0, 20.0, 0.0, 125.0]),
        "end_s": np.array([100.0, 90.0, 200.0, 100.0, np.nan]),
        # d shares its device half and half with somebody.
        "productive_accelerator_s": np.array([400.0, 140.0, 160.0, 50.0, 170.0]),
    }
    for column in TIMES:
        jobs[column.name] = np.zeros(5)
    jobs["queue_s"][C], jobs["compute_s"][C], jobs["network_stall_s"][C] = 110.0, 60.0, 20.0
    for name, cells in changes.items():
        jobs[name] = jobs[name].copy()
        for row, value in cells.items():
            jobs[name][row] = value
    edges = np.linspace(0.0, END_OF_RUN_S, 5)
    series = {**made.series, "time_s": edges[:-1], "duration_s": np.diff(edges)}
    return replace(made, jobs=jobs, events=events, series=series, event_kinds=EVENT_KINDS)


def test_seconds_add_up_to_the_completion_time() -> None:
    found = explain_run(run(), C)
    assert (found.job_id, found.tenant, found.status, found.time_s) == ("c", "ada", "completed", 190.0)
    assert [part.cause for part in found.spent] == [column.name.removesuffix("_s") for column in TIMES]
    assert sum(part.time_s for part in found.spent) == 190.0
    assert sum(part.fraction for part in found.spent) == pytest.approx(1.0)
    assert {part.cause: part.fraction for part in found.spent}["compute"] == pytest.approx(60.0 / 190.0)


def test_who_held_accelerators_while_it_waited() -> None:
    found = explain_run(run(), C)
    assert found.not_eligible_s == 10.0
    # a: 4 x 70 s; b: 2 x (20 + 30) s; d: half of one x 70 s; e: 1 x 20 s of the second wait.
    amounts = {("a", "ada"): 280.0, ("b", "grace"): 100.0, ("d", "ada"): 35.0, ("e", "grace"): 20.0}
    assert {(s.job_id, s.tenant): s.amount_s for s in found.held_by_jobs} == pytest.approx(amounts)
    assert [share.job_id for share in found.held_by_jobs] == ["a", "b", "d", "e"]
    assert [share.fraction for share in found.held_by_jobs] == pytest.approx(
        [a / 435.0 for a in amounts.values()]
    )
    tenants = [(share.tenant, share.jobs, share.job_id) for share in found.held_by_tenants]
    assert tenants == [("ada", 2, ""), ("grace", 2, "")]
    assert [share.amount_s for share in found.held_by_tenants] == pytest.approx([315.0, 120.0])


def test_a_job_that_never_waited_has_nobody_to_blame() -> None:
    found = explain_run(run(), A)
    assert found.held_by_jobs == found.held_by_tenants == ()
    assert found.links is None


def test_a_job_that_goes_on_is_explained_up_to_the_end_of_the_run() -> None:
    found = explain_run(run(), E)
    assert (found.status, found.time_s) == ("running", END_OF_RUN_S - 125.0)
    # It waited from 125 to 130 s, when nobody held anything.
    assert found.held_by_jobs == ()


def test_a_job_that_never_started_has_waited_until_the_end() -> None:
    log = [row for row in LOG if row[2] != C]
    found = explain_run(run(log, end_s={C: np.nan}), C)
    assert found.time_s == 290.0
    held = {share.job_id: share.amount_s for share in found.held_by_jobs}
    assert held == pytest.approx({"a": 4.0 * 80.0, "b": 2.0 * (20.0 + 30.0), "d": 0.5 * 80.0, "e": 170.0})


def test_beyond_five_the_rest_is_told_together() -> None:
    observer = Observer(0, link_names=["up"])
    observer.held_back(0.0, 100.0, NETWORK, 0, 60.0, [(row, 1.0 + row) for row in range(1, 9)])
    ((loss),) = observer.losses([f"job {row}" for row in range(9)], ["t"] * 9)
    assert [share.job_id for share in loss.others] == ["job 8", "job 7", "job 6", "job 5", "job 4", ""]
    assert loss.others[-1].jobs == 3
    assert sum(share.amount_s for share in loss.others) == pytest.approx(60.0)
    assert sum(share.fraction for share in loss.others) == pytest.approx(1.0)


def test_losses_are_by_link_and_in_proportion_to_what_others_put_on_it() -> None:
    observer = Observer(C)
    observer.link_names = ["rack 0 up", "shared file system"]
    observer.held_back(0.0, 10.0, DATA, 1, 4.0, [(A, 0.5), (B, 0.25)])
    observer.held_back(10.0, 10.0, DATA, 1, 2.0, [(B, 0.9)])
    observer.held_back(20.0, 5.0, NETWORK, 0, 3.0, [(-1, 0.5)])
    observer.held_back(25.0, 5.0, NETWORK, 0, 1.0, [])
    found = explain_run(run(), C, observer)
    assert found.links is not None
    files, rack = found.links
    assert (files.link, files.kind, files.lost_s) == ("shared file system", DATA, 6.0)
    by = {(share.job_id, share.tenant): share.amount_s for share in files.others}
    assert by == pytest.approx({("b", "grace"): 4.0 / 3.0 + 2.0, ("a", "ada"): 8.0 / 3.0})
    assert (rack.link, rack.lost_s) == ("rack 0 up", 4.0)
    (nobody,) = rack.others
    assert (nobody.job_id, nobody.tenant, nobody.jobs, nobody.amount_s) == ("", "", 0, 3.0)


def test_json_has_units_in_its_names() -> None:
    observer = Observer(C, link_names=["up"])
    observer.held_back(0.0, 10.0, NETWORK, 0, 4.0, [(A, 0.5)])
    told = explain_run(run(), C, observer, note="so it is").as_json()
    assert told["time_s"] == 190.0
    assert told["spent"][0] == {"cause": "queue", "time_s": 110.0, "fraction": 110.0 / 190.0}
    assert told["held_by_jobs"][0]["accelerator_s"] == pytest.approx(280.0)
    assert told["links"][0]["others"][0]["lost_s"] == 4.0
    assert told["note"] == "so it is"
    assert explain_run(run(), C).as_json()["links"] is None
