"""The grid: carbon and price by hand on real calendars, units, gaps, and files that must be refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from dcsim.errors import ScenarioError, SeriesError
from dcsim.facility.grid import build_grid
from dcsim.spec.grid import ConstantCarbonSpec, DailyCarbonSpec, DailyPriceSpec, FileSeriesSpec, GridSpec

G_PER_KWH = 1e-3 / 3.6e6
USD_PER_MWH = 1.0 / 3.6e9
HOUR = 3600.0

WriteCsv = Callable[..., Path]


def file_spec(**changes: object) -> FileSeriesSpec:
    fields: dict[str, object] = {
        "path": "c.csv",
        "time_column": "time",
        "value_column": "ci",
        "unit": "gCO2e/kWh",
        "beyond_end": "repeat",
    }
    return FileSeriesSpec.model_validate(fields | changes)


def carbon_of(folder: Path, start: datetime | None = None, **changes: object) -> np.ndarray:
    grid = build_grid(
        GridSpec(start=start or datetime(2023, 3, 1, tzinfo=UTC), carbon=file_spec(**changes)), folder
    )
    return grid.carbon.at(np.arange(12) * HOUR) / G_PER_KWH


@pytest.fixture
def write(tmp_path: Path) -> WriteCsv:
    def write_rows(*rows: str, header: str = "time,ci", name: str = "c.csv") -> Path:
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return tmp_path

    return write_rows


def hours(first: datetime, count: int, each: float = 1.0) -> list[str]:
    return [f"{(first + timedelta(hours=h)).isoformat()},{h * each}" for h in range(count)]


def test_constants() -> None:
    grid = build_grid(GridSpec(carbon=ConstantCarbonSpec(intensity_kg_per_j=500 * G_PER_KWH)), Path())
    assert float(grid.carbon.mean(np.array([5.0]), 1e6)[0]) == pytest.approx(500 * G_PER_KWH)
    assert float(grid.price.at(0.0)) == 0.10 / 3.6e6
    assert grid.notes == ()


def test_daily_series_follow_the_start_and_its_offset() -> None:
    """t = 0 is 22:30 UTC: half an hour of value 22, then 23, then 0."""
    spec = GridSpec(
        start=datetime(2024, 2, 29, 23, 30, tzinfo=timezone(timedelta(hours=1))),
        carbon=DailyCarbonSpec(intensity_kg_per_j=tuple(float(h) for h in range(24))),
        price=DailyPriceSpec(price_usd_per_j=tuple(float(-h) for h in range(24))),
    )
    grid = build_grid(spec, Path())
    assert grid.carbon.at([0.0, 1799.0, 1800.0, 5400.0, 86_400.0]).tolist() == [22, 22, 23, 0, 22]
    assert grid.price.at([1800.0]).tolist() == [-23.0]
    assert grid.breakpoints(0.0, 9_000.0).tolist() == [0.0, 1800.0, 5400.0, 9000.0]


def test_file_in_utc_on_a_leap_day(write: WriteCsv) -> None:
    """28 February 2024 23:00 + 1 h is the leap day; three hours by hand: 23, 24, 25."""
    folder = write(*hours(datetime(2024, 2, 28, tzinfo=UTC), 72))
    found = carbon_of(folder, datetime(2024, 2, 28, 23, tzinfo=UTC))
    assert found[:3] == pytest.approx([23.0, 24.0, 25.0])


def test_local_times_across_a_clock_change_are_placed_by_their_offset(write: WriteCsv) -> None:
    """Berlin, 29 October 2023: 02:00 comes twice, first at +02:00, then at +01:00; the day has 25 hours."""
    rows = ["2023-10-29T01:00:00+02:00,1", "2023-10-29T02:00:00+02:00,2"]
    rows += ["2023-10-29T02:00:00+01:00,3", "2023-10-29T03:00:00+01:00,4"]
    found = carbon_of(write(*rows), datetime(2023, 10, 28, 23, tzinfo=UTC))
    assert found[:4] == pytest.approx([1.0, 2.0, 3.0, 4.0])


def test_the_same_times_without_offsets_are_refused(write: WriteCsv) -> None:
    rows = ["2023-10-29T01:00,1", "2023-10-29T02:00,2", "2023-10-29T02:00,3", "2023-10-29T03:00,4"]
    with pytest.raises(SeriesError, match=r"c.csv:4: time: .*local clocks repeat"):
        carbon_of(write(*rows))


def test_carbon_by_hand_over_a_day_with_25_hours(write: WriteCsv) -> None:
    """1 kW for 25 h at intensities 0..24 g/kWh: 300 g."""
    folder = write(*hours(datetime(2023, 10, 28, 22, tzinfo=UTC), 25))
    grid = build_grid(GridSpec(start=datetime(2023, 10, 28, 22, tzinfo=UTC), carbon=file_spec()), folder)
    assert float(grid.carbon.integral(0.0, 25 * HOUR)) * 1_000.0 == pytest.approx(0.300, rel=1e-12)


def test_repeat_wraps_and_refuse_does_not(write: WriteCsv) -> None:
    folder = write(*hours(datetime(2023, 3, 1, tzinfo=UTC), 4))
    assert carbon_of(folder) == pytest.approx([0, 1, 2, 3] * 3)
    with pytest.raises(SeriesError, match="beyond_end: repeat"):
        carbon_of(folder, beyond_end="refuse")


def test_a_start_outside_the_file_is_read_at_the_same_hour_of_its_year(write: WriteCsv) -> None:
    folder = write(*hours(datetime(2023, 1, 1, tzinfo=UTC), 8760, 0.1))
    start = datetime(2031, 7, 4, 5, tzinfo=UTC)
    grid = build_grid(GridSpec(start=start, carbon=file_spec()), folder)
    hour = (datetime(2023, 7, 4, 5, tzinfo=UTC) - datetime(2023, 1, 1, tzinfo=UTC)).total_seconds() / HOUR
    assert float(grid.carbon.at(0.0)) / G_PER_KWH == pytest.approx(0.1 * hour)
    assert "read from 2023-07-04T05:00:00+00:00 on" in grid.notes[0]
    with pytest.raises(SeriesError, match="a start in the file's span"):
        build_grid(GridSpec(start=start, carbon=file_spec(beyond_end="refuse")), folder)


def test_29_february_is_read_as_28_in_a_common_year(write: WriteCsv) -> None:
    folder = write(*hours(datetime(2023, 1, 1, tzinfo=UTC), 8760, 0.1))
    grid = build_grid(GridSpec(start=datetime(2024, 2, 29, tzinfo=UTC), carbon=file_spec()), folder)
    assert float(grid.carbon.at(0.0)) / G_PER_KWH == pytest.approx(0.1 * 58 * 24)


@pytest.mark.parametrize(("gaps", "filled"), [("hold", [10, 10, 10, 40]), ("interpolate", [10, 20, 30, 40])])
def test_gaps_are_filled_by_the_rule_and_counted(write: WriteCsv, gaps: str, filled: list[float]) -> None:
    """One missing value and one missing row."""
    folder = write("2023-03-01T00:00Z,10", "2023-03-01T01:00Z,NaN", "2023-03-01T03:00Z,40")
    assert carbon_of(folder, gaps=gaps)[:4] == pytest.approx(filled)
    grid = build_grid(GridSpec(start=datetime(2023, 3, 1, tzinfo=UTC), carbon=file_spec(gaps=gaps)), folder)
    assert grid.notes == (f"c.csv: 2 missing hours of 'ci' filled by the rule {gaps!r}",)


def test_gaps_are_refused_by_default_and_named(write: WriteCsv) -> None:
    folder = write("2023-03-01T00:00Z,10", "2023-03-01T01:00Z,", "2023-03-01T03:00Z,40")
    with pytest.raises(SeriesError) as caught:
        carbon_of(folder)
    places = [problem.path for problem in caught.value.problems]
    assert places == ["'ci' at 2023-03-01T01:00:00+00:00", "'ci' at 2023-03-01T02:00:00+00:00"]


@pytest.mark.parametrize(
    ("rows", "line", "expected"),
    [
        (["2023-03-01T00:00Z,1", "2023-03-01T00:00Z,2"], 3, "later than the row before"),
        (["2023-03-01T01:00Z,1", "2023-03-01T00:00Z,2"], 3, "later than the row before"),
        (["2023-03-01T00:00Z,1", "2023-03-01T00:30Z,2"], 3, "a whole number of hours"),
        (["2023-03-01T00:00Z,1", "2023-03-01T01:00,2"], 3, "offsets on all rows or on none"),
        (["2023-02-30T00:00Z,1"], 2, "a time such as"),
        (["2016-12-31T23:59:60Z,1"], 2, "a time such as"),
        (["1677628800,1"], 2, "a time such as"),
        (["2023-03-01T00:00Z,x"], 2, "a finite number"),
        (["2023-03-01T00:00Z,inf"], 2, "a finite number"),
        (["2023-03-01T00:00Z,1e400"], 2, "a finite number"),
        (['2023-03-01T00:00Z,"1,000"'], 2, "a finite number"),
        (["2023-03-01T00:00Z,1,2"], 2, "as in the header"),
        (["2023-03-01T00:00Z,-5"], None, "an intensity >= 0"),
        (["2023-03-01T00:00Z,1e300"], None, "an intensity >= 0"),
        (["0001-01-01T00:00+14:00,1"], 2, "from 1700 to 2500"),
        (["9999-12-31T23:00Z,1"], 2, "from 1700 to 2500"),
        ([], None, "at least one hour"),
    ],
)
def test_bad_rows_are_refused_with_their_line(
    write: WriteCsv, rows: list[str], line: int | None, expected: str
) -> None:
    with pytest.raises(SeriesError, match=expected) as caught:
        carbon_of(write(*rows))
    assert caught.value.problems[0].line == line


def test_all_problems_are_told_at_once(write: WriteCsv) -> None:
    folder = write("2023-03-01T00:00Z,x", "yesterday,2", "2023-03-01T02:00Z,y")
    with pytest.raises(SeriesError) as caught:
        carbon_of(folder)
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4]


def test_columns_are_named_exactly_and_once(write: WriteCsv) -> None:
    with pytest.raises(SeriesError, match="did you mean 'intensity'"):
        carbon_of(write("2023-03-01T00:00Z,1", header="time,intensity"), value_column="intensty")
    with pytest.raises(SeriesError, match="2 columns of that name"):
        carbon_of(write("2023-03-01T00:00Z,1,2", header="time,ci,ci"))


def test_files_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes("time,ci\n".encode("utf-16"))
    with pytest.raises(SeriesError, match="UTF-8"):
        carbon_of(tmp_path)
    with pytest.raises(ScenarioError):
        carbon_of(tmp_path, path="../../etc/passwd")


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(b"\xef\xbb\xbftime,ci\r\n2023-03-01T00:00Z,7\r\n")
    assert carbon_of(tmp_path)[0] == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("unit", "g_per_kwh"), [("gCO2e/kWh", 1.0), ("kg/MWh", 1.0), ("lb/MWh", 0.453_592_37)]
)
def test_units(write: WriteCsv, unit: str, g_per_kwh: float) -> None:
    folder = write("2023-03-01T00:00Z,100")
    assert carbon_of(folder, unit=unit)[0] == pytest.approx(100 * g_per_kwh)
    with pytest.raises(ValidationError, match="carbon intensity"):
        carbon_of(folder, unit="USD/MWh")


def test_prices_may_be_negative(write: WriteCsv) -> None:
    folder = write("2023-03-01T00:00Z,-12.5")
    price = file_spec(unit="USD/MWh")
    grid = build_grid(GridSpec(start=datetime(2023, 3, 1, tzinfo=UTC), price=price), folder)
    assert float(grid.price.at(0.0)) == pytest.approx(-12.5 * USD_PER_MWH)


def test_an_implausible_intensity_is_noted_with_the_likely_unit(write: WriteCsv) -> None:
    """A single hour of 4 kg/kWh in a plausible year is a doubt, no error."""
    folder = write("2023-03-01T00:00Z,4", *(f"2023-03-01T{hour:02d}:00Z,0.3" for hour in range(1, 24)))
    start = datetime(2023, 3, 1, tzinfo=UTC)
    grid = build_grid(GridSpec(start=start, carbon=file_spec(unit="kg/kWh")), folder)
    assert "kg/MWh" in grid.notes[0]


@pytest.mark.parametrize(
    ("field", "unit", "value", "hint"),
    [
        ("carbon", "kg/kWh", 400, "is the unit g/kWh or kg/MWh or lb/MWh"),
        ("carbon", "t/MWh", 400, "is the unit g/kWh or kg/MWh or lb/MWh"),
        ("price", "USD/kWh", 60, "is the unit USD/MWh"),
    ],
)
def test_values_in_an_absurd_unit_are_refused_with_the_likely_one(
    write: WriteCsv, field: str, unit: str, value: float, hint: str
) -> None:
    folder = write(f"2023-03-01T00:00Z,{value}")
    spec = GridSpec.model_validate({"start": "2023-03-01T00:00:00Z", field: file_spec(unit=unit)})
    with pytest.raises(SeriesError, match=hint):
        build_grid(spec, folder)


@pytest.mark.parametrize(("field", "unit", "value"), [("carbon", "g/kWh", 0.4), ("price", "USD/MWh", 0.06)])
def test_values_far_too_small_are_noted(write: WriteCsv, field: str, unit: str, value: float) -> None:
    """0.4 kg/kWh and 0.06 USD/kWh, with the wrong unit said."""
    folder = write(f"2023-03-01T00:00Z,{value}")
    spec = GridSpec.model_validate({"start": "2023-03-01T00:00:00Z", field: file_spec(unit=unit)})
    (note,) = build_grid(spec, folder).notes
    assert "far below any real grid; is the unit " in note


@pytest.mark.parametrize("zone", ["DE-LU", "SG", "US-CAL-CISO", "US-TEX-ERCO"])
def test_published_series_agree_between_their_time_columns(
    shared_data: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Price files carry UTC and local times with offsets, across both clock changes; the mean by hand."""
    monkeypatch.setenv("DCSIM_DATA_DIRS", str(shared_data))
    path = f"price/greendcc__{zone}_2023.csv"
    text = (shared_data / path).read_text(encoding="utf-8").splitlines()[1:]
    mean = sum(float(line.split(",")[2]) for line in text) / len(text)
    grids = [
        build_grid(
            GridSpec(
                price=file_spec(path=path, time_column=column, value_column="Price (USD/MWh)", unit="USD/MWh")
            ),
            Path(),
        )
        for column in ("Datetime (UTC)", "Datetime (Local)")
    ]
    np.testing.assert_array_equal(grids[0].price.value, grids[1].price.value)
    assert float(grids[0].price.mean(np.zeros(1), 8760 * HOUR)[0]) / USD_PER_MWH == pytest.approx(
        mean, rel=1e-9
    )


def test_published_gaps_are_counted(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCSIM_DATA_DIRS", str(shared_data))
    spec = file_spec(
        path="carbon/eia__CISO_2022.csv", time_column="timestamp", value_column="avg_CI", gaps="interpolate"
    )
    grid = build_grid(GridSpec(start=datetime(2022, 1, 1, tzinfo=UTC), carbon=spec), Path())
    text = (shared_data / spec.path).read_text(encoding="utf-8").splitlines()[1:]
    missing = sum(not line.rsplit(",", 1)[1] for line in text)
    assert missing > 0
    assert grid.notes == (
        f"eia__CISO_2022.csv: {missing} missing hours of 'avg_CI' filled by the rule 'interpolate'",
    )
