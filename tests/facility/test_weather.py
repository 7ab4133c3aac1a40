"""Weather: wet bulbs, built-in climates against their normals, files and the local clocks they are written in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psychrolib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import SeriesError
from dcsim.facility.weather import SITES, WeatherSeries, build_weather, wet_bulb_deg_c
from dcsim.facility.weather_file import read_weather_file, standard_pressure_pa
from dcsim.spec.cooling import ConstantWeatherSpec, FileWeatherSpec, SiteWeatherSpec

NEW_YEAR = datetime(2023, 1, 1, tzinfo=UTC)
HOUR = 3600.0


def site(name: str, start: datetime = NEW_YEAR) -> WeatherSeries:
    return build_weather(SiteWeatherSpec(site=name), start, Path())


def test_published_wet_bulb() -> None:
    assert float(wet_bulb_deg_c(35.0, 0.4, 101_325.0)) == pytest.approx(23.934, abs=0.001)
    assert float(wet_bulb_deg_c(20.0, 1.0, 101_325.0)) == pytest.approx(20.0, abs=0.001)


@given(st.floats(-60.0, 60.0), st.floats(0.0, 1.0), st.floats(50_000.0, 110_000.0))
def test_wet_bulb_is_at_most_dry_bulb_and_wets_the_air(
    dry_bulb: float, humidity: float, pressure: float
) -> None:
    wet_bulb = float(wet_bulb_deg_c(dry_bulb, humidity, pressure))
    assert wet_bulb <= dry_bulb
    assert wet_bulb <= float(wet_bulb_deg_c(dry_bulb, min(1.0, humidity + 0.1), pressure)) + 0.002


def test_standard_atmosphere_is_psychrolibs() -> None:
    psychrolib.SetUnitSystem(psychrolib.SI)
    for elevation in (-50.0, 0.0, 337.0, 2_200.0):
        assert standard_pressure_pa(elevation) == pytest.approx(
            psychrolib.GetStandardAtmPressure(elevation), rel=1e-12
        )


def test_constant_weather() -> None:
    weather = build_weather(ConstantWeatherSpec(dry_bulb_deg_c=35.0, relative_humidity=0.4), NEW_YEAR, Path())
    sample = weather.at([0.0, 1e9])
    assert sample.dry_bulb_deg_c.tolist() == [35.0, 35.0]
    assert sample.wet_bulb_deg_c == pytest.approx([23.934] * 2, abs=0.001)
    assert weather.pressure_pa.tolist() == [101_325.0]


def test_there_are_climates_to_choose_from_and_each_is_sourced() -> None:
    assert len(SITES) >= 8
    assert all("1991-2020" in found.source for found in SITES.values())


@pytest.mark.parametrize("name", sorted(SITES))
def test_a_climate_reproduces_its_normals(name: str) -> None:
    """Annual mean, warmest-coldest month and daily range, computed from the hours, within sampling."""
    normal, weather = SITES[name], site(name)
    dry_bulb, humidity = weather.dry_bulb_deg_c, weather.relative_humidity
    assert float(dry_bulb.mean()) == pytest.approx(normal.mean_deg_c, abs=0.02)
    days = dry_bulb.reshape(365, 24)
    months = days.mean(axis=1)[:360].reshape(12, 30).mean(axis=1)
    assert (months.max() - months.min()) / 2 == pytest.approx(normal.yearly_k, rel=0.06, abs=0.05)
    assert (days.max(axis=1) - days.min(axis=1)).mean() / 2 == pytest.approx(normal.daily_k, rel=0.03)
    assert 0.05 < humidity.min() <= humidity.max() <= 1.0
    local_hour = (np.arange(8760) + normal.utc_offset_h) % 24
    assert dry_bulb[local_hour == 14].mean() > dry_bulb[local_hour == 4].mean()


@pytest.mark.parametrize("name", ["phoenix", "lulea"])
def test_wet_bulbs_of_a_climate_meet_psychrolib_and_stay_below_dry(name: str) -> None:
    weather = site(name)
    hours = np.arange(0, 8760, 97) * HOUR
    sample = weather.at(hours)
    expected = [
        psychrolib.GetTWetBulbFromRelHum(dry, humidity, standard_pressure_pa(SITES[name].elevation_m))
        for dry, humidity in zip(sample.dry_bulb_deg_c, sample.relative_humidity, strict=True)
    ]
    np.testing.assert_allclose(sample.wet_bulb_deg_c, expected, atol=1e-12)
    assert np.all(sample.wet_bulb_deg_c <= sample.dry_bulb_deg_c)


def test_only_hours_that_are_asked_for_are_computed() -> None:
    weather = site("chicago")
    weather.at(np.arange(24) * HOUR)
    assert np.count_nonzero(~np.isnan(weather._wet_bulbs)) == 24


def test_the_start_moves_the_calendar() -> None:
    july = site("chicago", datetime(2023, 7, 20, 12, tzinfo=UTC))
    hour = (datetime(2023, 7, 20, 12, tzinfo=UTC) - NEW_YEAR) / timedelta(hours=1)
    assert float(july.at(0.0).dry_bulb_deg_c) == float(site("chicago").at(hour * HOUR).dry_bulb_deg_c)
    # A year later it repeats; 29 February is read as 28.
    assert float(july.at(365 * 86_400.0).dry_bulb_deg_c) == float(july.at(0.0).dry_bulb_deg_c)
    leap = site("chicago", datetime(2024, 2, 29, 5, tzinfo=UTC))
    assert float(leap.at(0.0).dry_bulb_deg_c) == float(
        site("chicago").at((58 * 24 + 5) * HOUR).dry_bulb_deg_c
    )


def test_south_of_the_equator_january_is_summer() -> None:
    dry_bulb = site("sydney").dry_bulb_deg_c
    assert dry_bulb[: 31 * 24].mean() > dry_bulb[181 * 24 : 212 * 24].mean() + 8.0


def test_an_unknown_site_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SeriesError, match="one of ashburn"):
        site("atlantis")


def read(folder: Path, name: str, start: datetime = NEW_YEAR, **changes: object) -> WeatherSeries:
    return build_weather(FileWeatherSpec.model_validate({"path": name} | changes), start, folder)


def test_csv_with_and_without_pressure(tmp_path: Path) -> None:
    text = (
        "time,dry_bulb_deg_c,relative_humidity\n2023-01-01T00:00+00:00,5,0.8\n2023-01-01T01:00+00:00,6,0.7\n"
    )
    (tmp_path / "w.csv").write_text(text)
    weather = read(tmp_path, "w.csv")
    assert weather.at([0.0, HOUR, 2 * HOUR]).dry_bulb_deg_c.tolist() == [5.0, 6.0, 5.0]
    assert weather.pressure_pa.tolist() == [101_325.0, 101_325.0]
    (tmp_path / "w.csv").write_text("pressure_pa," + text.replace("\n2023", "\n90000,2023"))
    assert read(tmp_path, "w.csv").pressure_pa.tolist() == [90_000.0, 90_000.0]


@pytest.mark.parametrize(
    ("row", "hint"),
    [("86,0.5", "degF"), ("20,50", "percent"), ("20,0.5", "hPa")],
)
def test_values_in_the_wrong_unit_are_refused_with_the_likely_one(
    tmp_path: Path, row: str, hint: str
) -> None:
    (tmp_path / "w.csv").write_text(
        f"time,dry_bulb_deg_c,relative_humidity,pressure_pa\n2023-01-01T00:00Z,{row},{1013 if hint == 'hPa' else 101300}\n"
    )
    with pytest.raises(SeriesError, match=hint):
        read(tmp_path, "w.csv")


def test_a_file_that_ends_before_the_run_is_refused_or_said_to_repeat(tmp_path: Path) -> None:
    rows = "".join(f"2023-01-01T{hour:02d}:00Z,10,0.5,1e5\n" for hour in range(5))
    (tmp_path / "w.csv").write_text("time,dry_bulb_deg_c,relative_humidity,pressure_pa\n" + rows)
    once = FileWeatherSpec(path="w.csv", beyond_end="refuse")
    assert build_weather(once, NEW_YEAR, tmp_path, 5 * HOUR).notes == ()
    with pytest.raises(
        SeriesError, match=r"ends 5 h after the start .* -> expected data for the whole horizon_s of 6 h"
    ):
        build_weather(once, NEW_YEAR, tmp_path, 6 * HOUR)
    again = FileWeatherSpec(path="w.csv", beyond_end="repeat")
    assert build_weather(again, NEW_YEAR, tmp_path, 5 * HOUR).notes == ()
    for horizon_s in (6 * HOUR, None):
        (note,) = build_weather(again, NEW_YEAR, tmp_path, horizon_s).notes
        assert note == "weather (w.csv): the file's 5 h repeat, without the seasons of a year"


def open_meteo(**changes: object) -> dict[str, object]:
    return {
        "utc_offset_seconds": 7200,
        "elevation": 111.0,
        "hourly_units": {"temperature_2m": "\u00b0C", "relative_humidity_2m": "%"},
        "hourly": {
            "time": ["2023-01-01T02:00", "2023-01-01T03:00"],
            "temperature_2m": [1.5, 2.5],
            "relative_humidity_2m": [50, 60],
        },
    } | changes


def test_open_meteo_times_are_local(tmp_path: Path) -> None:
    """02:00 at UTC + 2 h is midnight UTC."""
    (tmp_path / "w.json").write_text(json.dumps(open_meteo()))
    weather = read(tmp_path, "w.json", beyond_end="refuse")
    assert weather.at([0.0, HOUR]).dry_bulb_deg_c.tolist() == [1.5, 2.5]
    assert weather.at([0.0, HOUR]).relative_humidity.tolist() == [0.5, 0.6]
    assert weather.pressure_pa[0] == pytest.approx(standard_pressure_pa(111.0))
    assert weather.notes == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"hourly": None}, "hourly: nothing"),
        ({"utc_offset_seconds": "CET"}, "utc_offset_seconds"),
        (
            {"hourly_units": {"temperature_2m": "\u00b0F", "relative_humidity_2m": "%"}},
            "hourly_units.temperature_2m",
        ),
        (
            {"hourly": {"time": ["2023-01-01T02:00"], "temperature_2m": [1.0]}},
            "hourly.relative_humidity_2m: nothing",
        ),
        (
            {"hourly": {"time": ["x"], "temperature_2m": [1], "relative_humidity_2m": [1]}},
            r"hourly.time\[0\]: 'x'",
        ),
        ({"hourly": {"time": [], "temperature_2m": [], "relative_humidity_2m": []}}, "at least one hour"),
        (
            {"hourly": {"time": ["2023-01-01T02:00"], "temperature_2m": ["1"], "relative_humidity_2m": [1]}},
            r"temperature_2m\[0\]: '1'",
        ),
        (
            {"hourly": {"time": ["2023-01-01T02:00"], "temperature_2m": [1, 2], "relative_humidity_2m": [1]}},
            "as many as times",
        ),
    ],
)
def test_open_meteo_replies_that_are_none(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    (tmp_path / "w.json").write_text(json.dumps(open_meteo(**changes)))
    with pytest.raises(SeriesError, match=expected):
        read(tmp_path, "w.json")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000])
def test_json_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(SeriesError, match="a JSON object"):
        read(tmp_path, "w.json")


def test_nulls_are_gaps(tmp_path: Path) -> None:
    document = open_meteo()
    document["hourly"]["temperature_2m"] = [1.5, None]  # type: ignore[index]
    (tmp_path / "w.json").write_text(json.dumps(document))
    with pytest.raises(SeriesError, match="missing"):
        read(tmp_path, "w.json")
    weather = read(tmp_path, "w.json", gaps="hold")
    assert weather.at([HOUR]).dry_bulb_deg_c.tolist() == [1.5]
    assert "1 missing hours of 'dry_bulb_deg_c'" in weather.notes[0]


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.xls").write_text("x")
    (tmp_path / "w.epw").write_text("LOCATION,x\n")
    with pytest.raises(SeriesError, match=r"\.epw, \.csv or \.json"):
        read(tmp_path, "w.xls")
    with pytest.raises(SeriesError, match="8760 hours"):
        read(tmp_path, "w.epw")


EPW = "weather/USA_IL_Chicago-OHare.Intl.AP.725300_TMY3.epw"


def test_epw_hours_are_local_standard_time(shared_data: Path) -> None:
    """The first hour of the file is midnight in Chicago, 06:00 UTC; values taken from the text by hand."""
    table, any_year = read_weather_file(shared_data / EPW)
    lines = (shared_data / EPW).read_text(encoding="utf-8").splitlines()[8:]
    fields = [line.split(",") for line in lines]
    assert any_year
    np.testing.assert_array_equal(np.roll(table.columns["dry_bulb_deg_c"], -6), [float(f[6]) for f in fields])
    np.testing.assert_array_equal(np.roll(table.columns["pressure_pa"], -6), [float(f[9]) for f in fields])
    np.testing.assert_allclose(
        np.roll(table.columns["relative_humidity"], -6), [float(f[8]) / 100 for f in fields]
    )


def test_epw_that_is_cut_or_spoilt_is_refused(shared_data: Path, tmp_path: Path) -> None:
    lines = (shared_data / EPW).read_text(encoding="utf-8").splitlines()
    (tmp_path / "cut.epw").write_text("\n".join(lines[:-1]))
    with pytest.raises(SeriesError, match="8759 hours"):
        read(tmp_path, "cut.epw")
    lines[100] = lines[100].replace(",", ";")
    (tmp_path / "bad.epw").write_text("\n".join(lines))
    with pytest.raises(SeriesError, match="an EPW file"):
        read(tmp_path, "bad.epw")


@pytest.mark.oracle
def test_wet_bulbs_meet_energyplus(shared_data: Path) -> None:
    """EnergyPlus reports hourly means of interpolated weather; the annual means must agree closely."""
    table, _ = read_weather_file(shared_data / EPW)
    hours = slice(0, 8760, 7)
    columns = table.columns
    ours = wet_bulb_deg_c(
        columns["dry_bulb_deg_c"][hours], columns["relative_humidity"][hours], columns["pressure_pa"][hours]
    )
    text = (shared_data / "energyplus/2ZoneDC_CW_CHI_hourly.csv").read_text(encoding="utf-8").splitlines()
    theirs = np.array([float(line.split(",")[2]) for line in text[1:]])
    print(f"annual mean wet bulb {ours.mean():.2f} degC, EnergyPlus {theirs.mean():.2f} degC")
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.15)
    assert np.percentile(ours, 99) == pytest.approx(np.percentile(theirs, 99), abs=0.5)


@pytest.mark.parametrize("zone", ["DE-LU", "SG", "US-CAL-CISO", "US-TEX-ERCO"])
def test_published_open_meteo_files_are_hourly_and_complete(shared_data: Path, zone: str) -> None:
    table, any_year = read_weather_file(shared_data / f"weather/greendcc__openmeteo_{zone}_2023.json")
    document = json.loads((shared_data / f"weather/greendcc__openmeteo_{zone}_2023.json").read_text())
    first = datetime.fromisoformat(document["hourly"]["time"][0]).replace(tzinfo=UTC)
    assert table.start == first - timedelta(seconds=document["utc_offset_seconds"])
    assert (len(table.columns["dry_bulb_deg_c"]), any_year, table.notes) == (8760, False, ())
