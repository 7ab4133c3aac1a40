"""The Gantt chart: lanes without overlap, and never more than a person can read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.report.figures import coarser, gantt_figure, series_figure
from dcsim.report.gantt import MAX_SERVERS, assign_lanes, gantt_bars
from dcsim.report.grants import Grants, grants_of
from tests.results.synthetic import make_jobs, make_series

intervals = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8)), max_size=30)


@given(intervals)
def test_lanes_never_overlap_and_are_as_few_as_the_deepest_instant(pairs: list[tuple[int, int]]) -> None:
    start = np.array([a for a, _ in pairs], dtype=float)
    end = np.array([a + d for a, d in pairs], dtype=float)
    lanes = assign_lanes(start, end)
    for i in range(start.size):
        for j in range(i):
            assert lanes[i] != lanes[j] or end[i] <= start[j] or end[j] <= start[i]
    deepest = max((int(((start <= t) & (t < end)).sum()) for t in start), default=0)
    assert int(lanes.max(initial=-1)) + 1 == deepest


def test_thousands_of_jobs_are_thinned_and_it_is_said() -> None:
    jobs = make_jobs(1, 5_000, 1.0)
    jobs["first_server"] = (np.arange(5_000) % 200).astype(np.int32)
    names = [f"server-{i}" for i in range(200)]
    bars = gantt_bars(jobs, names, 1e5, max_bars=600)
    assert len(bars.rows) == MAX_SERVERS
    assert bars.job.size == 600
    assert (
        bars.note == "600 of 5,000 bars are drawn, those of 40 evenly spaced of 200 servers, earliest first"
    )
    assert (bars.rows[0], bars.rows[-1]) == ("server-0", "server-199")


def test_bars_stay_inside_their_row_and_jobs_that_never_started_are_absent() -> None:
    jobs = make_jobs(2, 300, 1.0, unfinished=30)
    bars = gantt_bars(jobs, [f"s{i}" for i in range(8)], 1e5, max_bars=10_000)
    assert bars.job.size == 270
    assert (np.abs(bars.offset) + bars.height / 2.0 <= 0.45 + 1e-12).all()


def test_every_part_of_a_gang_is_drawn_on_its_own_server() -> None:
    jobs = make_jobs(2, 3, 1.0)
    grants = _grants([0, 0, 2], [1, 3, 3], [0.0, 0.0, 5.0], [4.0, 4.0, 9.0])
    bars = gantt_bars(jobs, [f"s{i}" for i in range(8)], 1e5, max_bars=10, grants=grants)
    assert bars.rows == ("s1", "s3")
    assert sorted(zip(bars.job.tolist(), bars.row.tolist(), strict=True)) == [(0, 0), (0, 1), (2, 1)]


def _grants(job, server, start_s, end_s, attempt=None):
    numbers = np.ones(len(job), dtype=np.int64) if attempt is None else np.array(attempt)
    return Grants(np.array(job), np.array(server), np.array(start_s), np.array(end_s), numbers)


def test_each_attempt_at_a_job_is_a_bar_of_its_own() -> None:
    jobs = make_jobs(2, 1, 1.0)
    jobs["attempts"][:] = 2
    grants = _grants([0, 0], [1, 3], [0.0, 10.0], [4.0, np.nan], [1, 2])
    bars = gantt_bars(jobs, [f"s{i}" for i in range(8)], 30.0, max_bars=10, grants=grants)
    assert bars.start_s.tolist() == [0.0, 10.0]
    assert bars.end_s.tolist() == [4.0, 30.0]
    texts = [text for trace in gantt_figure(bars, jobs)["data"] for text in trace["text"]]
    assert [text.partition("attempt ")[2][:6] for text in texts] == ["1 of 2", "2 of 2"]


def test_grants_end_with_the_release_that_follows_them() -> None:
    kinds = ["submit", "grant", "preempt", "kill", "end"]
    rows = [
        (0, 0, 1, 3),
        (0, 1, 1, 4),
        (0, 0, 1, 5),
        (5, 0, 2, -1),
        (6, 1, 4, -1),
        (8, 0, 1, 4),
        (9, 0, 3, -1),
    ]
    time_s, job, kind, server = (np.array(column) for column in zip(*rows, strict=True))
    events = {"time_s": time_s.astype(float), "job": job, "kind": kind, "server": server}
    grants = grants_of(events, kinds)
    assert grants is not None
    assert grants.server.tolist() == [3, 4, 5, 4]
    assert grants.end_s.tolist() == [5.0, 6.0, 5.0, 9.0]
    assert grants.attempt.tolist() == [1, 1, 1, 2]


def test_running_jobs_are_drawn_to_the_end() -> None:
    jobs = make_jobs(2, 3, 1.0)
    jobs["end_s"][:] = np.nan
    bars = gantt_bars(jobs, [f"s{i}" for i in range(8)], 99_999.0, max_bars=10)
    assert (bars.end_s == 99_999.0).all()
    assert "still running" in str(gantt_figure(bars, jobs))


def test_coarser_series_keep_every_integral() -> None:
    series = make_series(10_000.0, 1.0, 1_234)
    series["duration_s"] = series["duration_s"] * (1.0 + np.arange(1_234) % 3)
    merged = coarser(series, 100)
    assert merged["time_s"].size == 100
    for name in ("it_power_w", "facility_power_w", "carbon_kg_per_s", "running_jobs"):
        before = float(np.sum(series[name] * series["duration_s"]))
        assert float(np.sum(merged[name] * merged["duration_s"])) == pytest.approx(before, rel=1e-12)


def test_figures_are_valid_plotly() -> None:
    import plotly.graph_objects as go

    jobs = make_jobs(1, 50, 1.0)
    bars = gantt_bars(jobs, [f"s{i}" for i in range(8)], 1e5, max_bars=100)
    for figure in (gantt_figure(bars, jobs), series_figure(make_series(9_000.0, 1.0, 30))):
        go.Figure(figure)


def test_an_empty_run_still_has_figures() -> None:
    jobs = make_jobs(1, 0, 1.0)
    gantt_figure(gantt_bars(jobs, [], 0.0, max_bars=100), jobs)
    series_figure(make_series(1.0, 1.0, 0))
