"""What a search may choose from: named axes of choices or ranges, as they are typed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dcsim.errors import InputError, Problem

__all__ = ["Axis", "Choice", "Range", "Value", "axis_from"]

Value = float | int | str
GRID_POINTS = 3
GRID_POINTS_MAX = 1000


@dataclass(frozen=True)
class Choice:
    """A few values."""

    name: str
    values: tuple[Value, ...]

    def grid(self) -> tuple[Value, ...]:
        """Return all of them."""
        return self.values

    def at(self, share: float) -> Value:
        """Return the value that far along, 0 <= share < 1."""
        return self.values[int(share * len(self.values))]


@dataclass(frozen=True)
class Range:
    """Numbers from low to high."""

    name: str
    low: float
    high: float
    log: bool
    """Whether it is even in the logarithm."""
    whole: bool
    """Whether integers only."""
    points: int = GRID_POINTS
    """Of a grid."""

    def grid(self) -> tuple[Value, ...]:
        """Return evenly spaced values, both ends included."""
        found = [self._between(index / (self.points - 1)) for index in range(self.points)]
        return tuple(dict.fromkeys(found))

    def at(self, share: float) -> Value:
        """Return the value that far along, 0 <= share < 1; integers are equally likely unless log."""
        if self.whole and not self.log:
            return int(self.low) + int(share * (int(self.high) - int(self.low) + 1))
        return self._between(share)

    def _between(self, share: float) -> Value:
        low, high = self.low, self.high
        value = low * (high / low) ** share if self.log else low + share * (high - low)
        # Twelve digits are plenty, and 0.001 is read more easily than 0.0010000000000000002.
        return round(value) if self.whole else float(f"{value:.12g}")


Axis = Choice | Range


def axis_from(text: str) -> Axis:
    """Return an axis from what was typed.

    Raises:
        InputError: if it says nothing that can be searched.

    >>> axis_from("batch=16,32")
    Choice(name='batch', values=(16, 32))
    >>> axis_from("learning_rate=1e-4:1e-1:log:4").grid()
    (0.0001, 0.001, 0.01, 0.1)
    """
    name, equals, given = text.partition("=")
    field = name.strip().replace("-", "_")
    if not field or not equals or not given.strip():
        raise _refused(text)
    if ":" in given:
        return _range(field, given, text)
    return Choice(field, tuple(_value(part.strip()) for part in given.split(",")))


def _range(name: str, given: str, text: str) -> Range:
    low, high, *rest = (part.strip() for part in given.split(":"))
    log = "log" in rest
    counts = [part for part in rest if part != "log"]
    try:
        ends = (float(low), float(high))
        points = int(counts[0]) if counts else GRID_POINTS
    except ValueError:
        raise _refused(text) from None
    whole = all(isinstance(_value(part), int) for part in (low, high))
    if (
        not all(map(math.isfinite, ends))
        or ends[0] >= ends[1]
        or len(counts) > 1
        or not 2 <= points <= GRID_POINTS_MAX
    ):
        raise _refused(text)
    if log and ends[0] <= 0.0:
        raise _refused(text)
    if whole:
        return Range(name, int(ends[0]), int(ends[1]), log, whole, points)
    return Range(name, *ends, log, whole, points)


def _value(text: str) -> Value:
    """Return an integer, a number or a word, whichever the text is."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _refused(text: str) -> InputError:
    expected = "name=a,b,c or name=low:high, with :log and a number of grid points after it if wanted"
    return InputError([Problem("search", None, "", repr(text), expected, "low < high, and above 0 with log")])
