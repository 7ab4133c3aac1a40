"""Reader of Slurm accounting: what `sacct --parsable2` prints, whatever fields were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.readers.accelerator_names import AcceleratorNames
from dcsim.workload.readers.bounded import decoded, read_bounded
from dcsim.workload.readers.limits import limits_that_hold
from dcsim.workload.readers.rows import OnBad
from dcsim.workload.readers.sacct_rows import Attempt, Dump, JobName, attempt_of, read_dump

__all__ = ["SACCT_COLUMNS", "read_sacct"]

SACCT_COLUMNS: Mapping[str, str] = {
    "JobID, JobIDRaw": "name: 123, a task 123_4 of array 123, a component 123+1; steps (123.batch) are passed over",
    "Submit, Eligible": "arrival: the later of the two; t = 0 at the first",
    "ElapsedRaw, Elapsed": "run time; End - Start where there is neither",
    "Start": "None or Unknown: never started, left out",
    "TimelimitRaw, Timelimit": "wall-time limit; UNLIMITED, Partition_Limit, INVALID: none",
    "ReqTRES, AllocTRES": "cores, memory, GPUs: as asked for, else as got; servers: the larger; GPU type: as asked for",
    "ReqCPUS, AllocCPUS, NCPUS": "cores where TRES say none",
    "ReqMem": "memory where TRES say none",
    "NNodes, AllocNodes, ReqNodes": "servers the gang may span where TRES say none",
    "State": "PENDING and the like are left out; RUNNING runs as long as it had so far",
    "Account, User": "tenant: the first that is not blank",
    "Priority": "priority",
}
"""Fields of sacct that are used, the first of a line that is given; all others are passed over."""

_REPLACED = frozenset({"REQUEUED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL"})
"""States of attempts that a later attempt of the same job may follow."""


def read_sacct(
    path: Path, *, on_bad: OnBad = "refuse", accelerator_names: Mapping[str, str] | None = None
) -> JobTable:
    """Return the jobs of a dump of `sacct --parsable2` (or --parsable), plain or gzipped.

    The first line names the fields, in any order. Steps are passed over; jobs that never started
    are left out; of attempts that were requeued the last one is the job. Tasks of an array share an
    `array`, with the limit of `123_[5-9%2]` where the dump still shows one. Numbers in names are padded
    with zeros, so that jobs of equal arrival go by number.

    Args:
        path: The file.
        on_bad: refuse or skip malformed rows.
        accelerator_names: GPU type -> catalogue name, over what is guessed from it.

    Source: sacct(1) of Slurm 24.05.

    Raises:
        TraceError: No header, or one without the fields needed; every malformed row by line, unless
            `on_bad` is skip.
    """
    dump = read_dump(path, decoded(read_bounded(path), path))
    attempts = [attempt_of(dump, row) for row in range(len(dump.lines))]
    dump.flag_mixed_times()
    jobs = _last_attempts(dump, attempts)
    dump.rows.leave_out(np.array([row not in jobs for row in range(len(attempts))], dtype=bool))
    used = [attempt for row in dump.rows.kept(on_bad).tolist() if (attempt := attempts[row]) is not None]
    arrivals_s = np.array([attempt.arrival_s for attempt in used])
    run_s = np.array([attempt.run_s for attempt in used])
    limit_s, outrun = limits_that_hold(np.array([attempt.limit_s for attempt in used]), run_s)
    names = AcceleratorNames(accelerator_names)
    types = ["|".join(dict.fromkeys(map(names.any_of, attempt.tres.gpu_types))) for attempt in used]
    notes = [
        *dump.notes(float(arrivals_s.min())),
        *([f"sacct: {outrun} jobs outran their limit; they have none"] if outrun else []),
        *names.notes(),
        *dump.rows.skipped(),
    ]
    return job_table(
        job_id=_padded([attempt.job for attempt in used]),
        submit_s=arrivals_s - arrivals_s.min(),
        accelerators=[attempt.tres.gpus for attempt in used],
        max_servers=[attempt.tres.nodes for attempt in used],
        cpu_cores=[attempt.tres.cpu_cores for attempt in used],
        memory_bytes=[attempt.tres.memory_bytes for attempt in used],
        duration_s=run_s,
        time_limit_s=limit_s,
        priority=[attempt.priority for attempt in used],
        tenant=[attempt.tenant for attempt in used],
        accelerator_types=types,
        array=[attempt.job.array for attempt in used],
        array_limit=[dump.array_limits.get(attempt.job.array, 0) for attempt in used],
        notes=tuple(notes),
    )


def _last_attempts(dump: Dump, attempts: Sequence[Attempt | None]) -> set[int]:
    """Return the rows that are jobs; an attempt that another follows is counted, a repeated job flagged."""
    last: dict[JobName, int] = {}
    for row, attempt in enumerate(attempts):
        if attempt is None:
            continue
        earlier = last.get(attempt.job)
        before = None if earlier is None else attempts[earlier]
        if earlier is not None and before is not None and before.state not in _REPLACED:
            expected = "a job once, or again after REQUEUED, PREEMPTED or NODE_FAIL"
            dump.rows.refuse(row, "JobID", repr(dump.rows.texts["JobID"][row]), expected)
            continue
        if earlier is not None:
            dump.count("were requeued: the last attempt is the job", earlier)
        last[attempt.job] = row
    return set(last.values())


def _padded(jobs: Sequence[JobName]) -> list[str]:
    """Return names whose numbers are equally long, so that their order as texts is that of the numbers.

    >>> _padded([JobName(9, 2), JobName(10, 11), JobName(10, None, 1)])
    ['09_02', '10_11', '10+1']
    """
    digits = len(str(max(job.job for job in jobs)))
    tasks = len(str(max(job.task or 0 for job in jobs)))
    return [
        f"{job.job:0{digits}d}"
        + ("" if job.task is None else f"_{job.task:0{tasks}d}")
        + ("" if job.part is None else f"+{job.part}")
        for job in jobs
    ]
