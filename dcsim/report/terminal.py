"""Results on the terminal: one run as a list, a study as two aligned tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcsim.report.account import MEANING
from dcsim.report.display import LABELS, difference_text, scale_for, verdict_mark
from dcsim.report.terminal_account import account_table, profile_table, tenant_table
from dcsim.results.run_result import RunResult
from dcsim.study.statistics import PairedDifference
from dcsim.study.study import Study

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

__all__ = ["difference_table", "mean_table", "print_run", "print_study", "run_table"]

_SHORT = {
    "jct_mean_s": "JCT",
    "wait_mean_s": "Wait",
    "accelerator_utilisation": "Util.",
    "energy_facility_j": "Energy",
    "pue": "PUE",
    "carbon_kg": "Carbon",
    "cost_usd": "Cost",
}
"""Headings that leave room for figures in 80 columns; JCT is job completion time, energy the facility's."""
_DIFFERENCE_METRICS = ("jct_mean_s", "energy_facility_j", "carbon_kg", "cost_usd")
_NAME_MAX = 18
_STYLE = {"better": "green", "worse": "red"}


def _new_table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _titled(title: str, table: Table, caption: str = "") -> Group:
    """Put lines above and below a table: as part of it they would wrap at its width."""
    from rich.console import Group
    from rich.text import Text

    return Group(Text(title, style="bold"), table, Text(caption, style="dim"))


def run_table(result: RunResult) -> Group:
    """Return what jobs saw of one run: metric, value, unit; what the facility spent is in its account."""
    from rich.text import Text

    title = (
        f"{result.scenario_name}: {result.ordering}, {result.placement}, {result.energy}, seed {result.seed}"
    )
    table = _new_table()
    table.add_column("Metric")
    table.add_column("Value", justify="right")
    table.add_column("Unit")
    for metric, label in LABELS.items():
        value = result.summary[metric]
        if isinstance(value, str) or metric in MEANING:
            continue
        scale = scale_for(metric, [float(value)])
        shown = f"{value:,}" if isinstance(value, int) else scale.text(float(value))
        table.add_row(label, Text(shown), Text(scale.unit))
    return _titled(title, table)


def mean_table(study: Study) -> Group:
    """Return the mean of each arm over its seeds, with the half-width of its 95 % interval."""
    from rich.text import Text

    count = len(study.seeds)
    means = "one seed, no intervals" if count == 1 else f"mean of {count} seeds \u00b1 95 % interval"
    title = f"{study.scenario_name}: {means} (modelled, not measured)"
    table = _new_table()
    table.add_column("Arm", overflow="fold")
    columns = []
    for metric, label in _SHORT.items():
        intervals = [study.interval(arm, metric) for arm in study.arms]
        scale = scale_for(metric, [interval.mean for interval in intervals])
        table.add_column(f"{label}\n{scale.unit}", justify="right", no_wrap=True)
        columns.append([_stacked(scale.interval_text(interval)) for interval in intervals])
    for label, *cells in zip(_labels(study), *columns, strict=True):
        table.add_row(Text(label), *(Text(cell) for cell in cells))
    same = [names[0] for names in _choices(study) if len(names) == 1]
    caption = f"all under {' and '.join(same)}" if same and len(study.arms) > 1 else ""
    return _titled(title, table, caption)


def _stacked(interval: str) -> str:
    """Put what follows the mean on a second line, so that seven columns fit 80 characters."""
    return interval.replace(" \u00b1", "\n\u00b1").replace(" (n = 1)", "")


def _choices(study: Study) -> list[list[str]]:
    """Return the placements, energy policies and, where names tell them apart, orderings of a study."""
    parts = zip(*(arm.label.split(" + ") for arm in study.arms), strict=True)
    return [list(dict.fromkeys(names)) for names in parts]


def _labels(study: Study) -> list[str]:
    """Return what tells each arm from the others, in two lines, since figures take two."""
    differ = [len(names) > 1 or len(study.arms) == 1 for names in _choices(study)]
    labels = []
    for arm in study.arms:
        parts = [name for name, shown in zip(arm.label.split(" + "), differ, strict=True) if shown]
        labels.append(f"{parts[0]}\n+ {' + '.join(parts[1:])}" if len(parts) > 1 else _broken(parts[0]))
    return labels


def _broken(name: str) -> str:
    r"""Return a name that is too long beside seven columns in two lines.

    >>> _broken("least_attained_service")
    'least_attained_\nservice'
    """
    place = name.rfind("_", 0, _NAME_MAX) + 1
    return name if len(name) <= _NAME_MAX or not place else f"{name[:place]}\n{name[place:]}"


def difference_table(study: Study) -> Group:
    """Return each arm against the baseline, seed by seed, with intervals and marks."""
    from rich.text import Text

    title = f"Against {study.baseline.label}, paired by seed:\nrelative difference [95 % interval]"
    caption = "\u2713 better, \u2717 worse, ~ no clear difference (Holm-corrected over the arms)"
    table = _new_table()
    table.add_column("Arm", overflow="fold")
    for metric in _DIFFERENCE_METRICS:
        table.add_column(_SHORT[metric], justify="right", no_wrap=True)
    found = {(d.arm, d.metric): d for d in study.differences()}
    for arm, label in zip(study.arms, _labels(study), strict=True):
        if arm != study.baseline:
            cells = [_difference_cell(found[arm.name, metric]) for metric in _DIFFERENCE_METRICS]
            table.add_row(Text(label), *cells)
    return _titled(title, table, caption)


def _difference_cell(difference: PairedDifference) -> Text:
    from rich.text import Text

    value, interval = difference_text(difference)
    text = Text(f"{value} {verdict_mark(difference)}", style=_STYLE.get(difference.verdict, ""))
    return text.append("\n" + interval.replace(", ", ",").removeprefix("no interval "), style="dim")


def print_run(result: RunResult, console: Console | None = None) -> None:
    """Print the summary of one run, the facility's account, who answers for it, and the run's warnings."""
    from rich.console import Console
    from rich.text import Text

    target = console or Console()
    for part in (run_table(result), account_table(result), tenant_table(result), profile_table(result)):
        if part is not None:
            target.print(part)
    for warning in result.warnings:
        target.print(Text(f"warning: {warning}", style="yellow"))


def print_study(study: Study, console: Console | None = None) -> None:
    """Print a study: means, paired differences, what failed, what to be careful about."""
    from rich.console import Console
    from rich.text import Text

    target = console or Console()
    if study.rows:
        target.print(mean_table(study))
        if len(study.arms) > 1:
            target.print(difference_table(study))
    for warning in study.cautions():
        target.print(Text(f"warning: {warning}", style="yellow"))
    for failure in study.failed:
        target.print(Text(f"failed: {failure.arm}, seed {failure.seed}: {failure.error}", style="red"))
        target.print(Text(f"  to see it again: {failure.replay}"), soft_wrap=True)
