"""Everything dcsim raises on purpose.

DcsimError
├── InputError                what a user wrote cannot be used; holds every problem (exit code 2)
│   ├── ScenarioError         a scenario file or model
│   ├── TraceError            a job trace
│   ├── ProfileError          a cost profile
│   └── SeriesError           a weather, carbon or price series
├── PolicyError               a policy broke its contract, or is unknown to the registry
├── SimulationError           the run itself cannot go on
│   ├── ClockError            a time that is NaN, infinite or in the past
│   ├── DeadlockError         nothing left to happen while jobs wait
│   ├── UnreachableError      failed links leave no way between servers
│   └── GuardError            a balance or a capacity was violated
├── ResultError               a stored result is missing, corrupt or of another version
└── MissingExtraError         a feature needs an optional package; names the extra
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ClockError",
    "DcsimError",
    "DeadlockError",
    "GuardError",
    "InputError",
    "MissingExtraError",
    "PolicyError",
    "Problem",
    "ProfileError",
    "ResultError",
    "ScenarioError",
    "SeriesError",
    "SimulationError",
    "TraceError",
    "UnreachableError",
]


class DcsimError(Exception):
    """Base of all errors raised by dcsim."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input, and where.

    >>> str(Problem("a.yaml", 3, "cluster.racks.0.count", "-4", "an integer >= 1"))
    'a.yaml:3: cluster.racks.0.count: -4 -> expected an integer >= 1'
    """

    file: str
    line: int | None
    path: str
    got: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [where, self.path] if self.path else [where]
        text = ": ".join([*parts, f"{self.got} -> expected {self.expected}"])
        text = f"{text}, {self.hint}" if self.hint else text
        # What comes from a file must not command the terminal it is shown on.
        return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


class InputError(DcsimError):
    """What a user wrote cannot be used; `problems` holds all of them."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        if isinstance(problems, str):
            self.problems: tuple[Problem, ...] = ()
            super().__init__(problems)
        else:
            self.problems = tuple(problems)
            super().__init__("\n".join(str(problem) for problem in self.problems))


class ScenarioError(InputError):
    """A scenario file or model cannot be used."""


class TraceError(InputError):
    """A job trace cannot be used."""


class ProfileError(InputError):
    """A cost profile cannot be used."""


class SeriesError(InputError):
    """A weather, carbon or price series cannot be used."""


class PolicyError(DcsimError):
    """A policy broke its contract, or is unknown to the registry."""


class SimulationError(DcsimError):
    """The run itself cannot go on."""


class ClockError(SimulationError):
    """A time that is NaN, infinite or in the past."""


class DeadlockError(SimulationError):
    """Nothing is left to happen while jobs wait; the message says which and for what."""


class UnreachableError(SimulationError):
    """Failed links leave no way between servers; `servers` are those cut off, ascending."""

    def __init__(self, message: str, servers: Sequence[int] = ()) -> None:
        self.servers = tuple(servers)
        super().__init__(message)


class GuardError(SimulationError):
    """A balance or a capacity was violated: a bug in dcsim or in a policy."""


class ResultError(DcsimError):
    """A stored result is missing, corrupt or of another version."""


class MissingExtraError(DcsimError):
    """A feature needs an optional package."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional package: pip install 'dcsim[{extra}]'")
