"""Units: what people write becomes the right SI number, or is refused with a hint that helps."""

from __future__ import annotations

import math
import string
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.units import (
    Quantity,
    QuantityError,
    format_duration,
    format_quantity,
    format_si,
    parse_quantity,
    unit_symbols,
)

# Factors from the SI brochure (9th edition) and IEC 80000-13, written out independently of the code.
KNOWN = [
    ("6.5 kW", Quantity.POWER, 6_500.0),
    ("1 MW", Quantity.POWER, 1e6),
    ("1 mW", Quantity.POWER, 1e-3),
    ("20 GW", Quantity.POWER, 2e10),
    ("10 kWh", Quantity.ENERGY, 3.6e7),
    ("3 J", Quantity.ENERGY, 3.0),
    ("2 h", Quantity.DURATION, 7_200.0),
    ("1 h 30 min", Quantity.DURATION, 5_400.0),
    ("1h30min", Quantity.DURATION, 5_400.0),
    ("7 d", Quantity.DURATION, 604_800.0),
    ("1 w 1 d", Quantity.DURATION, 691_200.0),
    ("5 us", Quantity.DURATION, 5e-6),
    ("5 \u00b5s", Quantity.DURATION, 5e-6),
    ("5 \u03bcs", Quantity.DURATION, 5e-6),
    ("80 GB", Quantity.SIZE, 8e10),
    ("80 GiB", Quantity.SIZE, 85_899_345_920.0),
    ("8 bit", Quantity.SIZE, 1.0),
    ("400 Gbit/s", Quantity.BANDWIDTH, 5e10),
    ("400 GB/s", Quantity.BANDWIDTH, 4e11),
    ("1 GiB/s", Quantity.BANDWIDTH, 1_073_741_824.0),
    ("312 TFLOP/s", Quantity.FLOP_RATE, 3.12e14),
    ("1 PFLOP/s", Quantity.FLOP_RATE, 1e15),
    ("989 TFLOPS", Quantity.FLOP_RATE, 9.89e14),
    ("360 g/kWh", Quantity.CARBON_INTENSITY, 1e-7),
    ("360 kg/MWh", Quantity.CARBON_INTENSITY, 1e-7),
    ("360 gCO2e/kWh", Quantity.CARBON_INTENSITY, 1e-7),
    ("0.36 kgCO2eq/kWh", Quantity.CARBON_INTENSITY, 1e-7),
    ("1000 lb/MWh", Quantity.CARBON_INTENSITY, 453.59237 / 3.6e9),
    ("36 USD/MWh", Quantity.ENERGY_PRICE, 1e-8),
    ("0.036 USD/kWh", Quantity.ENERGY_PRICE, 1e-8),
    ("-36 USD/MWh", Quantity.ENERGY_PRICE, -1e-8),
    ("24 degC", Quantity.TEMPERATURE, 24.0),
    ("75.2 degF", Quantity.TEMPERATURE, 24.0),
    ("297.15 K", Quantity.TEMPERATURE, 24.0),
    ("70 %", Quantity.FRACTION, 0.7),
    ("70%", Quantity.FRACTION, 0.7),
    ("1e3", Quantity.POWER, 1_000.0),
    (" 1e3 W ", Quantity.POWER, 1_000.0),
    (".5 kW", Quantity.POWER, 500.0),
    (5, Quantity.POWER, 5.0),
    (np.float32(0.5), Quantity.FRACTION, 0.5),
    (np.int64(5), Quantity.POWER, 5.0),
]


@pytest.mark.parametrize(("text", "quantity", "si"), KNOWN)
def test_known_values(text: str, quantity: Quantity, si: float) -> None:
    assert parse_quantity(text, quantity) == pytest.approx(si, rel=1e-15, abs=0.0)


HINTS = [
    ("6.5 kWh", Quantity.POWER, "kWh is a unit of energy"),
    ("6.5 kW", Quantity.ENERGY, "kW is a unit of power"),
    ("80 GB", Quantity.BANDWIDTH, "did you mean GB/s?"),
    ("400 Gbps", Quantity.BANDWIDTH, "bits or bytes? write Gbit/s or GB/s"),
    ("400 Gb/s", Quantity.BANDWIDTH, "bits or bytes?"),
    ("80 Gb", Quantity.SIZE, "bits or bytes?"),
    ("80 KB", Quantity.SIZE, "kB (1000 bytes) or KiB (1024 bytes)"),
    ("5 KW", Quantity.POWER, "did you mean kW?"),
    ("5 mw", Quantity.POWER, "did you mean MW or mW?"),
    ("5 kW/h", Quantity.POWER, "a power is in kW"),
    ("10 m", Quantity.DURATION, "min for minutes"),
    ("12:30:00", Quantity.DURATION, "write it like '1 h 30 min'"),
    ("30 min 1 h", Quantity.DURATION, "the larger unit first"),
    ("1 h 1 h", Quantity.DURATION, "the larger unit first"),
    ("1 h -5 min", Quantity.DURATION, "the larger unit first"),
    ("5 TFLOP", Quantity.FLOP_RATE, "write TFLOP/s"),
    ("0.4 USD/kWh", Quantity.CARBON_INTENSITY, "unit of energy price"),
    ("50 EUR/MWh", Quantity.ENERGY_PRICE, "US dollars"),
    ("1,000", Quantity.POWER, "without thousands separators"),
    ("1 000 W", Quantity.POWER, "without thousands separators"),
    ("1_000 W", Quantity.POWER, "without thousands separators"),
    ("1.000,5 W", Quantity.POWER, "decimal point"),
    (True, Quantity.POWER, "a boolean is not a number"),
    (math.nan, Quantity.POWER, "finite"),
    (math.inf, Quantity.POWER, "finite"),
    ("nan W", Quantity.POWER, "start with a number"),
    (".nan", Quantity.POWER, "finite"),
    ("1e999", Quantity.POWER, "exponent"),
    ("1e400 W", Quantity.POWER, "finite"),
    (10**400, Quantity.POWER, "finite"),
    ("1e309", Quantity.POWER, "finite"),
    ("-300 degC", Quantity.TEMPERATURE, "absolute zero"),
    ("-1 K", Quantity.TEMPERATURE, "absolute zero"),
    ("kW", Quantity.POWER, "start with a number"),
    ("", Quantity.POWER, "start with a number"),
    ("5 parsec", Quantity.POWER, "unknown unit 'parsec'"),
    ("9" * 101, Quantity.POWER, "longer than"),
    ("\u0665 W", Quantity.POWER, "start with a number"),  # an Arabic five: digits are ASCII
]


