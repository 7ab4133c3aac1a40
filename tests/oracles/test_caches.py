"""Hit rates against caches simulated read by read; checkpoint intervals and data stalls against the literature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from dcsim.facility.sharing import max_min_rates
from dcsim.facility.storage import DatasetCaches, Storage
from dcsim.facility.storage.checkpoint_times import expected_run_s, optimal_interval_s, young_interval_s
from dcsim.facility.storage.hit_rates import (
    Reader,
    competing_lru_hit_rates,
    lru_hit_rate,
    lru_occupancy_bytes,
    no_eviction_hit_rate,
)
from dcsim.facility.storage.loading import stall_factor
from dcsim.spec.storage import CacheSpec, StorageSpec
from tests.oracles.cache_traces import Stream, lru_hits, no_eviction_hits, reads
from tests.oracles.figures import Figures

ITEMS = 2_000
EPOCHS = 60


@pytest.mark.parametrize("cached", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_hit_rates_of_one_dataset(cached: float, figure: Figures) -> None:
    stream, capacity = Stream(0, ITEMS, 1.0), round(cached * ITEMS)
    ((hits, total),) = lru_hits(reads([stream], EPOCHS, 1), capacity, 1, warm=3 * ITEMS)
    assert total == (EPOCHS - 3) * ITEMS
    figure.near(f"LRU, {cached:.0%} held: hit rate", lru_hit_rate(cached), hits / total, 0.005)
    ((hits, total),) = no_eviction_hits(reads([stream], EPOCHS, 2), capacity, 1, warm=ITEMS)
    figure.near(
        f"no eviction, {cached:.0%} held: hit rate", no_eviction_hit_rate(cached), hits / total, 0.005
    )


def test_a_cold_cache_does_not_hit_in_the_first_epoch() -> None:
    first_epoch = list(reads([Stream(0, ITEMS, 1.0)], 1.0, 3))
    assert len(first_epoch) == ITEMS
    for simulate in (lru_hits, no_eviction_hits):
        assert simulate(iter(first_epoch), ITEMS // 2, 1, warm=0) == [(0, ITEMS)]
    caches = DatasetCaches(CacheSpec(capacity_bytes=ITEMS // 2), servers=1)
    caches.join(0, "a", "job", ITEMS, bytes_per_s=1.0)
    assert caches.hit_fraction(0, "a") == 0.0


def _simulated(streams: list[Stream], capacity: int, until_s: float, shifts: int) -> list[float]:
    """Return the hit rate of each stream, the mean over phases of the streams against each other."""
    hits, total = np.zeros(len(streams)), np.zeros(len(streams))
    for shift in range(shifts):
        moved = [
            Stream(s.dataset, s.items, s.epoch_s, s.parts, (k * (shift + 0.5) / shifts) % 1.0)
            for k, s in enumerate(streams)
        ]
        trace = reads(moved, until_s, seed=shift)
        counts = lru_hits(trace, capacity, len(streams), warm=3 * capacity)
        hits += [h for h, _ in counts]
        total += [n for _, n in counts]
    return (hits / total).tolist()


MIXES = {
    "two equal datasets": ([Stream(0, 800, 1.0), Stream(1, 800, 1.0)], 800, 0.02),
    "two datasets, large cache": ([Stream(0, 800, 1.0), Stream(1, 800, 1.0)], 1_280, 0.02),
    "a fast and a slow one": ([Stream(0, 800, 1.0), Stream(1, 1_600, 3.3)], 1_200, 0.02),
    "three of all sizes": ([Stream(0, 400, 0.7), Stream(1, 900, 1.9), Stream(2, 300, 4.1)], 800, 0.02),
    "two jobs, one dataset": ([Stream(0, 1_000, 1.0), Stream(0, 1_000, 1.37)], 500, 0.01),
    "eight jobs, one dataset": ([Stream(0, 1_000, 1.0 + 0.07 * k) for k in range(8)], 500, 0.01),
    "a part of each epoch": ([Stream(0, 1_500, 1.0, parts=4)], 600, 0.01),
    "parts beside a whole": ([Stream(0, 900, 1.0, parts=2), Stream(1, 600, 1.7)], 700, 0.02),
}


@pytest.mark.parametrize("name", MIXES)
def test_hit_rates_of_datasets_that_compete(name: str, figure: Figures) -> None:
    streams, capacity, within = MIXES[name]
    simulated = _simulated(streams, capacity, until_s=25.0, shifts=4)
    sizes = [0.0] * (1 + max(s.dataset for s in streams))
    for s in streams:
        sizes[s.dataset] = float(s.items)
    readers = [Reader(s.dataset, s.epoch_s, s.parts) for s in streams]
    predicted = competing_lru_hit_rates(sizes, readers, float(capacity))
    worst = max(abs(a - b) for a, b in zip(predicted, simulated, strict=True))
    figure.at_most(f"{name}: hit rate in LRU, largest miss", worst, within)


def test_one_reader_alone_is_the_closed_form() -> None:
    for c in (0.05, 0.25, 0.5, 0.8, 0.95):
        (rate,) = competing_lru_hit_rates([1e12], [Reader(0, 123.0)], c * 1e12)
        assert rate == pytest.approx(lru_hit_rate(c), abs=2e-4)
        (many,) = competing_lru_hit_rates([1e12], [Reader(0, 123.0, count=4_000)], c * 1e12)
        assert many == pytest.approx(c, abs=1e-3)  # so many shuffles are independent requests


def test_occupancy_of_equal_datasets_is_equal_and_fills_the_cache() -> None:
    readers = [Reader(d, 100.0) for d in range(4)]
    assert lru_occupancy_bytes([1e9] * 4, readers, 2e9) == pytest.approx([0.5e9] * 4)
    fast = lru_occupancy_bytes([1e9, 1e9], [Reader(0, 10.0), Reader(1, 100.0)], 1e9)
    assert sum(fast) == pytest.approx(1e9)
    assert fast[0] > fast[1]


# -- data stalls ---------------------------------------------------------------------------------------


class _NoNetwork:
    """The jobs are on the server that has the disk."""

    def read_uses(self, streams, /):
        return []

    write_uses = uses = read_uses


def _rates(storage: Storage, demand: float, jobs: int, hit: float) -> np.ndarray:
    """Return what each of equal jobs on server 0 gets, by max-min sharing of the storage's links."""
    uses = storage.read_uses(_NoNetwork(), [(0, 1.0)], "shared", local=hit)
    flow = np.repeat(np.arange(jobs), len(uses))
    link = np.tile([link for link, _ in uses], jobs)
    weight = np.tile([weight for _, weight in uses], jobs)
    return max_min_rates(np.array(storage.capacity_bytes_per_s), np.full(jobs, demand), flow, link, weight)


