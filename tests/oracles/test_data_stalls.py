"""Data stalls in whole runs against the published kind: a hyper-parameter search that starves, and what cures it.

Mohan et al., Analyzing and Mitigating Data Stalls in DNN Training, VLDB 2021: eight jobs on one server read the
same data set each for itself; coordinating them made the search up to 5.7 times faster. Here each of eight
single-accelerator jobs wants 5.7 / 8 of what the disk gives, so that one is not held back at all.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from dcsim.facility.storage.hit_rates import Reader, competing_lru_hit_rates
from dcsim.simulation import simulate
from dcsim.workload.jobs import job_table
from dcsim.workload.profile import CollectiveTraffic
from tests.oracles.figures import Figures
from tests.simulation.conftest import round_profile
from tests.simulation.halls import hall

DISK = 500e6
"""bytes/s."""
WANTED = 5.7 / 8.0 * DISK
"""bytes/s of each job: 356 MB a step of 1 s."""
OPENIMAGES = 645e9
EPOCH = math.ceil(OPENIMAGES / WANTED)
"""Steps."""
NETWORK = {
    "topology": "star", "server_bandwidth_bytes_per_s": 50e9, "latency_s": 0.0, "switch_power_w": 0.0
}  # fmt: skip


def search(jobs: int, epochs: int, names: list[str], **storage: Any) -> Any:
    """Return the result of a search on one server: every job reads its data set so many times."""
    shared = {"bandwidth_bytes_per_s": DISK, "power_w": 0.0}
    scenario = hall(servers=1, devices=8, network=NETWORK, storage={"shared": shared} | storage)
    profiles = round_profile(
        input_bytes_per_sample=WANTED / 8,
        collectives=CollectiveTraffic(all_reduce_bytes=0.0, all_reduce_count=0),
    )
    table = job_table(
        submit_s=[0.0] * jobs,
        steps=float(EPOCH * epochs),
        accelerators=1,
        profile="round",
        duration_s=math.nan,
        dataset=names,
    )
    return simulate(scenario, jobs=table, profiles=profiles, guards=True)


def slowed(result: Any) -> float:
    """Return by what factor the slowest job was slower than it would be with all the input it wants."""
    jobs = result.jobs
    return float(((jobs["end_s"] - jobs["start_s"]) / jobs["ideal_s"]).max())


def sets(count: int = 1, place: str = "shared") -> dict[str, Any]:
    return {f"set-{n}": {"size_bytes": OPENIMAGES, "place": place} for n in range(count)}


def test_a_search_starves_on_one_disk(figure: Figures) -> None:
    local = {"datasets": sets(place="local"), "local": {"bandwidth_bytes_per_s": DISK}}
    alone, eight = (search(count, 2, ["set-0"] * count, **local) for count in (1, 8))
    figure.near("one job, one disk: slower by", slowed(alone), 1.0, 1e-9)
    figure.near("eight jobs, one disk: slower by", slowed(eight), 5.7, 1e-9, "CoorDL: up to 5.7")
    jobs = eight.jobs
    stalled = jobs["data_stall_s"] / (jobs["end_s"] - jobs["start_s"])
    figure.near("the same: part of their time in data stalls", float(stalled.min()), 1.0 - 1.0 / 5.7, 1e-9)
    assert jobs["network_stall_s"].sum() == 0.0


def test_a_search_starves_on_one_file_system(figure: Figures) -> None:
    eight = search(8, 2, ["set-0"] * 8, datasets=sets())
    figure.near("eight jobs, one file system: slower by", slowed(eight), 5.7, 1e-9, "CoorDL: up to 5.7")


def test_a_shared_cache_of_the_data_set_cures_it(figure: Figures) -> None:
    cache = {"capacity_bytes": OPENIMAGES}
    warm = search(8, 2, ["set-0"] * 8, datasets=sets(), cache=cache | {"cold": False}, **_fast_disk())
    figure.near("a warm cache of what all read: slower by", slowed(warm), 1.0, 1e-9)
    assert warm.jobs["data_stall_s"].tolist() == pytest.approx([0.0] * 8, abs=1e-6)
    for epochs in (2, 10):
        cold = search(8, epochs, ["set-0"] * 8, datasets=sets(), cache=cache, **_fast_disk())
        expected = (5.7 + epochs - 1) / epochs
        figure.near(
            f"a cold one, {epochs} epochs: slower by", slowed(cold), expected, 1e-6, "one epoch at 5.7"
        )


def test_a_part_of_it_cached_cures_a_part(figure: Figures) -> None:
    cache = {"capacity_bytes": 0.65 * OPENIMAGES, "cold": False}
    part = search(8, 2, ["set-0"] * 8, datasets=sets(), cache=cache, **_fast_disk())
    figure.near("65 % held, nothing evicted: slower by", slowed(part), 0.35 * 5.7, 1e-6)


def test_eight_copies_of_the_data_set_thrash(figure: Figures) -> None:
    """Jobs that do not share what they read: an LRU cache as large as one of eight data sets is of little use."""
    names = [f"set-{n}" for n in range(8)]
    cache = {"policy": "lru", "capacity_bytes": OPENIMAGES}
    thrashing = search(8, 4, names, datasets=sets(8), cache=cache, **_fast_disk())
    readers = [Reader(n, 1.0) for n in range(8)]
    hit = competing_lru_hit_rates([OPENIMAGES] * 8, readers, OPENIMAGES)[0]
    expected = (5.7 + 3 * 5.7 * (1.0 - hit)) / 4
    figure.near("a data set of its own for each: slower by", slowed(thrashing), expected, 0.01)
    figure.tell("the same: hits in the cache", hit)
    assert slowed(thrashing) > 5.5


def _fast_disk() -> dict[str, Any]:
    return {"local": {"bandwidth_bytes_per_s": 6e9, "capacity_bytes": 8e12}}
