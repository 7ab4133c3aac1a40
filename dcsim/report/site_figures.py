"""Figures of the site: where energy went, arm by arm, and power, store and temperatures over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.report.account import ENERGY
from dcsim.report.display import scale_for
from dcsim.report.figures import StepLines, coarser, plain, rounded, stack_of_axes

__all__ = ["energy_figure", "site_figure"]

Table = Mapping[str, npt.NDArray[Any]]
Figure = dict[str, Any]
Account = Mapping[str, float]

_STACKED = tuple(line for line in ENERGY if line.column not in ("energy_cooling_j", "energy_facility_j"))
"""What adds up to the meter: cooling by its parts."""
_IN_FULL = 0.46
"""Part of the width for all energy; beside it, what comes on top of IT, drawn larger."""


def energy_figure(arms: Sequence[tuple[str, Account]]) -> Figure:
    """Return a stacked bar an arm: all energy at the left, at the right what comes on top of that of IT.

    Args:
        arms: label, and mean of each column of schema.ACCOUNT over the seeds.
    """
    labels = [plain(label) for label, _ in arms]
    whole = scale_for("energy_facility_j", [account["energy_facility_j"] for _, account in arms])
    above = [account["energy_facility_j"] - account["energy_it_j"] for _, account in arms]
    extra = scale_for("energy_facility_j", above)
    traces = []
    for slot, line in enumerate(_STACKED):
        values = np.array([account[line.column] for _, account in arms])
        if not np.any(values > 0.0):
            continue
        of_it = [value / account["energy_it_j"] if account["energy_it_j"] > 0.0 else math.nan
                 for value, (_, account) in zip(values.tolist(), arms, strict=True)]  # fmt: skip
        trace = _bar(line.label, labels, values / whole.factor, of_it, whole.unit, slot)
        traces.append(trace)
        if line.column != "energy_it_j":
            again = _bar(line.label, labels, values / extra.factor, of_it, extra.unit, slot)
            traces.append(again | {"xaxis": "x2", "showlegend": False})
    layout = {
        "height": 150 + 34 * max(len(arms), 3),
        "barmode": "stack",
        "bargap": 0.3,
        "hovermode": "closest",
        "xaxis": {"title": {"text": f"At the meter ({whole.unit})"}, "domain": [0.0, _IN_FULL]},
        "xaxis2": {
            "title": {"text": f"Of that, on top of IT ({extra.unit})"},
            "domain": [_IN_FULL + 0.05, 1.0],
            "anchor": "y",
        },
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
    }
    return {"data": traces, "layout": layout}


def _bar(
    name: str,
    labels: Sequence[str],
    values: npt.NDArray[np.float64],
    of_it: Sequence[float],
    unit: str,
    slot: int,
) -> Figure:
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "legendgroup": name,
        "y": list(labels),
        "x": rounded(values),
        "customdata": rounded(of_it),
        "hovertemplate": f"%{{y}}, {name}: %{{x}} {unit}, %{{customdata:.1%}} of IT<extra></extra>",
        "marker": {"line": {"width": 0.5}},
        "meta": {"slot": slot},
    }


def site_figure(series: Table) -> Figure:
    """Return what the site bought, made and stored, and how warm it was, over time; only what there is.

    Args:
        series: columns of schema.SERIES.
    """
    table = coarser(series)
    end_s = float(table["time_s"][-1] + table["duration_s"][-1]) if table["time_s"].size else 0.0
    time = scale_for("makespan_s", [end_s])
    lines = StepLines(rounded(np.append(table["time_s"], end_s) / time.factor))
    panels: list[tuple[str, float]] = []
    if _is_there(table, "solar_power_w") or _is_there(table, "battery_power_w"):
        panels.append((_add_powers(lines, table, len(panels) + 1), 0.4))
    if _is_there(table, "stored_j"):
        panels.append((_add_store(lines, table, len(panels) + 1), 0.18))
    panels.append((_add_temperatures(lines, table, len(panels) + 1), 0.42))
    titles, shares = zip(*panels, strict=True)
    layout: Figure = {
        "height": 130 + round(850 * math.fsum(shares)),
        "hovermode": "x unified",
        "hoversubplots": "axis",
        **stack_of_axes(titles, shares),
    }
    # Temperatures are no amounts: what matters are the kelvins between the lines, not those above zero.
    layout[_axis(len(panels))] |= {"rangemode": "normal"}
    layout["xaxis"] = {
        "title": {"text": f"Time ({time.unit})"},
        "anchor": _axis(len(panels)).replace("axis", ""),
    }
    return {"data": lines.traces, "layout": layout}


def _axis(number: int) -> str:
    return "yaxis" if number == 1 else f"yaxis{number}"


def _is_there(table: Table, column: str) -> bool:
    return bool(np.any(np.nan_to_num(table[column]) != 0.0))


def _add_powers(lines: StepLines, table: Table, axis: int) -> str:
    largest = max(
        float(np.nanmax(table[name], initial=0.0)) for name in ("facility_power_w", "solar_power_w")
    )
    power = scale_for("", [largest], unit="W")
    for column, name, slot in (
        ("facility_power_w", "facility", "text"),
        ("import_power_w", "bought from the grid", 0),
        ("solar_power_w", "made by the sun", 4),
        ("battery_power_w", "into the battery (below 0: out of it)", 2),
    ):
        if _is_there(table, column):
            lines.add(table[column] / power.factor, f"{name} ({power.unit})", slot, axis=axis)
    return f"Power ({power.unit})"


def _add_store(lines: StepLines, table: Table, axis: int) -> str:
    energy = scale_for("energy_stored_change_j", [float(np.nanmax(table["stored_j"]))])
    lines.add(table["stored_j"] / energy.factor, f"in the battery ({energy.unit})", 2, axis=axis)
    return f"Stored ({energy.unit})"


def _add_temperatures(lines: StepLines, table: Table, axis: int) -> str:
    with_room = not np.array_equal(
        table["hottest_inlet_deg_c"], table["supply_temperature_deg_c"], equal_nan=True
    )
    for column, name, slot in (
        ("hall_temperature_deg_c", "return air", 1),
        ("hottest_inlet_deg_c", "air into the hottest rack", 3),
        ("supply_temperature_deg_c", "supply air", 0),
        ("dry_bulb_deg_c", "outdoors, dry bulb", 4),
        ("wet_bulb_deg_c", "outdoors, wet bulb", 7),
    ):
        known = bool(np.any(np.isfinite(table[column])))
        if known and (with_room or column != "hottest_inlet_deg_c"):
            lines.add(table[column], f"{name} (\u00b0C)", slot, axis=axis)
    return "\u00b0C"
