"""The worked examples as SVG: who ran where and when; readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from dcsim.policies import known_policies
from scripts.policy_examples import (
    MINUTE_S,
    Bar,
    Grant,
    bars,
    grants,
    ordering_jobs,
    run_battery,
    run_cooling,
    run_energy,
    run_ordering,
    run_placement,
)

__all__ = [
    "Scale",
    "battery_svg",
    "cooling_svg",
    "gantt_svg",
    "policy_drawings",
    "power_svg",
    "servers_svg",
    "two_days_svg",
]

Floats = npt.NDArray[np.float64]

# Okabe and Ito's colours, told apart by the colour-blind, and two more.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8F8F8F", "#B5A900", "#7B5EA7", "#4C9F70", "#A0522D")  # fmt: skip
_STYLE = (
    "<style>text{font:12px sans-serif;fill:#333}.axis{stroke:#888;stroke-width:1}"
    ".on{fill:#fff;font-weight:bold}.box{fill:none;stroke:#888}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.on{fill:#fff}}</style>"
)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        f' height="{height:g}" role="img"><title>{escape(title)}</title>{_STYLE}'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _colour(job: str) -> str:
    return _COLOURS[(ord(job[0]) - ord("A")) % len(_COLOURS)]


def _box(x: float, y: float, width: float, height: float, job: str) -> str:
    label = ""
    if width >= 10.0 and height >= 8.0:
        label = f'<text class="on" x="{x + width / 2:g}" y="{y + height / 2 + 4:g}" text-anchor="middle">{job}</text>'
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2" fill="{_colour(job)}"'
        f' stroke="#fff" stroke-width="0.7"/>{label}'
    )


def gantt_svg(title: str, bars: Sequence[Bar], arrivals_s: dict[str, float]) -> str:
    """Return a chart of four accelerators over time, the arrivals below it; time in minutes."""
    scale, left, row = 34.0, 96.0, 24.0
    end = max([bar.end_s for bar in bars] + list(arrivals_s.values())) / MINUTE_S
    last = int(np.ceil(end))
    parts = []
    for server in range(4):
        y = 8.0 + server * row
        parts.append(f'<text x="4" y="{y + 16:g}">accelerator {server}</text>')
        parts += [
            _box(
                left + bar.start_s / MINUTE_S * scale,
                y,
                (bar.end_s - bar.start_s) / MINUTE_S * scale,
                row - 2.0,
                bar.job,
            )
            for bar in bars
            if bar.server == server
        ]
    base = 8.0 + 4 * row + 4.0
    parts.append(
        f'<line class="axis" x1="{left:g}" y1="{base:g}" x2="{left + last * scale:g}" y2="{base:g}"/>'
    )
    step = 1 if last <= 20 else 5
    for minute in range(0, last + 1, step):
        x = left + minute * scale
        parts.append(f'<line class="axis" x1="{x:g}" y1="{base:g}" x2="{x:g}" y2="{base + 4:g}"/>')
        parts.append(f'<text x="{x:g}" y="{base + 17:g}" text-anchor="middle">{minute}</text>')
    parts.append(f'<text x="4" y="{base + 17:g}">time, min</text>')
    parts.append(f'<text x="4" y="{base + 34:g}">arrivals</text>')
    come: dict[float, str] = {}
    for job, time_s in arrivals_s.items():
        come[time_s] = come.get(time_s, "") + job
    parts += [
        f'<text x="{left + time_s / MINUTE_S * scale:g}" y="{base + 34:g}" text-anchor="middle">{jobs}</text>'
        for time_s, jobs in sorted(come.items())
    ]
    return _svg(left + last * scale + 16.0, base + 42.0, title, parts)


def servers_svg(title: str, grants: Sequence[Grant], waiting: Sequence[str]) -> str:
    """Return two racks of three servers of four accelerators, coloured by who holds what in the end."""
    cell, gap = 34.0, 16.0
    used: dict[int, list[tuple[str, float]]] = {}
    for grant in grants:
        used.setdefault(grant.server, []).append((grant.job, grant.accelerators))
    parts = []
    for server in range(6):
        rack, place = divmod(server, 3)
        x, y = 12.0 + rack * (4 * cell + 72.0) + 52.0, 26.0 + place * (cell + gap)
        parts.append(f'<text x="{x - 56:g}" y="{y + cell / 2 + 4:g}">server {server}</text>')
        parts += _devices(x, y, cell, used.get(server, []))
        parts += [
            f'<rect class="box" x="{x + device * cell:g}" y="{y:g}" width="{cell:g}" height="{cell:g}"/>'
            for device in range(4)
        ]
    for rack, name in enumerate(("left rack", "right rack")):
        parts.append(f'<text x="{64 + rack * (4 * cell + 72):g}" y="16">{name}</text>')
    bottom = 26.0 + 3 * (cell + gap)
    note = f"waiting: {', '.join(waiting)}" if waiting else "all placed"
    parts.append(f'<text x="12" y="{bottom + 8:g}">{note}</text>')
    return _svg(12.0 + 2 * (4 * cell + 72.0), bottom + 18.0, title, parts)


def _devices(x: float, y: float, cell: float, held: Sequence[tuple[str, float]]) -> list[str]:
    """Return the boxes of one server: whole devices side by side, parts of one stacked."""
    parts, device = [], 0
    for job, width in held:
        for _ in range(int(width)):
            parts.append(_box(x + device * cell, y, cell, cell, job))
            device += 1
    filled = 0.0
    for job, width in held:
        part = width - int(width)
        if part <= 0.0:
            continue
        if filled + part > 1.0 + 1e-9:
            device, filled = device + 1, 0.0
        parts.append(_box(x + device * cell, y + (1.0 - filled - part) * cell, cell, part * cell, job))
        filled += part
    return parts


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of values that fills the height of a chart, and how its ends are written."""

    low: float
    high: float
    low_text: str
    high_text: str

    def part(self, value: float) -> float:
        """Return where a value is between low (0) and high (1).

        >>> Scale(10.0, 20.0, "10", "20").part(12.5)
        0.25
        """
        return (value - self.low) / (self.high - self.low)


