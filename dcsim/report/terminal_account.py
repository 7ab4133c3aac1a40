"""The facility's account on the terminal: energy by part, the standards' figures, carbon, bill, and who answers for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dcsim.report.account import BILL, CARBON, ENERGY, LIMITS, ONSITE, STANDARDS, WATER, Line, lines_of
from dcsim.report.display import number_text, scale_for
from dcsim.results.run_result import RunResult
from dcsim.results.shares import NOBODY, Share, profile_shares, shortened, tenant_shares, together

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

__all__ = ["MAX_TENANTS", "account_table", "profile_table", "tenant_table"]

MAX_TENANTS = 12
"""Rows of the table of tenants; the others are one row together."""
_AMOUNTS = {"facility_energy_j": ("Energy", "J"), "carbon_kg": ("Carbon", "kg"), "cost_usd": ("Cost", "USD")}
"""What of each tenant is shown; water would not fit 80 columns."""
_STEPS = 1_000.0
"""Amounts of steps are given for so many."""


def account_table(result: RunResult) -> Group:
    """Return the facility's account of one run, aligned, in units that suit the sizes."""
    account = result.account
    table = _new_table()
    table.add_column("")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("of IT", justify="right", no_wrap=True)
    _add_amounts(table, "Energy", ENERGY, account, whole=account["energy_it_j"])
    _add_amounts(table, "On site", ONSITE, account, whole=account["energy_it_j"])
    _add_figures(table, "Standards", STANDARDS, account)
    _add_figures(table, "Water and heat", WATER, account)
    _add_amounts(table, "Carbon", CARBON, account)
    _add_amounts(table, "Bill", BILL, account)
    _add_figures(table, "Limits", LIMITS, account)
    return _titled("The facility's account (modelled, not measured)", table)


def _add_amounts(
    table: Table,
    title: str,
    section: Sequence[Line],
    account: Mapping[str, float],
    *,
    whole: float = math.nan,
) -> None:
    """Add lines in one unit, so that the eye can add them up."""
    lines = lines_of(section, [account])
    if not lines:
        return
    values = [account[line.column] for line in lines]
    scale = scale_for(lines[0].column, values)
    largest = _largest(values)
    _add_title(table, title)
    for line, value in zip(lines, values, strict=True):
        share = "" if not whole > 0.0 else f"{100.0 * value / whole:.1f} %"
        table.add_row(_label(line), scale.aligned_text(value, largest), scale.unit, share)


def _add_figures(table: Table, title: str, section: Sequence[Line], account: Mapping[str, float]) -> None:
    """Add lines each in its own unit."""
    lines = lines_of(section, [account])
    if not lines:
        return
    _add_title(table, title)
    for line in lines:
        value = account[line.column]
        scale = scale_for(line.column, [value])
        table.add_row(_label(line), scale.text(value), scale.unit, "")


def _add_title(table: Table, title: str) -> None:
    from rich.text import Text

    if table.row_count:
        table.add_row("", "", "", "")
    table.add_row(Text(title, style="bold"), "", "", "")


def _label(line: Line) -> str:
    return f"{'    ' if line.part else '  '}{line.label}"


def tenant_table(result: RunResult) -> Group:
    """Return what each tenant answers for, and for each of its completed jobs; the last row is the meter."""
    from rich.text import Text

    shares = shortened(tenant_shares(result.jobs, result.account), MAX_TENANTS)
    rows = [*shares, together("at the meter", shares)]
    table = _new_table()
    table.add_column("Tenant", overflow="fold", min_width=12)
    table.add_column("Jobs\ndone", justify="right", no_wrap=True)
    columns = [[f"{row.jobs_completed:,}" if row.name != NOBODY else "" for row in rows]]
    for per, pick in (("", _amounts_of), ("/job", _per_job_of)):
        for name, (heading, unit) in _AMOUNTS.items():
            values = [pick(row)[name] for row in rows]
            scale, largest = scale_for("", values, unit), _largest(values)
            table.add_column(f"{heading}\n{scale.unit}{per}", justify="right", no_wrap=True)
            columns.append([scale.aligned_text(value, largest) for value in values])
    for row, *cells in zip(rows, *columns, strict=True):
        table.add_row(Text(_tenant(row.name)), *cells)
    caption = (
        "/job: mean of those completed; nobody: free servers, network, storage.\n"
        "A joule of IT energy carries what the facility spent for it meanwhile."
    )
    return _titled("Who answers for it", table, caption)


def _amounts_of(share: Share) -> Mapping[str, float]:
    return share.amounts


def _per_job_of(share: Share) -> Mapping[str, float]:
    return share.per_completed_job


def _tenant(name: str) -> str:
    return "nobody" if name == NOBODY else name or "(no tenant)"


def profile_table(result: RunResult) -> Group | None:
    """Return what a thousand useful steps of each cost profile take; None where no job has a profile."""
    from rich.text import Text

    shares = profile_shares(result.jobs)
    if not shares:
        return None
    table = _new_table()
    table.add_column("Profile", overflow="fold", min_width=12)
    table.add_column("Jobs\ndone", justify="right", no_wrap=True)
    table.add_column("Useful\nsteps", justify="right", no_wrap=True)
    columns = [
        [f"{share.jobs_completed:,}" for share in shares],
        [number_text(share.steps) for share in shares],
    ]
    for name, (heading, unit) in _AMOUNTS.items():
        values = [_STEPS * share.per_step[name] for share in shares]
        scale = scale_for("", values, "J of steps" if unit == "J" else unit)
        table.add_column(f"{heading}\n{scale.unit}", justify="right", no_wrap=True)
        columns.append([scale.text(value) for value in values])
    for share, *cells in zip(shares, *columns, strict=True):
        table.add_row(Text(share.profile), *cells)
    caption = "steps that were lost and done again are paid for, not counted"
    return _titled("What 1,000 useful steps take", table, caption)


def _largest(values: Iterable[float]) -> float:
    return max((abs(value) for value in values if not math.isnan(value)), default=0.0)


def _new_table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _titled(title: str, table: Table, caption: str = "") -> Group:
    from rich.console import Group
    from rich.text import Text

    return Group(Text(title, style="bold"), table, Text(f"{caption}\n" if caption else "", style="dim"))
