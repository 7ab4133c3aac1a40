"""The figures of a report, as plain plotly JSON without colours: the page's theme brings those.

A trace says `meta.slot`, its place in the theme's list of colours; `page.js` fills it in for light
and dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.report.display import LABELS, scale_for
from dcsim.report.gantt import GanttBars
from dcsim.study.arms import Arm
from dcsim.study.study import Study

__all__ = [
    "MAX_BINS",
    "StepLines",
    "coarser",
    "gantt_figure",
    "pareto_figure",
    "plain",
    "rounded",
    "series_figure",
    "stack_of_axes",
]

Table = Mapping[str, npt.NDArray[Any]]
Figure = dict[str, Any]

MAX_BINS = 400
"""Points of a line; more than the pixels of most screens only make the page heavy."""
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star", "pentagon", "hexagram")
_WIDTHS = ((0, 0, "CPU only"), (1, 1, "1"), (2, 3, "2 to 3"), (4, 7, "4 to 7"), (8, 2**31, "8 and more"))
_DIGITS = 5


def rounded(values: npt.NDArray[Any] | Sequence[float]) -> list[float | None]:
    """Return floats with five significant digits for a page, NaN as None.

    >>> rounded([1.23456789, float("nan")])
    [1.2346, None]
    """
    return [float(f"{v:.{_DIGITS}g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=float)]


def coarser(series: Table, limit: int = MAX_BINS) -> dict[str, npt.NDArray[Any]]:
    """Return a series table of at most `limit` bins: neighbours merged, means weighted by duration.

    PUE is the ratio of the merged energies, not the mean of ratios; what is stored is that at the end.
    """
    bins = series["time_s"].size
    if bins <= limit:
        return dict(series)
    starts = np.unique(np.linspace(0, bins, limit, endpoint=False).astype(np.int64))
    duration = np.add.reduceat(series["duration_s"], starts)
    merged: dict[str, npt.NDArray[Any]] = {"time_s": series["time_s"][starts], "duration_s": duration}
    for name, values in series.items():
        if name not in merged:
            merged[name] = np.add.reduceat(values * series["duration_s"], starts) / duration
    with np.errstate(divide="ignore", invalid="ignore"):
        merged["pue"] = merged["facility_power_w"] / merged["it_power_w"]
    merged["stored_j"] = series["stored_j"][np.append(starts[1:], bins) - 1]
    return merged


def pareto_figure(study: Study) -> Figure:
    """Return time against energy: a point an arm with 95 % error bars, the front as a line."""
    arms = [arm for arm in study.arms if study.values(arm, "jct_mean_s")]
    times = {arm.name: study.interval(arm, "jct_mean_s") for arm in arms}
    energies = {arm.name: study.interval(arm, "energy_facility_j") for arm in arms}
    x = scale_for("jct_mean_s", [interval.mean for interval in times.values()])
    y = scale_for("energy_facility_j", [interval.mean for interval in energies.values()])
    colour_of, symbol_of = _told_apart(arms)
    front = sorted(study.pareto(), key=lambda name: times[name].mean)
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Pareto front",
            "x": rounded([times[name].mean / x.factor for name in front]),
            "y": rounded([energies[name].mean / y.factor for name in front]),
            "line": {"dash": "dot", "width": 2},
            "hoverinfo": "skip",
            "meta": {"slot": "quiet"},
        }
    ]
    for arm in arms:
        time, energy = times[arm.name], energies[arm.name]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": arm.label,
                "x": rounded([time.mean / x.factor]),
                "y": rounded([energy.mean / y.factor]),
                "error_x": _error_bar((time.high - time.mean) / x.factor),
                "error_y": _error_bar((energy.high - energy.mean) / y.factor),
                "marker": {
                    "size": 12,
                    "symbol": _SYMBOLS[symbol_of[arm.name] % len(_SYMBOLS)],
                },
                "hovertemplate": f"%{{x}} {x.unit}, %{{y}} {y.unit}",
                "meta": {"slot": colour_of[arm.name]},
            }
        )
    layout = {
        "height": 520,
        "xaxis": {"title": {"text": f"{LABELS['jct_mean_s']} ({x.unit})"}},
        "yaxis": {"title": {"text": f"{LABELS['energy_facility_j']} ({y.unit})"}},
    }
    return {"data": traces, "layout": layout}


def _told_apart(arms: Sequence[Arm]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of each arm's colour and of its symbol.

    Colour tells the placement, symbol the energy policy and the ordering, and the policies of cooling and battery;
    where all arms have one placement, colour tells the ordering and symbol the others.
    """
    placed = len({arm.placement for arm in arms}) > 1
    colours = [arm.placement if placed else arm.ordering for arm in arms]
    symbols = [(arm.energy, arm.ordering if placed else "", arm.cooling, arm.battery) for arm in arms]
    first_colours, first_symbols = list(dict.fromkeys(colours)), list(dict.fromkeys(symbols))
    names = [arm.name for arm in arms]
    return (
        {name: first_colours.index(colour) for name, colour in zip(names, colours, strict=True)},
        {name: first_symbols.index(symbol) for name, symbol in zip(names, symbols, strict=True)},
    )


