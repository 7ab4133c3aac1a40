"""What caches hold while jobs come and go: by hand, and theorems under random changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dcsim.errors import GuardError
from dcsim.facility.storage import DatasetCaches, Storage, StorageState
from dcsim.facility.storage.hit_rates import (
    Reader,
    competing_lru_hit_rates,
    lru_hit_rate,
    lru_occupancy_bytes,
    no_eviction_hit_rate,
    unread_fraction,
)
from dcsim.spec.storage import CacheSpec, StorageSpec

FRACTIONS = st.floats(0.0, 1.0)


def caches_of(capacity=100, servers=2, **spec):
    return DatasetCaches(CacheSpec(capacity_bytes=capacity, **spec), servers)


# -- by hand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "hit"), [("no_eviction", 0.5), ("lru", lru_hit_rate(0.5))])
def test_cold_until_one_epoch_is_over(policy, hit):
    caches = caches_of(policy=policy)
    caches.join(0, "a", "job", 200, bytes_per_s=10.0)
    assert caches.hit_fraction(0, "a") == 0.0
    assert not caches.settled(0, "a")
    assert caches.warmed(0, "a", 200) == ("a",)
    assert caches.hit_fraction(0, "a") == pytest.approx(hit, abs=2e-4)
    assert caches.held_bytes(0, "a") == 100
    assert caches.settled(0, "a")
    assert caches.warmed(0, "a", 200) == ()
    assert caches.hit_fraction(1, "a") == 0.0  # each server has its own


def test_warm_from_the_start_where_it_is_not_cold():
    caches = caches_of(cold=False)
    assert caches.join(0, "a", "job", 200, bytes_per_s=10.0) == ()
    assert caches.hit_fraction(0, "a") == 0.5


def test_jobs_with_one_dataset_share_what_is_held():
    caches = caches_of(capacity=300)
    caches.join(0, "a", "first", 200, bytes_per_s=10.0)
    caches.warmed(0, "a", 200)
    caches.join(0, "a", "second", 200, bytes_per_s=10.0)
    assert caches.hit_fraction(0, "a") == 1.0
    assert caches.used_bytes(0) == 200
    caches.leave(0, "a", "first")
    assert caches.hit_fraction(0, "a") == 1.0
    caches.leave(0, "a", "second")
    assert caches.held_bytes(0, "a") == 200  # until another needs the room


def test_one_cache_for_all_is_warmed_by_any_server():
    caches = caches_of(capacity=200, where="shared")
    caches.join(0, "a", "first", 200, bytes_per_s=10.0)
    caches.warmed(0, "a", 200)
    assert caches.hit_fraction(1, "a") == 1.0


def test_without_eviction_the_first_dataset_stays_and_the_second_gets_the_rest():
    caches = caches_of()
    caches.join(0, "a", 1, 80, bytes_per_s=1.0)
    caches.join(0, "b", 2, 80, bytes_per_s=1.0)
    caches.warmed(0, "a", 80)
    caches.warmed(0, "b", 80)
    assert (caches.held_bytes(0, "a"), caches.held_bytes(0, "b")) == (80, 20)
    assert caches.settled(0, "b")
    caches.leave(0, "a", 1)
    assert not caches.settled(0, "b")  # nobody reads a: b may have its room
    caches.warmed(0, "b", 80)
    assert (caches.held_bytes(0, "a"), caches.held_bytes(0, "b")) == (20, 80)


def test_the_dataset_unread_for_longest_goes_first():
    caches = caches_of(capacity=90)
    for n, name in enumerate("abc"):
        caches.join(0, name, n, 30, bytes_per_s=1.0)
        caches.warmed(0, name, 30)
    for n, name in ((1, "b"), (0, "a"), (2, "c")):
        caches.leave(0, name, n)
    caches.join(0, "d", 3, 40, bytes_per_s=1.0)
    caches.warmed(0, "d", 40)
    assert [caches.held_bytes(0, name) for name in "abcd"] == [20, 0, 30, 40]


def test_equal_datasets_share_an_lru_cache_evenly_and_each_hurts_the_other():
    caches = caches_of(policy="lru")
    caches.join(0, "a", 1, 100, bytes_per_s=1.0)
    caches.warmed(0, "a", 100)
    assert caches.hit_fraction(0, "a") == 1.0
    assert caches.join(0, "b", 2, 100, bytes_per_s=1.0) == ("a",)
    caches.warmed(0, "b", 100)
    assert (caches.held_bytes(0, "a"), caches.held_bytes(0, "b")) == (50, 50)
    assert caches.hit_fraction(0, "a") == caches.hit_fraction(0, "b") < 0.2
    assert caches.leave(0, "b", 2) == ("a",)
    caches.warmed(0, "a", 100)
    assert caches.hit_fraction(0, "a") == 1.0


def test_a_server_that_reads_a_part_of_each_epoch_warms_up_over_several():
    caches = caches_of(capacity=10**6)
    caches.join(0, "a", 1, 10**6, bytes_per_s=1.0, parts=4)
    held = []
    while not caches.settled(0, "a"):
        caches.warmed(0, "a", 10**6 / 4)
        held.append(caches.held_bytes(0, "a"))
    assert held[:3] == pytest.approx([1e6 * (1 - 0.75**k) for k in (1, 2, 3)], abs=2)
    assert held[-1] == 10**6
    assert len(held) == 25  # 0.75^25 < 1/1000 < 0.75^24: the last of it comes along


def test_fills_are_what_the_cache_takes_in_of_the_misses():
    caches = caches_of()
    caches.join(0, "a", 1, 200, bytes_per_s=1.0)
    assert caches.fill_fraction(0, "a") == 0.5  # half of the first epoch's misses find room
    caches.warmed(0, "a", 200)
    assert caches.fill_fraction(0, "a") == 0.0
    lru = caches_of(policy="lru")
    lru.join(0, "a", 1, 200, bytes_per_s=1.0)
    assert lru.fill_fraction(0, "a") == 1.0
    lru.warmed(0, "a", 200)
    assert lru.fill_fraction(0, "a") == pytest.approx(1.0 - lru_hit_rate(0.5), abs=2e-4)


def test_a_cache_without_a_size_has_what_objects_leave_of_the_disk():
    spec = StorageSpec.model_validate(
        {
            "local": {"capacity_bytes": 1_000},
            "feed": "cached",
            "cache": {},
            "datasets": {"here": {"size_bytes": 100, "place": "local"}},
        }
    )
    state = StorageState(Storage(spec, 2), 2)
    assert state.caches is not None
    assert state.caches.capacity_bytes(0) == 900
    state.caches.join(0, "far", 1, 800, bytes_per_s=1.0)
    state.caches.warmed(0, "far", 800)
    state.volumes.put("local", "checkpoint", 500, server=0)
    assert state.caches.held_bytes(0, "far") == 400
    assert state.caches.hit_fraction(0, "far") == 0.5
    assert state.recached == {0: ("far",)}
    state.check()
    state.volumes.remove("local", "checkpoint", server=0)
    assert not state.caches.settled(0, "far")
    state.caches.warmed(0, "far", 800)
    assert state.caches.hit_fraction(0, "far") == 1.0


def test_a_cache_of_a_given_size_keeps_it_whatever_objects_take():
    for where in ("node", "shared"):
        caches = caches_of(capacity=100, where=where)
        caches.join(0, "a", 1, 100, bytes_per_s=1.0)
        caches.warmed(0, "a", 100)
        assert caches.resize(0, 10) == ()
        assert caches.held_bytes(0, "a") == 100


def test_the_hit_rate_of_a_dataset_is_the_mean_over_the_bytes_of_its_jobs():
    caches = caches_of(policy="lru")
    caches.join(0, "a", "fast", 200, bytes_per_s=20.0)
    caches.join(0, "a", "slow", 200, bytes_per_s=5.0)
    caches.warmed(0, "a", 200)
    fast, slow = competing_lru_hit_rates([200.0], [Reader(0, 10.0), Reader(0, 40.0)], 100.0)
    assert fast != pytest.approx(slow, abs=0.01)
    assert caches.hit_fraction(0, "a") == pytest.approx((20.0 * fast + 5.0 * slow) / 25.0)


def test_servers_that_share_epochs_read_each_for_as_long_as_all_take():
    # 200 MB at 5 MB/s on each of four servers: an epoch takes 10 s, and a quarter of it is read here.
    mb = 10**6
    caches = caches_of(capacity=100 * mb, policy="lru")
    caches.join(0, "a", "wide", 200 * mb, bytes_per_s=5.0 * mb, parts=4)
    caches.join(0, "b", "lone", 100 * mb, bytes_per_s=4.0 * mb)
    for _ in range(60):
        caches.warmed(0, "a", 50 * mb)
        caches.warmed(0, "b", 100 * mb)
    expected = competing_lru_hit_rates([200.0, 100.0], [Reader(0, 10.0, 4), Reader(1, 25.0)], 100.0)
    hits = [caches.hit_fraction(0, "a"), caches.hit_fraction(0, "b")]
    assert hits == pytest.approx(expected, rel=1e-6)


def test_a_lost_disk_is_cold():
    caches = caches_of()
    caches.join(0, "a", 1, 50, bytes_per_s=1.0)
    caches.warmed(0, "a", 50)
    assert caches.wipe(0) == ("a",)
    assert caches.hit_fraction(0, "a") == 0.0
    shared = caches_of(where="shared")
    shared.join(0, "a", 1, 50, bytes_per_s=1.0)
    shared.warmed(0, "a", 50)
    assert shared.wipe(0) == ()
    assert shared.hit_fraction(0, "a") == 1.0


def test_what_contradicts_what_was_said_before_is_a_fault_of_the_caller():
    caches = caches_of()
    caches.join(0, "a", 1, 50, bytes_per_s=1.0)
    for size, job in ((60, 2), (50, 1)):
        with pytest.raises(GuardError, match="known with 50 B"):
            caches.join(0, "a", job, size, bytes_per_s=1.0)
    caches._cache(0).datasets["a"].held = 51
    with pytest.raises(GuardError, match="cache 0: 51 B held"):
        caches.check()


def test_small_caches_hit_by_the_series_and_there_is_no_step_where_it_ends():
    # c + (1 - c) ln(1 - c) = sum over k >= 2 of c^k / (k (k - 1)).
    for c in (1e-9, 1e-6, 9.9e-6, 1.1e-5, 1e-3):
        exact = sum(c**k / (k * (k - 1)) for k in range(2, 12))
        assert lru_hit_rate(c) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
@pytest.mark.parametrize("epochs", [0.0, 0.3, 1.0, 1.6, 2.0, 2.75, 5.2])
def test_what_is_not_read_is_the_mean_over_where_the_window_starts(epochs, parts):
    """By brute force: a window that starts at p takes a part of each epoch that it meets."""
    starts = (np.arange(20_000) + 0.5) / 20_000
    mean = 0.0
    for p in starts:
        unread, at = 1.0, p
        while at < p + epochs:
            until = min(p + epochs, np.floor(at) + 1.0)
            unread *= 1.0 - (until - at) / parts
            at = until
        mean += unread / len(starts)
    assert float(unread_fraction(np.array(epochs), parts)) == pytest.approx(mean, abs=1e-6)


# -- theorems --------------------------------------------------------------------------------------------


@given(FRACTIONS, FRACTIONS)
def test_hit_rates_are_within_c_and_grow_with_it(c, d):
    low, high = sorted((c, d))
    for rate in (lru_hit_rate, no_eviction_hit_rate):
        assert 0.0 <= rate(low) <= rate(high) <= 1.0
    assert lru_hit_rate(c) <= no_eviction_hit_rate(c)


@given(st.floats(0.0, 20.0), st.integers(1, 8))
def test_what_is_not_read_is_a_fraction_that_falls(epochs, parts):
    window = np.array([epochs, epochs + 0.25])
    longer = unread_fraction(window, parts)
    assert (longer >= 0.0).all()
    assert longer[1] <= longer[0] <= 1.0
    # However the window lies, it holds at least floor(t) - 1 whole epochs, and at most t epochs' reads.
    q = 1.0 / parts
    assert longer[0] <= (1.0 - q) ** max(0, int(epochs) - 1) + 1e-12
    assert longer[0] >= 1.0 - q * epochs - 1e-12


READERS = st.lists(
    st.builds(
        Reader, st.integers(0, 2), st.sampled_from([1.0, 1.7, 30.0]), st.integers(1, 4), st.integers(1, 3)
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([1e9, 3e9, 7.5e8]), min_size=3, max_size=3), READERS, FRACTIONS, FRACTIONS)
def test_competing_hit_rates_grow_with_the_cache_and_occupancies_fill_it(sizes, readers, c, d):
    total = sum(sizes[i] for i in sorted({r.dataset for r in readers}))
    low, high = sorted((c * total, d * total))
    less, more = competing_lru_hit_rates(sizes, readers, low), competing_lru_hit_rates(sizes, readers, high)
    assert all(0.0 <= a <= b + 1e-9 <= 1.0 + 1e-9 for a, b in zip(less, more, strict=True))
    held = lru_occupancy_bytes(sizes, readers, low)
    assert sum(held) == pytest.approx(min(low, total), rel=1e-9, abs=0.01)
    assert all(0.0 <= h <= size * (1 + 1e-9) for h, size in zip(held, sizes, strict=True))


NAMES = st.sampled_from(["a", "b", "c"])
SIZES = {"a": 60, "b": 100, "c": 1_000}


class CachesMachine(RuleBasedStateMachine):
    """Jobs come, read and go, the cache grows and shrinks; what is held stays within what is possible."""

    @initialize(policy=st.sampled_from(["no_eviction", "lru"]), cold=st.booleans())
    def build(self, policy, cold):
        self.caches = DatasetCaches(CacheSpec(policy=policy, cold=cold), 1, disk_bytes=120)
        self.jobs: dict[int, str] = {}
        self.made = 0
        self.told: dict[str, tuple[float, float]] = {}

    def rates(self):
        return {
            name: (self.caches.hit_fraction(0, name), self.caches.fill_fraction(0, name))
            for name in sorted(set(self.jobs.values()))
        }

    def heard(self, changed, own=""):
        """Each dataset that is hit or brought in at another rate was named; nobody else was."""
        now = self.rates()
        moved = {name for name, rate in now.items() if name in self.told and rate != self.told[name]}
        assert moved - {own} <= set(changed) <= moved
        self.told = now

    @rule(name=NAMES, rate=st.sampled_from([1.0, 2.5]), parts=st.integers(1, 3))
    def join(self, name, rate, parts):
        changed = self.caches.join(0, name, self.made, SIZES[name], rate, parts)
        alone = name not in self.jobs.values()
        self.jobs[self.made] = name
        self.made += 1
        self.heard(changed, name if alone else "")

    @precondition(lambda self: bool(getattr(self, "jobs", None)))
    @rule(data=st.data())
    def leave(self, data):
        job = data.draw(st.sampled_from(sorted(self.jobs)))
        self.heard(self.caches.leave(0, self.jobs.pop(job), job))

    @precondition(lambda self: bool(getattr(self, "jobs", None)))
    @rule(data=st.data(), part=st.floats(0.0, 1.5))
    def read(self, data, part):
        name = self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))]
        before = self.caches.held_bytes(0, name)
        self.heard(self.caches.warmed(0, name, part * SIZES[name]))
        assert self.caches.held_bytes(0, name) >= before

    @rule(disk_bytes=st.sampled_from([0, 1, 70, 120, 5_000]))
    def resize(self, disk_bytes):
        self.heard(self.caches.resize(0, disk_bytes))
        assert self.caches.used_bytes(0) <= disk_bytes

    @rule()
    def wipe(self):
        self.heard(self.caches.wipe(0))
        assert self.caches.used_bytes(0) == 0

    @invariant()
    def no_more_is_held_than_fits_and_no_more_hits_than_is_held(self):
        self.caches.check()
        for name, (hit, fill) in self.rates().items():
            held = self.caches.held_bytes(0, name)
            assert 0.0 <= hit <= 1.0
            if self.caches.spec.policy == "no_eviction":
                assert hit == held / SIZES[name]
            assert 0.0 <= fill <= 1.0 - hit


TestCaches = CachesMachine.TestCase
TestCaches.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
