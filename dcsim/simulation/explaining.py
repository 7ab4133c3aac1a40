"""Where the time of one job went, and to whom: from a run's tables, and from watching the run again.

The job table says how many seconds each cause took. Who held the accelerators that a waiting job did not
get is in the log of events. Which links held it back, and who else was on them, changes with every flow and
is kept by nobody: a run is simulated once more with an `Observer` of that one job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.run_result import RunResult
from dcsim.results.schema import TIMES
from dcsim.simulation.gangs import gangs_of

__all__ = ["DATA", "NETWORK", "Explanation", "LinkLoss", "Observer", "Share", "Spent", "explain_run"]

Floats = npt.NDArray[np.float64]
Names = Sequence[str] | npt.NDArray[Any]
Table = Mapping[str, npt.NDArray[Any]]

NETWORK, DATA = "network", "data"
"""What a link held back: the exchange between servers, or the input."""
_SHOWN = 5
"""Jobs that are named; the others are told together."""
_LINKS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of a job's own time that one cause took."""

    cause: str
    """A column of `schema.TIMES` without its unit: queue, compute, network_stall, ..."""
    time_s: float
    fraction: float
    """Of the whole; NaN of nothing."""


@dataclass(frozen=True, slots=True)
class Share:
    """A job's part, or that of several jobs together, in what another one did not get."""

    job_id: str
    """Empty where it stands for several jobs, or for traffic of no job."""
    tenant: str
    """Empty where it stands for those of several."""
    jobs: int
    """How many jobs it stands for; 0: traffic of no job, such as that of a rebuild."""
    amount_s: float
    """Accelerator-seconds held, or seconds lost because of it."""
    fraction: float


