"""Random jobs that read through caches and save their state as bytes, under any ordering: what always holds."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.policies import known_policies
from dcsim.simulation import simulate
from dcsim.simulation.kinds import RELEASES, LogKind
from dcsim.spec.network import NetworkSpec
from dcsim.testing import strategies as dst
from dcsim.testing.whole_run import scenario_of
from dcsim.workload.profile_store import LoadedProfile

ORDERINGS = sorted(set(known_policies("ordering")) - {"fifo_as_published"})
STOPPING = ("priority", "shortest_remaining", "least_attained_service", "tiresias", "fair_share")
"""Those that often stop a job for another."""
TABLES = ("jobs", "events", "series", "links", "tiers")
READ = ("shared file system", "object store", "local disk", "shared cache")
"""Tiers of links that count bytes."""


def _choice(name: str) -> dict[str, Any]:
    """Return an ordering with rounds as short as the jobs, preemptive where it may be."""
    accepted = inspect.signature(known_policies("ordering")[name]).parameters
    parameters: dict[str, Any] = {}
    if "round_s" in accepted:
        parameters["round_s"] = 25.0
    if "preemptive" in accepted:
        parameters["preemptive"] = 1
    if "threshold_accelerator_s" in accepted:
        parameters["threshold_accelerator_s"] = 10.0
    return {"name": name, "parameters": parameters}


def _networks(draw: Any) -> NetworkSpec:
    """Draw a network, where perhaps steps are told one by one for a while."""
    network = draw(dst.networks(starved=False))
    if draw(st.integers(0, 3)) < 3:
        return network
    window = {"traffic": "steps", "steps_from_s": 4.0, "steps_until_s": draw(st.sampled_from((None, 15.0)))}
    return network.model_copy(update=window)


def _large(draw: Any) -> dict[str, LoadedProfile]:
    """Draw a profile that reads and saves so much that it takes its time."""
    loaded = draw(dst.loaded_profiles())["drawn"]
    sizes = {
        "checkpoint_bytes": draw(st.sampled_from((1e7, 1e8, 6e8))),
        "input_bytes_per_sample": draw(st.sampled_from((1e6, 1e7, 0.0))),
        "dataset_bytes": draw(st.sampled_from((1e8, 1e9, 1e6))),
    }
    return {"drawn": replace(loaded, profile=loaded.profile.model_copy(update=sizes))}


@st.composite
def runs(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """Draw (scenario, arguments of simulate)."""
    cluster = draw(dst.clusters(max_servers=4))
    storage = draw(dst.storages(starved=False, tiers=True, slow=True))
    limits = draw(st.booleans())
    jobs = draw(
        dst.job_tables(
            cluster,
            max_jobs=8,
            profiles=("drawn",),
            rules=True,
            limits=limits,
            datasets=tuple(storage.datasets),
        )
    )
    name = draw(st.sampled_from(STOPPING) | st.sampled_from(ORDERINGS))
    scenario = scenario_of(
        cluster,
        network=_networks(draw),
        storage=storage,
        checkpoints=draw(st.one_of(dst.checkpoints(storage), dst.checkpoints(storage), st.none())),
        preemption=draw(dst.preemptions()),
        horizon_s=draw(st.sampled_from((None, 30.0))),
        policies={"ordering": _choice(name)},
    )
    return scenario, {"jobs": jobs, "profiles": _large(draw)}


@settings(max_examples=80)
@given(runs())
def test_reading_and_saving_jobs_keep_their_books(drawn):
    """The guards stay silent, with them and without there are the same bytes, and nothing durable is undone."""
    scenario, arguments = drawn
    result, other = (simulate(scenario, guards=guards, **arguments) for guards in (True, False))
    for table in TABLES:
        one, two = getattr(result, table), getattr(other, table)
        assert all(one[name].tolist() == two[name].tolist() or _equal(one[name], two[name]) for name in one)
    jobs, events = result.jobs, result.events
    if scenario.horizon_s is None:
        assert set(jobs["status"].tolist()) <= {"completed", "timed out", "cancelled"}
    counts = np.isin(events["kind"], (*RELEASES, LogKind.DURABLE))
    for job in range(len(jobs["job_id"])):
        # Neither what counts when a job stops, nor what is safe while it goes on, is ever less than before.
        values = events["value"][(events["job"] == job) & counts]
        assert (np.diff(values) >= -1e-9).all()
    _no_link_carries_more_than_it_can(result)
    _bytes_are_conserved(scenario, result)


def _no_link_carries_more_than_it_can(result: Any) -> None:
    links = result.links
    most = result.listed_links.capacity_bytes_per_s[links["link"]] * links["duration_s"]
    assert (links["bytes"] <= most * (1.0 + 1e-9) + 1e-3).all()


@settings(max_examples=8)
@given(dst.scenarios(tiers=True, max_servers=4, max_jobs=5))
def test_whole_scenarios_with_tiers_run(scenario):
    result = simulate(scenario, guards=True)
    assert set(result.jobs["status"].tolist()) <= {"completed", "timed out"}


def _bytes_are_conserved(scenario: Any, result: Any) -> None:
    """Where nothing is cached, saved or rebuilt, storage gives what jobs read."""
    storage = scenario.storage
    if storage.cache is not None or scenario.checkpoints is not None or storage.shared.failures:
        return
    if scenario.network.traffic == "steps":  # the input of a next step may be on its way
        return
    tiers = result.tiers
    carried = math.fsum(tiers["bytes"][np.isin(tiers["tier"].astype(str), READ)].tolist())
    assert carried == pytest.approx(math.fsum(result.jobs["input_bytes"].tolist()), rel=1e-9, abs=1e-3)


def _equal(one: Any, other: Any) -> bool:
    return bool(one.tobytes() == other.tobytes())
