"""Checkpoints as objects: the old one stays until the new one is complete, and a full disk is an answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dcsim.facility.storage import Checkpoint, CheckpointStore, Full, Volumes
from dcsim.facility.storage.checkpoint_store import split_bytes
from dcsim.facility.storage.checkpoint_times import (
    burst_s,
    checkpoint_bytes,
    snapshot_s,
    stagger_offset_s,
)
from dcsim.spec.checkpoints import CheckpointSpec
from dcsim.spec.storage import StorageSpec


def store_of(capacity=100, **spec):
    parts = {"shared": {"capacity_bytes": capacity}, "local": {"capacity_bytes": capacity}}
    volumes = Volumes(StorageSpec.model_validate(parts), servers=4)
    return CheckpointStore(CheckpointSpec(**spec), volumes), volumes


def begun(store, job, size, streams=((0, 1.0),)):
    checkpoint, _ = store.begin(job, size, streams)
    assert isinstance(checkpoint, Checkpoint)
    return checkpoint


def test_the_old_one_goes_when_the_new_one_is_complete():
    store, volumes = store_of()
    first = begun(store, "job", 40)
    assert store.latest("job") is None
    assert volumes.used_bytes("shared") == 40
    assert store.commit(first) == ()
    second = begun(store, "job", 40)
    assert volumes.used_bytes("shared") == 80
    assert store.latest("job") == first
    assert store.commit(second) == (first,)
    assert store.latest("job") == second
    assert volumes.used_bytes("shared") == 40
    assert store.forget("job") == 1
    assert volumes.used_bytes("shared") == 0
    assert store.latest("job") is None


def test_no_room_is_an_answer_and_the_job_keeps_what_it_has():
    store, volumes = store_of(capacity=70)
    first = begun(store, "job", 40)
    store.commit(first)
    answer, removed = store.begin("job", 40, [(0, 1.0)])
    assert isinstance(answer, Full)
    assert (answer.asked_bytes, answer.free_bytes, removed) == (40, 30, ())
    assert store.latest("job") == first
    assert volumes.used_bytes("shared") == 40


def test_who_is_broken_off_leaves_no_trace():
    store, volumes = store_of()
    writing = begun(store, "job", 40)
    store.abort(writing)
    store.abort(writing)
    assert volumes.used_bytes("shared") == 0
    assert store.commit(writing) == ()
    assert store.latest("job") is None


def test_the_oldest_superseded_one_of_any_job_goes_first():
    store, volumes = store_of(capacity=100, keep=3, on_full="evict_oldest")
    a1, b1 = begun(store, "a", 20), begun(store, "b", 20)
    store.commit(a1)
    store.commit(b1)
    b2 = begun(store, "b", 20)
    store.commit(b2)
    a2 = begun(store, "a", 20)
    store.commit(a2)
    new, removed = store.begin("b", 40, [(0, 1.0)])
    assert isinstance(new, Checkpoint)
    assert removed == (b1,)  # a1 is older, but b1 was superseded first
    answer, removed = store.begin("a", 90, [(0, 1.0)])
    assert isinstance(answer, Full)
    assert removed == (a1,)
    assert (store.latest("a"), store.latest("b")) == (a2, b2)  # the last of each stays
    volumes.check()


def test_sharded_each_server_writes_its_part_and_else_the_first_all():
    store, volumes = store_of(target="local")
    parts = begun(store, "job", 90, [(0, 1.0), (2, 0.5)]).parts
    assert parts == ((0, 60), (2, 30))
    assert (volumes.used_bytes("local", 0), volumes.used_bytes("local", 2)) == (60, 30)
    answer, _ = store.begin("other", 60, [(1, 1.0), (0, 5.0)])
    assert isinstance(answer, Full)
    assert answer.server == 0
    assert volumes.used_bytes("local", 1) == 0  # what had its room before gives it back
    whole, volumes = store_of(target="local", sharded=False)
    assert begun(whole, "job", 90, [(1, 1.0), (2, 0.5)]).parts == ((1, 90),)


def test_a_lost_disk_takes_the_checkpoints_with_it():
    store, volumes = store_of(target="local", keep=2)
    old = begun(store, "moved", 30, [(3, 1.0)])
    store.commit(old)
    for job, servers in (("moved", (0, 1)), ("there", (1, 2)), ("elsewhere", (2, 3))):
        store.commit(begun(store, job, 20, [(server, 1.0) for server in servers]))
    writing = begun(store, "writing", 10, [(1, 1.0), (2, 1.0)])
    assert store.lose_server(1) == ("moved", "there")
    assert store.latest("moved") == old
    assert store.latest("there") is None
    assert store.latest("elsewhere") is not None
    assert store.commit(writing) == ()
    assert store.latest("writing") is None
    assert volumes.used_bytes("local", 1) == 0
    shared, _ = store_of()
    shared.commit(begun(shared, "job", 10))
    assert shared.lose_server(0) == ()
    assert shared.latest("job") is not None


def test_two_writes_that_overtake_each_other_leave_the_newer_one():
    store, _ = store_of()
    first, second = begun(store, "job", 10), begun(store, "job", 10)
    assert store.commit(second) == ()
    assert store.commit(first) == (first,)
    assert store.latest("job") == second


def test_sizes_and_times_by_hand():
    # 70 billion parameters: 14 B each as in mixed precision, or as measured, or as told.
    assert checkpoint_bytes(70 * 10**9) == 980 * 10**9
    assert checkpoint_bytes(70 * 10**9, measured_bytes=1e9) == 10**9
    assert checkpoint_bytes(70 * 10**9, measured_bytes=1e9, bytes_per_parameter=2.0) == 140 * 10**9
    assert snapshot_s(980e9, 49) == 1.0
    assert snapshot_s(980e9, 49, sharded=False) == 49.0
    assert snapshot_s(100.0, 2, 25.0) == 2.0
    assert burst_s(100.0, 10.0, bursts=3, latency_s=0.5) == 30.5


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True), st.floats(1.0, 1e5))
def test_offsets_are_below_the_stagger_and_in_proportion_to_it(jobs, stagger_s):
    for job in jobs:
        offset_s = stagger_offset_s(job, stagger_s)
        assert 0.0 <= offset_s < stagger_s
        assert offset_s == pytest.approx(stagger_s * stagger_offset_s(job, 1.0))
    assert stagger_offset_s(jobs[0], 0.0) == 0.0


def test_offsets_spread_evenly():
    offsets = sorted(stagger_offset_s(f"job-{n}", 1.0) for n in range(1_000))
    assert max(abs(offset - (n + 0.5) / 1_000) for n, offset in enumerate(offsets)) < 0.05


@given(st.integers(0, 10**16), st.lists(st.floats(0.01, 100.0), min_size=1, max_size=9))
def test_parts_are_whole_bytes_and_sum_to_the_whole(size, weights):
    parts = split_bytes(size, weights)
    assert sum(parts) == size
    assert all(part >= 0 for part in parts)
    for part, weight in zip(parts, weights, strict=True):
        assert part == pytest.approx(size * weight / sum(weights), rel=1e-9, abs=2.0)


JOBS = st.sampled_from(["a", "b", "c"])
SERVERS = st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True)


class StoreMachine(RuleBasedStateMachine):
    """Jobs write, break off, lose disks and end; the books of the volumes and of the store agree."""

    @initialize(
        place=st.sampled_from(["shared", "local"]),
        keep=st.integers(1, 3),
        on_full=st.sampled_from(["skip", "evict_oldest"]),
        sharded=st.booleans(),
    )
    def build(self, place, keep, on_full, sharded):
        self.target = place
        self.store, self.volumes = store_of(
            capacity=120, target=place, keep=keep, on_full=on_full, sharded=sharded
        )
        self.writing: list[Checkpoint] = []
        self.newest: dict[str, int] = {}
        """Job -> number of its newest complete checkpoint."""

    @rule(job=JOBS, size=st.integers(0, 90), servers=SERVERS)
    def begin(self, job, size, servers):
        streams = [(server, 1.0 + server) for server in servers]
        answer, removed = self.store.begin(job, size, streams)
        if isinstance(answer, Checkpoint):
            self.writing.append(answer)
            assert sum(part for _, part in answer.parts) == size
        if removed:
            assert self.store.spec.on_full == "evict_oldest"
        assert all(checkpoint.number < self.newest[checkpoint.job] for checkpoint in removed)

    @precondition(lambda self: bool(getattr(self, "writing", None)))
    @rule(data=st.data(), complete=st.booleans())
    def end(self, data, complete):
        checkpoint = self.writing.pop(data.draw(st.integers(0, len(self.writing) - 1)))
        if complete:
            self.store.commit(checkpoint)
            self.newest[checkpoint.job] = max(self.newest.get(checkpoint.job, 0), checkpoint.number)
        else:
            self.store.abort(checkpoint)

    @rule(job=JOBS)
    def forget(self, job):
        self.store.forget(job)
        self.newest.pop(job, None)
        self.writing = [checkpoint for checkpoint in self.writing if checkpoint.job != job]

    @rule(server=st.integers(0, 3))
    def lose(self, server):
        hit = self.store.lose_server(server)
        if self.target == "shared":
            assert hit == ()
            return
        self.writing = [c for c in self.writing if all(at != server for at, _ in c.parts)]
        for job in hit:
            newest = self.store.latest(job)
            if newest is None:
                del self.newest[job]
            else:
                assert newest.number < self.newest[job]
                self.newest[job] = newest.number

    @invariant()
    def every_byte_in_use_belongs_to_a_checkpoint(self):
        self.volumes.check()
        complete = [c for job in "abc" for c in self.store.complete(job)]
        sizes = sum(c.size_bytes for c in [*complete, *self.writing])
        places = [("shared", -1)] if self.target == "shared" else [("local", s) for s in range(4)]
        assert sum(self.volumes.used_bytes(place, server) for place, server in places) == sizes

    @invariant()
    def each_job_has_its_newest_and_no_more_than_are_kept(self):
        for job in "abc":
            newest = self.store.latest(job)
            assert (newest.number if newest else None) == self.newest.get(job)
            assert len(self.store.complete(job)) <= self.store.spec.keep


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