def test_stalls_of_a_hyper_parameter_search_appear_and_vanish_with_a_cache(figure: Figures) -> None:
    """Eight jobs read one dataset over one disk: up to 5.7 times slower than they need be (CoorDL, VLDB'21)."""
    spec = StorageSpec.model_validate(
        {
            "shared": {"bandwidth_bytes_per_s": "500 MB/s"},
            "local": {"bandwidth_bytes_per_s": "6 GB/s"},
            "feed": "cached",
            "cache": {"where": "node", "capacity_bytes": "650 GB"},
        }
    )
    storage = Storage(spec, 1)
    demand, jobs = 5.7 / 8.0 * 500e6, 8
    slowed = demand / _rates(storage, demand, jobs, hit=0.0)
    figure.near("eight jobs, one disk, no cache: stall", float(slowed.max()), 5.7, 1e-9, "CoorDL: up to 5.7")
    assert slowed == pytest.approx(stall_factor(jobs, demand, 500e6))

    caches = DatasetCaches(spec.cache or CacheSpec(), servers=1)
    for job in range(jobs):
        caches.join(0, "openimages", job, 650 * 10**9, bytes_per_s=demand)
    assert caches.hit_fraction(0, "openimages") == 0.0
    caches.warmed(0, "openimages", 650e9)
    hit = caches.hit_fraction(0, "openimages")
    assert hit == 1.0
    cached = demand / _rates(storage, demand, jobs, hit)
    figure.near("the same with a warm cache for all: stall", float(cached.max()), 1.0, 1e-12)


