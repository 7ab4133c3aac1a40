"""A study as one HTML page that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from dcsim.report.figures import gantt_figure, pareto_figure, series_figure
from dcsim.report.gantt import gantt_bars
from dcsim.report.grants import grants_of
from dcsim.report.sections import (
    chart,
    definitions_section,
    findings_list,
    header,
    provenance_section,
    summary_section,
    tiers_table,
)
from dcsim.report.traffic import TierUse, links_figure, tier_uses
from dcsim.results.canonical import jsonable
from dcsim.results.files import write_atomically
from dcsim.results.links import unpack_links
from dcsim.results.manifest import read_manifest
from dcsim.results.naming import unpack_names
from dcsim.results.store import read_table
from dcsim.study.arms import Arm
from dcsim.study.study import Study, read_study

__all__ = ["REPORT_HTML", "page_html", "write_report"]

REPORT_HTML = "report.html"
_BARS_IN_ALL = 9_000
"""Of all Gantt charts of a page together; each bar takes about 100 bytes."""
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""Content security: the page cannot load anything, even if a name slipped through the escaping."""


def write_report(study: Study | Path, out: Path | None = None) -> Path:
    """Write a study as one self-contained page and return its path.

    Args:
        study: a study, or its folder.
        out: the file; None: `report.html` in the study's folder.

    Raises:
        ResultError: the study or one of the runs it shows is missing or damaged, or the disk fails.
    """
    known = study if isinstance(study, Study) else read_study(study)
    target = out or known.path / REPORT_HTML
    write_atomically(target, page_html(known).encode())
    return target


def page_html(study: Study) -> str:
    """Return the page of a study; the same study gives the same bytes."""
    shown = [(arm, seed) for arm in study.arms if (seed := _first_seed(study, arm)) is not None]
    figures, balances, tiers = _figures(study, shown)
    labels = [arm.label for arm, _ in shown]
    seeds = sorted({seed for _, seed in shown})
    title = escape(f"{study.scenario_name}: comparison of policies")
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f'<title>{title}</title><link rel="icon" href="data:,"><style>{_asset("page.css")}</style></head><body>',
            f"<header>{header(study)}{_contents(has_charts=bool(shown))}</header><main>",
            _summary(study) if shown else "<p>No run succeeded, so there is nothing to show.</p>",
            _charts(labels, seeds, tiers) if shown else "",
            f'<section id="provenance"><h2>Provenance</h2>{provenance_section(study, balances)}</section>',
            f'<section id="definitions"><h2>Definitions</h2>{definitions_section()}</section></main>',
            "<footer>Made by dcsim. Charts by plotly.js (MIT licence), included in this file.</footer>",
            _scripts(figures) if shown else "",
            "</body></html>\n",
        ]
    )


def _first_seed(study: Study, arm: Arm) -> int | None:
    done = {row.seed for row in study.rows if row.arm == arm.name}
    return next((seed for seed in study.seeds if seed in done), None)


