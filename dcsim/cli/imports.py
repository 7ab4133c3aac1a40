"""`dcsim trace import` and `dcsim cluster import`: published formats to dcsim's own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ClusterFormat", "TraceFormat", "import_cluster", "import_trace"]


class TraceFormat(StrEnum):
    """Formats of job traces."""

    NATIVE = "native"
    OPENB = "openb"
    PHILLY = "philly"


class ClusterFormat(StrEnum):
    """Formats of cluster descriptions."""

    OPENB = "openb"


InFormat = Annotated[TraceFormat, typer.Argument(metavar="FORMAT", help="native, openb or philly.")]
InClusterFormat = Annotated[ClusterFormat, typer.Argument(metavar="FORMAT", help="openb.")]
InFile = Annotated[Path, typer.Argument(metavar="FILE", help="What to read.")]
OutJobs = Annotated[Path, typer.Option(metavar="FILE", help="jobs.parquet or jobs.csv to write.")]
SkipBadRows = Annotated[
    bool, typer.Option("--skip-bad-rows", metavar="", help="Leave malformed rows out and count them.")
]
OutCluster = Annotated[Path, typer.Option(metavar="FILE", help="cluster.yaml to write.")]


def import_trace(
    form: InFormat, file: InFile, *, out: OutJobs = Path("jobs.parquet"), skip_bad_rows: SkipBadRows = False
) -> None:
    """Turn a published trace into dcsim's own format.

    Says what had to be changed or left out. Malformed rows are refused, all of them named.
    """
    from dcsim.workload.readers import read_trace
    from dcsim.workload.readers.native import write_jobs

    jobs = read_trace(file, form.value, on_bad="skip" if skip_bad_rows else "refuse")
    write_jobs(jobs, out)
    for note in jobs.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"wrote {len(jobs):,} jobs to {out}")


def import_cluster(form: InClusterFormat, file: InFile, *, out: OutCluster = Path("cluster.yaml")) -> None:
    """Turn a published list of nodes into the `cluster:` part of a scenario."""
    import yaml

    from dcsim.results.files import write_atomically
    from dcsim.workload.readers.openb import read_openb_nodes

    readers = {ClusterFormat.OPENB: read_openb_nodes}
    cluster = readers[form](file)
    text = yaml.safe_dump(
        {"cluster": cluster.model_dump(mode="json", exclude_defaults=True)}, sort_keys=False
    )
    write_atomically(out, text.encode())
    servers = sum(rack.count * sum(group.count for group in rack.servers) for rack in cluster.racks)
    typer.echo(f"wrote {servers:,} servers in {len(cluster.racks):,} kinds of rack to {out}")
