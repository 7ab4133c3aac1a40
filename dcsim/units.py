"""Physical quantities as people write them ("6.5 kW", "400 Gbit/s", "2 h") to and from SI floats.

Everything inside dcsim is SI; units exist at the two edges only: `parse_quantity` where a person
writes, `format_quantity` where a person reads. Unit symbols are case sensitive, because mW and MW,
or Gbit/s and GB/s, are different things; what is nearly right is refused with a hint, never guessed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from numbers import Real
from types import MappingProxyType

__all__ = [
    "Quantity",
    "QuantityError",
    "format_duration",
    "format_quantity",
    "format_si",
    "parse_quantity",
    "unit_symbols",
]


class Quantity(StrEnum):
    """A kind of physical quantity; the value is the word a message uses for it."""

    POWER = "power"
    ENERGY = "energy"
    DURATION = "duration"
    SIZE = "size"
    BANDWIDTH = "bandwidth"
    FLOP_RATE = "FLOP rate"
    CARBON_INTENSITY = "carbon intensity"
    ENERGY_PRICE = "energy price"
    TEMPERATURE = "temperature"
    FRACTION = "fraction"


class QuantityError(ValueError):
    """A text or number that is not the quantity asked for.

    `expected` says what would have been right, `hint` what was probably meant ("" if unknown).
    """

    def __init__(self, got: str, expected: str, hint: str = "") -> None:
        self.got = got
        self.expected = expected
        self.hint = hint
        super().__init__(f"{got} -> expected {expected}" + (f", {hint}" if hint else ""))


_DECIMAL = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_KWH = Fraction(3_600_000)


def _prefixed(symbol: str, prefixes: str, scale: Fraction | int = 1) -> dict[str, Fraction]:
    """Return a unit and its decimal multiples; a blank in `prefixes` is the unit itself."""
    names = [prefix.strip() for prefix in prefixes]
    return {name + symbol: Fraction(scale) * Fraction(10) ** _DECIMAL[name] for name in names}


def _bytes(suffix: str) -> dict[str, Fraction]:
    """Return bytes and bits with decimal and binary prefixes, in bytes."""
    units = _prefixed("B" + suffix, " kMGTPE")
    units |= {f"{name}B{suffix}": Fraction(2) ** power for name, power in _BINARY.items()}
    units |= _prefixed("bit" + suffix, " kMGTP", Fraction(1, 8))
    return units


def _carbon() -> dict[str, Fraction]:
    """Return mass over energy: every mass that occurs in published series, over kWh and MWh."""
    masses = {
        "g": Fraction(1, 1000),
        "kg": Fraction(1),
        "t": Fraction(1000),
        "lb": Fraction(45_359_237, 100_000_000),
    }
    energies = {"kWh": _KWH, "MWh": 1000 * _KWH}
    gases = ("", "CO2", "CO2e", "CO2eq")
    units = {
        f"{mass}{gas}/{energy}": scale / energies[energy]
        for energy in energies
        for mass, scale in masses.items()
        for gas in gases
    }
    return units | {"kg/J": Fraction(1), "kgCO2e/J": Fraction(1)}


_SCALES: Mapping[Quantity, Mapping[str, Fraction]] = MappingProxyType(
    {
        Quantity.POWER: _prefixed("W", " kMGT") | {"mW": Fraction(1, 1000)},
        Quantity.ENERGY: _prefixed("J", " kMGTP") | _prefixed("Wh", " kMGT", 3600),
        Quantity.DURATION: {
            "s": Fraction(1),
            "ms": Fraction(1, 10**3),
            "us": Fraction(1, 10**6),
            "\u03bcs": Fraction(1, 10**6),
            "ns": Fraction(1, 10**9),
            "min": Fraction(60),
            "h": Fraction(3600),
            "d": Fraction(86_400),
            "w": Fraction(7 * 86_400),
        },
        Quantity.SIZE: _bytes(""),
        Quantity.BANDWIDTH: _bytes("/s"),
        Quantity.FLOP_RATE: _prefixed("FLOP/s", " kMGTPE")
        | _prefixed("FLOPS", "MGTPE")
        | _prefixed("OP/s", "GTP"),
        Quantity.CARBON_INTENSITY: _carbon(),
        Quantity.ENERGY_PRICE: {
            "USD/kWh": 1 / _KWH,
            "USD/MWh": 1 / (1000 * _KWH),
            "$/kWh": 1 / _KWH,
            "$/MWh": 1 / (1000 * _KWH),
            "USD/J": Fraction(1),
        },
        Quantity.TEMPERATURE: {"degC": Fraction(1), "\u00b0C": Fraction(1), "C": Fraction(1)}
        | {"K": Fraction(1), "degF": Fraction(5, 9), "\u00b0F": Fraction(5, 9), "F": Fraction(5, 9)},
        Quantity.FRACTION: {"%": Fraction(1, 100)},
    }
)

_ZERO_DEG_C: Mapping[str, Fraction] = MappingProxyType(
    {"K": Fraction(27315, 100), "degF": Fraction(32), "\u00b0F": Fraction(32), "F": Fraction(32)}
)
"""Reading of each temperature unit at 0 degC, where it is not 0."""

_SHOWN: Mapping[Quantity, str] = MappingProxyType(
    {
        Quantity.POWER: "W, kW, MW",
        Quantity.ENERGY: "J, kWh, MWh",
        Quantity.DURATION: "ms, s, min, h, d",
        Quantity.SIZE: "B, kB, MB, GB, TB, MiB, GiB, TiB",
        Quantity.BANDWIDTH: "B/s, GB/s, GiB/s, Mbit/s, Gbit/s",
        Quantity.FLOP_RATE: "GFLOP/s, TFLOP/s, PFLOP/s",
        Quantity.CARBON_INTENSITY: "g/kWh, kg/MWh, gCO2e/kWh",
        Quantity.ENERGY_PRICE: "USD/kWh, USD/MWh",
        Quantity.TEMPERATURE: "degC, degF, K",
        Quantity.FRACTION: "%",
    }
)

_SI_SYMBOL: Mapping[Quantity, str] = MappingProxyType(
    {
        Quantity.POWER: "W",
        Quantity.ENERGY: "J",
        Quantity.DURATION: "s",
        Quantity.SIZE: "B",
        Quantity.BANDWIDTH: "B/s",
        Quantity.FLOP_RATE: "FLOP/s",
        Quantity.CARBON_INTENSITY: "kg/J",
        Quantity.ENERGY_PRICE: "USD/J",
        Quantity.TEMPERATURE: "degC",
        Quantity.FRACTION: "a ratio",
    }
)

_MISTAKES: Mapping[str, str] = MappingProxyType(
    {
        "KB": "write kB (1000 bytes) or KiB (1024 bytes)",
        "KB/s": "write kB/s (1000 bytes/s) or KiB/s (1024 bytes/s)",
        "m": "write min for minutes or ms for milliseconds",
        "M": "write min for minutes",
        "sec": "write s",
        "hr": "write h",
        "kW/h": "a power is in kW, an energy in kWh",
        "kw/h": "a power is in kW, an energy in kWh",
        "GFLOP": "an amount of work, not a rate: write GFLOP/s",
        "TFLOP": "an amount of work, not a rate: write TFLOP/s",
        "PFLOP": "an amount of work, not a rate: write PFLOP/s",
        "percent": "write %",
    }
)
"""Common ways to write a unit that are ambiguous or mean something else."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE](?P<exponent>[+-]?[0-9]+))?")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[,_' \u00a0\u2009\u202f][0-9]{3})+(?![0-9])")
_CLOCK = re.compile(r"[0-9]+:[0-9]{2}(?::[0-9]{2})?")
_MAX_TEXT = 100
_MAX_EXPONENT = 400


def parse_quantity(value: object, quantity: Quantity) -> float:
    """Return `value` in SI: W, J, s, B, B/s, FLOP/s, kg/J, USD/J, degC, or a ratio.

    `value` is a number (already in that unit) or a text with a unit, or a bare number as text.
    A duration may have several parts. The result is the correctly rounded double of the exact
    decimal times the exact unit. Raises `QuantityError` (a `ValueError`) for booleans, NaN,
    infinities, thousands separators, unknown units and units of another quantity. The range is
    not judged here: fields of a scenario say which values make sense.

    >>> parse_quantity("6.5 kW", Quantity.POWER)
    6500.0
    >>> parse_quantity("1 h 30 min", Quantity.DURATION)
    5400.0
    >>> parse_quantity("80 GiB", Quantity.SIZE) == 80 * 2**30
    True
    >>> parse_quantity("6.5 kWh", Quantity.POWER)
    Traceback (most recent call last):
        ...
    dcsim.units.QuantityError: '6.5 kWh' -> expected a power (W, kW, MW), kWh is a unit of energy
    """
    if isinstance(value, str):
        return _checked(_parse_text(value, quantity), quantity, value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _refusal(value, quantity, "a boolean is not a number" if isinstance(value, bool) else "")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return _checked(number, quantity, value)


def unit_symbols(quantity: Quantity) -> tuple[str, ...]:
    """Return every unit symbol that `parse_quantity` takes for `quantity`.

    >>> unit_symbols(Quantity.FRACTION)
    ('%',)
    """
    return tuple(_SCALES[quantity])


def _refusal(got: object, quantity: Quantity, hint: str = "") -> QuantityError:
    """Build the error for one refused value."""
    try:
        text = repr(got)
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        text = "a huge integer"
    article = "an" if quantity.value.startswith("e") else "a"
    shown = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."
    return QuantityError(shown, f"{article} {quantity.value} ({_SHOWN[quantity]})", hint)


def _checked(number: float, quantity: Quantity, got: object) -> float:
    """Refuse NaN, infinities and temperatures below absolute zero; turn -0.0 into 0.0."""
    if not math.isfinite(number):
        raise _refusal(got, quantity, "the value must be a finite number")
    if quantity is Quantity.TEMPERATURE and number < -273.15:
        raise _refusal(got, quantity, "that is below absolute zero")
    return number + 0.0


def _parse_text(text: str, quantity: Quantity) -> float:
    """Return the value of a text, one number with a unit or several parts of a duration."""
    stripped = text.strip()
    if len(text) > _MAX_TEXT:
        raise _refusal(text, quantity, f"that text is longer than {_MAX_TEXT} characters")
    match = _NUMBER.match(stripped)
    if match is None or _GROUPED.match(stripped) or _CLOCK.match(stripped):
        raise _refusal(text, quantity, _malformed_hint(stripped, quantity))
    if abs(int(match.group("exponent") or 0)) > _MAX_EXPONENT:
        raise _refusal(text, quantity, "the exponent is out of range")
    unit = unicodedata.normalize("NFKC", stripped[match.end() :].strip())
    if not unit:
        return _exact(match.group(), Fraction(1), Fraction(0), text, quantity)
    scale = _SCALES[quantity].get(unit)
    if scale is None and quantity is Quantity.DURATION and any(char.isdigit() for char in unit):
        return _parse_parts(stripped, text)
    if scale is None:
        raise _refusal(text, quantity, _unit_hint(unit, quantity))
    return _exact(match.group(), scale, _ZERO_DEG_C.get(unit, Fraction(0)), text, quantity)


def _exact(digits: str, scale: Fraction, zero: Fraction, text: str, quantity: Quantity) -> float:
    """Return (digits - zero) * scale, rounded once; the exponent's limit keeps that cheap."""
    if quantity is Quantity.TEMPERATURE and scale == 1 and zero == 0:
        return float(digits)
    try:
        return float((Fraction(digits) - zero) * scale)
    except OverflowError:
        raise _refusal(text, quantity, "the value must be a finite number") from None


def _parse_parts(stripped: str, text: str) -> float:
    """Return a duration of several parts, "1 h 30 min", each unit once and in falling order."""
    scales = _SCALES[Quantity.DURATION]
    total, last, position = Fraction(0), None, 0
    part = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*([^\s0-9.+-]+)")
    while position < len(stripped):
        match = part.match(stripped, position)
        scale = None if match is None else scales.get(unicodedata.normalize("NFKC", match.group(2)))
        if match is None or scale is None or (last is not None and scale >= last):
            raise _refusal(
                text, Quantity.DURATION, "write the parts like '1 h 30 min', the larger unit first"
            )
        total += Fraction(match.group(1)) * scale
        last, position = scale, match.end()
    return float(total)


def _malformed_hint(stripped: str, quantity: Quantity) -> str:
    """Return what to write instead of a text that does not start with a number."""
    if _CLOCK.match(stripped):
        return "write it like '1 h 30 min'" if quantity is Quantity.DURATION else ""
    if _GROUPED.match(stripped):
        return "write the number without thousands separators"
    if stripped.lower().lstrip("+-.") in {"nan", "inf", "infinity"}:
        return "the value must be a finite number"
    if stripped[:1] in {"$", "\u20ac", "\u00a3"}:
        return "write the number first, then the unit"
    return "start with a number, then the unit"


def _unit_hint(unit: str, quantity: Quantity) -> str:
    """Return what was probably meant by a unit that `quantity` does not have."""
    if unit in _MISTAKES:
        return _MISTAKES[unit]
    if unit.startswith(","):
        return "write the number without thousands separators and with a decimal point"
    return _bits_hint(unit, quantity) or _other_hint(unit, quantity) or f"unknown unit {unit!r}"


def _bits_hint(unit: str, quantity: Quantity) -> str:
    """Return a question about bits and bytes where `unit` mixes them up, or only its case is wrong."""
    bits = re.fullmatch(r"([kKmMgGtTpP]?)(b(?:ps|/s)?|Bps)", unit)
    if bits and quantity in {Quantity.SIZE, Quantity.BANDWIDTH}:
        prefix = bits.group(1).upper().replace("K", "k")
        rate = "/s" if quantity is Quantity.BANDWIDTH else ""
        return f"bits or bytes? write {prefix}bit{rate} or {prefix}B{rate}"
    own = [symbol for symbol in _SCALES[quantity] if symbol.casefold() == unit.casefold()]
    return f"unit symbols are case sensitive: did you mean {' or '.join(own)}?" if own else ""


def _other_hint(unit: str, quantity: Quantity) -> str:
    """Return what `unit` is a unit of, where it is one of another quantity or currency."""
    if quantity is Quantity.ENERGY_PRICE and re.match(r"(EUR|\u20ac|GBP|\u00a3|ct|c)/", unit):
        return "prices are in US dollars: convert, and write USD/kWh or USD/MWh"
    other = next((kind for kind in Quantity if unit in _SCALES[kind]), None)
    if other is None:
        return ""
    rate = f": did you mean {unit}/s?" if (other, quantity) == (Quantity.SIZE, Quantity.BANDWIDTH) else ""
    return f"{unit} is a unit of {other.value}{rate}"


_STEPS: Mapping[Quantity, tuple[str, ...]] = MappingProxyType(
    {
        Quantity.POWER: ("mW", "W", "kW", "MW", "GW", "TW"),
        Quantity.ENERGY: ("Wh", "kWh", "MWh", "GWh", "TWh"),
        Quantity.SIZE: ("B", "kB", "MB", "GB", "TB", "PB", "EB"),
        Quantity.BANDWIDTH: ("B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s", "EB/s"),
        Quantity.FLOP_RATE: ("FLOP/s", "kFLOP/s", "MFLOP/s", "GFLOP/s", "TFLOP/s", "PFLOP/s", "EFLOP/s"),
        Quantity.CARBON_INTENSITY: ("g/kWh",),
        Quantity.ENERGY_PRICE: ("USD/kWh",),
        Quantity.TEMPERATURE: ("degC",),
        Quantity.FRACTION: ("%",),
        Quantity.DURATION: ("ns", "us", "ms", "s"),
    }
)
"""Units a person is shown, ascending."""


def format_quantity(value: float, quantity: Quantity, digits: int = 4) -> str:
    """Return an SI value as people read it, to `digits` significant digits; NaN becomes "n/a".

    Durations from a minute up get their two largest units (see `format_duration`). The text parses
    back to the value within its rounding.

    >>> format_quantity(6500.0, Quantity.POWER), format_quantity(3.6e9, Quantity.ENERGY)
    ('6.5 kW', '1 MWh')
    >>> format_quantity(7380.0, Quantity.DURATION), format_quantity(0.7, Quantity.FRACTION)
    ('2 h 3 min', '70 %')
    """
    if not math.isfinite(value):
        return "n/a"
    if quantity is Quantity.DURATION and abs(value) >= 59.5:
        return format_duration(value)
    units = _STEPS[quantity]
    scales = [float(_SCALES[quantity][unit]) for unit in units]
    # The rounded number decides the unit, so that 999.96 W is shown as 1 kW and not as 1000 W.
    rounded = abs(float(f"{value:.{digits}g}"))
    default = next((i for i, scale in enumerate(scales) if scale == 1.0), 0)
    fitting = [i for i, scale in enumerate(scales) if rounded >= scale]
    index = default if rounded == 0.0 else max(fitting, default=0)
    return f"{_plain(value / scales[index], digits)} {units[index]}"


def _plain(number: float, digits: int) -> str:
    """Return a number to `digits` significant digits, without an exponent where it stays readable."""
    rounded = float(f"{number:.{digits}g}")
    if rounded == 0.0:
        return "0"
    if not 1e-4 <= abs(rounded) < 1e7:
        return f"{rounded:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units (d, h, min, s), rounded to the smaller one.

    >>> format_duration(9_000.0), format_duration(200_000.0), format_duration(59.0)
    ('2 h 30 min', '2 d 8 h', '59 s')
    """
    if not math.isfinite(seconds):
        return "n/a"
    sign, left = ("-", -seconds) if seconds < 0 else ("", seconds)
    if left < 59.5:
        return f"{sign}{_plain(left, 4)} s"
    for large, small, ratio in (("min", "s", 60), ("h", "min", 60), ("d", "h", 24)):
        unit = int(_SCALES[Quantity.DURATION][small])
        whole, rest = divmod(round(left / unit), ratio)
        if small == "h" or whole < (24 if small == "min" else 60):
            return f"{sign}{whole} {large}" + (f" {rest} {small}" if rest else "")
    raise AssertionError("the last row of the table takes every duration")


def format_si(value: float, symbol: str, digits: int = 4) -> str:
    """Return a number with a decimal prefix before `symbol` ("" to "E", and m, u, n below one).

    >>> format_si(28_230_000.0, "W"), format_si(0.00125, "s"), format_si(0.0, "J")
    ('28.23 MW', '1.25 ms', '0 J')
    """
    if not math.isfinite(value):
        return "n/a"
    prefixes = {"n": -9, "u": -6, "m": -3, **_DECIMAL}
    rounded = abs(float(f"{value:.{digits}g}"))
    fitting = [prefix for prefix, power in prefixes.items() if rounded >= 10.0**power]
    prefix = "" if rounded == 0.0 else max(fitting, key=prefixes.__getitem__, default="n")
    return f"{_plain(value / 10.0 ** prefixes[prefix], digits)} {prefix}{symbol}"
