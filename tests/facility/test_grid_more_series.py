"""Marginal, life-cycle and market-based intensity, export prices, horizons, and every published series there is."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dcsim.errors import SeriesError
from dcsim.facility.grid import Grid, build_grid
from dcsim.facility.weather import build_weather
from dcsim.spec.cooling import FileWeatherSpec
from dcsim.spec.grid import GridSpec

G_PER_KWH = 1e-3 / 3.6e6
YEAR_S = 365 * 86_400.0
DAY = [f"{100 + hour} g/kWh" for hour in range(24)]


def grid(**parts: Any) -> Grid:
    return build_grid(GridSpec.model_validate(parts), Path())


def constant(grams: float) -> dict[str, Any]:
    return {"kind": "constant", "intensity_kg_per_j": f"{grams} g/kWh"}


def test_policies_steer_by_the_intensity_that_is_named() -> None:
    parts = {"carbon": constant(1), "marginal_carbon": constant(2), "lifecycle_carbon": constant(3)}
    for name, grams in (("average", 1), ("marginal", 2), ("life_cycle", 3)):
        made = grid(**parts, steer_by=name)
        assert float(made.steering.at(0.0)) / G_PER_KWH == pytest.approx(grams)
        assert float(made.carbon.at(0.0)) / G_PER_KWH == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "field"), [("marginal", "marginal_carbon"), ("life_cycle", "lifecycle_carbon")]
)
def test_a_series_steered_by_has_to_be_there(name: str, field: str) -> None:
    with pytest.raises(ValidationError, match=f"expected a series `{field}`"):
        grid(steer_by=name)


@given(st.floats(0.0, 1.0), st.floats(0.0, 500.0))
def test_market_based_carbon_is_a_mixture(part: float, contracted: float) -> None:
    made = grid(
        carbon=constant(1000),
        market={
            "contracted_fraction": part,
            "contracted_intensity_kg_per_j": f"{contracted!r} g/kWh",
            "residual_carbon": {"kind": "daily", "intensity_kg_per_j": DAY},
        },
    )
    assert made.market_carbon is not None
    expected = part * contracted + (1.0 - part) * (100 + np.arange(24.0))
    np.testing.assert_allclose(
        made.market_carbon.at(np.arange(24) * 3600.0) / G_PER_KWH, expected, rtol=1e-12, atol=1e-12
    )


def test_without_a_residual_mix_the_average_stands_for_it_and_is_noted() -> None:
    made = grid(carbon=constant(400), market={"contracted_fraction": "75 %"})
    assert made.market_carbon is not None
    assert float(made.market_carbon.at(0.0)) / G_PER_KWH == pytest.approx(100)
    assert made.notes == ("grid.market: no residual mix is given; the grid's average stands for it",)
    assert grid(market={}).market_carbon is not None


def test_breakpoints_are_those_of_all_series() -> None:
    made = grid(marginal_carbon={"kind": "daily", "intensity_kg_per_j": DAY})
    assert len(made.breakpoints(0.0, 86_399.0)) == 24


def test_a_series_shorter_than_the_horizon_is_refused_with_its_cure(tmp_path: Path) -> None:
    rows = [f"2023-01-01T{hour:02d}:00Z,{100 + hour}" for hour in range(24)]
    (tmp_path / "c.csv").write_text("\n".join(["t,v", *rows]), encoding="utf-8")
    carbon = {"kind": "file", "path": "c.csv", "time_column": "t", "value_column": "v", "unit": "g/kWh"}
    spec = GridSpec.model_validate({"carbon": carbon})
    assert build_grid(spec, tmp_path, 86_400.0).carbon.end_s == 86_400.0
    with pytest.raises(SeriesError, match=r"c\.csv ends 1 d after the start .* beyond_end: repeat") as caught:
        build_grid(spec, tmp_path, 86_401.0)
    assert caught.value.problems[0].path == "grid.carbon"
    long = GridSpec.model_validate({"carbon": carbon | {"beyond_end": "repeat"}})
    assert float(build_grid(long, tmp_path, 1e6).carbon.at(86_400.0)) / G_PER_KWH == pytest.approx(100)


def test_export_prices() -> None:
    made = grid(export_price={"kind": "constant", "price_usd_per_j": "30 USD/MWh"})
    assert made.export_price is not None
    assert float(made.export_price.at(0.0)) * 3.6e9 == pytest.approx(30)
    assert grid().export_price is None


PUBLISHED = [
    *(
        (
            f"carbon/greendcc__{zone}_2023_hourly.csv",
            "Datetime (UTC)",
            f"Carbon Intensity gCO\u2082eq/kWh ({kind})",
        )
        for zone in ("DE-LU", "SG", "US-CAL-CISO", "US-TEX-ERCO")
        for kind in ("direct", "LCA")
    ),
    *((f"carbon/eia__{zone}_2022.csv", "timestamp", "avg_CI") for zone in ("CISO", "ERCO")),
    *(
        (f"price/greendcc__{zone}_2023.csv", "Datetime (UTC)", "Price (USD/MWh)")
        for zone in ("DE-LU", "SG", "US-CAL-CISO", "US-TEX-ERCO")
    ),
]


@pytest.mark.parametrize(("path", "time_column", "column"), PUBLISHED)
def test_every_published_series_is_read_as_it_stands(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, path: str, time_column: str, column: str
) -> None:
    monkeypatch.setenv("DCSIM_DATA_DIRS", str(shared_data))
    with (shared_data / path).open(encoding="utf-8", newline="") as file:
        cells = [row[column] for row in csv.DictReader(file)]
    raw = np.array([float(cell) if cell else np.nan for cell in cells])
    known = np.flatnonzero(~np.isnan(raw))
    name, unit, per = ("price", "USD/MWh", 1 / 3.6e9) if "price" in path else ("carbon", "g/kWh", G_PER_KWH)
    part = {
        "kind": "file",
        "path": path,
        "time_column": time_column,
        "value_column": column,
        "unit": unit,
        "gaps": "interpolate",
    }
    year = 2022 if "2022" in path else 2023
    made = build_grid(
        GridSpec.model_validate({"start": datetime(year, 1, 1, tzinfo=UTC), name: part}), Path(), YEAR_S
    )
    series = made.price if name == "price" else made.carbon
    assert len(series.value) == 8760
    np.testing.assert_allclose(series.value[known] / per, raw[known], rtol=1e-12, atol=1e-9)
    missing = len(raw) - len(known)
    assert [note for note in made.notes if "missing" in note] == (
        [f"{Path(path).name}: {missing} missing hours of {column!r} filled by the rule 'interpolate'"]
        if missing
        else []
    )


@pytest.mark.parametrize("zone", ["DE-LU", "SG", "US-CAL-CISO", "US-TEX-ERCO"])
def test_every_published_weather_file_is_read(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("DCSIM_DATA_DIRS", str(shared_data))
    spec = FileWeatherSpec(path=f"weather/greendcc__openmeteo_{zone}_2023.json")
    weather = build_weather(spec, datetime(2023, 1, 2, tzinfo=UTC), Path())
    assert -40.0 < float(weather.at(0.0).dry_bulb_deg_c) < 50.0


LOCAL = {"DE-LU": "Europe/Berlin", "SG": "Asia/Singapore"} | {
    "US-CAL-CISO": "America/Los_Angeles",
    "US-TEX-ERCO": "America/Chicago",
}


@pytest.mark.parametrize("zone", sorted(LOCAL))
def test_published_local_times_without_their_offsets_are_placed_by_the_zone(
    shared_data: Path, tmp_path: Path, zone: str
) -> None:
    """The price files have local times with offsets; without these, the rules of the zone must find them again."""
    with (shared_data / f"price/greendcc__{zone}_2023.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [f"{row['Datetime (Local)'][:19]},{row['Price (USD/MWh)']}" for row in rows]
    (tmp_path / "p.csv").write_text("\n".join(["t,p", *lines]), encoding="utf-8")
    price = {
        "kind": "file",
        "path": "p.csv",
        "time_column": "t",
        "value_column": "p",
        "unit": "USD/MWh",
        "time_zone": LOCAL[zone],
        "clock_changes": "resolve",
    }
    made = build_grid(GridSpec.model_validate({"price": price}), tmp_path, YEAR_S)
    np.testing.assert_allclose(
        made.price.value * 3.6e9, [float(row["Price (USD/MWh)"]) for row in rows], rtol=1e-12, atol=1e-9
    )
    if zone != "SG":
        with pytest.raises(SeriesError, match="which the clock shows twice"):
            build_grid(
                GridSpec.model_validate({"price": price | {"clock_changes": "refuse"}}), tmp_path, YEAR_S
            )
