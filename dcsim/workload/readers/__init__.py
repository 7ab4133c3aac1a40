"""Readers of job traces, one file a format; `read_trace` picks by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dcsim.workload.jobs import JobTable
from dcsim.workload.readers.native import read_native, write_jobs
from dcsim.workload.readers.openb import read_openb, read_openb_nodes
from dcsim.workload.readers.philly import read_philly

__all__ = ["read_native", "read_openb", "read_openb_nodes", "read_philly", "read_trace", "write_jobs"]


def read_trace(
    path: Path,
    trace_format: Literal["native", "openb", "philly"],
    *,
    on_bad: Literal["refuse", "skip"] = "refuse",
) -> JobTable:
    """Return the jobs of a trace file in one of the known formats.

    Args:
        path: The file.
        trace_format: native (dcsim's own CSV or Parquet), openb (Alibaba 2023) or philly (Microsoft 2017).
        on_bad: refuse raises with every malformed row; skip leaves them out and says so in the notes.

    Raises:
        TraceError: With every problem of the file, by line.
    """
    reader = {"native": read_native, "openb": read_openb, "philly": read_philly}[trace_format]
    return reader(path, on_bad=on_bad)
