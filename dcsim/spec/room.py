"""What a scenario says of the air in the hall: where hot exhaust goes before it reaches the plant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import Count, Fraction, Number

if TYPE_CHECKING:
    from dcsim.spec.scenario import Scenario

__all__ = [
    "MAX_NODES",
    "AislesSpec",
    "MatrixSpec",
    "RoomSpec",
    "matrix_issues",
    "node_count",
    "recirculation_issues",
]

MAX_NODES = 2_000
"""More nodes than that make a matrix that takes longer at each event than all else together."""

_NEEDS_ROOM = ("coolest_inlet", "min_hr", "xint")
"""Placement policies that look at the air of a room."""


class AislesSpec(SpecModel):
    """Rows of racks with cold and hot aisles: the longer the way round, the less exhaust comes back."""

    kind: Literal["aisles"] = "aisles"
    racks_per_row: Count = 10
    """Nodes in a row; they fill the rows in their order."""
    recirculation_fraction: Fraction = Field(default=0.2, le=0.6)
    """Exhaust in the air that racks breathe, mean over the hall: its supply heat index with open aisles."""
    containment: Fraction = 0.0
    """Part of that which doors, roofs and blanking panels hold back; 1: no exhaust comes round."""
    decay_m: Number = Field(default=1.0, ge=0.3, le=50.0)
    """Way after which exhaust is thinned to 1/e."""
    rack_width_m: Number = Field(default=0.6, ge=0.2, le=20.0)
    """From one node to the next of a row."""


class MatrixSpec(SpecModel):
    """A cross-interference matrix from a CFD study or from sensors, inline or in a file."""

    kind: Literal["matrix"] = "matrix"
    recirculation: tuple[tuple[Fraction, ...], ...] | None = Field(default=None, max_length=MAX_NODES)
    """Row i, column j: part of the air out of node i that node j breathes in. Each row adds up to less than 1."""
    path: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """The same as a CSV file without a header, relative to the scenario file."""

    @field_validator("recirculation")
    @classmethod
    def _square_and_open(
        cls, rows: tuple[tuple[float, ...], ...] | None
    ) -> tuple[tuple[float, ...], ...] | None:
        issues = tuple(matrix_issues(rows)) if rows is not None else ()
        if issues:
            raise FieldError(*issues)
        return rows

    @model_validator(mode="after")
    def _given_once(self) -> Self:
        if (self.recirculation is None) == (self.path is None):
            got = "neither" if self.path is None else "both"
            raise FieldError(FieldIssue(f"{got} of `recirculation` and `path`", "one of them"))
        return self


class RoomSpec(SpecModel):
    """Air that mixes: what a rack breathes depends on what others give off, so placement changes temperatures.

    Tang, Gupta, Varsamopoulos, IEEE TPDS 19 (11), 2008.
    """

    layout: Annotated[AislesSpec | MatrixSpec, Field(discriminator="kind")] = AislesSpec()
    """Who breathes whose exhaust."""
    racks_per_node: Count = 1
    """Racks that are told apart no further: nodes of so many racks in their order."""
    design_rise_k: Number = Field(default=12.0, ge=3.0, le=40.0)
    """Outlet over inlet air of servers at their peak power: it says how much air they move."""
    airflow: Literal["matched", "constant"] = "matched"
    """matched: servers move as much of their full air as the hall's air movers do; constant: always all of it, and
    what the air movers lack is return air."""


def matrix_issues(rows: tuple[tuple[float, ...], ...]) -> Iterator[FieldIssue]:
    """Yield what is wrong with a matrix of recirculated parts: it is not square, or a row leaves nothing for the plant."""
    for i, row in enumerate(rows):
        if len(row) != len(rows):
            expected = f"{len(rows)}, one for each node"
            yield FieldIssue(f"{len(row)} numbers", expected, "the matrix is square", at=(i,))
        elif not sum(row) < 1.0:
            hint = "some of the air out of a node returns to the plant"
            yield FieldIssue(f"a row that adds up to {sum(row):.6g}", "less than 1", hint, at=(i,))
    if not rows:
        yield FieldIssue("no rows", "one for each node")


def node_count(racks: int, racks_per_node: int) -> int:
    """Return the nodes that so many racks make; the last may have fewer of them.

    >>> node_count(10, 4)
    3
    """
    return -(-racks // racks_per_node)


def recirculation_issues(scenario: Scenario) -> Iterator[FieldIssue]:
    """Yield what does not go together: a matrix of another size than the hall, too many nodes, a policy without a room.

    Paths start at the scenario.
    """
    room, placement = scenario.room, scenario.policies.placement.name
    if room is None:
        if placement in _NEEDS_ROOM:
            hint = "add `room: {}` for rows with open aisles"
            yield FieldIssue(repr(placement), "a `room`: it needs one", hint, at=("policies", "placement"))
        return
    racks = sum(rack.count for rack in scenario.cluster.racks)
    nodes = node_count(racks, room.racks_per_node)
    if nodes > MAX_NODES:
        least = -(-racks // MAX_NODES)
        yield FieldIssue(
            f"{nodes:,} nodes",
            f"at most {MAX_NODES:,}",
            f"give `racks_per_node: {least}` or more",
            at=("room", "racks_per_node"),
        )
    layout = room.layout
    if isinstance(layout, MatrixSpec) and layout.recirculation is not None:
        size = len(layout.recirculation)
        if size != nodes:
            got = f"{size} rows"
            yield FieldIssue(got, f"{nodes}, one for each node", at=("room", "layout", "recirculation"))
