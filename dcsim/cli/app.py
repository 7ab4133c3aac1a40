"""All commands of `dcsim`, put together."""

from __future__ import annotations

import io
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from dcsim.cli.explain import explain
from dcsim.cli.fleet import check_fleet, compare_fleet, run_fleet
from dcsim.cli.imports import import_cluster, import_rates, import_trace
from dcsim.cli.outcome import CleanGroup
from dcsim.cli.runs import compare, replay, report, run
from dcsim.cli.scenarios import check, schema
from dcsim.cli.show import describe_trace, hardware, policies, show_profile, version

__all__ = ["app", "main"]

app = typer.Typer(
    name="dcsim",
    cls=CleanGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_trace = typer.Typer(help="Read job traces and measured rates.", no_args_is_help=True)
_cluster = typer.Typer(help="Read descriptions of clusters.", no_args_is_help=True)
_profile = typer.Typer(help="Read cost profiles.", no_args_is_help=True)
_fleet = typer.Typer(help="Run several sites with one stream of jobs.", no_args_is_help=True)

_SIMULATE = "Simulate"
_PREPARE = "Prepare"
_LOOK_UP = "Look up"


@app.callback()
def _root(
    *,
    plugins: Annotated[
        bool,
        typer.Option("--plugins", help="Load the policies of installed packages too (this runs their code)."),
    ] = False,
) -> None:
    """Simulate AI data centres: jobs, servers, network, storage, power, cooling and grid."""
    if plugins:
        from dcsim.policies import load_plugins

        load_plugins()


app.command(rich_help_panel=_SIMULATE)(run)
app.command(rich_help_panel=_SIMULATE)(compare)
app.command(rich_help_panel=_SIMULATE)(report)
app.command(rich_help_panel=_SIMULATE)(replay)
app.command(rich_help_panel=_SIMULATE)(explain)
app.add_typer(_fleet, name="fleet", rich_help_panel=_SIMULATE)
app.command(rich_help_panel=_PREPARE)(check)
app.command(rich_help_panel=_PREPARE)(schema)
app.add_typer(_trace, name="trace", rich_help_panel=_PREPARE)
app.add_typer(_cluster, name="cluster", rich_help_panel=_PREPARE)
app.command(rich_help_panel=_LOOK_UP)(hardware)
app.command(rich_help_panel=_LOOK_UP)(policies)
app.add_typer(_profile, name="profile", rich_help_panel=_LOOK_UP)
app.command(rich_help_panel=_LOOK_UP)(version)
_fleet.command("run")(run_fleet)
_fleet.command("compare")(compare_fleet)
_fleet.command("check")(check_fleet)
_trace.command("import")(import_trace)
_trace.command("describe")(describe_trace)
_trace.command("rates")(import_rates)
_cluster.command("import")(import_cluster)
_profile.command("show")(show_profile)


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End on SIGTERM as on Ctrl-C: workers stopped, finished runs kept."""
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line of this process and exit: 0 done, 2 unusable input, 1 failed, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where the shell has closed it
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows ? for ±
    signal.signal(signal.SIGTERM, _as_interrupt)
    app(prog_name="dcsim")
