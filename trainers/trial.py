"""What is searched, and one set of values with what came of it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trainers.space import Axis, Value

__all__ = ["Method", "Request", "Trial", "trials_csv"]

Method = Literal["grid", "random", "optuna"]


@dataclass(frozen=True)
class Request:
    """What is searched, and how; two searches with equal requests try the same things."""

    model: str
    method: Method
    axes: tuple[Axis, ...]
    trials: int
    """At most; a grid may have fewer."""
    seed: int
    metric: str
    """Name of the number to go by."""
    maximise: bool
    settings: Mapping[str, Any]
    """Whatever else a trial's result depends on: steps, data, recipe."""


@dataclass(frozen=True)
class Trial:
    """One set of values and what came of it."""

    number: int
    values: Mapping[str, Value]
    metrics: Mapping[str, float]

    @property
    def diverged(self) -> bool:
        """Whether the training ran away: a classifier of NaN still guesses right now and then, so all metrics count."""
        return not all(map(math.isfinite, self.metrics.values()))


def trials_csv(trials: Sequence[Trial]) -> str:
    """Return trials as CSV, in the order given.

    >>> print(trials_csv([Trial(1, {"batch": 8}, {"loss": 0.5})]), end="")
    trial,batch,loss
    1,8,0.5
    """
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    metrics = list(dict.fromkeys(name for trial in trials for name in trial.metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", *names, *metrics])
    for trial in trials:
        found = [trial.values.get(name) for name in names] + [trial.metrics.get(name) for name in metrics]
        writer.writerow([trial.number, *found])
    return text.getvalue()
