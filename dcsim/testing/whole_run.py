"""Whole runs under the policy to be tested, with every guard on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
from hypothesis import strategies as st

from dcsim.policies import EnergyPolicy, OrderingPolicy, PlacementPolicy, make_policy
from dcsim.results.run_result import RunResult
from dcsim.simulation import Policies, simulate
from dcsim.spec.cluster import ClusterSpec
from dcsim.spec.power import PowerChainSpec
from dcsim.spec.room import AislesSpec, RoomSpec
from dcsim.spec.scenario import Scenario
from dcsim.spec.workload import GeneratedWorkloadSpec, JobKindSpec
from dcsim.testing.strategies import clusters, grids, job_tables, weathers, with_room_if_needed
from dcsim.workload.jobs import JobTable

__all__ = ["check_names_do_not_matter", "check_whole_run", "scenario_of"]

Factory = Callable[[], object]


def scenario_of(cluster: ClusterSpec, **parts: object) -> Scenario:
    """Return a scenario around a cluster, for runs whose jobs are given as a table.

    Args:
        cluster: the cluster.
        parts: other parts of the scenario; the rest is by default, and a placement policy that looks at the air of
            a room gets one.
    """
    placeholder = GeneratedWorkloadSpec(jobs=1, mix=(JobKindSpec(profile="tiny_transformer"),))
    whole = {"name": "contract", "cluster": cluster, "workload": placeholder, **parts}
    return with_room_if_needed(Scenario.model_validate(whole))


def _policies(ordering: Factory | None, placement: Factory | None, energy: Factory | None) -> Policies:
    """Return the three deciders: the one to be tested, the others the simplest."""
    return Policies(
        cast("OrderingPolicy", ordering() if ordering else make_policy("ordering", "fifo")),
        cast("PlacementPolicy", placement() if placement else make_policy("placement", "first_fit")),
        cast("EnergyPolicy", energy() if energy else make_policy("energy", "none")),
    )


def _room(placement: Factory | None) -> RoomSpec | None:
    """Return a room for a placement policy that needs one."""
    needs_one = placement is not None and cast("PlacementPolicy", placement()).knows_heat
    # A little: the smallest rack of a drawn cluster is to breathe less than it moves.
    return RoomSpec(layout=AislesSpec(recirculation_fraction=0.001)) if needs_one else None


def _power(energy: EnergyPolicy | None) -> st.SearchStrategy[PowerChainSpec]:
    """Draw a budget, and how long caps take, for an energy policy that changes caps."""
    if energy is None or not energy.recaps:
        return st.just(PowerChainSpec())
    return st.builds(
        PowerChainSpec,
        budget_w=st.sampled_from((None, 500.0, 5e3, 2e4)),
        cap_latency_s=st.sampled_from((0.0, 5.0)),
        telemetry_interval_s=st.sampled_from((0.0, 2.0)),
    )


def check_whole_run(
    *, ordering: Factory | None = None, placement: Factory | None = None, energy: Factory | None = None
) -> Callable[[st.DataObject], None]:
    """Return a check: random jobs on a random cluster all complete, and a second run is the same.

    Args:
        ordering: makes the policy; None: fifo.
        placement: makes the policy; None: first_fit.
        energy: makes the policy; None: none.
    """

    def check(data: st.DataObject) -> None:
        cluster = data.draw(clusters(max_servers=4), label="cluster")
        # Whoever orders jobs has to cope with all that can be said of them.
        saver = cast("EnergyPolicy", energy()) if energy else None
        rules = ordering is not None or (saver is not None and saver.scales)
        jobs = data.draw(job_tables(cluster, max_slack_s=20, rules=rules), label="jobs")
        scenario = scenario_of(
            cluster,
            grid=data.draw(grids(constant=True)),
            weather=data.draw(weathers(constant=True)),
            room=_room(placement),
            power=data.draw(_power(saver), label="power"),
        )
        first, second = (
            simulate(scenario, jobs=jobs, guards=True, policies=_policies(ordering, placement, energy))
            for _ in range(2)
        )
        _expect(first.summary["jobs_completed"] == len(jobs), f"{first.summary} of {len(jobs)} jobs")
        _expect(_bytes(first) == _bytes(second), "a second run differs from the first")

    return check


def check_names_do_not_matter(
    *, ordering: Factory | None = None, placement: Factory | None = None, energy: Factory | None = None
) -> Callable[[st.DataObject], None]:
    """Return a check: other names for racks, jobs and tenants change no number of a run.

    Args:
        ordering: makes the policy; None: fifo.
        placement: makes the policy; None: first_fit.
        energy: makes the policy; None: none.
    """

    def check(data: st.DataObject) -> None:
        cluster = data.draw(clusters(max_servers=4), label="cluster")
        jobs = data.draw(job_tables(cluster, min_jobs=1), label="jobs")
        one, two = (
            simulate(
                scenario_of(hall, room=_room(placement)),
                jobs=table,
                guards=True,
                policies=_policies(ordering, placement, energy),
            )
            for hall, table in ((cluster, jobs), (_renamed_racks(cluster), _renamed_jobs(jobs)))
        )
        _expect(_bytes(one) == _bytes(two), "renaming racks, jobs and tenants changes the run")

    return check


def _renamed_racks(cluster: ClusterSpec) -> ClusterSpec:
    """Return the same racks in the same order, named in the reverse order."""
    last = len(cluster.racks) - 1
    racks = tuple(
        rack.model_copy(update={"name": f"aisle-{last - i}"}) for i, rack in enumerate(cluster.racks)
    )
    return ClusterSpec(racks=racks)


def _renamed_jobs(jobs: JobTable) -> JobTable:
    """Return the same jobs in the same order under other names, their tenants' names reversed."""
    width = len(str(len(jobs)))
    names = tuple(f"task-{number:0{width}d}" for number in range(len(jobs)))
    return replace(
        jobs, job_id=names, tenant_names=tuple(f"t{99 - i}" for i in range(len(jobs.tenant_names)))
    )


def _bytes(result: RunResult) -> tuple[object, ...]:
    """Return every number of a result, and no name."""
    tables = [
        column.tobytes()
        for table in (result.jobs, result.events, result.series)
        for column in table.values()
        if column.dtype != np.dtype(object)
    ]
    numbers = [repr(value) for value in result.summary.values() if not isinstance(value, str)]
    return (*tables, *numbers)


def _expect(kept: object, broken: str) -> None:
    """Raise AssertionError unless a promise is kept."""
    if not kept:
        raise AssertionError(broken)
