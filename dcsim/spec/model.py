"""The base of every scenario model: frozen, no unknown fields, no NaN, strict about types."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

__all__ = ["FieldError", "FieldIssue", "SpecModel"]


class SpecModel(BaseModel):
    """A frozen part of a scenario; unknown fields, NaN and infinities are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )


@dataclass(frozen=True, slots=True)
class FieldIssue:
    """One thing wrong below the field that a validator looks at."""

    got: str
    expected: str
    hint: str = ""
    at: tuple[str | int, ...] = ()
    """Path from the validated field to the part that is wrong."""


class FieldError(ValueError):
    """What a model's validator raises: pydantic places it, `load` turns it into problems.

    >>> str(FieldError(FieldIssue("5 W", "at least the idle power, 9 W", at=("0", "peak_power_w"))))
    '0.peak_power_w: 5 W -> expected at least the idle power, 9 W'
    """

    def __init__(self, *issues: FieldIssue) -> None:
        self.issues = issues
        super().__init__("; ".join(_line(issue) for issue in issues))


def _line(issue: FieldIssue) -> str:
    """Return one issue as people read it in pydantic's own message."""
    place = ".".join(map(str, issue.at)) + ": " if issue.at else ""
    hint = f", {issue.hint}" if issue.hint else ""
    return f"{place}{issue.got} -> expected {issue.expected}{hint}"
