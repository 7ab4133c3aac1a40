"""Random jobs over every topology, collective and layout, links that fail, and steps told one by one: what always holds."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.policies import known_policies
from dcsim.simulation import simulate
from dcsim.spec.network import TOPOLOGIES
from dcsim.testing import strategies as dst
from dcsim.testing.whole_run import scenario_of

DRAWN = tuple(topology for topology in TOPOLOGIES if topology != "graph")
ORDERINGS = (
    "fifo",
    "shortest_first",
    "priority",
    "elastic",
    "least_attained_service",
    "tiresias",
    "max_min_fairness",
)
TABLES = ("jobs", "events", "series", "links", "tiers")


def _ordering(name: str) -> dict[str, Any]:
    """Return an ordering with rounds as short as the jobs, preemptive where it may be."""
    accepted = inspect.signature(known_policies("ordering")[name]).parameters
    given: dict[str, Any] = {
        "round_s": 17.3,
        "preemptive": 1,
        "restart_s": 1.0,
        "threshold_accelerator_s": 10.0,
    }
    return {"name": name, "parameters": {key: given[key] for key in given if key in accepted}}


@st.composite
def runs(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """Draw (scenario, arguments of simulate)."""
    widest = draw(st.sampled_from((2, 1, 4)))
    cluster = draw(dst.clusters(max_servers=6, max_accelerators=widest, uniform=draw(st.booleans())))
    jobs = draw(
        dst.job_tables(
            cluster,
            min_jobs=1,
            max_jobs=6,
            profiles=("drawn",),
            rules=draw(st.booleans()),
            limits=draw(st.booleans()),
            divided=True,
        )
    )
    kills = draw(st.booleans())
    scenario = scenario_of(
        cluster,
        network=draw(dst.networks(topologies=DRAWN, lively=True)),
        storage=draw(dst.storages(starved=False)),
        preemption={
            "on_preempt": "kill" if kills else "checkpoint",
            "checkpoint_s": draw(st.sampled_from((0.0, 0.5))),
            "restore_s": draw(st.sampled_from((0.0, 0.7))),
            "checkpoint_interval_s": draw(st.sampled_from((5.0, 3.3) if kills else (None, 5.0))),
        },
        tenants=[{"name": "ann", "network_share": 3.0}] if draw(st.booleans()) else [],
        policies={
            "ordering": _ordering(draw(st.sampled_from(ORDERINGS))),
            "placement": draw(st.sampled_from(("spread", "first_fit", "best_fit", "rack_local"))),
            "energy": draw(st.sampled_from(("none", "power_cap"))),
        },
        horizon_s=draw(st.sampled_from((None, None, 23.7))),
    )
    return scenario, {"jobs": jobs, "profiles": draw(dst.loaded_profiles(divided=True))}


@settings(max_examples=150)
@given(runs())
def test_every_network_keeps_its_books(drawn):
    """The guards stay silent; who is told to have sent has; nothing stays or is done beyond what there is to do."""
    scenario, arguments = drawn
    result = simulate(scenario, guards=True, **arguments)
    jobs = result.jobs
    assert set(jobs["status"].tolist()) <= {"completed", "timed out", "cancelled"} or scenario.horizon_s
    nothing = jobs["servers"] == 0
    assert (jobs["network_bytes"][nothing] == 0.0).all()
    capacity = result.listed_links.capacity_bytes_per_s[result.links["link"]]
    sent = result.links["bytes"] / result.links["duration_s"]
    if scenario.network.contention:
        lasting = result.links["duration_s"] > 1e-6
        assert (sent[lasting] <= capacity[lasting] * (1 + 1e-6) + 1.0).all()


@settings(max_examples=40)
@given(runs())
def test_guards_change_no_byte(drawn):
    scenario, arguments = drawn
    first, second = (simulate(scenario, guards=guards, **arguments) for guards in (True, False))
    for name in TABLES:
        one, other = getattr(first, name), getattr(second, name)
        for column in one:
            assert np.array_equal(one[column], other[column], equal_nan=one[column].dtype.kind == "f")
    assert repr(first.summary) == repr(second.summary)
