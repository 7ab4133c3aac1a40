"""A fleet on the terminal: one run site by site, and routers against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dcsim.report.display import difference_text, number_text, scale_for, verdict_mark
from dcsim.results.fleet import FleetResult
from dcsim.study.fleet_compare import FleetStudy

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

__all__ = ["fleet_difference_table", "fleet_mean_table", "fleet_table", "print_fleet", "print_fleet_study"]

_COLUMNS = {
    "energy_facility_j": ("Energy", "J"),
    "pue": ("PUE", ""),
    "carbon_kg": ("Carbon", "kg"),
    "cost_usd": ("Cost", "USD"),
    "water_l": ("Water", "L"),
    "wait_mean_s": ("Wait", "s"),
    "jct_mean_s": ("JCT", "s"),
}
"""Column of the summary -> heading and SI unit; energy at the meters, JCT is job completion time."""
_TIMES = ("wait_mean_s", "jct_mean_s")
_COMPARED = ("carbon_kg", "cost_usd", "energy_facility_j", "jct_mean_s")
_STYLE = {"better": "green", "worse": "red"}


def _new_table(first: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    return table


def _titled(title: str, table: Table, caption: str = "") -> Group:
    from rich.console import Group
    from rich.text import Text

    return Group(Text(title, style="bold"), table, Text(caption, style="dim"))


def fleet_table(result: FleetResult) -> Group:
    """Return one run: a row for each site, the network between them, and the fleet."""
    from rich.text import Text

    rows: list[tuple[str, Mapping[str, float | int]]] = [
        *zip(result.site_names, result.sites, strict=True),
        ("network", result.network),
        ("fleet", result.total),
    ]
    table = _new_table("Site")
    table.add_column("Jobs\n(moved)", justify="right", no_wrap=True)
    columns = [[f"{row['jobs']:,}\n({row['jobs_moved']:,})" if "jobs" in row else "" for _, row in rows]]
    for metric, (label, unit) in _COLUMNS.items():
        if metric in _TIMES:
            continue
        values = [float(row[metric]) if metric in row else None for _, row in rows]
        scale = scale_for(metric, [value for value in values if value is not None], unit)
        table.add_column(f"{label}\n{scale.unit}", justify="right", no_wrap=True)
        columns.append(["" if value is None else scale.text(value) for value in values])
    columns.append(_times(table, [row for _, row in rows]))
    for (name, _), *cells in zip(rows, *columns, strict=True):
        table.add_row(Text(name), *(Text(cell) for cell in cells))
    title = f"{result.fleet_name}: {result.routing}, seed {result.seed} (modelled, not measured)"
    return _titled(title, table, _moved_text(result.total))


def _times(table: Table, rows: Sequence[Mapping[str, float | int]]) -> list[str]:
    """Add one column for wait and completion, one below the other; return its cells."""
    values = [[float(row[metric]) if metric in row else math.nan for metric in _TIMES] for row in rows]
    scale = scale_for("jct_mean_s", [value for pair in values for value in pair], "s")
    table.add_column(f"Wait\nJCT, {scale.unit}", justify="right", no_wrap=True)
    return [
        "" if "jobs" not in row else "\n".join(map(scale.text, pair))
        for row, pair in zip(rows, values, strict=True)
    ]


def _moved_text(total: Mapping[str, float | int]) -> str:
    """Say what was moved, and how far off the router's picture of the queues was."""
    if not total["jobs_moved"]:
        return "nothing was moved between sites"
    shown = {
        name: _amount(float(total[name]), unit)
        for name, unit in (
            ("transfer_energy_j", "J"),
            ("transfer_carbon_kg", "kg"),
            ("transfer_cost_usd", "USD"),
            ("transfer_mean_s", "s"),
            ("wait_estimate_error_s", "s"),
        )
    }
    return (
        f"moved: {_bytes(float(total['transfer_bytes']))}, {shown['transfer_energy_j']},"
        f" {shown['transfer_carbon_kg']}, {shown['transfer_cost_usd']}, {shown['transfer_mean_s']} a job;\n"
        f"starts were {shown['wait_estimate_error_s']} off what the router expected, in the mean"
    )


def _amount(value: float, unit: str) -> str:
    scale = scale_for("", [value], unit)
    return f"{scale.text(value)} {scale.unit}"


def _bytes(size: float) -> str:
    from dcsim.units import Quantity, format_quantity

    return format_quantity(size, Quantity.SIZE)


def fleet_mean_table(study: FleetStudy) -> Group:
    """Return the mean of each router over the seeds, with the half-width of its 95 % interval."""
    from rich.text import Text

    count = len(study.seeds)
    means = "one seed, no intervals" if count == 1 else f"mean of {count} seeds \u00b1 95 % interval"
    table = _new_table("Router")
    table.add_column("Moved", justify="right", no_wrap=True)
    columns = [[f"{number_text(100.0 * study.moved(name))} %" for name in study.routings]]
    for metric, (label, unit) in _COLUMNS.items():
        if metric == "water_l":  # seven columns and the names of routers do not fit 80 characters
            continue
        intervals = [study.interval(name, metric) for name in study.routings]
        scale = scale_for(metric, [interval.mean for interval in intervals], unit)
        table.add_column(f"{label}\n{scale.unit}", justify="right", no_wrap=True)
        texts = [scale.interval_text(interval) for interval in intervals]
        columns.append([text.replace(" \u00b1", "\n\u00b1").replace(" (n = 1)", "") for text in texts])
    for name, *cells in zip(study.routings, *columns, strict=True):
        table.add_row(Text(name), *(Text(cell) for cell in cells))
    return _titled(f"{study.fleet_name}: {means} (modelled, not measured)", table)


def fleet_difference_table(study: FleetStudy) -> Group:
    """Return each router against the first, seed by seed, with intervals and marks."""
    from rich.text import Text

    table = _new_table("Router")
    for metric in _COMPARED:
        table.add_column(_COLUMNS[metric][0], justify="right", no_wrap=True)
    found = {(difference.arm, difference.metric): difference for difference in study.differences()}
    for name in study.routings[1:]:
        cells = []
        for metric in _COMPARED:
            difference = found[name, metric]
            value, interval = difference_text(difference)
            cell = Text(f"{value} {verdict_mark(difference)}", style=_STYLE.get(difference.verdict, ""))
            cells.append(cell.append(f"\n{interval.replace(', ', ',')}", style="dim"))
        table.add_row(Text(name), *cells)
    caption = "\u2713 better, \u2717 worse, ~ no clear difference (Holm-corrected over the routers)"
    title = f"Against {study.baseline}, paired by seed: relative difference [95 % interval]"
    return _titled(title, table, caption)


def print_fleet(result: FleetResult, console: Console | None = None) -> None:
    """Print one run of a fleet and its warnings."""
    from rich.console import Console

    target = console or Console()
    target.print(fleet_table(result))
    _print_warnings(result.warnings, target)


def print_fleet_study(study: FleetStudy, console: Console | None = None) -> None:
    """Print routers compared: means, paired differences, what to be careful about."""
    from rich.console import Console

    target = console or Console()
    target.print(fleet_mean_table(study))
    if len(study.routings) > 1:
        target.print(fleet_difference_table(study))
    _print_warnings(study.warnings(), target)


def _print_warnings(warnings: tuple[str, ...], target: Console) -> None:
    from rich.text import Text

    for warning in warnings:
        target.print(Text(f"warning: {warning}", style="yellow"))
