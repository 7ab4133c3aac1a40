"""A trace in Chrome's JSON, plain or gzipped: step times from its step markers.

`jax.profiler.trace` writes one (plugins/profile/*/HOST.trace.json.gz), and so does `torch.profiler` (export_chrome_trace);
Perfetto shows both. Events of phase X have a start `ts` and a duration `dur` in microseconds ("Trace Event Format", Google).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from dcsim.errors import Problem, ProfileError
from dcsim.spec.strict_json import strict_json
from dcsim.workload.readers.bounded import decoded
from trainers.imports.sources import content_of, refusal

__all__ = ["Event", "StepWindow", "Trace", "number_of", "read_trace", "step_windows"]

_PROFILER_STEP = re.compile(r"(?P<name>.*[^\d#])#(?P<number>\d{1,12})\Z", re.ASCII)
"""As in ProfilerStep#7."""
_SHOWN = 50
_NAMES_SHOWN = 10
_EVENTS_MAX = 5_000_000

Thread = tuple[str, str]
"""(process, thread), as the trace numbers them."""
Markers = list[tuple[float, int | None]]
"""(start in seconds, number of the step)."""


class Event(NamedTuple):
    """A complete event."""

    name: str
    category: str
    thread: Thread
    start_s: float
    duration_s: float
    arguments: Mapping[str, Any]

    @property
    def end_s(self) -> float:
        """When it ended [s]."""
        return self.start_s + self.duration_s


class Trace(NamedTuple):
    """The complete events of a trace, and what its processes and threads are called."""

    path: Path
    events: tuple[Event, ...]
    processes: Mapping[str, str]
    threads: Mapping[Thread, str]


class StepWindow(NamedTuple):
    """From the start of one step to the start of the next."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Step time, what lies between two markers included [s]."""
        return self.end_s - self.start_s


def read_trace(path: Path) -> Trace:
    """Return the events of a trace.

    Raises:
        InputError: Unreadable, too large, broken gzip, not strict JSON, nested too deeply, or every event (up to
            fifty) that has no sound start and duration.
    """
    record = strict_json(decoded(content_of(path), path), str(path), error=ProfileError)
    listed = record.get("traceEvents") if isinstance(record, dict) else record
    if not isinstance(listed, list):
        raise refusal(path, "no list of events", "traceEvents, as the profilers of JAX and PyTorch write it")
    if len(listed) > _EVENTS_MAX:
        raise refusal(path, f"{len(listed):,} events", f"at most {_EVENTS_MAX:,}", "trace fewer steps")
    problems: list[Problem] = []
    events = []
    for index, entry in enumerate(listed):
        if not isinstance(entry, dict):
            problems.append(_problem(path, index, type(entry).__name__, "an object"))
        elif entry.get("ph") == "X":
            event = _event(path, index, entry, problems)
            if event:
                events.append(event)
    if problems:
        raise ProfileError(problems[:_SHOWN])
    if not events:
        raise refusal(path, "no events of phase X", "at least one")
    named = [entry for entry in listed if entry.get("ph") == "M"]
    return Trace(
        path,
        tuple(events),
        {str(entry.get("pid")): _label(entry) for entry in named if entry.get("name") == "process_name"},
        {
            (str(entry.get("pid")), str(entry.get("tid"))): _label(entry)
            for entry in named
            if entry.get("name") == "thread_name"
        },
    )


def step_windows(trace: Trace, step_name: str | None = None) -> list[StepWindow]:
    """Return the steps of a trace in time, each from its marker's start to the start of the next number's.

    Markers are events of the name that is given; without one those with an argument step_num (JAX's
    StepTraceAnnotation), else those such as ProfilerStep#7 (PyTorch). Of several threads that which has most is taken.

    Raises:
        ProfileError: No markers, markers of several names, or no two of successive numbers.
    """
    by_name: dict[str, dict[Thread, Markers]] = {}
    for event in trace.events:
        found = _marker(event, step_name)
        if found:
            of_name = by_name.setdefault(found[0], {})
            of_name.setdefault(event.thread, []).append((event.start_s, found[1]))
    if len(by_name) != 1:
        raise _no_markers(trace, sorted(by_name), step_name)
    threads = next(iter(by_name.values()))
    markers = sorted(threads[max(threads, key=lambda thread: len(threads[thread]))])
    windows = [
        StepWindow(early[0], late[0])
        for early, late in pairwise(markers)
        if late[0] > early[0] and (early[1] is None or late[1] is None or late[1] == early[1] + 1)
    ]
    if not windows:
        raise refusal(trace.path, f"{len(markers)} step markers", "two of successive numbers at least")
    return windows


def number_of(value: object) -> float | None:
    """Return an argument of an event as a number, or None where it is none; profilers write numbers as text, too.

    >>> number_of("12"), number_of(3.5), number_of("nan"), number_of(None)
    (12.0, 3.5, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _event(path: Path, index: int, entry: Mapping[str, Any], problems: list[Problem]) -> Event | None:
    start, duration = entry.get("ts"), entry.get("dur", 0)
    for name, value in (("ts", start), ("dur", duration)):
        number = None if isinstance(value, str) else number_of(value)
        if number is None or (name == "dur" and number < 0):
            at_least = " >= 0" if name == "dur" else ""
            problems.append(_problem(path, index, repr(value)[:80], f"a number{at_least} [us]", name))
            return None
    return Event(
        name=str(entry.get("name", "")),
        category=str(entry.get("cat", "")),
        thread=(str(entry.get("pid")), str(entry.get("tid"))),
        start_s=float(start or 0) * 1e-6,
        duration_s=float(duration) * 1e-6,
        arguments=_arguments(entry),
    )


def _label(entry: Mapping[str, Any]) -> str:
    """Return what an event of phase M calls its process or thread."""
    return str(_arguments(entry).get("name", ""))


def _arguments(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments = entry.get("args")
    return arguments if isinstance(arguments, dict) else {}


def _problem(path: Path, index: int, got: str, expected: str, name: str = "") -> Problem:
    where = f"traceEvents.{index}" + (f".{name}" if name else "")
    return Problem(str(path), None, where, got, expected)


def _marker(event: Event, step_name: str | None) -> tuple[str, int | None] | None:
    """Return (name, number) of a step marker, or None where an event is none."""
    numbered = _PROFILER_STEP.match(event.name)
    name = numbered["name"] if numbered else event.name
    number = number_of(event.arguments.get("step_num"))
    if number is None and numbered:
        number = float(numbered["number"])
    if step_name is None:
        is_marker = "step_num" in event.arguments or name == "ProfilerStep"
    else:
        is_marker = step_name in (event.name, name)
    return (name, None if number is None else int(number)) if is_marker else None


def _no_markers(trace: Trace, names: Sequence[str], step_name: str | None) -> ProfileError:
    if names:
        got = f"step markers of {len(names)} names: {', '.join(names[:_NAMES_SHOWN])}"
        return refusal(trace.path, got, "one of them", "say --step-name NAME")
    counts: dict[str, int] = {}
    for event in trace.events:
        counts[event.name] = counts.get(event.name, 0) + 1
    common = sorted(counts, key=lambda name: -counts[name])[:_NAMES_SHOWN]
    got = f"no event {step_name!r}" if step_name else "no step markers"
    hint = f"say --step-name NAME; the commonest events are {', '.join(common)}"
    return refusal(
        trace.path, got, "StepTraceAnnotation (JAX) or ProfilerStep#N (PyTorch) around each step", hint
    )
