"""Hyper-parameter search: trials one after another, each written down, so that a search can be broken off."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np

from dcsim.errors import InputError, MissingExtraError, Problem
from trainers.space import Axis, Choice, Value
from trainers.trial import Method, Request, Trial
from trainers.trial_journal import TrialJournal

__all__ = ["search"]

Objective = Callable[[Mapping[str, Value]], Mapping[str, float] | None]
"""Trains with these values and returns numbers by name; None where it was stopped before its end."""


class _Sampler(Protocol):
    """Says what to try next, and hears what came of it."""

    def ask(self, number: int) -> dict[str, Value] | None:
        """Return the values of a trial; None where there are no more."""

    def tell(self, value: float | None) -> None:
        """Hear the metric of the trial asked for last; None where it diverged."""


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
        objective: trains once; a trial that it was stopped in is left out.
        journal: a file of one trial a line; see `trainers.trial_journal`.
        stop: asked before each trial.
        on_trial: called with each trial as it is made, not with those of the journal.

    Raises:
        InputError: if the journal is of another request, with what differs; if it is damaged before its last line, or
            no journal at all; if another search writes to its folder.
        MissingExtraError: if Optuna is asked for and not installed.
    """
    book = TrialJournal(journal)
    with book.alone():
        made = _tried(request, objective, book, stop, on_trial)
    return tuple(sorted(made, key=lambda trial: _badness(trial, request)))


def _tried(
    request: Request,
    objective: Objective,
    book: TrialJournal,
    stop: Callable[[], bool],
    on_trial: Callable[[Trial], None],
) -> list[Trial]:
    """Return the trials in the order in which they were asked for."""
    sampler = _sampler(request)
    done = book.read(request)
    made: list[Trial] = []
    for number in range(request.trials):
        values = sampler.ask(number)
        if values is None:
            break
        known = done.get(number)
        if known is None:
            metrics = None if stop() else objective(values)
            if metrics is None:
                break
            known = Trial(number, values, dict(metrics))
            book.add(known)
            on_trial(known)
        elif known.values != values:
            raise book.refused(number, str(values))
        made.append(known)
        sampler.tell(None if known.diverged else known.metrics[request.metric])
    return made


def _badness(trial: Trial, request: Request) -> tuple[bool, float, int]:
    """Return a key that sorts the best trial first, diverged ones last, equal ones by number."""
    value = trial.metrics[request.metric]
    lost = trial.diverged
    return lost, 0.0 if lost else (-value if request.maximise else value), trial.number


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

    def tell(self, value: float | None) -> None:
        """Do nothing: a grid does not learn."""


class _Random:
    """Independent draws; trial k depends on the seed and k only."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def ask(self, number: int) -> dict[str, Value] | None:
        draws = np.random.default_rng([self._request.seed, number])
        return {axis.name: axis.at(float(draws.random())) for axis in self._request.axes}

    def tell(self, value: float | None) -> None:
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

    def tell(self, value: float | None) -> None:
        if value is None:
            self._study.tell(self._trial, state=self._failed)
        else:
            self._study.tell(self._trial, value)
