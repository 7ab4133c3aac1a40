"""What a validation found, as plain data: whoever measures writes it, and the pages are made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from dcsim.errors import InputError, Problem
from trainers.files import read_json_bytes, write_text

__all__ = [
    "BYTES_MAX",
    "EXPECTED",
    "Bar",
    "Bars",
    "Chart",
    "Column",
    "Gantt",
    "GanttBar",
    "GanttLane",
    "Load",
    "Point",
    "Scatter",
    "Table",
    "Validation",
    "Verdict",
    "Where",
    "load_result",
    "save_result",
]

BYTES_MAX = 64 * 2**20
"""Of a file of a result [B]."""
EXPECTED = "a result of `validate`"

Cell = str | int | float | None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Column(_Part):
    """One column of a table."""

    name: str
    unit: str = ""
    """"%" where values are parts of 1."""
    meaning: str = ""
    """How the figure is defined."""


class Table(_Part):
    """Rows of cells; text, numbers, or None where there is nothing to say."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


class Verdict(_Part):
    """One target, and whether it was reached."""

    what: str
    value: float | None
    """None: could not be found."""
    unit: str = ""
    """"%" where the value is a part of 1."""
    limit: float | None = None
    """None: the value is told, not judged; or there is none, and `meaning` says why."""
    relation: Literal["at most", "at least", "is"] = "at most"
    meaning: str = ""
    """How the figure is defined."""

    @property
    def state(self) -> Literal["passed", "failed", "told", "skipped"]:
        """What became of it; told: a value without a limit; skipped: neither of them, for the reason in `meaning`.

        >>> Verdict(what="interval", value=None, meaning="not applicable: no interval").state
        'skipped'
        >>> Verdict(what="error", value=None, limit=0.07).state
        'failed'
        """
        if self.limit is None:
            return "skipped" if self.value is None else "told"
        reached = (
            self.value is not None
            and {
                "at most": self.value <= self.limit,
                "at least": self.value >= self.limit,
                "is": self.value == self.limit,
            }[self.relation]
        )
        return "passed" if reached else "failed"

    @property
    def passed(self) -> bool:
        """Whether there is a target, and it was reached."""
        return self.state == "passed"


class Point(_Part):
    """One prediction and what it was of."""

    label: str
    x: float
    y: float
    low: float | None = None
    """Of the interval of y."""
    high: float | None = None
    series: str = ""


class Scatter(_Part):
    """Predicted over measured, with the line on which both are equal; logarithmic."""

    kind: Literal["scatter"] = "scatter"
    title: str
    x_label: str
    y_label: str
    points: tuple[Point, ...]


class GanttBar(_Part):
    """One job on its lane."""

    label: str
    start: float
    end: float
    group: str = ""
    """By which it is coloured."""
    prepared: float | None = None
    """Until when it did not yet train."""


class GanttLane(_Part):
    """One server of one schedule."""

    name: str
    bars: tuple[GanttBar, ...]


class Gantt(_Part):
    """Who had which server when [s]."""

    kind: Literal["gantt"] = "gantt"
    title: str
    lanes: tuple[GanttLane, ...]


class Bar(_Part):
    """One value."""

    label: str
    value: float


class Bars(_Part):
    """Values beside each other."""

    kind: Literal["bars"] = "bars"
    title: str
    unit: str = ""
    bars: tuple[Bar, ...]
    limit: float | None = None
    """Drawn as a line."""


Chart = Annotated[Scatter | Gantt | Bars, Field(discriminator="kind")]


class Load(_Part):
    """How busy the host was."""

    average_start: float
    """Mean number of processes that wanted a core in the minute before."""
    average_end: float
    taken_share: float | None
    """Part of the time of the cores that went to processes of others; None: the system does not say."""


class Where(_Part):
    """Where, when and with what; no names of hosts, people or folders."""

    created_utc: str
    host_cpu: str
    host_cores: int
    operating_system: str
    python_version: str
    packages: dict[str, str]
    command: str
    """What repeats it."""


class Validation(_Part):
    """What one validation found."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9-]{1,60}$")
    title: str
    summary: str
    """What was done, in two or three sentences."""
    repeats: int = Field(ge=1)
    load: Load
    where: Where
    verdicts: tuple[Verdict, ...]
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no target was missed; what is told or skipped has none."""
        return all(verdict.state != "failed" for verdict in self.verdicts)


def save_result(result: Validation, folder: Path) -> Path:
    """Write a result as `folder`/NAME.json and return the path."""
    path = folder / f"{result.name}.json"
    write_text(path, result.model_dump_json(indent=1) + "\n")
    return path


def load_result(path: Path) -> Validation:
    """Return the result of a file.

    Raises:
        InputError: it cannot be read, or is none; with every problem.
    """
    content = read_json_bytes(path, BYTES_MAX, EXPECTED)
    try:
        return Validation.model_validate_json(content)
    except ValidationError as error:
        raise InputError([_problem(path, each) for each in error.errors()]) from None


def _problem(path: Path, each: ErrorDetails) -> Problem:
    """Return what pydantic found as got and expected."""
    if each["type"] == "json_invalid":
        return Problem(str(path), None, "", each["msg"], EXPECTED)
    where = ".".join(str(part) for part in each["loc"])
    return Problem(
        str(path), None, where, repr(each["input"])[:80], each["msg"].removeprefix("Input should be ")
    )
