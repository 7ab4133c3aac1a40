"""Results as Markdown: what `docs/validation.md` holds."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.validation.result import Cell, Column, Table, Validation, Verdict

__all__ = ["cell_text", "document", "fragment", "load_text", "verdict_text"]


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
    """Return (value, limit, "met", "missed" or "told") of a verdict.

    >>> verdict_text(Verdict(what="mean error", value=0.05, unit="%", limit=0.07))
    ('5.0 %', 'at most 7.0 %', 'met')
    """
    unit = "" if verdict.unit in ("", "%") else f" {verdict.unit}"
    value = cell_text(verdict.value, verdict.unit) + (unit if verdict.value is not None else "")
    if verdict.limit is None:
        return value, "", "told"
    limit = f"{verdict.relation} {cell_text(verdict.limit, verdict.unit)}{unit}"
    return value, limit, "met" if verdict.passed else "missed"


def load_text(result: Validation) -> str:
    """Return in a sentence how busy the host was."""
    load = result.load
    taken = (
        "how much others took is not known"
        if load.taken_share is None
        else f"others took {load.taken_share:.1%} of the cores' time"
    )
    return f"Load average {load.average_start:g} before, {load.average_end:g} after (own work included); {taken}."


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


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
        _row([_heading(column) for column in table.columns]),
        _row(["---:" if right else "---" for right in numeric]),
    ]
    lines += [
        _row([cell_text(cell, column.unit) for cell, column in zip(row, table.columns, strict=True)])
        for row in table.rows
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
        _row(["target", "found", "wanted", "", "definition"]),
        _row(["---", "---:", "---:", "---", "---"]),
        *(_row([verdict.what, *verdict_text(verdict), verdict.meaning]) for verdict in result.verdicts),
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


def document(results: Sequence[Validation]) -> str:
    """Return the page of all results: every target first, then each result."""
    lines = [
        "# Validation",
        "",
        "Predictions beside reality. `make validate` measures all of this anew, on the machine it runs on, and writes",
        "this page; a figure without a limit is told, not judged.",
        "",
        _row(["what", "target", "found", "wanted", ""]),
        _row(["---", "---", "---:", "---:", "---"]),
    ]
    lines += [
        _row([result.title, verdict.what, *verdict_text(verdict)])
        for result in results
        for verdict in result.verdicts
    ]
    return "\n".join([*lines, "", *(fragment(result) for result in results)]).rstrip("\n") + "\n"
