"""Charts as SVG text: colours come from the page's style, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from trainers.validation.result import Bars, Gantt, Point, Scatter

__all__ = ["SERIES", "chart_svg", "series_of"]

SERIES = 6
"""Colours of the page's style, `--series-0` and on; further series begin again."""

_WIDTH = 760


def chart_svg(chart: Scatter | Gantt | Bars) -> str:
    """Return a chart as an `<svg>` element."""
    if isinstance(chart, Scatter):
        return _scatter(chart)
    return _gantt(chart) if isinstance(chart, Gantt) else _bars(chart)


def series_of(chart: Scatter | Gantt | Bars) -> list[str]:
    """Return the names of a chart's series, in the order of their colours."""
    if isinstance(chart, Scatter):
        return sorted({point.series for point in chart.points})
    if isinstance(chart, Gantt):
        return sorted({bar.group for lane in chart.lanes for bar in lane.bars})
    return []


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape(title)}">\n'
        f"<title>{escape(title)}</title>\n{inside}\n</svg>"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    css = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{css}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Return round numbers between two others.

    >>> _ticks(0.0, 97.0)
    [0.0, 20.0, 40.0, 60.0, 80.0]
    """
    raw = (high - low) / count
    if raw <= 0.0:
        return [low]
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * each for each in (1.0, 2.0, 5.0, 10.0) if size * each >= raw)
    first = math.ceil(low / step)
    return [step * at for at in range(first, math.floor(high / step) + 1)]


# -- Gantt -------------------------------------------------------------------------------------------------


def _gantt(chart: Gantt) -> str:
    left, right, row, top = 150.0, 10.0, 26.0, 6.0
    end = max((bar.end for lane in chart.lanes for bar in lane.bars), default=1.0)
    groups = series_of(chart)
    bottom = top + row * len(chart.lanes)

    def at(time_s: float) -> float:
        return left + (_WIDTH - left - right) * time_s / end

    parts = [_line(at(tick), top, at(tick), bottom + 4, "grid") for tick in _ticks(0.0, end)]
    for number, lane in enumerate(chart.lanes):
        y = top + row * number
        parts.append(_text(left - 8, y + 17, lane.name, anchor="end"))
        for bar in lane.bars:
            colour = f"var(--series-{groups.index(bar.group) % SERIES})"
            said = f"{bar.label} ({bar.group}): {bar.start:.1f} to {bar.end:.1f} s"
            width = max(0.5, at(bar.end) - at(bar.start) - 1.0)
            parts.append(
                f'<g><title>{escape(said)}</title><rect x="{at(bar.start):.1f}" y="{y + 3:.1f}" width="{width:.1f}" '
                f'height="{row - 6:.1f}" fill="{colour}"/>'
            )
            if bar.prepared is not None:
                before = max(0.0, at(min(bar.prepared, bar.end)) - at(bar.start))
                parts.append(
                    f'<rect x="{at(bar.start):.1f}" y="{y + 3:.1f}" width="{before:.1f}" height="{row - 6:.1f}" '
                    'class="before"/>'
                )
            if width > 18:
                parts.append(_text(at(bar.start) + width / 2, y + 17, bar.label, anchor="middle", kind="on"))
            parts.append("</g>")
    parts += [_text(at(tick), bottom + 17, f"{tick:g}", anchor="middle") for tick in _ticks(0.0, end)]
    parts.append(_text(_WIDTH - right, bottom + 32, "time since the first job came [s]", anchor="end"))
    return _svg(bottom + 38, chart.title, parts)


# -- bars --------------------------------------------------------------------------------------------------


def _bars(chart: Bars) -> str:
    left, right, row, top = 200.0, 70.0, 24.0, 6.0
    percent = chart.unit == "%"
    values = [bar.value for bar in chart.bars]
    low = min(0.0, *values) if values else 0.0
    high = max([0.0, *values, chart.limit or 0.0]) or 1.0
    bottom = top + row * len(chart.bars)

    def at(value: float) -> float:
        return left + (_WIDTH - left - right) * (value - low) / (high - low)

    parts = []
    for number, bar in enumerate(chart.bars):
        y = top + row * number
        start, end = sorted((at(0.0), at(bar.value)))
        said = f"{bar.value:.1%}" if percent else f"{bar.value:.4g} {chart.unit}".strip()
        parts += [
            _text(left - 8, y + 16, bar.label, anchor="end"),
            (
                f'<rect x="{start:.1f}" y="{y + 4:.1f}" width="{max(0.5, end - start):.1f}" height="{row - 8:.1f}" '
                'fill="var(--series-0)"/>'
            ),
            _text(max(end, at(0.0)) + 6, y + 16, said),
        ]
    parts.append(_line(at(0.0), top, at(0.0), bottom))
    if chart.limit is not None:
        said = f"{chart.limit:.0%}" if percent else f"{chart.limit:g} {chart.unit}".strip()
        parts += [
            _line(at(chart.limit), top, at(chart.limit), bottom + 4, "limit"),
            _text(at(chart.limit), bottom + 17, f"limit {said}", anchor="middle"),
        ]
    return _svg(bottom + 22, chart.title, parts)


# -- scatter -----------------------------------------------------------------------------------------------


def _scatter(chart: Scatter) -> str:
    left, right, top, bottom = 70.0, 20.0, 10.0, 330.0
    values = [value for point in chart.points for value in (point.x, point.y, point.low, point.high) if value]
    low, high = (min(values) / 1.2, max(values) * 1.2) if values else (0.1, 1.0)
    span = math.log(high / low)

    def x_at(value: float) -> float:
        return left + (_WIDTH - left - right) * math.log(value / low) / span

    def y_at(value: float) -> float:
        return bottom - (bottom - top) * math.log(value / low) / span

    parts = [_line(left, bottom, _WIDTH - right, bottom), _line(left, top, left, bottom)]
    for tick in _log_ticks(low, high):
        parts += [
            _line(x_at(tick), top, x_at(tick), bottom, "grid"),
            _line(left, y_at(tick), _WIDTH - right, y_at(tick), "grid"),
            _text(x_at(tick), bottom + 16, f"{tick:g}", anchor="middle"),
            _text(left - 6, y_at(tick) + 4, f"{tick:g}", anchor="end"),
        ]
    parts.append(_line(x_at(low), y_at(low), x_at(high), y_at(high), "same"))
    names = series_of(chart)
    for point in chart.points:
        parts += _marks(point, x_at(point.x), y_at, names.index(point.series) % SERIES)
    parts += [
        _text(_WIDTH - right, bottom + 34, chart.x_label, anchor="end"),
        (
            f'<text transform="translate(14 {(top + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(chart.y_label)}</text>"
        ),
    ]
    return _svg(bottom + 42, chart.title, parts)


def _marks(point: Point, x: float, place: Callable[[float], float], colour: int) -> list[str]:
    """Return the interval and the dot of a point."""
    parts = []
    if point.low and point.high:
        parts.append(
            f'<line x1="{x:.1f}" y1="{place(point.low):.1f}" x2="{x:.1f}" y2="{place(point.high):.1f}" '
            f'stroke="var(--series-{colour})" stroke-width="2"/>'
        )
    said = f"{point.label}: {point.x:.4g}, {point.y:.4g}"
    parts.append(
        f'<circle cx="{x:.1f}" cy="{place(point.y):.1f}" r="4" fill="var(--series-{colour})">'
        f"<title>{escape(said)}</title></circle>"
    )
    return parts


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between two numbers.

    >>> _log_ticks(0.3, 12.0)
    [0.5, 1.0, 2.0, 5.0, 10.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found = [round(step * 10.0**power, 12) for power in range(first, last + 1) for step in (1, 2, 5)]
    return [tick for tick in found if low <= tick <= high]
