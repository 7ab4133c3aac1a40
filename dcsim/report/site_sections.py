"""The facility's account and who answers for it, as HTML text: tables an arm a row, means over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from dcsim.report.account import (
    BILL,
    CARBON,
    ENERGY,
    LIMITS,
    MEANING,
    ONSITE,
    STANDARDS,
    WATER,
    Line,
    lines_of,
)
from dcsim.report.display import Scale, number_text, scale_for
from dcsim.results.manifest import account_of, read_manifest
from dcsim.results.shares import ProfileShare, Share
from dcsim.study.arms import Arm
from dcsim.study.statistics import Interval, mean_interval
from dcsim.study.study import Study

__all__ = ["ArmAccounts", "facility_tables", "read_accounts", "shares_section"]

_AMOUNTS = {
    "facility_energy_j": ("Energy", "J"),
    "carbon_kg": ("Carbon", "kg"),
    "cost_usd": ("Cost", "USD"),
    "water_l": ("Water", "L"),
}
_STEPS = 1_000.0
_EXTRAPOLATED = "<small>extrapolated</small>"


@dataclass(frozen=True, slots=True)
class ArmAccounts:
    """The facility's accounts of an arm, a row a seed."""

    arm: Arm
    accounts: tuple[Mapping[str, float], ...]

    def interval(self, column: str) -> Interval:
        """Return the mean of a column of schema.ACCOUNT over the seeds, with its interval."""
        return mean_interval([account[column] for account in self.accounts])

    def means(self) -> dict[str, float]:
        """Return the mean of each column of schema.ACCOUNT."""
        return {column: self.interval(column).mean for column in MEANING}


def read_accounts(study: Study) -> list[ArmAccounts]:
    """Return the accounts of all runs of a study, arm by arm; arms without a run are left out.

    Raises:
        ResultError: the manifest of a run is missing or damaged.
    """
    found = []
    for arm in study.arms:
        seeds = [row.seed for row in study.rows if row.arm == arm.name]
        rows = tuple(account_of(read_manifest(study.run_dir(arm, seed))) for seed in seeds)
        if rows:
            found.append(ArmAccounts(arm, rows))
    return found


def facility_tables(arms: Sequence[ArmAccounts]) -> str:
    """Return the tables of the facility's account: energy, standards, carbon, bill, and what else there is."""
    parts = (
        ("Energy by part", ENERGY, "in_one_unit", "energy_it_j"),
        ("Behind the meter", ONSITE, "in_one_unit", ""),
        ("The standards' figures", STANDARDS, "", ""),
        ("Carbon by account", CARBON, "in_one_unit", ""),
        ("The bill by part", BILL, "in_one_unit", ""),
        ("Water and heat", WATER, "", ""),
        ("Limits", LIMITS, "", ""),
    )
    caption = (
        '<p class="quiet">Modelled, not measured. Mean over seeds \u00b1 half of its 95 % interval. Point at a heading, '
        "or open the notes below a table, for what it means; a dash: the scenario does not say.</p>"
    )
    tables = (
        _section(title, section, arms, in_one_unit=bool(unit), whole=whole)
        for title, section, unit, whole in parts
    )
    return caption + "".join(tables)


def _section(
    title: str, section: Sequence[Line], arms: Sequence[ArmAccounts], *, in_one_unit: bool, whole: str
) -> str:
    lines = lines_of(section, [account for arm in arms for account in arm.accounts])
    if not lines:
        return ""
    found = [[arm.interval(line.column) for arm in arms] for line in lines]
    common = scale_for(lines[0].column, [i.mean for of_line in found for i in of_line])
    scales = [
        common if in_one_unit else scale_for(line.column, [i.mean for i in of_line])
        for line, of_line in zip(lines, found, strict=True)
    ]
    totals = [arm.interval(whole).mean if whole else math.nan for arm in arms]
    cells = [
        [_cell(line, scale, interval, total) for interval, total in zip(of_line, totals, strict=True)]
        for line, scale, of_line in zip(lines, scales, found, strict=True)
    ]
    head = "".join(_heading(line, scale.unit) for line, scale in zip(lines, scales, strict=True))
    rows = "".join(
        f'<tr><th scope="row">{escape(arm.arm.label)}</th>{"".join(column[row] for column in cells)}</tr>'
        for row, arm in enumerate(arms)
    )
    table = _table("arms", f'<th scope="col">Arm</th>{head}', rows)
    return f"<h3>{escape(title)}</h3>{table}{_notes(lines)}"


