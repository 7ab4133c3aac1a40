"""Results as Markdown: what `docs/validation.md` holds."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.validation.result import Cell, Column, Table, Validation, Verdict

__all__ = ["cell_text", "document", "fragment", "load_text", "verdict_text"]

LONGEST_PADDED = 40
"""Characters of the last column of a table up to which it is padded."""


def cell_text(value: Cell, unit: str = "") -> str:
    """Return a cell as a reader wants it: four digits, or percent.

    >>> cell_text(0.0712, "%"), cell_text(12.3456, "s"), cell_text(None), cell_text("a"), cell_text(12000)
    ('7.1 %', '12.35', '-', 'a', '12,000')
    """
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if unit == "%":
        return f"{value * 100.0:.1f} %"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"


def verdict_text(verdict: Verdict) -> tuple[str, str, str]:
    """Return (value, limit, "passed", "failed", "told" or "skipped") of a verdict.

    >>> verdict_text(Verdict(what="mean error", value=0.05, unit="%", limit=0.07))
    ('5.0 %', 'at most 7.0 %', 'passed')
    """
    unit = "" if verdict.unit in ("", "%") else f" {verdict.unit}"
    value = cell_text(verdict.value, verdict.unit) + (unit if verdict.value is not None else "")
    if verdict.limit is None:
        return value, "", verdict.state
    limit = f"{verdict.relation} {cell_text(verdict.limit, verdict.unit)}{unit}"
    return value, limit, verdict.state


def load_text(result: Validation) -> str:
    """Return in a sentence how busy the host was."""
    load = result.load
    taken = (
        "how much others took is not known"
        if load.taken_share is None
        else f"others took {load.taken_share:.1%} of the cores' time"
    )
    return f"Load average {load.average_start:g} before, {load.average_end:g} after (own work included); {taken}."


def _grid(headings: Sequence[str], numeric: Sequence[bool], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table whose columns are aligned in the text as well; a last one of long text is not padded."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (headings, *rows)]
    widths = [max(3, *(len(row[at]) for row in cells)) for at in range(len(headings))]
    if widths[-1] > LONGEST_PADDED:
        widths[-1] = max(3, len(headings[-1]))

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + ":" if right else "-" * width
        for width, right in zip(widths, numeric, strict=True)
    ]
    return [line(cells[0]), line(rule), *(line(row) for row in cells[1:])]


def _heading(column: Column) -> str:
    return f"{column.name} [{column.unit}]" if column.unit and column.unit != "%" else column.name


def _table(table: Table) -> list[str]:
    numeric = [
        any(isinstance(row[at], int | float) for row in table.rows) for at in range(len(table.columns))
    ]
    lines = [
        f"### {table.title}",
        "",
        *([table.note, ""] if table.note else []),
        *_grid(
            [_heading(column) for column in table.columns],
            numeric,
            [
                [cell_text(cell, column.unit) for cell, column in zip(row, table.columns, strict=True)]
                for row in table.rows
            ],
        ),
    ]
    meanings = [f"{column.name}: {column.meaning}" for column in table.columns if column.meaning]
    return [*lines, "", *(["; ".join(meanings) + ".", ""] if meanings else [])]


def fragment(result: Validation) -> str:
    """Return one result: what was done, verdicts, tables, and where the figures come from."""
    where = result.where
    packages = ", ".join(f"{name} {version}" for name, version in where.packages.items())
    lines = [
        f"## {result.title}",
        "",
        result.summary,
        "",
        *_grid(
            ["target", "found", "wanted", "result", "definition"],
            [False, True, True, False, False],
            [[verdict.what, *verdict_text(verdict), verdict.meaning] for verdict in result.verdicts],
        ),
        "",
        f"Medians over {result.repeats} repeats. {load_text(result)}"
        if result.repeats > 1
        else load_text(result),
        "",
    ]
    for table in result.tables:
        lines += _table(table)
    lines += [f"- {note}" for note in result.notes]
    lines += [""] if result.notes else []
    lines += [
        (
            f"Measured {where.created_utc} on {where.host_cpu}, {where.host_cores} cores, {where.operating_system}, "
            f"Python {where.python_version}, {packages}."
        ),
        "",
        f"Again: `{where.command}`",
        "",
    ]
    return "\n".join(lines)


def _counts(results: Sequence[Validation]) -> str:
    """Return in words how many targets were reached.

    >>> _counts([])
    'Targets: 0 passed, 0 failed, 0 skipped'
    """
    states = [verdict.state for result in results for verdict in result.verdicts]
    return "Targets: " + ", ".join(f"{states.count(name)} {name}" for name in ("passed", "failed", "skipped"))


def _conditions(results: Sequence[Validation]) -> list[str]:
    """Return when and where each result was found, and how busy the host was; versions stand with each result."""
    headings = [
        "what",
        "measured [UTC]",
        "processor",
        "cores",
        "load before",
        "load after",
        "taken by others",
    ]
    rows = [
        [
            result.title,
            result.where.created_utc.removesuffix("+00:00"),
            result.where.host_cpu,
            str(result.where.host_cores),
            f"{result.load.average_start:g}",
            f"{result.load.average_end:g}",
            cell_text(result.load.taken_share, "%"),
        ]
        for result in results
    ]
    return [
        *_grid(headings, [False, False, False, True, True, True, True], rows),
        "",
        "Load averages are of a minute and contain the work itself; what others took is of the cores' time meanwhile.",
    ]


def document(results: Sequence[Validation]) -> str:
    """Return the page of all results: every target first, then each result."""
    lines = [
        "# Validation",
        "",
        "Predictions beside reality. `make validate` measures all of this anew, on the machine it runs on, and writes",
        "this page; a figure without a limit is told, not judged, and what was skipped says why below.",
        "",
        f"{_counts(results)}.",
        "",
        *_grid(
            ["what", "target", "found", "wanted", "result"],
            [False, False, True, True, False],
            [
                [result.title, verdict.what, *verdict_text(verdict)]
                for result in results
                for verdict in result.verdicts
            ],
        ),
        "",
        *_conditions(results),
    ]
    return "\n".join([*lines, "", *(fragment(result) for result in results)]).rstrip("\n") + "\n"
