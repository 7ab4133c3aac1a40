"""Figures for people: the right unit, honest digits, and a dash where nothing is known."""

from __future__ import annotations

import math

import pytest

from dcsim.report.display import Scale, difference_text, number_text, scale_for, verdict_mark
from dcsim.study.statistics import Interval, compare_arms


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("energy_it_j", 3.6e6, "1.000 kWh"),
        ("energy_it_j", 3.6e9, "1.000 MWh"),
        ("energy_it_j", 5.0, "0.000001389 kWh"),
        ("jct_mean_s", 90.0, "90.00 s"),
        ("jct_mean_s", 7_200.0, "2.000 h"),
        ("carbon_kg", 0.5, "500.0 gCO2e"),
        ("carbon_kg", 2_500.0, "2.500 tCO2e"),
        ("accelerator_utilisation", 0.8512, "85.12 %"),
        ("pue", 1.2345, "1.234 "),
        ("water_l", 1_850.0, "1.850 m3"),
        ("jct_mean_s", math.nan, "\u2013 s"),
    ],
)
def test_units_suit_the_size(metric: str, value: float, shown: str) -> None:
    scale = scale_for(metric, [value])
    assert f"{scale.text(value)} {scale.unit}" == shown


def test_an_interval_shows_two_digits_of_its_half_width() -> None:
    assert Scale(1.0, "s").interval_text(Interval(1234.567, 1222.222, 1246.912, 5)) == "1,235 \u00b1 12"
    assert Scale(1.0, "s").interval_text(Interval(2.0, 2.0, 2.0, 5)) == "2.000 \u00b1 0"
    assert Scale(1.0, "s").interval_text(Interval(math.nan, math.nan, math.nan, 0)) == "\u2013"


def test_differences_say_when_there_is_no_interval() -> None:
    values = {"a": {"pue": {0: 2.0}, "water_l": {0: 0.0}}, "b": {"pue": {0: 1.0}, "water_l": {0: 3.0}}}
    pue, water = compare_arms(values, "a", ["pue", "water_l"])
    assert difference_text(pue) == ("\u221250.0 %", "no interval (n = 1)")
    assert difference_text(water) == ("3.000", "absolute")
    assert verdict_mark(pue) == "~"


def test_negative_numbers_use_a_minus_sign() -> None:
    assert number_text(-12.0) == "\u221212.00"
