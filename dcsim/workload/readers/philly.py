"""Reader of the Microsoft Philly trace (2017) in its one-row-a-job form."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.readers.rows import Field, OnBad, Rows, read_csv_rows

__all__ = ["PHILLY_FIELDS", "read_philly"]

PHILLY_FIELDS = (
    Field("timestamp", "text", "", "submit time, local and without offset: YYYY-MM-DD HH:MM:SS"),
    Field("duration", "number", "s", "run time"),
    Field("num_gpus", "whole", "", "gang width", high=1e6),
    Field("gpu_time", "number", "s", "duration times width; not used"),
    Field("cluster", "text", "", "virtual cluster; becomes the tenant"),
)

_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\Z", re.ASCII)


def read_philly(path: Path, *, on_bad: OnBad = "refuse") -> JobTable:
    """Return the jobs of a Philly trace (Jeon et al., USENIX ATC 2019), t = 0 at the first submit.

    Gangs may span any number of servers; the trace holds neither cores nor memory nor GPU types.
    Times are taken as they stand: the trace gives no offset, so a clock change inside it is not undone.
    Jobs are named by their row, philly-00001 being the first.

    Raises:
        TraceError: With every malformed row by line, unless `on_bad` is skip.
    """
    rows = read_csv_rows(path, PHILLY_FIELDS)
    stamps = _seconds(rows)
    kept = rows.kept(on_bad)
    stamps = stamps[kept]
    digits = len(str(len(rows)))
    clusters = rows.texts["cluster"]
    names = [f"philly-{row + 1:0{digits}d}" for row in kept.tolist()]
    return job_table(
        job_id=names,
        submit_s=(stamps - stamps.min()).astype(np.float64),
        accelerators=rows.numbers["num_gpus"][kept],
        duration_s=rows.numbers["duration"][kept],
        tenant=[clusters[row] for row in kept.tolist()],
        notes=(*_notes(rows, kept, stamps), *rows.skipped()),
    )


def _seconds(rows: Rows) -> npt.NDArray[np.int64]:
    """Return the submit times (N,) [s]; rows whose stamp is no date are flagged."""
    texts = rows.texts["timestamp"]
    bad = np.array([not _STAMP.match(text) for text in texts], dtype=bool)
    stamps = np.array(
        ["1970-01-01" if wrong else text for text, wrong in zip(texts, bad, strict=True)], dtype="U19"
    )
    try:
        seconds = stamps.astype("datetime64[s]")
    except ValueError:  # some day or hour does not exist: find which
        bad |= np.array([not _exists(text) for text in stamps.tolist()])
        seconds = np.where(bad, "1970-01-01", stamps).astype("datetime64[s]")
    rows.flag(bad, "timestamp", "a date that exists, as YYYY-MM-DD HH:MM:SS without offset")
    return seconds.astype(np.int64)


def _exists(text: str) -> bool:
    """Return whether a stamp names a time that exists."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _notes(rows: Rows, kept: npt.NDArray[np.int64], stamps: npt.NDArray[np.int64]) -> list[str]:
    """Return what the reader assumed, and what is odd in the trace."""
    first = np.datetime64(int(stamps.min()), "s")
    notes = [f"philly: times have no offset and are taken as given; t = 0 is {first}"]
    duration_s, width = rows.numbers["duration"], rows.numbers["num_gpus"]
    inside = np.zeros(len(rows), dtype=bool)
    inside[kept] = True
    odd = {
        "jobs of no run time end as they start": duration_s == 0,
        "jobs without GPU run on CPU only": width == 0,
        "jobs whose gpu_time is not duration times num_gpus keep their duration": ~np.isclose(
            rows.numbers["gpu_time"], duration_s * width, rtol=1e-6, atol=1e-6
        ),
    }
    return notes + [
        f"philly: {rows.where(mask & inside)} {words}" for words, mask in odd.items() if (mask & inside).any()
    ]
