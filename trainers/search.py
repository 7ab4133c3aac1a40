"""Hyper-parameter search: trials one after another, each written down, so that a search can be broken off."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from dcsim.errors import InputError, MissingExtraError, Problem
from trainers.space import Axis, Choice, Value

__all__ = ["Method", "Request", "Trial", "search", "trials_csv"]

Method = Literal["grid", "random", "optuna"]
Objective = Callable[[Mapping[str, Value]], Mapping[str, float]]
"""Trains with these values and returns numbers by name."""


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


class _Sampler(Protocol):
    """Says what to try next, and hears what came of it."""

    def ask(self, number: int) -> dict[str, Value] | None:
        """Return the values of a trial; None where there are no more."""

    def tell(self, value: float) -> None:
        """Hear the metric of the trial asked for last."""


def search(
    request: Request,
    objective: Objective,
    journal: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> tuple[Trial, ...]:
    """Try values until there are enough trials, and return all of them, the best first.

    Every trial is added to the journal as it ends. A search that finds the journal of an equal request takes its results
    from there and goes on: samplers draw from the seed and from what they were told, so they ask for the same again.

    Args:
        request: what to search.
        objective: trains once.
        journal: a file of one JSON value a line.
        stop: asked before each trial.
        on_trial: called with each trial as it is made, not with those of the journal.

    Raises:
        InputError: if the journal is of another request; says in what they differ.
        MissingExtraError: if Optuna is asked for and not installed.
    """
    done = _read(journal, request)
    sampler = _sampler(request)
    made: list[Trial] = []
    for number in range(request.trials):
        values = sampler.ask(number)
        if values is None:
            break
        known = done.get(number)
        if known is None:
            if stop():
                break
            known = Trial(number, values, dict(objective(values)))
            _append(journal, asdict(known))
            on_trial(known)
        made.append(known)
        sampler.tell(known.metrics[request.metric])
    return tuple(sorted(made, key=lambda trial: _badness(trial, request)))


def _badness(trial: Trial, request: Request) -> tuple[bool, float, int]:
    """Return a key that sorts the best trial first, diverged ones last, equal ones by number."""
    value = trial.metrics[request.metric]
    lost = not math.isfinite(value)
    return lost, 0.0 if lost else (-value if request.maximise else value), trial.number


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


def _read(journal: Path, request: Request) -> dict[int, Trial]:
    """Return the trials of a journal by number; begin one where there is none."""
    head = json.loads(json.dumps(asdict(request)))
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    entries = list(_entries(lines))
    if not entries:
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.unlink(missing_ok=True)
        _append(journal, head)
        return {}
    # More trials than before are welcome: the first ones stay what they are.
    differing = [name for name in head if name != "trials" and entries[0].get(name) != head[name]]
    if differing:
        raise InputError(
            [
                Problem(journal.name, 1, name, str(head[name]), f"{entries[0].get(name)}, as in the journal")
                for name in differing
            ]
        )
    return {entry["number"]: Trial(**entry) for entry in entries[1:]}


def _entries(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the values of lines that were written whole; a killed search leaves a torn last one."""
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def _append(journal: Path, entry: Mapping[str, Any]) -> None:
    """Add a line, on a line of its own even after a torn one."""
    torn = journal.exists() and not journal.read_bytes().endswith(b"\n")
    if torn:
        whole = journal.read_bytes().rpartition(b"\n")[0] + b"\n"
        journal.write_bytes(whole)
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _sampler(request: Request) -> _Sampler:
    if request.method == "optuna":
        return _Optuna(request)
    if request.method == "random":
        return _Random(request)
    if request.method == "grid":
        return _Grid(request)
    raise InputError(
        [Problem("search", None, "method", request.method, f"one of {', '.join(get_args(Method))}")]
    )


class _Grid:
    """Every combination, the last axis turning fastest."""

    def __init__(self, request: Request) -> None:
        self._axes = request.axes
        self._points = itertools.product(*(axis.grid() for axis in request.axes))

    def ask(self, number: int) -> dict[str, Value] | None:
        point = next(self._points, None)
        return None if point is None else dict(zip((axis.name for axis in self._axes), point, strict=True))

    def tell(self, value: float) -> None:
        """Do nothing: a grid does not learn."""


class _Random:
    """Independent draws; trial k depends on the seed and k only."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def ask(self, number: int) -> dict[str, Value] | None:
        draws = np.random.default_rng([self._request.seed, number])
        return {axis.name: axis.at(float(draws.random())) for axis in self._request.axes}

    def tell(self, value: float) -> None:
        """Do nothing: chance does not learn."""


class _Optuna:
    """The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) as Optuna implements it."""

    def __init__(self, request: Request) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError("search with Optuna", "search") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._axes = request.axes
        self._failed = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(
            direction="maximize" if request.maximise else "minimize",
            sampler=optuna.samplers.TPESampler(seed=request.seed),
        )
        self._trial: Any = None

    def ask(self, number: int) -> dict[str, Value] | None:
        self._trial = self._study.ask()
        return {axis.name: self._suggested(axis) for axis in self._axes}

    def _suggested(self, axis: Axis) -> Value:
        if isinstance(axis, Choice):
            chosen: Value = self._trial.suggest_categorical(axis.name, list(axis.values))
            return chosen
        suggest = self._trial.suggest_int if axis.whole else self._trial.suggest_float
        found: Value = suggest(axis.name, axis.low, axis.high, log=axis.log)
        return found

    def tell(self, value: float) -> None:
        if math.isfinite(value):
            self._study.tell(self._trial, value)
        else:
            self._study.tell(self._trial, state=self._failed)
