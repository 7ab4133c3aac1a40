"""What a validation found, as plain data: whoever measures writes it, and the pages are made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dcsim.errors import InputError, Problem
from trainers.files import write_text

__all__ = [
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
    """None: the value is told, not judged."""
    relation: Literal["at most", "at least", "is"] = "at most"
    meaning: str = ""
    """How the figure is defined."""

    @property
    def passed(self) -> bool:
        """Whether the target was reached; so it is where there is none.

        >>> Verdict(what="error", value=0.08, limit=0.07).passed
        False
        """
        if self.limit is None:
            return True
        if self.value is None:
            return False
        return {
            "at most": self.value <= self.limit,
            "at least": self.value >= self.limit,
            "is": self.value == self.limit,
        }[self.relation]


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
        """Whether all targets were reached."""
        return all(verdict.passed for verdict in self.verdicts)


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
    try:
        return Validation.model_validate_json(path.read_bytes())
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError([Problem(str(path), None, "", reason, "a result of `validate`")]) from None
    except ValidationError as error:
        problems = [
            Problem(
                str(path),
                None,
                ".".join(str(part) for part in each["loc"]),
                repr(each["input"])[:80],
                each["msg"],
            )
            for each in error.errors()
        ]
        raise InputError(problems) from None