def _heading(line: Line, unit: str) -> str:
    style = ' class="part"' if line.part else ""
    label = f"{escape(line.heading)}<small>{escape(unit) or '&nbsp;'}</small>"
    return f'<th scope="col"{style} title="{escape(MEANING[line.column])}">{label}</th>'


def _cell(line: Line, scale: Scale, interval: Interval, whole: float) -> str:
    mean, _, half = scale.interval_text(interval).replace(" (n = 1)", "").partition(" \u00b1 ")
    spread = f"<small>&plusmn; {half}</small>" if half else ""
    share = f"<small>{100.0 * interval.mean / whole:.1f} % of IT</small>" if whole > 0.0 else ""
    style = ' class="part"' if line.part else ""
    return f"<td{style}>{mean}{spread}{share}</td>"


def _notes(lines: Sequence[Line]) -> str:
    items = "".join(
        f"<li><strong>{escape(line.heading)}</strong>: {escape(MEANING[line.column])}</li>" for line in lines
    )
    return f"<details><summary>What these mean</summary><ul>{items}</ul></details>"


def _table(style: str, head: str, rows: str) -> str:
    return (
        f'<div class="scroll"><table class="{style}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def shares_section(
    shares: Mapping[str, tuple[Sequence[Share], Sequence[ProfileShare]]], extrapolated: frozenset[str]
) -> str:
    """Return who answers for what under each arm: tenants, what is nobody's, the meter, and steps of each profile.

    Args:
        shares: of tenants and of profiles, by the arm's label.
        extrapolated: profiles that were used outside what was measured.
    """
    parts = []
    for number, (label, (tenants, profiles)) in enumerate(shares.items()):
        opened = " open" if number == 0 else ""
        inner = _tenants_table(tenants) + _profiles_table(profiles, extrapolated)
        parts.append(f"<details{opened}><summary>{escape(label)}</summary>{inner}</details>")
    return "".join(parts)


def _tenants_table(shares: Sequence[Share]) -> str:
    names = [share.name or "(no tenant)" for share in shares]
    totals = {name: math.fsum(share.amounts[name] for share in shares) for name in _AMOUNTS}
    jobs = [*(f"{share.jobs_completed:,}" for share in shares[:-1]), ""]
    head = '<th scope="col">Tenant</th><th scope="col">Jobs<small>completed</small></th>'
    columns = [[*jobs, f"{sum(share.jobs_completed for share in shares):,}"]]
    for name, (label, unit) in _AMOUNTS.items():
        values = [*(share.amounts[name] for share in shares), totals[name]]
        scale = scale_for("", values, unit)
        head += f'<th scope="col">{label}<small>{escape(scale.unit)}</small></th>'
        columns.append([f"{scale.aligned_text(v, totals[name])}{_of(v, totals[name])}" for v in values])
    for name, (label, unit) in _AMOUNTS.items():
        values = [share.per_completed_job[name] for share in shares]
        scale = scale_for("", values, unit)
        head += f'<th scope="col">{label}<small>{escape(scale.unit)}/job</small></th>'
        columns.append([*(scale.text(value) for value in values), ""])
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{column[row]}</td>" for column in columns)}</tr>'
        for row, name in enumerate([*names, "at the meter"])
    )
    return _table("arms", head, rows)


def _of(value: float, total: float) -> str:
    return f"<small>{100.0 * value / total:.1f} %</small>" if total > 0.0 else ""


def _profiles_table(shares: Sequence[ProfileShare], extrapolated: frozenset[str]) -> str:
    if not shares:
        return ""
    head = (
        '<th scope="col">Profile</th><th scope="col">Jobs<small>completed</small></th>'
        '<th scope="col">Useful steps</th>'
    )
    columns = [
        [f"{share.jobs_completed:,}" for share in shares],
        [number_text(share.steps) for share in shares],
    ]
    for name, (label, unit) in _AMOUNTS.items():
        values = [_STEPS * share.per_step[name] for share in shares]
        scale = scale_for("", values, "J of steps" if unit == "J" else unit)
        head += f'<th scope="col">{label}<small>{escape(scale.unit)}/1,000 steps</small></th>'
        columns.append([scale.text(value) for value in values])
    rows = "".join(
        f'<tr><th scope="row">{escape(share.profile)}{_EXTRAPOLATED if share.profile in extrapolated else ""}</th>'
        f"{''.join(f'<td>{column[row]}</td>' for column in columns)}</tr>"
        for row, share in enumerate(shares)
    )
    return _table("arms", head, rows)
