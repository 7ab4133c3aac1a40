"""The sections of a report as HTML text; every word that a user wrote is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from dcsim.report.display import LABELS, difference_text, scale_for, verdict_mark
from dcsim.report.traffic import TierUse
from dcsim.results.schema import ACCOUNT, JOBS, LINKS, SERIES, SUMMARY, TIERS, Column
from dcsim.study.statistics import PairedDifference
from dcsim.study.study import Study
from dcsim.units import Quantity, format_quantity

__all__ = [
    "chart",
    "definitions_section",
    "findings_list",
    "header",
    "provenance_section",
    "summary_section",
    "tiers_table",
]

_DASH = "\u2013"
_MODELLED = (
    "Every figure below is computed by a simulation whose job costs come from the profiles under "
    '<a href="#provenance">Provenance</a>.'
)
_MAIN = (
    "jct_mean_s",
    "jct_p95_s",
    "wait_mean_s",
    "accelerator_utilisation",
    "energy_facility_j",
    "pue",
    "carbon_kg",
    "cost_usd",
)
_STALLS = ("network_stall_fraction", "data_stall_fraction")
"""Shown among the main metrics where any arm has them."""
_FIRST = ("profile", "name", "measured_on", "used_on", "extrapolated", "reasons", "why")
"""Columns of the profile table that are read first."""
_HEADLINE = ("jct_mean_s", "energy_facility_j", "carbon_kg", "cost_usd")


def header(study: Study) -> str:
    """Return title, question, and what may go wrong when reading on."""
    runs = f"{len(study.arms)} arms on {len(study.seeds)} seeds, {len(study.rows)} runs"
    parts = [
        f"<h1>{escape(study.scenario_name)}</h1>",
        f"<p>{escape(study.description)}</p>" if study.description else "",
        f'<p><span class="label">Modelled, not measured</span> <span class="quiet">{runs}. {_MODELLED}</span></p>',
        _notices(study),
    ]
    return "".join(parts)


def _notices(study: Study) -> str:
    parts = []
    if study.failed:
        items = (
            f"<li>{escape(f.arm)}, seed {f.seed}: {escape(f.error)}<br><code>{escape(f.replay)}</code></li>"
            for f in study.failed
        )
        parts.append(
            f"<p><strong>{len(study.failed)} runs failed</strong> and are left out:</p><ul>{''.join(items)}</ul>"
        )
    cautions = study.cautions()
    if cautions:
        items = (f"<li>{escape(text)}</li>" for text in cautions)
        parts.append(f"<p><strong>To keep in mind</strong></p><ul>{''.join(items)}</ul>")
    return f'<div class="notice" role="note">{"".join(parts)}</div>' if parts else ""


def findings_list(study: Study) -> str:
    """Return the clear differences of the headline metrics as sentences."""
    sentences = []
    for metric in _HEADLINE:
        clear = [d for d in study.differences() if d.metric == metric and d.verdict != "no clear difference"]
        better = sorted((d for d in clear if d.verdict == "better"), key=lambda d: d.relative.mean)
        worse = sum(d.verdict == "worse" for d in clear)
        label = LABELS[metric]
        if better:
            best = better[0]
            value, interval = difference_text(best)
            arm = escape(study.arm(best.arm).label)
            sentence = f"<strong>{label}</strong>: lowest under {arm}, {value} {interval}"
        else:
            sentence = f"<strong>{label}</strong>: no arm is clearly better"
        others = len(study.arms) - 1
        sentences.append(
            f"<li>{sentence}; {len(better)} of {others} arms clearly better, {worse} clearly worse.</li>"
        )
    return f"<p>Against {escape(study.baseline.label)}, on the same seeds:</p><ul>{''.join(sentences)}</ul>"


def summary_section(study: Study) -> str:
    """Return the tables of means with paired differences below each; the less asked-for metrics folded away."""
    caption = (
        "Mean over seeds \u00b1 half of its 95 % interval. Below: difference from the baseline arm on the same seeds, "
        "relative to its mean, with the 95 % interval; \u2713 better, \u2717 worse, \u2191\u2193 clearly different but neither, "
        "~ no clear difference (after Holm's correction for the number of arms)."
    )
    stalls = [m for m in _STALLS if any(study.interval(arm, m).mean > 0.0 for arm in study.arms)]
    main = [*_MAIN, *stalls]
    rest = [metric for metric in LABELS if metric not in main]
    folded = ", ".join(LABELS[metric].lower() for metric in rest).replace("it energy", "IT energy")
    stored = "".join(f"<p><strong>Note</strong>: {escape(text)}.</p>" for text in study.stored_energy)
    return (
        f'<p class="quiet">{caption}</p>{_metric_table(study, main)}{stored}'
        f"<details><summary>More: {escape(folded)}</summary>{_metric_table(study, rest)}</details>"
    )


def _metric_table(study: Study, metrics: Sequence[str]) -> str:
    found = {(d.arm, d.metric): d for d in study.differences()}
    head, columns = [], []
    for metric in metrics:
        intervals = [study.interval(arm, metric) for arm in study.arms]
        scale = scale_for(metric, [interval.mean for interval in intervals])
        head.append(
            f'<th scope="col">{escape(LABELS[metric])}<small>{escape(scale.unit) or "&nbsp;"}</small></th>'
        )
        columns.append([escape(scale.interval_text(interval)) for interval in intervals])
    rows = []
    for index, arm in enumerate(study.arms):
        is_baseline = arm == study.baseline
        cells = "".join(
            f"<td>{column[index]}{'' if is_baseline else _difference(found[arm.name, metric])}</td>"
            for metric, column in zip(metrics, columns, strict=True)
        )
        name = f"{escape(arm.label)}{'<small>baseline</small>' if is_baseline else ''}"
        rows.append(f'<tr{" class=baseline" if is_baseline else ""}><th scope="row">{name}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table class="arms"><thead><tr><th scope="col">Arm</th>{"".join(head)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _difference(difference: PairedDifference) -> str:
    value, interval = difference_text(difference)
    style = {"better": "better", "worse": "worse"}.get(difference.verdict, "quiet")
    mark = verdict_mark(difference)
    return f'<small class="{style}" title="{difference.verdict}">{mark} {value}</small><small>{escape(interval)}</small>'


def chart(name: str, label: str, caption: str, choices: Sequence[str] = ()) -> str:
    """Return the place of a chart.

    Args:
        name: of its figures in the page's data.
        label: what a screen reader says of it.
        caption: below it; HTML.
        choices: names to choose between, one a figure.
    """
    options = "".join(f"<option>{escape(choice)}</option>" for choice in choices)
    select = f'<div class="controls"><label>Arm: <select autocomplete="off">{options}</select></label></div>'
    return (
        f'<figure>{select if len(choices) > 1 else ""}<div class="chart" role="img" data-figure="{name}" '
        f'aria-label="{escape(label)}"></div><figcaption>{caption} <span class="note"></span></figcaption></figure>'
    )


def tiers_table(uses: Mapping[str, Sequence[TierUse]]) -> str:
    """Return the table of tiers of links, a row a tier for each arm.

    Args:
        uses: of each arm, by its label.
    """
    rows = []
    for label, of_arm in uses.items():
        for number, use in enumerate(of_arm):
            cells = (
                use.tier,
                _share(use.mean),
                _share(use.peak),
                f"{use.busiest_link or _DASH}, {_share(use.busiest_link_peak)}",
                format_quantity(use.carried_bytes, Quantity.SIZE)
                if use.unit == "B"
                else f"{use.carried_bytes:.4g} {use.unit}",
                f"{use.top_tenant or 'nobody'}, {_share(use.top_fraction)}",
            )
            name = escape(label) if number == 0 else ""
            rows.append(
                f'<tr><th scope="row">{name}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
            )
    names = ("Arm", "Tier", "Mean", "Peak", "Busiest link, its peak", "Carried", "Most of it by")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f'<div class="scroll"><table class="tiers"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _share(fraction: float) -> str:
    """Return a share of something as a percentage.

    >>> _share(0.12345), _share(float("nan"))
    ('12.3 %', '\u2013')
    """
    return _DASH if math.isnan(fraction) else f"{100.0 * fraction:.1f} %"


def provenance_section(study: Study, balances: Mapping[str, float]) -> str:
    """Return where the figures come from: profiles, code, scenario, and how well the balances close."""
    parts = ["<h3>Cost profiles</h3>", _records(study.provenance)]
    packages = ", ".join(f"{name} {version}" for name, version in study.made_by["packages"].items())
    facts = {
        "dcsim": f"{study.made_by['dcsim']}, code {study.made_by['code_sha256'][:16]}",
        "Packages": packages,
        "Scenario hash": study.scenario_sha256,
        "Seeds": ", ".join(str(seed) for seed in study.seeds),
        "Largest relative residual of a balance": ", ".join(f"{k} {v:.1e}" for k, v in balances.items())
        or "none",
    }
    rows = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td><code>{escape(value)}</code></td></tr>'
        for key, value in facts.items()
    )
    parts.append(f'<h3>Runs</h3><div class="scroll"><table class="prose"><tbody>{rows}</tbody></table></div>')
    parts.append(
        "<p>Each run is kept beside this page under <code>runs/</code>; "
        "<code>dcsim replay RUN_DIR</code> makes it again and compares every byte.</p>"
    )
    return "".join(parts)


def _records(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return "<p>No cost profile was used: jobs ran for the times their trace gives.</p>"
    keys = sorted(dict.fromkeys(key for record in records for key in record), key=_column_order)
    head = "".join(f'<th scope="col">{escape(key.replace("_", " "))}</th>' for key in keys)
    rows = (
        "<tr>" + "".join(f"<td>{_value(key, record.get(key))}</td>" for key in keys) + "</tr>"
        for record in records
    )
    return f'<div class="scroll"><table class="prose"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _column_order(key: str) -> int:
    return _FIRST.index(key) if key in _FIRST else len(_FIRST)


def _value(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "<strong>yes</strong>" if value else "no"
    if isinstance(value, list | tuple):
        return escape("; ".join(str(item) for item in value)) or _DASH
    if value is None:
        return _DASH
    text = str(value)
    return f"<code>{escape(text[:16])}</code>" if key.endswith("sha256") else escape(text)


def definitions_section() -> str:
    """Return every figure's meaning and unit, from the schema of results."""
    rows = _definition_rows(SUMMARY)
    more = f"<details><summary>The facility's account</summary>{_definition_rows(ACCOUNT)}</details>"
    more += "".join(
        f"<details><summary>Columns of <code>{name}.parquet</code></summary>{_definition_rows(columns)}</details>"
        for name, columns in (
            ("series", SERIES),
            ("jobs", JOBS),
            ("links", LINKS),
            ("tiers", TIERS),
        )
    )
    statistics = (
        "<p>Intervals are Student's t at 95 % over the seeds. Differences are paired: every arm sees the same arrivals, "
        "sizes and weather on a seed, so what they share cancels. A difference is called better or worse only if its "
        "interval excludes zero and its p-value, corrected for the number of arms (Holm 1979), is below 0.05.</p>"
    )
    return f"{rows}{statistics}{more}"


def _definition_rows(columns: Iterable[Column]) -> str:
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(c.name)}</code></th><td>{escape(c.unit) or _DASH}</td>'
        f"<td>{escape(c.meaning)}</td></tr>"
        for c in columns
    )
    head = '<tr><th scope="col">Name</th><th scope="col">Unit</th><th scope="col">Meaning</th></tr>'
    return (
        f'<div class="scroll"><table class="prose"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )
