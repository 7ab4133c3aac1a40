"""Lines of a sacct dump: the header, the fields of each line, and the attempt to run a job that a line tells of."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcsim.errors import Problem, TraceError
from dcsim.spec.names import nearest
from dcsim.workload.readers.bounded import numbered_lines
from dcsim.workload.readers.rows import Rows
from dcsim.workload.readers.slurm_values import (
    Tres,
    parse_duration_s,
    parse_memory_bytes,
    parse_stamp_s,
    parse_tres,
)

__all__ = ["Attempt", "Dump", "JobName", "attempt_of", "read_dump"]

_NAMES = (
    *("JobID", "JobIDRaw", "Submit", "Eligible", "Start", "End", "Elapsed", "ElapsedRaw", "Timelimit"),
    *("TimelimitRaw", "ReqTRES", "AllocTRES", "ReqCPUS", "AllocCPUS", "NCPUS", "ReqMem", "NNodes"),
    *("AllocNodes", "ReqNodes", "State", "Account", "User", "Priority"),
)
_NEEDED = {
    "JobID": ("JobID", "JobIDRaw"),
    "Submit": ("Submit", "Eligible"),
    "Elapsed": ("Elapsed", "ElapsedRaw", "End"),
    "ReqTRES": ("ReqTRES", "AllocTRES", "ReqCPUS", "AllocCPUS", "NCPUS"),
}
_JOB = re.compile(
    r"(?P<job>\d{1,18})(?:_(?:(?P<task>\d{1,10})|\[(?P<tasks>[\d,:\-]+)(?:%(?P<limit>\d{1,9}))?[\d,.\-]*\]))?"
    r"(?:\+(?P<part>\d{1,6}))?(?P<step>\..+)?\Z",
    re.ASCII,
)
_PARTS = re.compile(r"gres/(?:shard|mps)\b")
_STATES = frozenset(
    (
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "COMPLETING", "CONFIGURING", "DEADLINE", "FAILED"),
        *("LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PENDING", "PREEMPTED", "RECONFIG_FAIL"),
        *("REQUEUED", "RESIZING", "REVOKED", "RUNNING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT"),
        *("STOPPED", "SUSPENDED", "TIMEOUT"),
    )
)
_UNFINISHED = frozenset(
    {"RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING"}
)
_RUN_MAX_S = 1e10
_COUNT_MAX = 1_000_000


class JobName(NamedTuple):
    """The parts of a Slurm job id."""

    job: int
    task: int | None = None
    part: int | None = None

    @property
    def array(self) -> str:
        """The array that a task belongs to, or ""."""
        return "" if self.task is None else str(self.job)


class Attempt(NamedTuple):
    """One attempt to run a job."""

    job: JobName
    arrival_s: float
    run_s: float
    limit_s: float
    tres: Tres
    priority: float
    tenant: str
    state: str


@dataclass
class Dump:
    """The lines of one dump that tell of jobs, and what else is in it."""

    rows: Rows
    records: list[dict[str, str]]
    lines: list[int]
    steps: int = 0
    counts: dict[str, list[int]] = field(default_factory=dict)
    """What a line was left out or taken for -> its lines."""
    array_limits: dict[str, int] = field(default_factory=dict)
    with_offset: list[int] = field(default_factory=list)
    """Rows whose times say how far they are from UTC."""
    without_offset: list[int] = field(default_factory=list)

    def count(self, words: str, row: int) -> None:
        """Count one line of a kind that the notes tell of."""
        self.counts.setdefault(words, []).append(self.lines[row])

    def flag_mixed_times(self) -> None:
        """Flag the rows whose times have an offset where most have none, or the other way round."""
        if self.with_offset and self.without_offset:
            fewer = min(self.with_offset, self.without_offset, key=len)
            hint = "is this two dumps in one file?"
            for row in dict.fromkeys(fewer):
                got = repr(self.records[row].get("Submit", ""))
                self.rows.refuse(row, "Submit", got, "times that all have an offset, or all none", hint)

    def notes(self, first_s: float) -> Iterator[str]:
        """Yield what was assumed, given the arrival at t = 0 [s since 1970]."""
        first = datetime.fromtimestamp(first_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        if self.without_offset:
            yield f"sacct: times are local without offset and taken as given; t = 0 is {first}"
        else:
            yield f"sacct: t = 0 is {first} UTC"
        if self.steps:
            yield f"sacct: {self.steps} lines tell of steps of jobs and are passed over"
        for words, lines in self.counts.items():
            shown = ", ".join(map(str, lines[:10])) + (
                f" and {len(lines) - 10} more" if len(lines) > 10 else ""
            )
            yield f"sacct: {len(lines)} (line{'s' if len(lines) > 1 else ''} {shown}) {words}"


def read_dump(path: Path, text: str) -> Dump:
    """Return the lines of a dump that tell of jobs, steps passed over.

    Raises:
        TraceError: No line, no header, or a header without the fields needed.
    """
    numbered = ((number, line) for number, line in numbered_lines(text) if line.strip())
    first, header_line = next(numbered, (0, ""))
    if not first:
        raise TraceError([Problem(str(path), None, "", "an empty file", "a header and at least one job")])
    header = _header(path, first, header_line)
    lines: list[int] = []
    records: list[dict[str, str]] = []
    rows = Rows(path, {}, {"JobID": []}, lambda: np.array(lines, dtype=np.int64))
    dump = Dump(rows, records, lines)
    name = "JobID" if "JobID" in header else "JobIDRaw"
    place = header.index(name)
    for number, line in numbered:
        values = line.split("|")
        if len(values) == len(header) + 1 and not values[-1]:  # --parsable ends each line with a bar
            values.pop()
        if len(values) != len(header):
            hint = "a bar or a line break in a field? leave JobName, Comment and SubmitLine out of --format"
            expected = f"{len(header)} fields as in the header"
            rows.problems.append(Problem(str(path), number, "", f"{len(values)} fields", expected, hint))
            rows.dropped.append(number)
            continue
        if "." in values[place]:
            dump.steps += 1
            continue
        lines.append(number)
        records.append(dict(zip(header, (value.strip() for value in values), strict=True)))
        rows.texts["JobID"].append(values[place])
    if not lines:
        raise TraceError([*rows.problems[:10], Problem(str(path), None, "", "no jobs", "at least one line")])
    return dump


def attempt_of(dump: Dump, row: int) -> Attempt | None:
    """Return what a row tells of, or None where it is malformed or tells of no run.

    A malformed row is flagged, and one without a run counted, in `dump`.
    """
    read = _Reader(dump, row)
    job = read.job()
    state = None if job is None else read.state()
    if job is None or state is None:
        return None
    run_s = read.run_s(state)
    if run_s is None:
        return None
    arrival_s, limit_s, tres = read.arrival_s(), read.limit_s(), read.tres()
    priority = read.priority()
    if row in dump.rows.bad:
        return None
    if state in _UNFINISHED:
        dump.count("had not ended: they run as long as they had run so far", row)
    record = dump.records[row]
    tenant = record.get("Account") or record.get("User") or "default"
    return Attempt(job, arrival_s, run_s, limit_s, tres, priority, tenant, state)


@dataclass(frozen=True, slots=True)
class _Reader:
    """The fields of one row; what is malformed is flagged."""

    dump: Dump
    row: int

    def text(self, *names: str) -> str:
        """Return the first of some fields that is there and not blank."""
        record = self.dump.records[self.row]
        return next((record[name] for name in names if record.get(name)), "")

    def refuse(self, column: str, expected: str, hint: str = "") -> None:
        got = repr(self.dump.records[self.row].get(column, "")[:80])
        self.dump.rows.refuse(self.row, column, got, expected, hint)

    def job(self) -> JobName | None:
        column = "JobID" if "JobID" in self.dump.records[self.row] else "JobIDRaw"
        found = _JOB.match(self.text(column))
        if found is None:
            self.refuse(column, "a job id such as 123, 123_4, 123_[5-9%2] or 123+1")
            return None
        if found["tasks"]:
            if found["limit"]:
                self.dump.array_limits[str(int(found["job"]))] = int(found["limit"])
            self.dump.count("tell of tasks of an array that had not started, and are left out", self.row)
            return None
        parts = [None if found[name] is None else int(found[name]) for name in ("task", "part")]
        return JobName(int(found["job"]), *parts)

    def state(self) -> str | None:
        """Return the state, COMPLETED where the dump has none; None for a row of no run."""
        text = self.text("State")
        words = text.split()
        state = words[0].rstrip("+") if words else "COMPLETED"
        if state not in _STATES:
            self.refuse("State", "a state of Slurm jobs", nearest(state, _STATES))
            return None
        if state in {"PENDING", "CONFIGURING", "REVOKED"}:
            self.dump.count("had not started, and are left out", self.row)
            return None
        return state

    def run_s(self, state: str) -> float | None:
        """Return the run time, or None where the job never started or its time is malformed."""
        start, end, elapsed = self.stamp("Start"), self.stamp("End"), self.elapsed()
        if start is None or end is None or elapsed is None:
            return None
        started = not ("Start" in self.dump.records[self.row] and math.isnan(start))
        if (not started and not elapsed > 0) or (state == "CANCELLED" and elapsed == 0):
            self.dump.count("never started, and are left out", self.row)
            return None
        if not math.isnan(elapsed):
            if abs(end - start - elapsed) > 1.0:
                words = "ran for other than End - Start (suspended, or clocks changed): Elapsed holds"
                self.dump.count(words, self.row)
            return elapsed
        if end >= start:
            return end - start
        hint = "a change of clocks? ask sacct for Elapsed" if end < start else ""
        column = "Elapsed" if self.text("Elapsed") else "End"
        self.refuse(column, "a run time: Elapsed, or an End not before Start", hint)
        return None

    def elapsed(self) -> float | None:
        """Return the run time that the dump gives, NaN where it gives none, None where it is malformed."""
        raw = self.text("ElapsedRaw")
        if raw and not (raw.isascii() and raw.isdigit() and len(raw) <= 10):
            self.refuse("ElapsedRaw", "whole seconds")
            return None
        elapsed = float(raw) if raw else self.duration("Elapsed")
        if elapsed is not None and elapsed > _RUN_MAX_S:
            self.refuse("Elapsed", f"at most {_RUN_MAX_S:g} s")
            return None
        return elapsed

    def arrival_s(self) -> float:
        """Return when the job could first have started."""
        submit, eligible = self.stamp("Submit"), self.stamp("Eligible")
        if submit is None or eligible is None:
            return math.nan
        if math.isnan(submit) and math.isnan(eligible):
            column = "Submit" if "Submit" in self.dump.records[self.row] else "Eligible"
            self.refuse(column, "a time, as 2024-05-01T12:30:00")
            return math.nan
        if eligible > submit:
            self.dump.count("could start only after their submission: they arrive when eligible", self.row)
        return (
            max(submit, eligible)
            if not math.isnan(submit + eligible)
            else min(submit, eligible, key=math.isnan)
        )

    def limit_s(self) -> float:
        """Return the wall-time limit, NaN for none."""
        raw = self.text("TimelimitRaw")
        if raw.isascii() and raw.isdigit() and len(raw) <= 9:
            return 60.0 * int(raw)
        limit = self.duration("Timelimit")
        return math.nan if limit is None else limit

    def tres(self) -> Tres:
        """Return what the job asked for, else what it got."""
        asked, got = self.resources("ReqTRES"), self.resources("AllocTRES")
        if _PARTS.search(self.text("ReqTRES", "AllocTRES")):
            self.dump.count("ask for parts of GPUs (gres/shard, gres/mps), which are passed over", self.row)
        cores = asked.cpu_cores or got.cpu_cores or self.whole("ReqCPUS", "AllocCPUS", "NCPUS")
        memory = asked.memory_bytes or got.memory_bytes or self.memory(cores)
        nodes = max(asked.nodes, got.nodes) or self.whole("NNodes", "AllocNodes", "ReqNodes")
        gpus = asked.gpus or got.gpus
        if max(gpus, nodes, cores) > _COUNT_MAX:
            self.refuse("ReqTRES", f"at most {_COUNT_MAX:,} of each resource")
        if not gpus and not cores:
            self.refuse(
                "ReqTRES" if "ReqTRES" in self.dump.records[self.row] else "AllocTRES", "cpu= or gres/gpu="
            )
        return Tres(float(cores), memory, nodes, gpus, asked.gpu_types if asked.gpus else ())

    def resources(self, column: str) -> Tres:
        try:
            return parse_tres(self.text(column))
        except ValueError:
            self.refuse(column, "entries such as cpu=8,mem=64G,node=2,gres/gpu:a100=4")
            return Tres()

    def memory(self, cores: float) -> float:
        """Return ReqMem; a trailing c is for each core, a trailing n for each node."""
        text = self.text("ReqMem")
        try:
            each = parse_memory_bytes(text) if text else 0.0
        except ValueError:
            self.refuse("ReqMem", "a size such as 64G")
            return 0.0
        times = (
            cores if text.endswith("c") else self.whole("NNodes", "AllocNodes") if text.endswith("n") else 1
        )
        return each * max(1, times)

    def whole(self, *columns: str) -> int:
        text = self.text(*columns)
        if not text:
            return 0
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            self.refuse(next(c for c in columns if self.text(c) == text), "a whole number")
            return 0
        return int(text)

    def priority(self) -> float:
        text = self.text("Priority")
        if not text:
            return 0.0
        if not re.fullmatch(r"\d{1,15}(\.\d+)?", text, re.ASCII):
            self.refuse("Priority", "a number >= 0")
            return 0.0
        return float(text)

    def stamp(self, column: str) -> float | None:
        """Return a time [s since 1970], NaN where there is none, None where it is malformed."""
        text = self.text(column)
        try:
            seconds, has_offset = parse_stamp_s(text)
        except ValueError:
            self.refuse(column, "a time that exists, as 2024-05-01T12:30:00, or Unknown")
            return None
        if not math.isnan(seconds) and column in {"Submit", "Eligible"}:
            (self.dump.with_offset if has_offset else self.dump.without_offset).append(self.row)
        return seconds

    def duration(self, column: str) -> float | None:
        """Return a duration [s], NaN where there is none, None where it is malformed."""
        try:
            return parse_duration_s(self.text(column))
        except ValueError:
            self.refuse(column, "a duration d-hh:mm:ss")
            return None


def _header(path: Path, number: int, line: str) -> Sequence[str]:
    """Return the names of the fields, spelled as here where they are used."""
    spelled = {name.lower(): name for name in _NAMES}
    names = [name.strip() for name in line.split("|")]
    if len(names) > 1 and not names[-1]:
        names.pop()
    header = [spelled.get(name.lower(), name) for name in names]
    problems = []
    if len(header) < 2:
        hint = "print the dump with sacct --parsable2"
        problems.append(Problem(str(path), number, "", "no '|' in the first line", "a header", hint))
    elif not set(header) & set(_NAMES):
        hint = "leave --noheader out"
        problems.append(
            Problem(str(path), number, "", "no field of sacct in the first line", "a header", hint)
        )
    else:
        repeated = [name for name in dict.fromkeys(header) if header.count(name) > 1]
        problems += [
            Problem(str(path), number, name, "the field more than once", "each field once")
            for name in repeated
        ]
        for name, choices in _NEEDED.items():
            if not set(choices) & set(header):
                expected, hint = " or ".join(choices), f"add {name} to sacct --format"
                problems.append(Problem(str(path), number, name, "no such field", expected, hint))
    if problems:
        raise TraceError(problems)
    return header
