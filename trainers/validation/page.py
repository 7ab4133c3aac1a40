"""Results as one page for a browser: no network, no scripts, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from trainers.validation.charts import SERIES, chart_svg, series_of
from trainers.validation.markdown import cell_text, load_text, verdict_text
from trainers.validation.result import Chart, Table, Validation

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --faint: #d8dee4; --soft: #59636e;
  --good: #1a7f37; --bad: #cf222e; --series-0: #3b6fb6; --series-1: #c8731c; --series-2: #3f8f5b;
  --series-3: #9a5fb0; --series-4: #b64a5a; --series-5: #5c7a86; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #10151b; --faint: #333c46; --soft: #9aa5b1;
  --good: #4ac26b; --bad: #ff7b72; --series-0: #6ea3e8; --series-1: #e39a4d; --series-2: #6cc28a;
  --series-3: #c592da; --series-4: #e58493; --series-5: #93b1bd; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 80rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.6rem 0; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid var(--faint); text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
.passed { color: var(--good); font-weight: 600; } .failed { color: var(--bad); font-weight: 600; }
.soft, figcaption, dd { color: var(--soft); } dt { font-weight: 600; float: left; margin-right: 0.5rem; }
p, dl { max-width: 62rem; } figure { margin: 1rem 0; max-width: 62rem; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg text.on { fill: #ffffff; font-size: 11px;
  paint-order: stroke; stroke: #00000066; stroke-width: 2px; }
.axis { stroke: var(--soft); } .grid { stroke: var(--faint); } .same { stroke: var(--soft); stroke-dasharray: 5 4; }
.limit { stroke: var(--bad); stroke-dasharray: 4 3; } .before { fill: #ffffff66; }
.key { display: inline-block; width: 0.8em; height: 0.8em; margin: 0 0.3em 0 0.9em; }
code { background: color-mix(in srgb, var(--faint) 50%, transparent); padding: 0 0.25em; }
"""


def page(results: Sequence[Validation], title: str = "Validation") -> str:
    """Return a whole HTML document."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *(_section(result) for result in results),
            "</body></html>",
            "",
        ]
    )


def _section(result: Validation) -> str:
    where = result.where
    packages = ", ".join(f"{name} {version}" for name, version in where.packages.items())
    over = f"Medians over {result.repeats} repeats. " if result.repeats > 1 else ""
    parts = [
        f"<section><h2>{escape(result.title)}</h2>",
        f"<p>{escape(result.summary)}</p>",
        _verdicts(result),
        f'<p class="soft">{escape(over + load_text(result))}</p>',
        *(_figure(chart) for chart in result.charts),
        *(_table(table) for table in result.tables),
        *(
            [f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in result.notes)}</ul>"]
            if result.notes
            else []
        ),
        (
            f'<p class="soft">Measured {escape(where.created_utc)} on {escape(where.host_cpu)}, {where.host_cores} cores, '
            f"{escape(where.operating_system)}, Python {escape(where.python_version)}, {escape(packages)}.<br>"
            f"Again: <code>{escape(where.command)}</code></p></section>"
        ),
    ]
    return "\n".join(parts)


def _verdicts(result: Validation) -> str:
    rows = []
    for verdict in result.verdicts:
        value, limit, state = verdict_text(verdict)
        rows.append(
            f'<tr><td>{escape(verdict.what)}</td><td class="number">{escape(value)}</td>'
            f'<td class="number">{escape(limit)}</td><td class="{state}">{state}</td>'
            f'<td class="soft">{escape(verdict.meaning)}</td></tr>'
        )
    head = '<tr><th>target</th><th class="number">found</th><th class="number">wanted</th><th></th><th>definition</th></tr>'
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _figure(chart: Chart) -> str:
    names = series_of(chart)
    keys = [
        f'<span class="key" style="background: var(--series-{at % SERIES})"></span>{escape(name)}'
        for at, name in enumerate(names)
        if name
    ]
    if chart.kind == "gantt" and any(bar.prepared is not None for lane in chart.lanes for bar in lane.bars):
        keys.append('<span class="soft"> (paler: before its first step)</span>')
    legend = f"<div>{''.join(keys)}</div>" if keys else ""
    return f"<figure><figcaption>{escape(chart.title)}</figcaption>{legend}{chart_svg(chart)}</figure>"


def _table(table: Table) -> str:
    numeric = [
        any(isinstance(row[at], int | float) for row in table.rows) for at in range(len(table.columns))
    ]
    css = [' class="number"' if right else "" for right in numeric]
    head = "".join(
        f"<th{kind}>{escape(column.name)}{f' [{escape(column.unit)}]' if column.unit not in ('', '%') else ''}</th>"
        for column, kind in zip(table.columns, css, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{escape(cell_text(cell, column.unit))}</td>"
            for cell, column, kind in zip(row, table.columns, css, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    meanings = "".join(
        f"<dt>{escape(column.name)}</dt><dd>{escape(column.meaning)}</dd>"
        for column in table.columns
        if column.meaning
    )
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    legend = f"<dl>{meanings}</dl>" if meanings else ""
    return f'<h3>{escape(table.title)}</h3>{note}<div class="wide"><table><tr>{head}</tr>{body}</table></div>{legend}'
