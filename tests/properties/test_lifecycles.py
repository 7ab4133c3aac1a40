"""Random jobs under every ordering, with preemption, checkpoints, limits, sleep and shared links: what always holds."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.policies import known_policies
from dcsim.simulation import simulate
from dcsim.simulation.gangs import gangs_of
from dcsim.simulation.kinds import RELEASES, LogKind
from dcsim.testing import strategies as dst
from dcsim.testing.whole_run import scenario_of
from dcsim.workload.profile import StartUp
from dcsim.workload.profile_store import LoadedProfile

ORDERINGS = sorted(set(known_policies("ordering")) - {"fifo_as_published"})
"""All but one that promises types to jobs that may not use them: a published slip, kept for comparison."""
PAIR = {"profiles": ["drawn", "drawn"], "relative_throughput": [0.7, 0.7]}
IN_SERVER = PAIR | {"relative_throughput": [0.6, 0.6], "sharing": "server"}
START_UPS = st.none() | st.builds(
    StartUp, process_s=st.just(1.0), data_s=st.floats(0.0, 4.0), compile_s=st.floats(0.0, 20.0)
)
SPENT = ("productive", "checkpoint", "restore", "redone", "stalled", "waiting")


def _choice(name: str, draw: Any) -> dict[str, Any]:
    """Return an ordering with rounds as short as the jobs, preemptive where it may be."""
    accepted = inspect.signature(known_policies("ordering")[name]).parameters
    parameters: dict[str, Any] = {}
    if "round_s" in accepted:
        parameters["round_s"] = draw(st.sampled_from((12.0, 17.3)))
    if "preemptive" in accepted:
        parameters["preemptive"] = draw(st.integers(0, 1))
    if "threshold_accelerator_s" in accepted:
        parameters["threshold_accelerator_s"] = 10.0
    if "skip" in accepted and draw(st.booleans()):
        parameters["skip"] = draw(st.integers(0, 2))
    return {"name": name, "parameters": parameters}


@st.composite
def preemptions(draw: st.DrawFn) -> dict[str, Any]:
    """Draw costs with which a round is long enough to get on."""
    kills = draw(st.booleans())
    return {
        "on_preempt": "kill" if kills else "checkpoint",
        "checkpoint_s": draw(st.sampled_from((0.0, 2.0, 0.1))),
        "start_s": draw(st.sampled_from((0.0, 1.0))),
        "restore_s": draw(st.sampled_from((0.0, 3.0, 0.7))),
        "requeue_s": draw(st.sampled_from((0.0, 4.0))),
        "checkpoint_interval_s": draw(st.sampled_from((5.0, 3.3) if kills else (None, 5.0))),
    }


@st.composite
def runs(draw: st.DrawFn, ordering: str | None = None) -> tuple[Any, dict[str, Any]]:
    """Draw (scenario, arguments of simulate)."""
    cluster = draw(dst.clusters(max_servers=4, cpu_servers=True))
    jobs = draw(
        dst.job_tables(
            cluster, max_jobs=8, max_slack_s=9, profiles=("drawn",), rules=True, limits=draw(st.booleans())
        )
    )
    name = ordering or draw(st.sampled_from(ORDERINGS))
    suspendable = getattr(known_policies("ordering")[name], "suspendable", True)
    energies = sorted(
        each
        for each, saver in known_policies("energy").items()
        if suspendable or not getattr(saver, "suspends", False)
    )
    energy: Any = draw(st.sampled_from(energies))
    if energy == "sleep_idle":
        energy = {"name": energy, "parameters": {"after_s": 3.0}}
    tenants = [{"name": "ann", "weight": 2.0, "guaranteed_accelerators": 1}] if draw(st.booleans()) else []
    scenario = scenario_of(
        cluster,
        network=draw(dst.networks(starved=False)),
        storage=draw(dst.storages(starved=False)),
        preemption=draw(preemptions()),
        colocation=draw(st.sampled_from(([], [PAIR], [IN_SERVER], [PAIR, IN_SERVER]))),
        tenants=tenants,
        policies={
            "ordering": _choice(name, draw),
            "placement": draw(st.sampled_from(sorted(known_policies("placement")))),
            "energy": energy,
        },
    )
    return scenario, {"jobs": jobs, "profiles": starting_up(draw(dst.loaded_profiles()), draw(START_UPS))}


def starting_up(profiles: Any, startup: StartUp | None) -> Any:
    """Return cost profiles with this start-up."""
    if startup is None:
        return profiles
    return {
        name: replace(costs, profile=costs.profile.model_copy(update={"startup": startup}))
        if isinstance(costs, LoadedProfile)
        else costs
        for name, costs in profiles.items()
    }


@pytest.mark.parametrize("ordering", ORDERINGS)
@settings(max_examples=12)
@given(data=st.data())
def test_every_ordering_keeps_its_books(ordering, data):
    """The guards stay silent; 32: held = productive + checkpoint + restore + redone + stalled + waiting."""
    scenario, arguments = data.draw(runs(ordering))
    result = simulate(scenario, guards=True, **arguments)
    jobs, events = result.jobs, result.events
    assert set(jobs["status"].tolist()) <= {"completed", "timed out", "cancelled"}
    # 44, 33: what is granted is given back, all of it at one instant.
    gangs = gangs_of(events)
    held_s = events["time_s"][gangs.release_row] - events["time_s"][gangs.row]
    assert (gangs.release_row >= 0).all()
    share = arguments["jobs"].accelerator_share[events["job"][gangs.row]]
    granted = float((held_s * gangs.width * share).sum())
    spent = sum(float(jobs[f"{name}_accelerator_s"].sum()) for name in SPENT)
    assert spent == pytest.approx(granted, rel=1e-9, abs=1e-9)
    # 45: starts = ends + preemptions + kills.
    kinds, rows = events["kind"], events["job"]
    assert len(gangs.row) == int(np.isin(kinds, RELEASES).sum()) == int(jobs["attempts"].sum())
    # 46: nobody is stopped at the instant at which it ends, and nobody ends twice.
    ends = {(t, j) for t, j, k in zip(events["time_s"], rows, kinds, strict=True) if k == LogKind.END}
    stops = {(t, j) for t, j, k in zip(events["time_s"], rows, kinds, strict=True) if k == LogKind.PREEMPT}
    assert not ends & stops
    # 43: what counts never shrinks from one stop to the next.
    for job in range(len(jobs["job_id"])):
        counted = events["value"][(rows == job) & np.isin(kinds, RELEASES)]
        assert (np.diff(counted) >= 0.0).all()
    _widths_are_kept(arguments["jobs"], events, gangs)
    _losses_are_bounded(scenario, jobs, gangs, events)


def _losses_are_bounded(scenario: Any, jobs: Any, gangs: Any, events: Any) -> None:
    """48: who is stopped loses no more than what it did since its last checkpoint, an interval at most."""
    interval_s = scenario.preemption.checkpoint_interval_s
    if interval_s is None:
        return
    widest = np.zeros(len(jobs["job_id"]))
    np.maximum.at(widest, events["job"][gangs.row], gangs.width)
    assert (jobs["redone_accelerator_s"] <= jobs["attempts"] * interval_s * widest * (1 + 1e-9)).all()


def _widths_are_kept(table: Any, events: Any, gangs: Any) -> None:
    rows = events["job"][gangs.row]
    least = np.where(table.min_accelerators > 0, table.min_accelerators, table.accelerators)[rows]
    most = np.where(table.max_accelerators > 0, table.max_accelerators, table.accelerators)[rows]
    assert ((gangs.width >= least) & (gangs.width <= most)).all()


@settings(max_examples=25)
@given(runs())
def test_a_second_run_has_the_same_bytes(drawn):
    scenario, arguments = drawn
    first, second = (simulate(scenario, guards=guards, **arguments) for guards in (True, False))
    for one, other in zip(
        (first.jobs, first.events, first.series), (second.jobs, second.events, second.series), strict=True
    ):
        assert all(
            one[name].tolist() == other[name].tolist() or _equal(one[name], other[name]) for name in one
        )
    assert repr(first.summary) == repr(second.summary)


def _equal(one: Any, other: Any) -> bool:
    return bool(one.tobytes() == other.tobytes())


@settings(max_examples=25)
@given(runs(), st.integers(0, 60))
def test_a_cut_run_is_the_beginning_of_the_whole(drawn, horizon_s):
    """59, with attempts: the log until the horizon is that of the whole run, and its books are closed there."""
    scenario, arguments = drawn
    whole = simulate(scenario, **arguments)
    cut = simulate(scenario.model_copy(update={"horizon_s": horizon_s + 0.5}), guards=True, **arguments)
    until = whole.events["time_s"] <= horizon_s + 0.5
    # A whole run ends with its last job; what servers do afterwards is in the cut one only.
    last = len(whole.events["time_s"]) if until.all() else int(until.sum())
    for name, column in whole.events.items():
        assert column[:last].tolist() == cut.events[name][:last].tolist()
    for name in SPENT:
        spent = f"{name}_accelerator_s"
        assert (cut.jobs[spent] <= whole.jobs[spent] + 1e-9).all() or name in ("productive", "redone")