@dataclass(frozen=True, slots=True)
class LinkLoss:
    """Seconds that one link cost a job, and who else was on it."""

    kind: str
    """network: its exchange was held back; data: its input."""
    link: str
    lost_s: float
    others: tuple[Share, ...]
    """In proportion to what each put on the link meanwhile, most first; empty: its own traffic alone."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the time of one job went."""

    scenario_name: str
    job_id: str
    tenant: str
    status: str
    """As in the job table: completed, running, waiting, ..."""
    submit_s: float
    time_s: float
    """From its submission to its end, or to the end of the run if it goes on."""
    spent: tuple[Spent, ...]
    """One entry a cause, in the order of `schema.TIMES`; together `time_s`."""
    not_eligible_s: float
    """Part of the time in the queue in which its start was not yet allowed."""
    held_by_jobs: tuple[Share, ...]
    """Accelerators held by others while it waited and might have started: five jobs with most, then the rest."""
    held_by_tenants: tuple[Share, ...]
    links: tuple[LinkLoss, ...] | None
    """The links that held it back, worst first; None: the run was not watched again."""
    note: str
    """Why something is not known; empty if all is."""

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values, units in the names."""
        return {
            "scenario_name": self.scenario_name,
            "job_id": self.job_id,
            "tenant": self.tenant,
            "status": self.status,
            "submit_s": self.submit_s,
            "time_s": self.time_s,
            "spent": [{"cause": s.cause, "time_s": s.time_s, "fraction": s.fraction} for s in self.spent],
            "not_eligible_s": self.not_eligible_s,
            "held_by_jobs": [_share_json(share, "accelerator_s") for share in self.held_by_jobs],
            "held_by_tenants": [_share_json(share, "accelerator_s") for share in self.held_by_tenants],
            "links": None if self.links is None else [_link_json(link) for link in self.links],
            "note": self.note,
        }


def _share_json(share: Share, amount: str) -> dict[str, Any]:
    return {
        "job_id": share.job_id,
        "tenant": share.tenant,
        "jobs": share.jobs,
        amount: share.amount_s,
        "fraction": share.fraction,
    }


def _link_json(loss: LinkLoss) -> dict[str, Any]:
    others = [_share_json(share, "lost_s") for share in loss.others]
    return {"link": loss.link, "kind": loss.kind, "lost_s": loss.lost_s, "others": others}


@dataclass
class Observer:
    """Watches what holds one job back while a run is simulated.

    >>> observer = Observer(0, link_names=["up", "down"])
    >>> observer.held_back(0.0, 8.0, NETWORK, 1, 4.0, [(3, 0.5), (7, 0.25)])
    >>> [(loss.link, loss.lost_s, loss.others) for loss in observer.losses(["a"] * 8, [""] * 8)][0][:2]
    ('down', 4.0)
    """

    job_row: int
    """Row of the job table of the job to watch."""
    link_names: Sequence[str] = ()
    """Whoever runs the jobs sets it."""
    _lost_s: dict[tuple[str, int], float] = field(default_factory=dict)
    _by: dict[tuple[str, int], dict[int, float]] = field(default_factory=dict)

    def held_back(
        self,
        time_s: float,
        elapsed_s: float,
        kind: str,
        link: int,
        lost_s: float,
        others: Sequence[tuple[int, float]],
    ) -> None:
        """Take note that a link held the job back for a while.

        Args:
            time_s: since when, in s.
            elapsed_s: how long, in s.
            kind: `NETWORK` or `DATA`.
            link: the bottleneck.
            lost_s: seconds more than at its own rate; at most `elapsed_s`.
            others: (job row, part of the link's load) of everybody else on it; row -1: nobody's traffic.
        """
        key = (kind, link)
        self._lost_s[key] = self._lost_s.get(key, 0.0) + lost_s
        load = math.fsum(part for _, part in others)
        if load <= 0.0:
            return
        by = self._by.setdefault(key, {})
        for row, part in others:
            by[row] = by.get(row, 0.0) + lost_s * (part / load)

    def losses(self, job_id: Names, tenant: Names) -> tuple[LinkLoss, ...]:
        """Return the losses by link, worst first.

        Args:
            job_id: (N,) of the job table.
            tenant: (N,) of the job table.
        """
        found = []
        for (kind, link), lost_s in sorted(self._lost_s.items(), key=lambda item: (-item[1], item[0])):
            name = self.link_names[link] if 0 <= link < len(self.link_names) else f"link {link}"
            by = self._by.get((kind, link), {})
            found.append(LinkLoss(kind, name, lost_s, _by_job(by, job_id, tenant)))
        return tuple(found[:_LINKS_SHOWN])


def explain_run(
    result: RunResult, job_row: int, observer: Observer | None = None, note: str = ""
) -> Explanation:
    """Return where the time of one job of a run went.

    Args:
        result: of the run.
        job_row: row of its job table.
        observer: that has watched the same run; None: which links held the job back is not known.
        note: why it is not known.
    """
    jobs = result.jobs
    end_s = _end_s(result)
    over_s = float(jobs["end_s"][job_row])
    submit_s = float(jobs["submit_s"][job_row])
    time_s = max(0.0, (over_s if math.isfinite(over_s) else end_s) - submit_s)
    seconds = [(column.name.removesuffix("_s"), float(jobs[column.name][job_row])) for column in TIMES]
    waits, not_eligible_s = _waits(result, job_row, min(over_s, end_s) if math.isfinite(over_s) else end_s)
    held = _held_by(result, job_row, waits, end_s)
    return Explanation(
        scenario_name=result.scenario_name,
        job_id=str(jobs["job_id"][job_row]),
        tenant=str(jobs["tenant"][job_row]),
        status=str(jobs["status"][job_row]),
        submit_s=submit_s,
        time_s=time_s,
        spent=tuple(Spent(cause, s, s / time_s if time_s > 0.0 else math.nan) for cause, s in seconds),
        not_eligible_s=not_eligible_s,
        held_by_jobs=_by_job(held, jobs["job_id"], jobs["tenant"]),
        held_by_tenants=_by_tenant(held, jobs["tenant"]),
        links=None if observer is None else observer.losses(jobs["job_id"], jobs["tenant"]),
        note=note,
    )


def _end_s(result: RunResult) -> float:
    """Return the end of the run: of its last bin, or of a run without one 0."""
    series = result.series
    return float(series["time_s"][-1] + series["duration_s"][-1]) if len(series["time_s"]) else 0.0


def _waits(result: RunResult, job_row: int, until_s: float) -> tuple[list[tuple[float, float]], float]:
    """Return the stretches in which the job waited for servers, and how long it was not allowed to start."""
    events, jobs = result.events, result.jobs
    gangs = gangs_of(events)
    mine = np.flatnonzero(events["job"][gangs.row] == job_row)
    granted_s = events["time_s"][gangs.row[mine]].tolist()
    freed = gangs.release_row[mine]
    freed_s = [float(events["time_s"][row]) if row >= 0 else until_s for row in freed.tolist()]
    begins = [float(jobs["submit_s"][job_row]), *freed_s]
    waits = [(a, b) for a, b in zip(begins, [*granted_s, until_s], strict=True) if a < b]
    eligible_s = float(jobs["eligible_s"][job_row])
    not_eligible_s = math.fsum(max(0.0, min(b, eligible_s) - a) for a, b in waits)
    return [(max(a, eligible_s), b) for a, b in waits if b > eligible_s], not_eligible_s


def _held_by(
    result: RunResult, job_row: int, waits: Sequence[tuple[float, float]], end_s: float
) -> dict[int, float]:
    """Return the accelerator-seconds that each other job held during the waits."""
    if not waits:
        return {}
    events, jobs = result.events, result.jobs
    gangs = gangs_of(events)
    job = events["job"][gangs.row].astype(np.int64)
    begin_s = events["time_s"][gangs.row]
    release_s = np.where(gangs.release_row >= 0, events["time_s"][gangs.release_row], end_s)
    # Time waited so far, as a function of time: its rise over a gang's life is the overlap.
    cuts = np.array(waits).ravel()
    waited = np.repeat(np.concatenate([[0.0], np.cumsum(cuts[1::2] - cuts[::2])]), 2)[1:-1]
    overlap_s = np.interp(release_s, cuts, waited) - np.interp(begin_s, cuts, waited)
    width = gangs.width * _part_of_device(jobs, job, gangs.width * (release_s - begin_s))
    held = np.bincount(job, weights=overlap_s * width, minlength=len(jobs["job_id"]))
    held[job_row] = 0.0
    rows = np.flatnonzero(held > 0.0)
    return dict(zip(rows.tolist(), held[rows].tolist(), strict=True))


def _part_of_device(jobs: Table, job: npt.NDArray[np.int64], granted_s: Floats) -> Floats:
    """Return for each gang the part of a whole device that its job takes: what it used over what the log says."""
    names = [name for name in jobs if name.endswith("_accelerator_s")]
    used_s = np.sum([jobs[name] for name in names], axis=0)
    logged_s = np.bincount(job, weights=granted_s, minlength=len(used_s))
    part = np.divide(used_s, logged_s, out=np.ones(len(used_s)), where=logged_s > 0.0)
    return np.asarray(np.where(part < 1.0 - 1e-9, part, 1.0)[job])


def _by_job(amounts: Mapping[int, float], job_id: Names, tenant: Names) -> tuple[Share, ...]:
    """Return the largest amounts by job, and the rest together."""
    whole = math.fsum(amounts.values())
    if whole <= 0.0:
        return ()
    order = sorted(amounts.items(), key=lambda item: (-item[1], item[0]))
    shares = []
    for row, amount_s in order[:_SHOWN]:
        named = (str(job_id[row]), str(tenant[row]), 1) if row >= 0 else ("", "", 0)
        shares.append(Share(*named, amount_s, amount_s / whole))
    return (*shares, *_rest(order[_SHOWN:], whole))


def _by_tenant(amounts: Mapping[int, float], tenant: Names) -> tuple[Share, ...]:
    """Return the largest amounts by tenant, and the rest together."""
    whole = math.fsum(amounts.values())
    found: dict[str, list[float]] = {}
    for row, amount_s in amounts.items():
        found.setdefault(str(tenant[row]), []).append(amount_s)
    order = sorted(found.items(), key=lambda item: (-math.fsum(item[1]), item[0]))
    shares = [
        Share("", name, len(parts), math.fsum(parts), math.fsum(parts) / whole)
        for name, parts in order[:_SHOWN]
    ]
    left = [(0, amount_s) for _, parts in order[_SHOWN:] for amount_s in parts]
    return (*shares, *_rest(left, whole))


def _rest(left: Sequence[tuple[int, float]], whole: float) -> tuple[Share, ...]:
    if not left:
        return ()
    amount_s = math.fsum(amount for _, amount in left)
    return (Share("", "", len(left), amount_s, amount_s / whole),)
