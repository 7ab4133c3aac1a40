"""How figures are shown to people: the unit that suits their size, and no more digits than they carry."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from dcsim.results.schema import ACCOUNT, SUMMARY
from dcsim.study.statistics import Interval, PairedDifference

__all__ = [
    "LABELS",
    "Scale",
    "difference_text",
    "number_text",
    "percent_text",
    "scale_for",
    "verdict_mark",
]

LABELS = {
    "jct_mean_s": "Job completion, mean",
    "jct_p95_s": "Job completion, p95",
    "wait_mean_s": "Wait, mean",
    "makespan_s": "Makespan",
    "accelerator_utilisation": "Utilisation",
    "energy_it_j": "IT energy",
    "energy_facility_j": "Facility energy",
    "pue": "PUE",
    "carbon_kg": "Carbon",
    "carbon_embodied_kg": "Embodied carbon",
    "cost_usd": "Cost",
    "peak_import_w": "Peak import",
    "water_l": "Water",
    "jobs_completed": "Jobs completed",
    "preemptions": "Preemptions",
    "productive_fraction": "Productive accelerator time",
    "deadlines_met_fraction": "Deadlines met",
    "network_stall_fraction": "Stalled on shared links",
    "data_stall_fraction": "Stalled on input",
}
"""Column of schema.SUMMARY -> heading."""

_UNITS = {column.name: column.unit for column in (*ACCOUNT, *SUMMARY)}
_LADDERS: dict[str, tuple[tuple[float, str], ...]] = {
    "s": ((1.0, "s"), (60.0, "min"), (3_600.0, "h"), (86_400.0, "d")),
    "J": ((3.6e6, "kWh"), (3.6e9, "MWh"), (3.6e12, "GWh"), (3.6e15, "TWh")),
    "J of steps": ((3.6, "mWh"), (3_600.0, "Wh"), (3.6e6, "kWh"), (3.6e9, "MWh")),
    "W": ((1.0, "W"), (1e3, "kW"), (1e6, "MW"), (1e9, "GW")),
    "kg": ((1e-3, "gCO2e"), (1.0, "kgCO2e"), (1e3, "tCO2e"), (1e6, "ktCO2e")),
    "USD": ((1.0, "USD"), (1e3, "kUSD"), (1e6, "MUSD")),
    "L": ((1.0, "L"), (1e3, "m3"), (1e6, "ML")),
    "L/J": ((1.0 / 3.6e6, "L/kWh"),),
    "kg/J": ((1.0 / 3.6e6, "kgCO2e/kWh"),),
    "degC": ((1.0, "\u00b0C"),),
}
_PERCENT = frozenset(
    {
        "accelerator_utilisation",
        "network_stall_fraction",
        "data_stall_fraction",
        "iteu_sv",
        "free_cooling_fraction",
        "battery_wear_fraction",
    }
)
_STEP_UP_AT = {"s": 2.0}
"""Go to the next unit when there are at least this many of it (times: 90 s stays 90 s)."""
MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Scale:
    """How one column is shown: SI value / factor, in `unit`."""

    factor: float
    unit: str

    def text(self, value: float) -> str:
        """Return an SI value in this scale, with four significant digits.

        >>> Scale(3.6e6, "kWh").text(1.8e6)
        '0.5000'
        """
        return number_text(value / self.factor)

    def aligned_text(self, value: float, largest: float) -> str:
        """Return an SI value with the decimals that four digits of the largest of its column need.

        >>> [Scale(3.6e6, "kWh").aligned_text(value * 3.6e6, 422.6 * 3.6e6) for value in (422.6, 0.071, math.nan)]
        ['422.6', '0.1', '\u2013']
        """
        if math.isnan(value):
            return "\u2013"
        size = abs(largest / self.factor)
        decimals = min(12, max(0, 3 - math.floor(math.log10(size)))) if size > 0.0 else 0
        return f"{value / self.factor:,.{decimals}f}".replace("-", MINUS)

    def interval_text(self, interval: Interval) -> str:
        """Return mean \u00b1 half-width, no more digits than the half-width has meaning for (two).

        >>> Scale(1.0, "s").interval_text(Interval(10.0, 8.766, 11.234, 5))
        '10.0 \u00b1 1.2'
        >>> Scale(1.0, "s").interval_text(Interval(10.0, float("nan"), float("nan"), 1))
        '10.00 (n = 1)'
        """
        mean = interval.mean / self.factor
        if not interval.is_defined:
            return f"{number_text(mean)} (n = 1)" if interval.n == 1 else number_text(mean)
        half = (interval.high - interval.low) / 2.0 / self.factor
        if half <= 1e-9 * abs(mean):
            return f"{number_text(mean)} \u00b1 0"
        decimals = min(12, max(0, 1 - math.floor(math.log10(half))))
        return f"{mean:,.{decimals}f} \u00b1 {half:,.{decimals}f}".replace("-", MINUS)


def scale_for(metric: str, values: Iterable[float], unit: str | None = None) -> Scale:
    """Return the scale that suits the largest of some SI values of one metric.

    Args:
        metric: column of schema.SUMMARY or schema.ACCOUNT.
        values: in SI; NaN is left out.
        unit: SI unit, for quantities that are no column of these.

    >>> scale_for("energy_facility_j", [7.2e9])
    Scale(factor=3600000000.0, unit='MWh')
    >>> scale_for("pue", [1.2])
    Scale(factor=1.0, unit='')
    >>> scale_for("wue_l_per_j", [5e-7]).text(5e-7)
    '1.800'
    """
    si = _UNITS.get(metric, "") if unit is None else unit
    if metric in _PERCENT:
        return Scale(0.01, "%")
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    best = Scale(1.0, si)
    for index, (factor, name) in enumerate(_LADDERS.get(si, ())):
        if index == 0 or largest >= _STEP_UP_AT.get(si, 1.0) * factor:
            best = Scale(factor, name)
    return best


def number_text(value: float) -> str:
    """Return a number with four significant digits, thousands grouped; a dash for NaN.

    >>> [number_text(x) for x in (1234567.0, 12.3456, 0.00012345, 0.0, float("nan"), 5)]
    ['1,234,567', '12.35', '0.0001234', '0', '\u2013', '5']
    """
    if math.isnan(value):
        return "\u2013"
    if value == 0.0 or isinstance(value, int):
        return f"{value:,.0f}".replace("-", MINUS)
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 12)}f}".replace("-", MINUS)


def percent_text(fraction: float, decimals: int = 1) -> str:
    """Return a signed percentage.

    >>> percent_text(-0.1234), percent_text(0.05), percent_text(float("nan"))
    ('\u221212.3 %', '+5.0 %', '\u2013')
    """
    if math.isnan(fraction):
        return "\u2013"
    return f"{100.0 * fraction:+.{decimals}f} %".replace("-", MINUS)


def difference_text(difference: PairedDifference) -> tuple[str, str]:
    """Return the relative difference and its interval as two short texts.

    Where the baseline is zero the difference is absolute; where there is one seed, no interval.
    """
    relative = difference.relative
    if relative.n == 0:
        return number_text(difference.difference.mean), "absolute"
    if not relative.is_defined:
        return percent_text(relative.mean), "no interval (n = 1)"
    # a tenth of a percent would round small but clear differences to nothing
    decimals = 1 if max(abs(relative.low), abs(relative.high)) >= 0.01 else 2
    low, high = (percent_text(bound, decimals).removesuffix(" %") for bound in (relative.low, relative.high))
    return percent_text(relative.mean, decimals), f"[{low}, {high}]"


def verdict_mark(difference: PairedDifference) -> str:
    """Return a mark that does not need colour: a tick, a cross, an arrow, or a wave.

    The arrow is for metrics that are neither good nor bad; the wave says that nothing is clear.
    """
    marks = {"better": "\u2713", "worse": "\u2717", "higher": "\u2191", "lower": "\u2193"}
    return marks.get(difference.verdict, "~")
