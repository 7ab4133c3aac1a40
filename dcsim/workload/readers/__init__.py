"""Readers of job traces, one file a format; `read_trace` picks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from dcsim.errors import Problem, TraceError
from dcsim.workload.jobs import JobTable
from dcsim.workload.readers.native import read_native, write_jobs
from dcsim.workload.readers.openb import read_openb, read_openb_nodes
from dcsim.workload.readers.philly import read_philly

__all__ = [
    "TRACE_FORMATS",
    "TraceFormatName",
    "read_native",
    "read_openb",
    "read_openb_nodes",
    "read_philly",
    "read_trace",
    "write_jobs",
]

TraceFormatName = Literal["native", "openb", "philly", "swf", "sacct", "gavel", "pollux", "kubernetes"]

TRACE_FORMATS: tuple[TraceFormatName, ...] = get_args(TraceFormatName)
"""Names that `read_trace` knows."""

_WITH_TYPES = ("sacct", "kubernetes")
"""Formats whose names of accelerators are other than the catalogue's."""


def read_trace(
    path: Path,
    trace_format: TraceFormatName,
    *,
    on_bad: Literal["refuse", "skip"] = "refuse",
    accelerator_names: Mapping[str, str] | None = None,
) -> JobTable:
    """Return the jobs of a trace file in one of the known formats.

    Args:
        path: The file; swf, sacct, gavel and kubernetes may be gzipped.
        trace_format: native (dcsim's own CSV or Parquet), openb (Alibaba 2023), philly (Microsoft 2017),
            swf (Parallel Workloads Archive), sacct (Slurm accounting), gavel and pollux (the traces of those
            papers) or kubernetes (kubectl get pods).
        on_bad: refuse raises with every malformed row; skip leaves them out and says so in the notes.
        accelerator_names: For sacct and kubernetes, what they call an accelerator -> catalogue name.

    Raises:
        TraceError: With every problem of the file, by line.
    """
    if accelerator_names and trace_format not in _WITH_TYPES:
        expected = f"{' or '.join(_WITH_TYPES)}, whose accelerators have other names"
        raise TraceError([Problem(str(path), None, "accelerator_names", trace_format, expected)])
    return _reader(trace_format, accelerator_names)(path, on_bad=on_bad)


def _reader(trace_format: TraceFormatName, names: Mapping[str, str] | None) -> Callable[..., JobTable]:
    """Return the reader of a format; those that few need are imported when asked for."""
    if trace_format == "swf":
        from dcsim.workload.readers.swf import read_swf

        return read_swf
    if trace_format == "sacct":
        from dcsim.workload.readers.sacct import read_sacct

        return partial(read_sacct, accelerator_names=names)
    if trace_format == "gavel":
        from dcsim.workload.readers.gavel import read_gavel

        return read_gavel
    if trace_format == "pollux":
        from dcsim.workload.readers.pollux import read_pollux

        return read_pollux
    if trace_format == "kubernetes":
        from dcsim.workload.readers.kubernetes_pods import read_kubernetes_pods

        return partial(read_kubernetes_pods, accelerator_names=names)
    return {"native": read_native, "openb": read_openb, "philly": read_philly}[trace_format]