@pytest.mark.parametrize("policy", ["no_eviction", "lru"])
def test_stalls_with_a_part_of_the_dataset_cached(policy: str) -> None:
    """65 % of OpenImages fits: LRU thrashes, so a cache that evicts nothing stalls less."""
    spec = StorageSpec(
        feed="cached",
        shared={"bandwidth_bytes_per_s": 500e6},
        cache=CacheSpec(policy=policy, capacity_bytes=65e9),
    )
    storage, caches = Storage(spec, 1), DatasetCaches(spec.cache or CacheSpec(), servers=1)
    caches.join(0, "openimages", "job", 100 * 10**9, bytes_per_s=1e9)
    caches.warmed(0, "openimages", 100e9)
    hit = caches.hit_fraction(0, "openimages")
    expected = 0.65 if policy == "no_eviction" else 0.65 + 0.35 * math.log(0.35)
    assert hit == pytest.approx(expected, abs=2e-4)
    (rate,) = _rates(storage, 2e9, 1, hit)
    assert 2e9 / rate == pytest.approx(stall_factor(1, 2e9, 500e6, hit))


# -- how often to checkpoint -----------------------------------------------------------------------------


@pytest.mark.parametrize(("write_s", "mtbf_s"), [(300.0, 11_135.0), (30.0, 1e6), (600.0, 3_600.0)])
def test_the_best_interval_is_the_minimum_of_the_expected_run_time(write_s: float, mtbf_s: float) -> None:
    found = minimize_scalar(
        lambda tau: expected_run_s(1e6, tau, write_s, 60.0, mtbf_s),
        bounds=(1.0, 10.0 * math.sqrt(2.0 * write_s * mtbf_s)),
        method="bounded",
        options={"xatol": 1e-9 * mtbf_s},
    )
    best = optimal_interval_s(write_s, mtbf_s)
    assert best == pytest.approx(found.x, rel=1e-4)
    assert best < young_interval_s(write_s, mtbf_s)  # Young leaves out the second order


def test_young_and_daly_at_scale(figure: Figures) -> None:
    figure.near("Young's interval, M 11,135 s, d 300 s", young_interval_s(300.0, 11_135.0), 2_585.0, 0.5)
    figure.near("the exact one", optimal_interval_s(300.0, 11_135.0), 2_389.0, 0.5)


def test_expected_run_time_is_that_of_many_simulated_runs(figure: Figures) -> None:
    """Failures strike at any time, also while a checkpoint is written or the job restarts."""
    work_s, interval_s, write_s, restart_s, mtbf_s = 4_000.0, 500.0, 50.0, 100.0, 1_000.0
    draws = np.random.default_rng(7)
    runs = []
    for _ in range(4_000):
        now_s, done = 0.0, 0
        next_s = draws.exponential(mtbf_s)
        starting = 0.0
        while done < work_s / interval_s:
            need_s = starting + interval_s + write_s
            if now_s + need_s <= next_s:
                now_s, done, starting = now_s + need_s, done + 1, 0.0
            else:
                now_s, starting = next_s, restart_s
                next_s = now_s + draws.exponential(mtbf_s)
        runs.append(now_s)
    predicted = expected_run_s(work_s, interval_s, write_s, restart_s, mtbf_s)
    mean, error = float(np.mean(runs)), float(np.std(runs) / math.sqrt(len(runs)))
    figure.near("expected run time under failures", predicted / mean, 1.0, 4.0 * error / mean + 0.02)