def two_days_svg(
    title: str, time_s: Floats, bars: Floats, line: Floats, scales: tuple[Scale, Scale], caption: str
) -> str:
    """Return two days of values as bars from the scale's zero or low end, and others as a line over them."""
    left, width, height = 64.0, 560.0, 120.0
    of_bars, of_line = scales
    hours = time_s / 3_600.0
    step = width / len(hours)
    zero = of_bars.part(min(max(0.0, of_bars.low), of_bars.high)) * height
    parts = []
    for index, value in enumerate(bars.tolist()):
        end = of_bars.part(value) * height
        tall = abs(end - zero)
        parts.append(
            f'<rect x="{left + index * step:.2f}" y="{8 + height - max(end, zero):.2f}" width="{step:.2f}"'
            f' height="{tall:.2f}" fill="#0072B2"/>'
        )
    points = " ".join(
        f"{left + (index + 0.5) * step:.2f},{8 + height - of_line.part(value) * height:.2f}"
        for index, value in enumerate(line.tolist())
    )
    parts.append(f'<polyline points="{points}" fill="none" stroke="#D55E00" stroke-width="2"/>')
    base = 8.0 + height
    parts.append(f'<line class="axis" x1="{left:g}" y1="{base:g}" x2="{left + width:g}" y2="{base:g}"/>')
    for hour in range(0, 49, 6):
        x = left + hour / 48.0 * width
        parts.append(f'<text x="{x:g}" y="{base + 15:g}" text-anchor="middle">{hour}</text>')
    parts.append(f'<text x="4" y="{base + 15:g}">hour</text>')
    parts.append(f'<text x="4" y="18">{of_bars.high_text}</text>')
    parts.append(f'<text x="{left + width + 6:g}" y="18" style="fill:#D55E00">{of_line.high_text}</text>')
    if of_line.low_text:
        parts.append(
            f'<text x="{left + width + 6:g}" y="{base - 2:g}" style="fill:#D55E00">{of_line.low_text}</text>'
        )
    parts.append(f'<text x="4" y="{base - 2:g}">{of_bars.low_text}</text>')
    parts.append(f'<text x="{left:g}" y="{base + 32:g}">{caption}</text>')
    return _svg(left + width + 76.0, base + 40.0, title, parts)


def power_svg(title: str, time_s: Floats, power_w: Floats, carbon_kg_per_j: Floats) -> str:
    """Return IT power over two days as bars, the carbon intensity as a line over them."""
    most_w = float(np.ceil(power_w.max() / 2_000.0) * 2_000.0)
    scales = Scale(0.0, most_w, "0", f"{most_w / 1e3:g} kW"), Scale(0.0, 500.0, "", "500 g/kWh")
    caption = "bars: IT power; line: carbon intensity of the grid"
    return two_days_svg(title, time_s, power_w, carbon_kg_per_j * 3.6e9, scales, caption)


def cooling_svg(title: str, time_s: Floats, supply_deg_c: Floats, wet_bulb_deg_c: Floats) -> str:
    """Return the supply temperature over two days as bars from 10 degC, the wet bulb as a line over them."""
    scale = Scale(10.0, 30.0, "10 degC", "30 degC")
    caption = "bars: supply air; line: wet bulb outdoors"
    return two_days_svg(title, time_s, supply_deg_c, wet_bulb_deg_c, (scale, scale), caption)


def battery_svg(title: str, time_s: Floats, battery_w: Floats, price_usd_per_j: Floats) -> str:
    """Return what goes into the battery (up) and out of it (down) over two days, the price as a line over it."""
    scales = Scale(-20e3, 20e3, "-20 kW", "20 kW"), Scale(0.0, 0.4, "0", "0.4 USD/kWh")
    caption = "bars: into the battery (up), out of it (down); line: price of energy"
    return two_days_svg(title, time_s, battery_w, price_usd_per_j * 3.6e6, scales, caption)


def policy_drawings() -> dict[str, str]:
    """Return the drawing of every registered policy's worked example by file name."""
    jobs = ordering_jobs()
    arrivals_s = dict(zip(jobs.job_id, jobs.submit_s.tolist(), strict=True))
    drawn = {}
    for name in sorted(known_policies("ordering")):
        drawn[f"ordering-{name}.svg"] = gantt_svg(name, bars(run_ordering(name)), arrivals_s)
    for name in sorted(known_policies("placement")):
        result = run_placement(name)
        left = result.jobs["job_id"][np.isnan(result.jobs["start_s"])].tolist()
        drawn[f"placement-{name}.svg"] = servers_svg(name, grants(result), left)
    for name in sorted(known_policies("energy")):
        series = run_energy(name).series
        columns = (series[column] for column in ("time_s", "it_power_w", "carbon_intensity_kg_per_j"))
        drawn[f"energy-{name}.svg"] = power_svg(name, *columns)
    for name in sorted(known_policies("cooling")):
        series = run_cooling(name).series
        columns = (series[column] for column in ("time_s", "supply_temperature_deg_c", "wet_bulb_deg_c"))
        drawn[f"cooling-{name}.svg"] = cooling_svg(name, *columns)
    for name in sorted(known_policies("battery")):
        series = run_battery(name).series
        columns = (series[column] for column in ("time_s", "battery_power_w", "price_usd_per_j"))
        drawn[f"battery-{name}.svg"] = battery_svg(name, *columns)
    return drawn
