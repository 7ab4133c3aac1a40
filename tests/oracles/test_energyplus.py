"""A hall simulated by EnergyPlus for a year in Chicago: fitted on one half, predicted on the other."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.oracles.energyplus import (
    PUE,
    WUE_L_PER_KWH,
    Fitted,
    Prediction,
    Year,
    cv_rmse,
    nmbe,
    predict,
    read_year,
)
from tests.oracles.energyplus_fit import fit
from tests.oracles.figures import Figures

JULY_H = 181 * 24
WEEK_H = 7 * 24
J_PER_KWH = 3.6e6

HALVES = {
    "January to June": lambda hour: hour < JULY_H,
    "July to December": lambda hour: hour >= JULY_H,
    "even weeks": lambda hour: (hour // WEEK_H) % 2 == 0,
    "odd weeks": lambda hour: (hour // WEEK_H) % 2 == 1,
}
"""What is fitted on; the rest is predicted. The first half sees -22.6..32.5 degC and 710 h of wet bulbs above 15; the second 1,785 h."""


@cache
def _year(shared_data: Path) -> Year:
    return read_year(shared_data)


@cache
def _fitted(shared_data: Path, half: str) -> tuple[Fitted, Year, Prediction]:
    """Return what was fitted on a half, the hours held out, and what is predicted for them."""
    year = _year(shared_data)
    seen = HALVES[half](year.hour)
    fitted = fit(year.where(seen))
    held = year.where(~seen)
    return fitted, held, predict(fitted, held.it_w, held.outdoors)


def test_the_year_is_the_one_that_its_readme_describes(shared_data: Path) -> None:
    year = _year(shared_data)
    assert year.it_w.sum() * 3600.0 / 1e9 == pytest.approx(3323, abs=1)
    assert year.facility_w.sum() / year.it_w.sum() == pytest.approx(PUE, abs=5e-5)
    # Without the part of the drift that exceeds blow-down, which the columns do not hold.
    assert year.water_l / (year.it_w.sum() / 1e3) == pytest.approx(WUE_L_PER_KWH, rel=0.015)


def test_fitted_parameters_are_physical_and_those_of_the_model_file(
    shared_data: Path, figure: Figures
) -> None:
    """Where EnergyPlus' own input or its sizing report tells the value, the fit finds it."""
    fitted, _, _ = _fitted(shared_data, "January to June")
    sizes = fitted.sizes
    figure.near("supply air, East, m3/s", sizes.zone_flow_m3_per_s[0], 5.94499, 1e-4)
    figure.near("supply air, West, m3/s", sizes.zone_flow_m3_per_s[1], 5.30554, 1e-4)
    figure.near("condenser water, L/s", sizes.condenser_l_per_s, 26.2428, 1e-3)
    figure.near("chiller, kW", sizes.chiller_w / 1e3, 455.1, 5.0)
    figure.near("indirect cooler's fan, W/(m3/s)", sizes.secondary_fan_w_per_m3_per_s, 1.4 * 200.0, 0.1)
    figure.near("indirect cooler's pump, W/(m3/s)", sizes.secondary_pump_w_per_m3_per_s, 1.4 * 150.0, 0.1)
    figure.near("basin heater, W/K", fitted.basin_w_per_k, 450.0, 10.0)
    figure.near("basin set point, degC", fitted.basin_set_point_deg_c, 4.5, 0.1)
    figure.near("direct cooler's wet-bulb limit, West, degC", fitted.wet_bulb_limit_deg_c[1], 18.0, 1.0)
    figure.tell("chilled-water range, K", fitted.chilled_water_range_k)
    figure.tell("chiller curves read at leaving water, degC", fitted.chiller_leaving_deg_c)
    figure.tell("tower set point over wet bulb, K", fitted.tower_follows_k)
    figure.tell("condenser pump's idle running", fitted.idle_pump_fraction)
    figure.tell("heat through the envelope, W/K", fitted.hall.envelope_w_per_k)
    assert 5.0 < fitted.chilled_water_range_k < 9.0
    assert 5.0 < fitted.chiller_leaving_deg_c < 15.0
    assert 0.0 <= fitted.tower_follows_k < 2.0
    assert 0.0 < fitted.idle_pump_fraction < 0.2
    assert 100.0 < fitted.hall.envelope_w_per_k < 1_000.0


