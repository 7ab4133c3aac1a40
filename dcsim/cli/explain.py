"""`dcsim explain`: where the time of one job went, and to whom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.options import AllowFmu, Data, declare_data_folders, noted_data_folders
from dcsim.cli.runs import RunFolder
from dcsim.cli.tables import print_table

if TYPE_CHECKING:
    from dcsim.study import Explanation

__all__ = ["CAUSES", "explain"]

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job, as in jobs.parquet.")]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print the same as JSON, in SI units.")]

CAUSES = {
    "queue": "queueing",
    "wake": "waking servers",
    "compute": "compute",
    "throttled": "throttling (power cap)",
    "communication": "exposed communication",
    "network_stall": "shared links",
    "data_stall": "data stalls",
    "neighbour_stall": "neighbours on the device",
    "checkpoint": "checkpoints",
    "restore": "restores",
    "redone": "redone work",
    "idle": "idle (done with its round)",
}
"""What a row of the table is called, by its column in jobs.parquet without the unit."""


def explain(
    job: JobId,
    run_dir: RunFolder,
    *,
    as_json: AsJson = False,
    data: Data = None,
    allow_fmu: AllowFmu = False,
) -> None:
    """Say where the time of one job went, cause by cause, and to whom.

    Where links held it back, the run is simulated again to see which, and who else was on them.
    """
    from dcsim.results.canonical import pretty_json
    from dcsim.study import explain as explain_job

    declare_data_folders(data)
    declare_data_folders(noted_data_folders(run_dir))
    found = explain_job(run_dir, job, allow_fmu=allow_fmu)
    if as_json:
        typer.echo(pretty_json(found.as_json()), nl=False)
        return
    _print_causes(found)
    _print_queue(found)
    _print_links(found)
    if found.note:
        typer.echo(f"note: {found.note}")


def _print_causes(found: Explanation) -> None:
    whose = f"{found.job_id} of {found.tenant}" if found.tenant else found.job_id
    until = "from submission to end" if found.status == "completed" else f"so far ({found.status})"
    rows = [[CAUSES[part.cause], _duration(part.time_s), _percent(part.fraction)] for part in found.spent]
    rows.append([until, _duration(found.time_s), _percent(sum(part.fraction for part in found.spent))])
    print_table(f"{whose}: where its time went", ["cause", ">time", ">share"], rows)


def _print_queue(found: Explanation) -> None:
    if found.not_eligible_s > 0.0:
        typer.echo(f"Not yet allowed to start: {_duration(found.not_eligible_s)} of the queueing\n")
    if not found.held_by_jobs:
        return
    rows = [
        [_job(share.job_id, share.jobs), share.tenant, _duration(share.amount_s), _percent(share.fraction)]
        for share in found.held_by_jobs
    ]
    columns = ["job", "tenant", ">accelerator time", ">share"]
    print_table("Who held accelerators while it waited", columns, rows)
    if len(found.held_by_tenants) > 1:
        rows = [
            [
                share.tenant or "(none)" if share.jobs else "",
                f"{share.jobs:,}",
                _duration(share.amount_s),
                _percent(share.fraction),
            ]
            for share in found.held_by_tenants
        ]
        print_table("The same by tenant", ["tenant", ">jobs", ">accelerator time", ">share"], rows)


def _print_links(found: Explanation) -> None:
    kinds = {"network": "exchange", "data": "input"}
    rows = []
    for loss in found.links or ():
        rows.append([loss.link, kinds[loss.kind], _duration(loss.lost_s), "", "", ""])
        rows += [
            [
                "",
                "",
                _duration(share.amount_s),
                _job(share.job_id, share.jobs),
                share.tenant,
                _percent(share.fraction),
            ]
            for share in loss.others
        ]
        if not loss.others:
            rows.append(["", "", "", "(nobody else)", "", ""])
    if rows:
        columns = ["link", "held back", ">lost", "to", "tenant", ">share"]
        print_table("Which links held it back, and who else was on them", columns, rows)


def _job(job_id: str, jobs: int) -> str:
    """Name a job, several together, or nobody.

    >>> _job("a", 1), _job("", 3), _job("", 0)
    ('a', '(3 others)', '(no job)')
    """
    if job_id or jobs == 1:
        return job_id
    return f"({jobs:,} others)" if jobs else "(no job)"


def _duration(seconds: float) -> str:
    from dcsim.units import Quantity, format_quantity

    return format_quantity(seconds, Quantity.DURATION)


def _percent(fraction: float) -> str:
    """Return a share for people.

    >>> _percent(0.1234), _percent(float("nan"))
    ('12.3 %', 'n/a')
    """
    return "n/a" if math.isnan(fraction) else f"{100.0 * fraction:.1f} %"
