"""Reader of the Standard Workload Format (.swf, .swf.gz) of the Parallel Workloads Archive."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, TraceError
from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.readers.bounded import decoded, numbered_lines, read_bounded
from dcsim.workload.readers.columns import rows_of_columns
from dcsim.workload.readers.limits import limits_that_hold
from dcsim.workload.readers.rows import Field, OnBad, Rows

__all__ = ["SWF_FIELDS", "read_swf"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_KIB = 2.0**10
_TIME_MAX_S = 1e10
_WIDTH_MAX = 1e6
_CANCELLED = 5
_BURSTS = (2, 3, 4)
"""Status of a line that tells of one part of a job which its own line sums up."""

SWF_FIELDS = (
    Field("job_number", "whole", "", "becomes the job's name, padded with zeros", high=1e15),
    Field("submit_s", "number", "s", "becomes the arrival; t = 0 at the first", high=_TIME_MAX_S),
    Field("wait_s", "number", "s", "not used: the simulator finds its own", low=-_TIME_MAX_S),
    Field(
        "run_s", "number", "s", "run time; -1 only where status is 5 (cancelled)", low=-1, high=_TIME_MAX_S
    ),
    Field("allocated", "whole", "", "gang width where field 8 is -1", low=-1, high=_WIDTH_MAX),
    Field("cpu_s", "number", "s", "not used", low=-1),
    Field("used_memory_kib", "number", "KiB", "a processor; where field 10 is -1", low=-1, high=1e15),
    Field("requested", "whole", "", "gang width, one processor = one accelerator", low=-1, high=_WIDTH_MAX),
    Field("requested_s", "number", "s", "wall-time limit; -1: none", low=-1, high=_TIME_MAX_S),
    Field("requested_memory_kib", "number", "KiB", "a processor", low=-1, high=1e15),
    Field("status", "whole", "", "5: cancelled; 2 to 4: part of another line", low=-1, high=5),
    Field("user", "whole", "", "becomes the tenant, user-N; -1: default", low=-1, high=1e15),
    Field("group", "whole", "", "not used", low=-1, high=1e15),
    Field("executable", "whole", "", "not used", low=-1, high=1e15),
    Field("queue", "whole", "", "not used", low=-1, high=1e15),
    Field("partition", "whole", "", "not used", low=-1, high=1e15),
    Field("preceding", "whole", "", "job waited for; -1: none", low=-1, high=1e15),
    Field("think_s", "number", "s", "not used", low=-1, high=_TIME_MAX_S),
)

_HEADER = re.compile(r";\s*(Computer|Installation|MaxProcs|MaxNodes|UnixStartTime|TimeZoneString)\s*:\s*(.*)")


def read_swf(path: Path, *, on_bad: OnBad = "refuse") -> JobTable:
    """Return the jobs of a Standard Workload Format file, plain or gzipped.

    One processor is taken as one accelerator, on any number of servers. Width = processors asked
    for, else allocated; run time is field 4; the limit is the time asked for, none
    where a job outran it; fields 17 become dependencies. Cancelled jobs that never ran, and lines
    that tell of parts of a job, are left out and counted. Comments may be Latin-1.

    Source: Chapin et al., Benchmarks and Standards for the Evaluation of Parallel Job Schedulers
    (JSSPP 1999); D. Feitelson, The Standard Workload Format, version 2.2.

    Raises:
        TraceError: With every malformed row by line, unless `on_bad` is skip.
    """
    text = decoded(read_bounded(path), path, latin_1=True)
    header, rows = _parse(path, text)
    n = rows.numbers
    bursts = np.isin(n["status"], _BURSTS)
    never_ran = ~bursts & (n["status"] == _CANCELLED) & (n["run_s"] <= 0)
    used = ~bursts & ~never_ran
    width = np.where(n["requested"] > 0, n["requested"], n["allocated"])
    _flag(rows, used, width)
    rows.leave_out(~used)
    kept = rows.kept(on_bad)
    digits = len(f"{n['job_number'][kept].max():.0f}")
    names = {number: f"{number:0{digits}.0f}" for number in n["job_number"][kept].tolist()}
    after, lost = _dependencies(n, kept, names)
    run_s = n["run_s"][kept]
    limit_s, outrun = limits_that_hold(n["requested_s"][kept], run_s)
    submit_s = n["submit_s"][kept]
    each_kib = np.where(n["requested_memory_kib"] > 0, n["requested_memory_kib"], n["used_memory_kib"])[kept]
    notes = [
        *header,
        f"swf: one processor is one accelerator; t = 0 is submit time {submit_s.min():.15g} s",
        *_counts(
            rows, {"jobs were cancelled before they ran": never_ran, "lines tell of parts of jobs": bursts}
        ),
        *([f"swf: {lost} jobs follow a job that is not in the trace: they wait for nobody"] if lost else []),
        *([f"swf: {outrun} jobs outran the time they asked for; they have none"] if outrun else []),
        *rows.skipped(),
    ]
    return job_table(
        job_id=list(names.values()),
        submit_s=submit_s - submit_s.min(),
        accelerators=width[kept],
        memory_bytes=np.maximum(each_kib, 0.0) * _KIB * width[kept],
        duration_s=run_s,
        time_limit_s=limit_s,
        tenant=[f"user-{user:.0f}" if user >= 0 else "default" for user in n["user"][kept]],
        after=after,
        notes=tuple(notes),
    )


def _parse(path: Path, text: str) -> tuple[list[str], Rows]:
    """Return the notes on the header, and the rows of a file."""
    header: list[str] = []
    lines: list[int] = []
    found: list[list[str]] = []
    problems: list[Problem] = []
    dropped: list[int] = []
    for number, line in numbered_lines(text):
        bare = line.strip()
        if bare.startswith(";"):
            told = _HEADER.match(bare)
            if told and told[2]:
                header.append(f"swf: {told[1]}: {told[2][:200]}")
            continue
        if not bare:
            continue
        values = bare.split()
        if len(values) != len(SWF_FIELDS):
            hint = "is it another format?" if not lines else "a line cut short?"
            expected = f"{len(SWF_FIELDS)} fields"
            problems.append(Problem(str(path), number, "", f"{len(values)} fields", expected, hint))
            dropped.append(number)
            continue
        lines.append(number)
        found.append(values)
    if not lines:
        if not problems:
            problems = [Problem(str(path), None, "", "no jobs", f"lines of {len(SWF_FIELDS)} fields")]
        raise TraceError(problems[:10])
    names = [column.name for column in SWF_FIELDS]
    columns = dict(zip(names, zip(*found, strict=True), strict=True))
    rows = rows_of_columns(path, lines, columns, SWF_FIELDS)
    rows.problems += problems
    rows.dropped += dropped
    return header, rows


def _flag(rows: Rows, used: Bools, width: Floats) -> None:
    """Flag jobs that say too little, or twice."""
    n = rows.numbers
    rows.flag(used & (n["run_s"] < 0), "run_s", "a run time >= 0 where status is not 5 (cancelled)")
    rows.flag(used & (width <= 0), "requested", "processors in field 8 or 5")
    seen: set[float] = set()
    repeated = np.zeros(len(rows), dtype=bool)
    for row in np.flatnonzero(used).tolist():
        number = float(n["job_number"][row])
        repeated[row] = number in seen
        seen.add(number)
    rows.flag(repeated, "job_number", "a number used once in the file")
    circular = used & (n["preceding"] >= 0) & (n["preceding"] >= n["job_number"])
    rows.flag(circular, "preceding", "the number of an earlier job, or -1")


def _dependencies(
    n: dict[str, Floats], kept: npt.NDArray[np.int64], names: dict[float, str]
) -> tuple[dict[str, tuple[str, ...]], int]:
    """Return job -> the one it waits for, and how many follow a job that is not there."""
    after: dict[str, tuple[str, ...]] = {}
    lost = 0
    for row in kept[n["preceding"][kept] >= 0].tolist():
        before = names.get(float(n["preceding"][row]))
        if before is None:
            lost += 1
        else:
            after[names[float(n["job_number"][row])]] = (before,)
    return after, lost


def _counts(rows: Rows, masks: dict[str, Bools]) -> Iterator[str]:
    """Yield a note on each kind of row that is left out."""
    for words, mask in masks.items():
        if mask.any():
            yield f"swf: {rows.where(mask)} {words} and are left out"
