"""A study as one HTML page that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from dcsim.report.site_figures import energy_figure, site_figure
from dcsim.report.site_sections import ArmAccounts, facility_tables, read_accounts, shares_section
from dcsim.report.traffic import TierUse, links_figure, tier_uses
from dcsim.results.canonical import jsonable
from dcsim.results.files import write_atomically
from dcsim.results.links import unpack_links
from dcsim.results.manifest import account_of, read_manifest
from dcsim.results.naming import unpack_names
from dcsim.results.shares import ProfileShare, Share, profile_shares, shortened, tenant_shares
from dcsim.results.store import read_table
from dcsim.study.arms import Arm
from dcsim.study.study import Study, read_study

__all__ = ["REPORT_HTML", "page_html", "write_report"]

REPORT_HTML = "report.html"
_BARS_IN_ALL = 9_000
"""Of all Gantt charts of a page together; each bar takes about 100 bytes."""
_TENANTS = 30
"""Rows of a table of tenants; the others are one row together."""
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
    accounts = read_accounts(study)
    shown_runs = _read_runs(study, shown)
    figures = {
        "pareto": [pareto_figure(study)] if shown else [],
        "energy": [energy_figure([(each.arm.label, each.means()) for each in accounts])] if shown else [],
        **shown_runs.figures,
    }
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
            _charts(study, labels, seeds, accounts, shown_runs) if shown else "",
            f'<section id="provenance"><h2>Provenance</h2>{provenance_section(study, shown_runs.balances)}</section>',
            f'<section id="definitions"><h2>Definitions</h2>{definitions_section()}</section></main>',
            "<footer>Made by dcsim. Charts by plotly.js (MIT licence), included in this file.</footer>",
            _scripts(figures) if shown else "",
            "</body></html>\n",
        ]
    )


def _first_seed(study: Study, arm: Arm) -> int | None:
    done = {row.seed for row in study.rows if row.arm == arm.name}
    return next((seed for seed in study.seeds if seed in done), None)


@dataclass
class _Runs:
    """What the page shows of one run of each arm."""

    figures: dict[str, list[Any]] = field(
        default_factory=lambda: {"series": [], "site": [], "gantt": [], "links": []}
    )
    balances: dict[str, float] = field(default_factory=dict)
    """The largest residual of each."""
    tiers: dict[str, list[TierUse]] = field(default_factory=dict)
    shares: dict[str, tuple[list[Share], list[ProfileShare]]] = field(default_factory=dict)


def _read_runs(study: Study, shown: list[tuple[Arm, int]]) -> _Runs:
    runs = _Runs()
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
        runs.figures["series"].append(series_figure(series))
        runs.figures["site"].append(site_figure(series))
        runs.figures["gantt"].append(gantt_figure(bars, jobs) | {"note": bars.note and f"{bars.note}."})
        links, listed = read_table(run_dir, "links", manifest), unpack_links(manifest["links"])
        runs.figures["links"].append(links_figure(links, listed, end_s))
        runs.tiers[arm.label] = tier_uses(links, read_table(run_dir, "tiers", manifest), listed, end_s)
        runs.shares[arm.label] = (
            shortened(tenant_shares(jobs, account_of(manifest)), _TENANTS),
            profile_shares(jobs),
        )
        for name, residual in manifest["balances"].items():
            runs.balances[name] = max(runs.balances.get(name, 0.0), abs(residual))
    return runs


def _contents(*, has_charts: bool) -> str:
    drawn = ("summary", "pareto", "facility", "tenants", "series", "gantt", "links")
    names = drawn if has_charts else ()
    titles = {
        "summary": "Summary",
        "pareto": "Time against energy",
        "facility": "The facility's account",
        "tenants": "Who answers for it",
        "series": "Over time",
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


def _charts(
    study: Study, labels: list[str], seeds: list[int], accounts: Sequence[ArmAccounts], runs: _Runs
) -> str:
    of_seed = f"Seed {seeds[0]}." if len(seeds) == 1 else "First finished seed of each arm."
    pareto = chart(
        "pareto",
        "Mean job completion time against facility energy, a point an arm",
        "Each point is an arm: colour tells the placement (the ordering, where all have one placement), shape the energy policy; bars are 95 % intervals of "
        "each arm's mean over seeds. Arms share their seeds, so compare two of them by the paired differences above. "
        "Arms on the dotted line are not beaten in both; lower left is better.",
    )
    sections = (
        ("pareto", "Time against energy", pareto),
        ("facility", "The facility's account", _facility(accounts)),
        ("tenants", "Who answers for it", _answers(study, of_seed, runs)),
        ("series", "Over time", _over_time(labels, of_seed)),
        ("gantt", "Jobs by server", _gantt(labels, of_seed)),
        ("links", "Network and storage", _traffic(labels, of_seed, runs.tiers)),
    )
    return "".join(
        f'<section id="{name}"><h2>{title}</h2>{inner}</section>' for name, title, inner in sections
    )


def _facility(accounts: Sequence[ArmAccounts]) -> str:
    energy = chart(
        "energy",
        "Energy by part, stacked, a bar an arm",
        "Means over the seeds. Left: all energy at the meter; right: what comes on top of that of IT, drawn larger.",
    )
    return f"{energy}{facility_tables(accounts)}"


def _answers(study: Study, of_seed: str, runs: _Runs) -> str:
    extrapolated = frozenset(
        str(record.get("profile")) for record in study.provenance if record.get("extrapolated")
    )
    caption = (
        f'<p class="quiet">{of_seed} Modelled: a joule of IT energy carries what the facility spent for it meanwhile; '
        "what no job drew is nobody's, and all rows add up to the meter. Amounts a job are means of those completed. "
        "Steps that were lost and done again are paid for, not counted.</p>"
    )
    return caption + shares_section(runs.shares, extrapolated)


def _over_time(labels: list[str], of_seed: str) -> str:
    series = chart(
        "series",
        "Power, PUE, carbon, price and jobs over time",
        f"{of_seed} Means over bins; power is stacked up to the facility's draw at the meter (what is left above the "
        "stack is auxiliary load).",
        labels,
    )
    site = chart(
        "site",
        "What the site bought, made and stored, and temperatures, over time",
        f"{of_seed} Means over bins; what the battery stores is that at the end of a bin.",
        labels,
    )
    return series + site


def _gantt(labels: list[str], of_seed: str) -> str:
    return chart(
        "gantt",
        "Which job ran on which server",
        f"{of_seed} A bar is a job's part of a server; jobs that share a server are stacked.",
        labels,
    )


def _traffic(labels: list[str], of_seed: str, tiers: Mapping[str, list[TierUse]]) -> str:
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
    return (
        f"{links}{caption}{tiers_table(tiers)}" if any(tiers.values()) else "<p>No link carried anything.</p>"
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