def _error_bar(half: float) -> Figure:
    shown = bool(np.isfinite(half)) and half > 0.0
    return {
        "type": "data",
        "array": rounded([half if shown else 0.0]),
        "visible": shown,
        "thickness": 1.5,
        "width": 4,
    }


def series_figure(series: Table) -> Figure:
    """Return power, PUE, grid and jobs over time, one above the other on a common time axis.

    Args:
        series: columns of schema.SERIES.
    """
    table = coarser(series)
    end_s = float(table["time_s"][-1] + table["duration_s"][-1]) if table["time_s"].size else 0.0
    time = scale_for("makespan_s", [end_s])
    power = scale_for("", [float(np.max(table["facility_power_w"], initial=0.0))], unit="W")
    x = rounded(np.append(table["time_s"], end_s) / time.factor)
    lines = StepLines(x)
    for slot, (column, name) in enumerate(
        (("it_power_w", "IT"), ("cooling_power_w", "cooling"), ("loss_power_w", "conversion losses"))
    ):
        lines.add(table[column] / power.factor, f"{name} ({power.unit})", slot, axis=1, stacked=True)
    lines.add(
        table["facility_power_w"] / power.factor, f"facility, at the meter ({power.unit})", "text", axis=1
    )
    lines.add(table["pue"], "PUE", 3, axis=2)
    lines.add(table["carbon_intensity_kg_per_j"] * 3.6e9, "carbon intensity (g/kWh)", 4, axis=3)
    lines.add(table["carbon_kg_per_s"] * 3_600.0, "emission (kg/h)", 5, axis=4)
    lines.add(table["price_usd_per_j"] * 3.6e9, "price (USD/MWh)", 6, axis=5)
    lines.add(table["running_jobs"], "running jobs", 0, axis=6)
    lines.add(table["waiting_jobs"], "waiting jobs", 1, axis=6)
    titles = (f"Power ({power.unit})", "PUE", "g/kWh", "kg/h", "USD/MWh", "Jobs")
    shares = (0.34, 0.13, 0.11, 0.13, 0.11, 0.18)
    layout: Figure = {
        "height": 1040,
        "hovermode": "x unified",
        "hoversubplots": "axis",
        **stack_of_axes(titles, shares),
    }
    layout["yaxis2"] |= {"rangemode": "normal", "minallowed": 1.0}  # PUE
    layout["xaxis"] = {"title": {"text": f"Time ({time.unit})"}, "anchor": f"y{len(titles)}"}
    return {"data": lines.traces, "layout": layout}


class StepLines:
    """Step lines on a common x: each value holds over its bin, as the model has it.

    Args:
        x: edges of the bins, in the unit shown.
    """

    def __init__(self, x: list[float | None]) -> None:
        self.x = x
        self.traces: list[Figure] = []

    def add(
        self, values: npt.NDArray[Any], name: str, slot: int | str, *, axis: int, stacked: bool = False
    ) -> None:
        """Add a line.

        Args:
            values: one a bin, in the unit shown.
            name: in the legend.
            slot: its place in the theme's list of colours, or "text" or "quiet".
            axis: number of its y axis, the first is 1.
            stacked: on top of the other lines of this kind.
        """
        y = rounded(values)
        trace: Figure = {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": self.x,
            "y": [*y, *y[-1:]],
            "line": {"shape": "hv", "width": 1.5},
            "xaxis": "x",
            "yaxis": "y" if axis == 1 else f"y{axis}",
            "meta": {"slot": slot},
        }
        self.traces.append(trace | ({"stackgroup": "power"} if stacked else {}))


