"""Rates of the U.S. Utility Rate Database: a published one, one with everything, and what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.errors import SeriesError
from dcsim.facility.grid import Grid, build_grid
from dcsim.spec.grid import GridSpec

HOUR, DAY = 3600.0, 86_400.0
PER_KWH = 1.0 / 3.6e6
FLAT = [[0] * 24] * 12
TIMED = [[0] * 12 + [1] * 6 + [0] * 6] * 12
"""Period 1 from 12:00 to 18:00."""
FULL: dict[str, Any] = {
    "label": "a",
    "name": "General service",
    "energyratestructure": [
        [{"rate": 0.05, "adj": 0.01, "max": 100, "unit": "kWh", "sell": 0.02}, {"rate": 0.08}],
        [{"rate": 0.25, "unit": "kWh"}],
    ],
    "energyweekdayschedule": TIMED,
    "energyweekendschedule": FLAT,
    "demandratestructure": [[{"rate": 0}], [{"rate": 12.0, "adj": 0.5}]],
    "demandweekdayschedule": TIMED,
    "demandweekendschedule": FLAT,
    "flatdemandstructure": [[{"rate": 5.0, "max": 10}, {"rate": 7.0}], [{"rate": 9.0}]],
    "flatdemandmonths": [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0],
    "flatdemandunit": "kW",
    "demandwindow": 30,
    "fixedchargefirstmeter": 365.25,
    "fixedchargeunits": "$/day",
    "mincharge": 20,
}


def read(folder: Path, document: object, **changes: object) -> Grid:
    (folder / "rate.json").write_text(json.dumps(document), encoding="utf-8")
    tariff = {"kind": "openei", "path": "rate.json", "time_zone": "America/Chicago"} | changes
    spec = GridSpec.model_validate({"start": "2023-01-02T06:00Z", "tariff": tariff})  # a Monday's midnight
    return build_grid(spec, folder, 365 * DAY)


def test_a_published_rate(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10.56 + 2.9681 cents a kilowatt-hour at all times, 1.95 USD a month; in force until 2015."""
    monkeypatch.setenv("DCSIM_DATA_DIRS", str(shared_data))
    part = {"kind": "openei", "path": "price/zeus_ann_arbor_tou.json", "time_zone": "America/Detroit"}
    spec = GridSpec.model_validate({"start": "2023-01-01T05:00Z", "tariff": part})
    grid = build_grid(spec, Path(), 365 * DAY)
    assert grid.tariff is not None
    assert float(grid.price.at(100 * DAY)) / PER_KWH == pytest.approx(0.135281)
    edges = grid.tariff.edges_s(365 * DAY)
    bill = grid.tariff.bill(np.full(len(edges) - 1, 1000.0), np.zeros(len(edges) - 1), edges)
    assert bill.energy_usd == pytest.approx(8760 * 0.135281)
    assert bill.fixed_usd == pytest.approx(12 * 1.95)
    assert bill.demand_lines == ()
    assert "was in force until 2015-03-31" in grid.notes[0]


def test_a_rate_with_everything_by_hand(tmp_path: Path) -> None:
    """January 2nd to 4th, 1 kW, and 20 kW in one half-hour at 13:00."""
    grid = read(tmp_path, {"items": [FULL]})
    assert grid.tariff is not None
    edges = grid.tariff.edges_s(2 * DAY)
    assert np.diff(edges).tolist() == [1800.0] * 96
    power = np.full(96, 1000.0)
    power[26] = 20_000.0
    bill = grid.tariff.bill(power, np.zeros(96), edges)
    share = 2 / 31
    low = 100 * share
    assert bill.energy_usd == pytest.approx(low * 0.06 + (36 - low) * 0.08 + (12 + 9.5) * 0.25)
    assert [(line.name, line.peak_w) for line in bill.demand_lines] == [
        ("demand 0", 20_000.0),
        ("demand of period 1", 20_000.0),
    ]
    costs = [share * (10 * 5 + 10 * 7), share * 20 * 12.5]
    assert [line.cost_usd for line in bill.demand_lines] == pytest.approx(costs)
    assert bill.fixed_usd == pytest.approx(share * 365.25 * 365.25 / 12)
    assert float(grid.tariff.export_price.at(0.0)) / PER_KWH == pytest.approx(0.02)
    assert grid.notes == ("grid.tariff: rate.json: left out: mincharge",)


