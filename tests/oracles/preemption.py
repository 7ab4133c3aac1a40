"""Preemptive scheduling of gangs on fungible slots, event by event in a few lines, apart from dcsim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Costs", "Outcome", "Task", "preemptive_schedule"]


@dataclass
class Task:
    """A job, and how far it has come. Times are whole seconds."""

    arrive: int
    width: int
    work: int
    rank: float = 0.0
    """Of a static order; smaller goes first."""
    left: int = field(init=False)
    saved_left: int = field(init=False)
    """Work left at the last checkpoint."""

    def __post_init__(self) -> None:
        self.left = self.saved_left = self.work


@dataclass(frozen=True)
class Costs:
    """What stopping and starting costs."""

    kill: bool = False
    """Lose what was done since the last checkpoint; else it is saved in no time."""
    start: int = 0
    restore: int = 0
    interval: int | None = None
    write: int = 0


@dataclass
class Outcome:
    """What became of a task."""

    first: int = -1
    end: int = -1
    attempts: int = 0
    productive: int = 0
    """Slot-seconds of each sort."""
    restored: int = 0
    written: int = 0
    redone: int = 0


@dataclass
class _Attempt:
    loading: int
    """Seconds until it works."""
    until_write: int | None
    writing: int = 0
    done: int = 0
    """Since its last checkpoint."""


def preemptive_schedule(
    tasks: list[Task],
    slots: int,
    costs: Costs,
    key: Callable[[Task], float],
    skip: int = 10**9,
    *,
    equals_stay: bool = False,
) -> list[Outcome]:
    """Run tasks second by second; at each arrival and end the first in order that fit hold the slots.

    After `skip` tasks that do not fit nobody else starts, but who runs and still fits goes on. With
    `equals_stay` a running task goes before the waiting ones of its key.
    """
    outcomes = [Outcome() for _ in tasks]
    running: dict[int, _Attempt] = {}
    now = 0
    while any(outcome.end < 0 for outcome in outcomes):
        ended = [number for number in running if tasks[number].left == 0 and not running[number].loading]
        for number in ended:
            del running[number]
            outcomes[number].end = now
        if ended or any(task.arrive == now for task in tasks):
            present = [n for n, task in enumerate(tasks) if task.arrive <= now and outcomes[n].end < 0]
            order = sorted(present, key=lambda n: (key(tasks[n]), equals_stay and n not in running, n))
            chosen = _chosen(tasks, order, slots, skip, running)
            for number in [n for n in running if n not in chosen]:
                _stop(tasks[number], outcomes[number], running.pop(number), costs)
            for number in chosen:
                if number not in running:
                    outcome = outcomes[number]
                    outcome.attempts += 1
                    outcome.first = now if outcome.first < 0 else outcome.first
                    loading = costs.start if outcome.attempts == 1 else costs.restore
                    running[number] = _Attempt(loading, costs.interval)
        for number, attempt in running.items():
            _second(tasks[number], outcomes[number], attempt, costs)
        now += 1
    return outcomes


def _chosen(
    tasks: list[Task], order: list[int], slots: int, skip: int, running: dict[int, _Attempt]
) -> set[int]:
    chosen, passed = set[int](), 0
    for number in order:
        may_start = passed <= skip or number in running
        if tasks[number].width <= slots and may_start:
            slots -= tasks[number].width
            chosen.add(number)
        else:
            passed += 1
    return chosen


def _stop(task: Task, outcome: Outcome, attempt: _Attempt, costs: Costs) -> None:
    if costs.kill:
        outcome.redone += attempt.done * task.width
        outcome.productive -= attempt.done * task.width
        task.left = task.saved_left
    task.saved_left = task.left


def _second(task: Task, outcome: Outcome, attempt: _Attempt, costs: Costs) -> None:
    """Let one second pass."""
    if attempt.loading:
        attempt.loading -= 1
        outcome.restored += task.width
        return
    if attempt.writing == 0 and attempt.until_write == 0:
        attempt.writing, attempt.until_write = costs.write, costs.interval
    if attempt.writing:
        attempt.writing -= 1
        outcome.written += task.width
        if attempt.writing == 0:
            task.saved_left, attempt.done = task.left, 0
        return
    task.left -= 1
    attempt.done += 1
    outcome.productive += task.width
    if attempt.until_write is not None:
        attempt.until_write -= 1