def stack_of_axes(titles: Sequence[str], shares: Sequence[float]) -> Figure:
    """Return y axes one below the other, the first on top, with a gap between.

    Args:
        titles: of the axes.
        shares: of the height, in any unit.
    """
    axes: Figure = {}
    top, gap = 1.0, 0.025
    total = sum(shares)
    for number, (title, share) in enumerate(zip(titles, shares, strict=True), start=1):
        height = share / total
        bottom = max(0.0, top - height)
        name = "yaxis" if number == 1 else f"yaxis{number}"
        inner = bottom + gap if number < len(titles) else 0.0
        axes[name] = {
            "domain": [round(inner, 4), round(top, 4)],
            "title": {"text": title},
            "rangemode": "tozero",
        }
        top = bottom
    return axes


def gantt_figure(bars: GanttBars, jobs: Table) -> Figure:
    """Return a bar a job by server; colours tell how many accelerators it holds.

    Args:
        bars: from `gantt_bars`.
        jobs: the job table they were made of.
    """
    end_s = float(np.max(bars.end_s, initial=0.0))
    time = scale_for("makespan_s", [end_s])
    width = np.asarray(jobs["accelerators"][bars.job], dtype=np.int64)
    traces = []
    for slot, (low, high, name) in enumerate(_WIDTHS):
        mine = np.flatnonzero((width >= low) & (width <= high))
        if mine.size == 0:
            continue
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "base": rounded(bars.start_s[mine] / time.factor),
                "x": rounded((bars.end_s[mine] - bars.start_s[mine]) / time.factor),
                "y": rounded(bars.row[mine] + bars.offset[mine]),
                "width": rounded(bars.height[mine]),
                "text": [
                    _job_text(jobs, job, attempt)
                    for job, attempt in zip(bars.job[mine].tolist(), bars.attempt[mine].tolist(), strict=True)
                ],
                "textposition": "none",
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {"line": {"width": 0.5}},
                "meta": {"slot": slot},
            }
        )
    layout = {
        "height": 150 + round(len(bars.rows) * min(44.0, max(18.0, 640.0 / max(len(bars.rows), 1)))),
        "barmode": "overlay",
        "bargap": 0,
        "hovermode": "closest",
        "xaxis": {"title": {"text": f"Time ({time.unit})"}},
        "yaxis": {
            "tickmode": "array",
            "tickvals": list(range(len(bars.rows))),
            "ticktext": [plain(name) for name in bars.rows],
            "range": [len(bars.rows) - 0.4, -0.6],
            "automargin": True,
        },
        "legend": {"title": {"text": "Accelerators of the job"}},
    }
    return {"data": traces, "layout": layout}


def _job_text(jobs: Table, row: int, attempt: int) -> str:
    wait, run = float(jobs["wait_s"][row]), float(jobs["end_s"][row] - jobs["start_s"][row])
    attempts = int(jobs["attempts"][row])
    ran = "still running" if np.isnan(run) else f"ran {run:,.0f} s"
    if attempts > 1:
        all_of_it = "not done" if np.isnan(run) else f"{run:,.0f} s from first start to end"
        ran = f"attempt {attempt} of {attempts}, {all_of_it}"
    return (
        f"{plain(str(jobs['job_id'][row]))}: {int(jobs['accelerators'][row])} accelerators on "
        f"{int(jobs['servers'][row])} servers, waited {wait:,.0f} s, {ran}"
    )


def plain(text: str) -> str:
    """Return a name as plotly shows it as it is written: it reads a few HTML tags in labels.

    >>> plain("<b>&")
    '&lt;b&gt;&amp;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