def test_flat_demand_follows_the_months(tmp_path: Path) -> None:
    grid = read(tmp_path, FULL)
    assert grid.tariff is not None
    edges = grid.tariff.edges_s(365 * DAY)
    lines = grid.tariff.bill(np.full(len(edges) - 1, 1000.0), np.zeros(len(edges) - 1), edges).demand_lines
    july = {line.name: line.cost_usd for line in lines if line.month == "2023-07"}
    march = {line.name: line.cost_usd for line in lines if line.month == "2023-03"}
    assert july == {"demand 1": pytest.approx(9.0), "demand of period 1": pytest.approx(12.5)}
    assert march == {"demand 0": pytest.approx(5.0), "demand of period 1": pytest.approx(12.5)}


def test_one_of_several_is_chosen_by_label(tmp_path: Path) -> None:
    other = FULL | {"label": "b", "energyratestructure": [[{"rate": 1.0}], [{"rate": 2.0}]]}
    with pytest.raises(SeriesError, match="2 rates -> expected one rate, choose by label: a, b"):
        read(tmp_path, [FULL, other])
    assert float(read(tmp_path, [FULL, other], label="b").price.at(0.0)) / PER_KWH == pytest.approx(1.0)


def test_ratchets_and_kva(tmp_path: Path) -> None:
    grid = read(tmp_path, FULL | {"lookbackPercent": 80, "lookbackRange": 6, "flatdemandunit": "kVA"})
    assert grid.tariff is not None
    assert {charge.ratchet_fraction for charge in grid.tariff.rates.demand} == {0.8}
    assert {charge.ratchet_months for charge in grid.tariff.rates.demand} == {6}
    assert any("power factor of 1" in note for note in grid.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energyratestructure": []}, "energyratestructure"),
        (
            {"energyratestructure": [[{"rate": 0.1}]]},
            "1 periods -> expected at least 2, as the schedules say",
        ),
        ({"energyratestructure": [[{"rate": "x"}], [{"rate": 1}]]}, "energyratestructure.0.0.rate: 'x'"),
        (
            {"energyratestructure": [[{"rate": 1, "unit": "kWh daily"}], [{"rate": 1}]]},
            "such rates cannot be used",
        ),
        (
            {"energyratestructure": [[{"rate": 1}, {"rate": 2}], [{"rate": 1}]]},
            "above that of the tier before",
        ),
        (
            {"energyweekdayschedule": [[0] * 24] * 11},
            "a list of 11, each of .24. -> expected 12 months of 24 hours",
        ),
        ({"energyweekendschedule": None}, "energyweekendschedule: nothing"),
        ({"flatdemandunit": "hp"}, "'hp' -> expected kW or kVA"),
        ({"energyratestructure": [[{"rate": None}], [{"rate": 1}]]}, "0.rate: null -> expected a number"),
        ({"energyratestructure": [[{"rate": 41}], [{"rate": 1}]]}, "41 USD/kWh -> expected 0.001 to 2"),
        ({"energyratestructure": [[{"rate": 4e-5}], [{"rate": 1}]]}, "are these cents, or USD/MWh"),
        ({"energyratestructure": [[{"rate": 1, "sell": 50}], [{"rate": 1}]]}, "0.sell: 50 USD/kWh"),
        ({"demandratestructure": [[{"rate": 0}], [{"rate": 18500}]]}, "18500 USD/kW -> expected 0.02 to 200"),
        ({"fixedchargefirstmeter": 1e308}, "at most 1e.09 USD a month"),
        ({"flatdemandmonths": [0] * 11}, "12 months"),
        ({"flatdemandmonths": [2] * 12}, "at least 3"),
        ({"fixedchargeunits": "$/fortnight"}, "fixedchargeunits"),
        ({"fixedchargefirstmeter": -3}, "a number >= 0"),
        ({"demandwindow": 7}, "a part of an hour"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SeriesError, match=message):
        read(tmp_path, FULL | change)


def test_cents_are_suspected(tmp_path: Path) -> None:
    notes = read(tmp_path, FULL | {"energyratestructure": [[{"rate": 10}], [{"rate": 0}]]}).notes
    (note,) = [note for note in notes if "unusual" in note]
    assert note.endswith(
        "energyratestructure.0.0: 10 USD/kWh is unusual (usually 0.001 to 2); are these cents, or USD/MWh?"
    )


@pytest.mark.parametrize("text", ["{", "[NaN]", "3", "[]", '"x"'])
def test_what_is_no_rate_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rate.json").write_text(text, encoding="utf-8")
    tariff = {"kind": "openei", "path": "rate.json", "time_zone": "America/Chicago"}
    with pytest.raises(SeriesError, match=r"rate\.json"):
        build_grid(GridSpec.model_validate({"tariff": tariff}), tmp_path)