@pytest.mark.parametrize(("value", "quantity", "hint"), HINTS)
def test_refusals_carry_a_hint(value: Any, quantity: Quantity, hint: str) -> None:
    with pytest.raises(QuantityError) as refused:
        parse_quantity(value, quantity)
    assert hint in refused.value.hint
    assert quantity.value in refused.value.expected
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, b"5 W", 1j, object()])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(QuantityError):
        parse_quantity(value, Quantity.POWER)


def test_results_are_correctly_rounded() -> None:
    # 0.1 kWh/kW-style products accumulate rounding where two doubles are multiplied; here it is exact.
    assert parse_quantity("0.07 USD/kWh", Quantity.ENERGY_PRICE) == float(Fraction(7, 100) / 3_600_000)
    assert parse_quantity("0.1 Gbit/s", Quantity.BANDWIDTH) == 12_500_000.0


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1.0, parse_quantity("-0 W", Quantity.POWER)) == 1.0
    assert math.copysign(1.0, parse_quantity(-0.0, Quantity.POWER)) == 1.0


@given(st.one_of(st.text(max_size=150), st.text(string.digits + " .,eE+-:_%kMGhmindWBbitsps/", max_size=20)))
def test_any_text_is_a_finite_number_or_a_quantity_error(text: str) -> None:
    for quantity in Quantity:
        try:
            value = parse_quantity(text, quantity)
        except QuantityError as error:
            value = float(len(error.expected))
        assert math.isfinite(value)


@given(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.binary(), st.lists(st.integers())),
    st.sampled_from(Quantity),
)
def test_any_value_is_a_finite_number_or_a_quantity_error(value: Any, quantity: Quantity) -> None:
    try:
        assert math.isfinite(parse_quantity(value, quantity))
    except QuantityError:
        assert (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not (math.isfinite(value) and (quantity is not Quantity.TEMPERATURE or value >= -273.15))
        )


@given(st.sampled_from([q for q in Quantity if q is not Quantity.TEMPERATURE]), st.data())
def test_every_unit_is_linear(quantity: Quantity, data: st.DataObject) -> None:
    unit = data.draw(st.sampled_from(unit_symbols(quantity)))
    number = data.draw(st.integers(1, 10**6))
    one, many = parse_quantity(f"1 {unit}", quantity), parse_quantity(f"{number} {unit}", quantity)
    assert many == pytest.approx(number * one, rel=1e-14)


@given(st.sampled_from(Quantity), st.floats(1e-3, 1e18), st.sampled_from([1, -1]))
def test_what_is_shown_parses_back(quantity: Quantity, value: float, sign: int) -> None:
    if quantity in {Quantity.CARBON_INTENSITY, Quantity.ENERGY_PRICE}:
        value /= 3.6e9
    signed = value if quantity is Quantity.TEMPERATURE else sign * value
    shown = format_quantity(signed, quantity)
    if quantity is Quantity.DURATION and value >= 59.5:
        if signed > 0:
            half_unit = 0.5 * (1.0 if value < 3_570 else 60.0 if value < 86_370 else 3_600.0)
            assert parse_quantity(shown, quantity) == pytest.approx(value, abs=half_unit, rel=1e-9)
        return
    assert parse_quantity(shown, quantity) == pytest.approx(signed, rel=5.1e-4)


def test_formats_people_read() -> None:
    assert format_quantity(999.96, Quantity.POWER) == "1 kW"
    assert format_quantity(0.0, Quantity.POWER) == "0 W"
    assert format_quantity(-5.25e3, Quantity.POWER) == "-5.25 kW"
    assert format_quantity(0.4 / 3.6e6, Quantity.CARBON_INTENSITY) == "400 g/kWh"
    assert format_quantity(0.06 / 3.6e6, Quantity.ENERGY_PRICE) == "0.06 USD/kWh"
    assert format_quantity(math.nan, Quantity.POWER) == "n/a"
    assert format_duration(59.6) == "1 min"
    assert format_duration(3_599.9) == "1 h"
    assert format_duration(86_399.0) == "1 d"
    assert format_duration(-90.0) == "-1 min 30 s"
    assert format_si(999.96, "B") == "1 kB"
    assert format_si(1e-12, "s") == "0.001 ns"


def test_import_is_cheap() -> None:
    code = "import sys, dcsim.units; print([m for m in ('pydantic', 'numpy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_integers_too_long_to_print_are_refused() -> None:
    with pytest.raises(QuantityError, match="a huge integer"):
        parse_quantity(10**5000, Quantity.POWER)
