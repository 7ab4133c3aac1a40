"""Objects on places that fill up: exact sums, never over capacity, a full place changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dcsim.errors import GuardError
from dcsim.facility.storage import NO_SERVER, Full, Place, Stored, Volumes
from dcsim.facility.storage.redundancy import rebuild_traffic, stored_bytes, stripe_width, tolerated_losses
from dcsim.spec.redundancy import ErasureCodingSpec, NoRedundancySpec, ReplicationSpec, stored_per_byte
from dcsim.spec.storage import StorageSpec

REDUNDANCIES = st.one_of(
    st.just(NoRedundancySpec()),
    st.builds(ReplicationSpec, copies=st.integers(2, 16)),
    st.builds(ErasureCodingSpec, data_shards=st.integers(1, 20), parity_shards=st.integers(1, 8)),
)


def volumes_of(servers=2, on_disk=None, **parts):
    return Volumes(StorageSpec.model_validate(parts), servers, on_disk)


def test_a_full_place_is_an_answer_and_changes_nothing():
    volumes = volumes_of(shared={"capacity_bytes": 100})
    assert volumes.put("shared", "a", 60) == Stored("shared", NO_SERVER, "a", 60, 60)
    assert volumes.put("shared", "b", 41) == Full("shared", NO_SERVER, "b", 41, 40)
    assert volumes.objects("shared") == (Stored("shared", NO_SERVER, "a", 60, 60),)
    assert isinstance(volumes.put("shared", "b", 40), Stored)
    assert volumes.free_bytes("shared") == 0
    assert isinstance(volumes.resize("shared", "a", 61), Full)
    assert volumes.used_bytes("shared") == 100
    assert isinstance(volumes.resize("shared", "a", 10), Stored)
    assert volumes.used_bytes("shared") == 50
    assert volumes.remove("shared", "b") == 40
    assert volumes.remove("shared", "b") == 0


def test_copies_and_parity_take_room():
    replicated = volumes_of(shared={"capacity_bytes": 90, "redundancy": {"kind": "replication", "copies": 3}})
    assert isinstance(replicated.put("shared", "a", 31), Full)
    assert replicated.put("shared", "a", 30) == Stored("shared", NO_SERVER, "a", 30, 90)
    coded = volumes_of(object_store={"capacity_bytes": 1_000, "redundancy": {"kind": "erasure"}})
    assert coded.put("object", "a", 81) == Stored(
        "object", NO_SERVER, "a", 81, 102
    )  # 81 * 10 / 8, whole bytes


def test_each_disk_is_a_place_of_its_own_and_tells_what_is_free():
    heard: list[tuple[int, int]] = []
    volumes = volumes_of(local={"capacity_bytes": 100}, on_disk=lambda *told: heard.append(told))
    volumes.put("local", "a", 100, server=0)
    assert isinstance(volumes.put("local", "a", 1, server=0), Stored)  # replaced, not added
    volumes.put("local", "a", 100, server=1)
    volumes.put("shared", "a", 100)
    assert volumes.wipe(1) == ["a"]
    assert volumes.wipe(1) == []
    assert heard == [(0, 0), (0, 99), (1, 0), (1, 100)]


def test_a_node_cache_of_a_given_size_is_not_for_objects():
    cache = {"capacity_bytes": 70}
    assert volumes_of(local={"capacity_bytes": 100}, feed="cached", cache=cache).free_bytes("local", 0) == 30
    assert volumes_of(local={"capacity_bytes": 100}, feed="cached", cache={}).free_bytes("local", 0) == 100


def test_what_is_no_place_or_no_size_is_a_fault_of_the_caller():
    volumes = volumes_of()
    for call in (
        lambda: volumes.put("object", "a", 1),
        lambda: volumes.put("local", "a", 1, server=2),
        lambda: volumes.put("local", "a", 1),
        lambda: volumes.put("shared", "a", -1),
        lambda: volumes.resize("shared", "a", 1),
    ):
        with pytest.raises(GuardError, match="-> expected"):
            call()


def test_the_guard_sees_a_wrong_sum():
    volumes = volumes_of(shared={"capacity_bytes": 100})
    volumes.put("shared", "a", 60)
    volumes.check()
    volumes._pools["shared"].used = 59
    with pytest.raises(GuardError, match="59 B in use of 100, objects of 60 B"):
        volumes.check()


@given(REDUNDANCIES, st.integers(0, 10**18))
def test_stored_bytes_are_the_whole_bytes_of_the_data_times_the_redundancy(redundancy, size):
    stored = stored_bytes(redundancy, size)
    assert size <= stored
    assert stored == pytest.approx(size * stored_per_byte(redundancy), rel=1e-12, abs=1.0)


@given(REDUNDANCIES, st.floats(0, 1e18))
def test_a_rebuild_writes_what_was_lost_and_reads_enough_for_it(redundancy, lost):
    if isinstance(redundancy, NoRedundancySpec):
        assert tolerated_losses(redundancy) == 0
        with pytest.raises(ValueError, match="cannot be rebuilt"):
            rebuild_traffic(redundancy, lost)
        return
    traffic = rebuild_traffic(redundancy, lost)
    assert traffic.written_bytes == lost
    assert traffic.read_bytes >= lost
    assert tolerated_losses(redundancy) >= 1
    assert stripe_width(redundancy, 4) >= 4


KEYS = st.sampled_from(["a", "b", "c", "d"])
PLACES = st.sampled_from([("shared", NO_SERVER), ("object", NO_SERVER), ("local", 0), ("local", 1)])
SIZES = st.integers(0, 70)


class VolumesMachine(RuleBasedStateMachine):
    """Objects come, grow, shrink and go; a dictionary of sizes says what must be there."""

    @initialize(capacity=st.sampled_from([0, 1, 50, 100, None]), redundancy=REDUNDANCIES)
    def build(self, capacity, redundancy):
        spec = StorageSpec.model_validate(
            {
                "shared": {"capacity_bytes": capacity or None, "redundancy": redundancy},
                "object_store": {"capacity_bytes": capacity or None, "redundancy": redundancy},
                "local": {"capacity_bytes": 100 if capacity is None else capacity},
            }
        )
        self.redundancy = redundancy
        self.volumes = Volumes(spec, 2)
        self.model: dict[tuple[Place, int], dict[str, int]] = {}

    def _takes(self, place, size):
        if place == "local":
            return size
        return stored_bytes(self.redundancy, size)

    @rule(place=PLACES, key=KEYS, size=SIZES)
    def put(self, place, key, size):
        held = self.model.setdefault(place, {})
        answer = self.volumes.put(place[0], key, size, place[1])
        after = self._takes(place[0], size) + sum(
            self._takes(place[0], s) for k, s in held.items() if k != key
        )
        capacity = self.volumes.capacity_bytes(*place)
        assert isinstance(answer, Full) == (capacity is not None and after > capacity)
        if isinstance(answer, Stored):
            held[key] = size

    @rule(place=PLACES, key=KEYS)
    def remove(self, place, key):
        size = self.model.get(place, {}).pop(key, 0)
        assert self.volumes.remove(place[0], key, place[1]) == self._takes(place[0], size)

    @rule(server=st.integers(0, 1))
    def wipe(self, server):
        gone = self.model.pop(("local", server), {})
        assert sorted(self.volumes.wipe(server)) == sorted(gone)

    @invariant()
    def the_sum_of_the_objects_is_what_is_used(self):
        self.volumes.check()
        for (place, server), held in self.model.items():
            assert {item.key: item.size_bytes for item in self.volumes.objects(place, server)} == held
            used = sum(self._takes(place, size) for size in held.values())
            assert self.volumes.used_bytes(place, server) == used
            capacity = self.volumes.capacity_bytes(place, server)
            free = self.volumes.free_bytes(place, server)
            assert free == (None if capacity is None else capacity - used)


TestVolumes = VolumesMachine.TestCase
TestVolumes.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
