"""`dcsim trace import`, `dcsim trace rates` and `dcsim cluster import`: published formats to dcsim's own."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dcsim.workload.readers.servers import ImportedCluster

__all__ = [
    "ClusterFormat",
    "OnBadRows",
    "RateFormat",
    "TraceFormat",
    "import_cluster",
    "import_rates",
    "import_trace",
]


class TraceFormat(StrEnum):
    """Formats of job traces."""

    NATIVE = "native"
    OPENB = "openb"
    PHILLY = "philly"
    SWF = "swf"
    SACCT = "sacct"
    GAVEL = "gavel"
    POLLUX = "pollux"
    KUBERNETES = "kubernetes"


class RateFormat(StrEnum):
    """Formats of measured training rates."""

    GAVEL = "gavel"
    POLLUX = "pollux"


class ClusterFormat(StrEnum):
    """Formats of cluster descriptions."""

    OPENB = "openb"
    KUBERNETES = "kubernetes"
    SLURM = "slurm"


class OnBadRows(StrEnum):
    """What is done with malformed rows."""

    REFUSE = "refuse"
    SKIP = "skip"


InFormat = Annotated[
    TraceFormat,
    typer.Argument(
        metavar="FORMAT", help="native, openb, philly, swf, sacct, gavel, pollux or kubernetes (pods)."
    ),
]
InClusterFormat = Annotated[
    ClusterFormat,
    typer.Argument(metavar="FORMAT", help="openb, kubernetes (nodes) or slurm (topology.conf)."),
]
InRateFormat = Annotated[RateFormat, typer.Argument(metavar="FORMAT", help="gavel or pollux.")]
InFile = Annotated[Path, typer.Argument(metavar="FILE", help="What to read.")]
InRates = Annotated[
    Path,
    typer.Argument(metavar="PATH", help="gavel: the JSON table. pollux: the folder of the applications."),
]
OutJobs = Annotated[Path, typer.Option(metavar="FILE", help="jobs.parquet or jobs.csv to write.")]
OutRates = Annotated[Path, typer.Option(metavar="FILE", help="rates.json to write.")]
OutCluster = Annotated[Path, typer.Option(metavar="FILE", help="cluster.yaml to write.")]
OnBad = Annotated[
    OnBadRows,
    typer.Option(
        "--on-bad",
        metavar="refuse|skip",
        help="Malformed rows: refuse the file and name them, or leave them out and count them.",
    ),
]
OnlyAccelerators = Annotated[
    bool,
    typer.Option("--only-accelerators", metavar="", help="Leave jobs out that ask for no accelerator."),
]
Accelerators = Annotated[
    list[str] | None,
    typer.Option(
        "--accelerator",
        metavar="LABEL=NAME",
        help="Catalogue name for what the file calls an accelerator (a100=A100-80); give it again for more.",
    ),
]
MeasuredOn = Annotated[
    str | None, typer.Option(metavar="NAME", help="pollux: accelerator measured on; T4 if not given.")
]
AnyLayout = Annotated[
    bool,
    typer.Option(
        "--any-layout",
        metavar="",
        help="gavel: the rates of one server for any layout, as in Gavel's own simulator.",
    ),
]
NodesFile = Annotated[
    Path | None,
    typer.Option("--nodes", metavar="FILE", help="slurm: slurm.conf, or a file with its NodeName= lines."),
]
RackLabel = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="kubernetes: label that names the rack; else one that ends in rack."),
]


def import_trace(
    form: InFormat,
    file: InFile,
    *,
    out: OutJobs = Path("jobs.parquet"),
    on_bad: OnBad = OnBadRows.REFUSE,
    only_accelerators: OnlyAccelerators = False,
    accelerator: Accelerators = None,
) -> None:
    """Turn a trace or log into dcsim's own format.

    Says what had to be changed or left out. Malformed rows are refused, all of them named.
    """
    from dcsim.errors import Problem, TraceError
    from dcsim.workload.readers import read_trace
    from dcsim.workload.readers.native import write_jobs

    names = _accelerator_names(accelerator)
    jobs = read_trace(file, form.value, on_bad=on_bad.value, accelerator_names=names)
    if only_accelerators:
        on_accelerators = jobs.accelerators > 0
        left = int((~on_accelerators).sum())
        if left == len(jobs):
            raise TraceError([Problem(str(file), None, "", "no job on accelerators", "at least one")])
        if left:
            jobs = jobs.take(on_accelerators.nonzero()[0])
            jobs = jobs.with_notes(f"{left} jobs without accelerators are left out")
    write_jobs(jobs, out)
    _say_notes(jobs.notes)
    typer.echo(f"wrote {len(jobs):,} jobs to {out}")


def import_rates(
    form: InRateFormat,
    path: InRates,
    *,
    out: OutRates = Path("rates.json"),
    accelerator: MeasuredOn = None,
    any_layout: AnyLayout = False,
) -> None:
    """Turn published training rates into the rate table that a scenario names with `rates:`.

    The table holds what was measured, with its source and the hashes of the files read.
    """
    from dcsim.workload.rate_table_file import save_rate_table
    from dcsim.workload.readers.gavel import read_gavel_rates
    from dcsim.workload.readers.pollux import read_pollux_rates

    if form is RateFormat.GAVEL:
        if accelerator is not None:
            raise typer.BadParameter("a Gavel table names its accelerators", param_hint="--accelerator")
        table = read_gavel_rates(path, any_layout=any_layout)
    else:
        if any_layout:
            raise typer.BadParameter("only for gavel", param_hint="--any-layout")
        table = read_pollux_rates(path, accelerator=accelerator or "T4")
    digest = save_rate_table(table, out)
    measured = len(table.rates) + len(table.shapes)
    kinds = len(table.names())
    typer.echo(
        f"{kinds:,} kinds of jobs, {measured:,} rates, {len(table.pairs):,} pairs; sha256 {digest[:12]}"
    )
    typer.echo(f"wrote {out}")


def import_cluster(
    form: InClusterFormat,
    file: InFile,
    *,
    out: OutCluster = Path("cluster.yaml"),
    on_bad: OnBad = OnBadRows.REFUSE,
    nodes: NodesFile = None,
    accelerator: Accelerators = None,
    rack_label: RackLabel = None,
) -> None:
    """Turn a list of nodes or a topology into the `cluster:` part of a scenario."""
    import yaml

    from dcsim.results.files import write_atomically

    for given, name, only in (
        (nodes is not None, "--nodes", ClusterFormat.SLURM),
        (rack_label is not None, "--rack-label", ClusterFormat.KUBERNETES),
        (on_bad is OnBadRows.SKIP, "--on-bad", ClusterFormat.KUBERNETES),
    ):
        if given and form is not only:
            raise typer.BadParameter(f"only for {only.value}", param_hint=name)
    names = _accelerator_names(accelerator)
    if names and form is ClusterFormat.OPENB:
        raise typer.BadParameter("openb uses the catalogue's names", param_hint="--accelerator")
    cluster, notes = _cluster_reader(form, on_bad, nodes, rack_label, names)(file)
    text = yaml.safe_dump(
        {"cluster": cluster.model_dump(mode="json", exclude_defaults=True)}, sort_keys=False
    )
    write_atomically(out, text.encode())
    _say_notes(notes)
    servers = sum(rack.count * sum(group.count for group in rack.servers) for rack in cluster.racks)
    typer.echo(f"wrote {servers:,} servers in {len(cluster.racks):,} kinds of rack to {out}")


def _cluster_reader(
    form: ClusterFormat,
    on_bad: OnBadRows,
    nodes: Path | None,
    rack_label: str | None,
    names: dict[str, str],
) -> Callable[[Path], ImportedCluster]:
    """Return what reads a cluster in one of the formats."""
    from dcsim.workload.readers import read_openb_nodes
    from dcsim.workload.readers.kubernetes_nodes import read_kubernetes_nodes
    from dcsim.workload.readers.servers import ImportedCluster
    from dcsim.workload.readers.slurm_topology import read_slurm_cluster

    if form is ClusterFormat.KUBERNETES:
        return lambda file: read_kubernetes_nodes(
            file, on_bad=on_bad.value, accelerator_names=names, rack_label=rack_label
        )
    if form is ClusterFormat.SLURM:
        return lambda file: read_slurm_cluster(file, nodes, accelerator_names=names)
    return lambda file: ImportedCluster(read_openb_nodes(file), ())


def _accelerator_names(given: list[str] | None) -> dict[str, str]:
    """Return label -> catalogue name of `--accelerator LABEL=NAME`.

    Raises:
        typer.BadParameter: Not of that form, a name that no scenario takes, or a label given twice.
    """
    import re

    from dcsim.spec.quantities import NAME_PATTERN

    names: dict[str, str] = {}
    for text in given or ():
        label, equals, name = text.rpartition("=")
        if not equals or not label or not re.match(NAME_PATTERN, name):
            raise typer.BadParameter(f"{text!r} is not LABEL=NAME", param_hint="--accelerator")
        if label.lower() in names:
            raise typer.BadParameter(f"{label!r} is given twice", param_hint="--accelerator")
        names[label.lower()] = name
    return names


def _say_notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        typer.echo(f"note: {note}")
