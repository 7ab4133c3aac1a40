"""Local clocks: hours shown twice or never, in files and in the calendar of a run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import SeriesError
from dcsim.facility.grid import Grid, build_grid
from dcsim.facility.local_time import LocalCalendar
from dcsim.spec.grid import GridSpec

HOUR = 3600.0
G_PER_KWH = 1e-3 / 3.6e6
ZONES = ("America/Los_Angeles", "Europe/Berlin", "Asia/Singapore", "Australia/Lord_Howe", "Asia/Kathmandu")


def read(folder: Path, start: str, *rows: str, **changes: object) -> Grid:
    (folder / "c.csv").write_text("\n".join(["time,ci", *rows]) + "\n", encoding="utf-8")
    carbon = {
        "kind": "file",
        "path": "c.csv",
        "time_column": "time",
        "value_column": "ci",
        "unit": "g/kWh",
        "time_zone": "Europe/Berlin",
    }
    return build_grid(GridSpec.model_validate({"start": start, "carbon": carbon | changes}), folder)


def grams(grid: Grid, count: int, step_s: float = HOUR) -> list[float]:
    return (grid.carbon.at(np.arange(count) * step_s) / G_PER_KWH).tolist()


AUTUMN = ["2023-10-29T01:00,1", "2023-10-29T02:00,2", "2023-10-29T02:00,3", "2023-10-29T03:00,4"]
"""Berlin goes back from 03:00 summer time to 02:00: a day of 25 hours, here with a row for each."""
SPRING = ["2023-03-26T01:00,1", "2023-03-26T03:00,3", "2023-03-26T04:00,4"]
"""It goes forward from 02:00 to 03:00."""


def test_an_hour_shown_twice_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="which the clock shows twice in Europe/Berlin") as caught:
        read(tmp_path, "2023-10-28T23:00Z", *AUTUMN)
    assert [problem.line for problem in caught.value.problems] == [3, 4]
    assert "clock_changes: resolve" in str(caught.value)


def test_of_two_equal_times_the_first_is_before_the_clock_goes_back(tmp_path: Path) -> None:
    grid = read(tmp_path, "2023-10-28T23:00Z", *AUTUMN, clock_changes="resolve")
    assert grams(grid, 4) == pytest.approx([1, 2, 3, 4])
    assert grid.notes == (
        "c.csv: 1 times of two equal rows, the first read as before the clock of Europe/Berlin is set back",
    )


def test_a_lone_row_stands_for_both_passes_of_the_hour(tmp_path: Path) -> None:
    rows = [AUTUMN[0], AUTUMN[1], AUTUMN[3]]
    grid = read(tmp_path, "2023-10-28T23:00Z", *rows, clock_changes="resolve")
    assert grams(grid, 4) == pytest.approx([1, 2, 2, 4])
    assert "1 rows stand for both passes" in grid.notes[0]


def test_half_hours_shown_twice(tmp_path: Path) -> None:
    clock = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    rows = [f"2023-10-29T{time},{value}" for value, time in enumerate(clock)]
    grid = read(tmp_path, "2023-10-28T23:30Z", *rows, clock_changes="resolve", interval_s="30 min")
    assert grams(grid, 6, 1800.0) == pytest.approx([0, 1, 2, 3, 4, 5])
    lone = [f"2023-10-29T{time},{value}" for value, time in enumerate(["01:30", "02:00", "02:30", "03:00"])]
    grid = read(tmp_path, "2023-10-28T23:30Z", *lone, clock_changes="resolve", interval_s="30 min")
    assert grams(grid, 6, 1800.0) == pytest.approx([0, 1, 2, 1, 2, 3])


def test_an_hour_that_never_was_is_no_gap(tmp_path: Path) -> None:
    assert grams(read(tmp_path, "2023-03-26T00:00Z", *SPRING), 3) == pytest.approx([1, 3, 4])


def test_a_row_in_an_hour_that_never_was_is_refused_or_left_out(tmp_path: Path) -> None:
    rows = [SPRING[0], "2023-03-26T02:00,2", *SPRING[1:]]
    with pytest.raises(SeriesError, match="which the clock shows never in Europe/Berlin"):
        read(tmp_path, "2023-03-26T00:00Z", *rows)
    grid = read(tmp_path, "2023-03-26T00:00Z", *rows, clock_changes="resolve")
    assert grams(grid, 3) == pytest.approx([1, 3, 4])
    assert "1 rows left out" in grid.notes[0]


def test_three_equal_times_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="here 3 times -> expected at most two rows"):
        read(tmp_path, "2023-10-28T23:00Z", *AUTUMN[:3], AUTUMN[2], AUTUMN[3], clock_changes="resolve")


def test_order_is_checked_beside_clock_changes(tmp_path: Path) -> None:
    rows = [AUTUMN[1], AUTUMN[0], AUTUMN[3]]
    with pytest.raises(SeriesError, match="later than the row before"):
        read(tmp_path, "2023-10-28T23:00Z", *rows, clock_changes="resolve")


def test_times_with_offsets_need_no_zone(tmp_path: Path) -> None:
    rows = ["2023-10-29T02:00+02:00,1", "2023-10-29T02:00+01:00,2"]
    assert grams(read(tmp_path, "2023-10-29T00:00Z", *rows), 2) == pytest.approx([1, 2])


def test_a_gap_in_local_time_is_a_gap(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="'ci' at 2023-03-26T02:00:00"):
        read(tmp_path, "2023-03-26T00:00Z", SPRING[0], SPRING[1], "2023-03-26T05:00,5")


def test_rows_closer_than_the_interval_are_refused_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="if rows are 900 s apart, say so in interval_s"):
        read(tmp_path, "2023-03-01T00:00Z", "2023-03-01T00:00,1", "2023-03-01T00:15,2", time_zone=None)


def test_quarter_hours(tmp_path: Path) -> None:
    rows = [f"2023-03-01T00:{15 * i:02d},{i}" for i in range(4)]
    grid = read(tmp_path, "2023-03-01T00:15Z", *rows, time_zone=None, interval_s=900, beyond_end="repeat")
    assert grams(grid, 5, 900.0) == pytest.approx([1, 2, 3, 0, 1])


@given(
    st.sampled_from(ZONES),
    st.integers(0, 40 * 366 * 86_400),
    st.lists(st.integers(0, 400 * 86_400), min_size=1, max_size=20),
)
def test_the_calendar_is_that_of_zoneinfo(zone: str, start: int, seconds: list[int]) -> None:
    moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    found = LocalCalendar(zone, moment).fields(np.array(seconds, dtype=np.float64))
    for place, second in enumerate(seconds):
        local = (moment + timedelta(seconds=second)).astimezone(ZoneInfo(zone))
        said = (
            found.month_index[place] // 12 + 1970,
            found.month[place],
            found.weekday[place],
            found.hour[place],
        )
        assert said == (local.year, local.month, local.weekday(), local.hour)
        assert found.day[place] == (local.date() - date(1970, 1, 1)).days


def test_months_of_days_with_23_and_25_hours() -> None:
    edges = LocalCalendar("Europe/Berlin", datetime(2023, 3, 1, tzinfo=UTC)).month_edges_s(240 * 86_400.0)
    hours = (np.diff(edges) / HOUR).tolist()
    assert hours == [24 * 31 - 1, 24 * 30, 24 * 31, 24 * 30, 24 * 31, 24 * 31, 24 * 30, 24 * 31 + 1]