def _figures(
    study: Study, shown: list[tuple[Arm, int]]
) -> tuple[dict[str, list[Any]], dict[str, float], dict[str, list[TierUse]]]:
    """Return the page's figures, the largest residual of each balance over the runs shown, and their tiers."""
    figures: dict[str, list[Any]] = {
        "pareto": [pareto_figure(study)] if shown else [],
        "series": [],
        "gantt": [],
        "links": [],
    }
    balances: dict[str, float] = {}
    tiers: dict[str, list[TierUse]] = {}
    for arm, seed in shown:
        run_dir = study.run_dir(arm, seed)
        manifest = read_manifest(run_dir)
        series = read_table(run_dir, "series", manifest)
        jobs = read_table(run_dir, "jobs", manifest)
        end_s = float(series["time_s"][-1] + series["duration_s"][-1]) if series["time_s"].size else 0.0
        servers = unpack_names(manifest["servers"]["names"])
        events = read_table(run_dir, "events", manifest)
        max_bars = max(300, _BARS_IN_ALL // len(shown))
        bars = gantt_bars(jobs, servers, end_s, max_bars, grants_of(events, manifest["event_kinds"]))
        figures["series"].append(series_figure(series))
        figures["gantt"].append(gantt_figure(bars, jobs) | {"note": bars.note and f"{bars.note}."})
        links, listed = read_table(run_dir, "links", manifest), unpack_links(manifest["links"])
        figures["links"].append(links_figure(links, listed, end_s))
        tiers[arm.label] = tier_uses(links, read_table(run_dir, "tiers", manifest), listed, end_s)
        for name, residual in manifest["balances"].items():
            balances[name] = max(balances.get(name, 0.0), abs(residual))
    return figures, balances, tiers


def _contents(*, has_charts: bool) -> str:
    names = ("summary", "pareto", "series", "gantt", "links") if has_charts else ()
    titles = {
        "summary": "Summary",
        "pareto": "Time against energy",
        "series": "Power, PUE, carbon",
        "gantt": "Jobs by server",
        "links": "Network and storage",
        "provenance": "Provenance",
        "definitions": "Definitions",
    }
    items = "".join(f'<li><a href="#{n}">{titles[n]}</a></li>' for n in (*names, "provenance", "definitions"))
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>'


def _summary(study: Study) -> str:
    findings = findings_list(study) if len(study.arms) > 1 else ""
    return f'<section id="summary"><h2>Summary</h2>{findings}{summary_section(study)}</section>'


def _charts(labels: list[str], seeds: list[int], tiers: Mapping[str, list[TierUse]]) -> str:
    of_seed = f"Seed {seeds[0]}." if len(seeds) == 1 else "First finished seed of each arm."
    pareto = chart(
        "pareto",
        "Mean job completion time against facility energy, a point an arm",
        "Each point is an arm: colour tells the placement (the ordering, where all have one placement), shape the energy policy; bars are 95 % intervals of "
        "each arm's mean over seeds. Arms share their seeds, so compare two of them by the paired differences above. "
        "Arms on the dotted line are not beaten in both; lower left is better.",
    )
    series = chart(
        "series",
        "Power, PUE, carbon, price and jobs over time",
        f"{of_seed} Means over bins; power is stacked up to the facility's draw at the meter (what is left above the "
        "stack is auxiliary load).",
        labels,
    )
    gantt = chart(
        "gantt",
        "Which job ran on which server",
        f"{of_seed} A bar is a job's part of a server; jobs that share a server are stacked.",
        labels,
    )
    links = chart(
        "links",
        "How busy links were over time",
        f"{of_seed} A row is a link, its colour the mean of what it carried in a bin over what it could have "
        "carried. Of each tier the busiest are drawn.",
        labels,
    )
    caption = (
        f'<p class="quiet">{of_seed} Utilisation is what all links of a tier carried over what they could have; '
        "peak is that of the busiest bin. A byte that crosses two links of a tier counts on both.</p>"
    )
    traffic = (
        f"{links}{caption}{tiers_table(tiers)}" if any(tiers.values()) else "<p>No link carried anything.</p>"
    )
    return (
        f'<section id="pareto"><h2>Time against energy</h2>{pareto}</section>'
        f'<section id="series"><h2>Power, PUE, carbon</h2>{series}</section>'
        f'<section id="gantt"><h2>Jobs by server</h2>{gantt}</section>'
        f'<section id="links"><h2>Network and storage</h2>{traffic}</section>'
    )


def _scripts(figures: Mapping[str, Any]) -> str:
    """Return plotly, the figures as data, and the code that draws them."""
    from plotly.offline import get_plotlyjs

    # "<" is written as an escape, so that no name can end the script element
    data = json.dumps(jsonable(figures), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        f"<script>{get_plotlyjs()}</script>"
        f'<script type="application/json" id="figures">{data}</script><script>{_asset("page.js")}</script>'
    )


def _asset(name: str) -> str:
    return (files("dcsim.report") / "assets" / name).read_text(encoding="utf-8")