@pytest.mark.parametrize("half", HALVES)
def test_the_half_held_out_is_predicted(shared_data: Path, figure: Figures, half: str) -> None:
    _, held, said = _fitted(shared_data, half)
    basis = f"fitted on {half}, predicted on the rest"
    it_kwh = held.it_w.sum() / 1e3
    figure.near("PUE, hours held out", said.pue, float(held.facility_w.sum() / held.it_w.sum()), 0.02, basis)
    figure.near(
        "WUE, hours held out, L/kWh",
        said.water_l / it_kwh,
        held.water_l / it_kwh,
        0.1 * held.water_l / it_kwh,
        basis,
    )
    figure.at_most("CV-RMSE of hourly facility power", cv_rmse(held.facility_w, said.facility_w), 0.10, basis)
    figure.at_most("NMBE of hourly facility power", abs(nmbe(held.facility_w, said.facility_w)), 0.05, basis)


def test_the_whole_year_has_the_published_pue_and_wue(shared_data: Path, figure: Figures) -> None:
    fitted, _, _ = _fitted(shared_data, "January to June")
    year = _year(shared_data)
    said = predict(fitted, year.it_w, year.outdoors)
    basis = "fitted on January to June"
    figure.near("annual PUE", said.pue, PUE, 0.02, basis)
    figure.near(
        "annual WUE, L/kWh", said.water_l / (year.it_w.sum() / 1e3), WUE_L_PER_KWH, 0.1 * WUE_L_PER_KWH, basis
    )


@pytest.mark.parametrize(
    ("band", "published"),
    [
        ((-50, 0), 1.090),
        ((0, 5), 1.054),
        ((5, 10), 1.055),
        ((10, 15), 1.090),
        ((15, 20), 1.290),
        ((20, 40), 1.316),
    ],
)
def test_pue_in_each_band_of_wet_bulb(
    shared_data: Path, figure: Figures, band: tuple[int, int], published: float
) -> None:
    """So that the year is not right by errors that cancel; bands as in the README, all hours of the year."""
    fitted, _, _ = _fitted(shared_data, "January to June")
    year = _year(shared_data)
    wet = year.outdoors.wet_bulb_deg_c
    some = year.where((wet > band[0]) & (wet <= band[1]))
    said = predict(fitted, some.it_w, some.outdoors)
    figure.near(f"PUE at wet bulbs of {band[0]}..{band[1]} degC", said.pue, published, 0.02)


def test_chiller_and_tower_apart(shared_data: Path, figure: Figures) -> None:
    """The parts are right, too: energies of compressor, pumps and tower fan on the hours held out, each within a tenth."""
    _, held, said = _fitted(shared_data, "January to June")
    parts = {
        "compressor": (said.output.compressor_w, held.of("Chiller Elec")),
        "pumps": (said.output.pump_w, held.of("CW CIRC", "COND CIRC")),
        "tower fan": (said.output.tower_fan_w, held.of("Tower Fan")),
        "supply fans": (said.fan_w, held.of("EAST ZONE SUPPLY FAN", "WEST ZONE SUPPLY FAN")),
    }
    for name, (modelled, measured) in parts.items():
        figure.near(f"{name}, modelled over EnergyPlus", float(modelled.sum() / measured.sum()), 1.0, 0.1)


def test_energy_and_heat_close_in_every_hour(shared_data: Path) -> None:
    _, _, said = _fitted(shared_data, "January to June")
    out = said.output
    work = out.compressor_w + out.pump_w + out.tower_fan_w + out.other_w
    np.testing.assert_allclose(out.rejected_w + out.reused_w, said.load.heat_w + work, rtol=1e-9)
    assert (out.water_l_per_s >= out.evaporated_l_per_s).all()
    assert (out.evaporated_l_per_s >= 0.0).all()
