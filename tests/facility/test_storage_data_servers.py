"""Data servers that are lost: what is left, and what rebuilding them moves."""

from __future__ import annotations

import pytest

from dcsim.errors import GuardError
from dcsim.facility.storage import DataServers, Storage
from dcsim.spec.storage import StorageSpec
from tests.facility.storage_stand_ins import StarOfServers, rates

REPLICATED = {"kind": "replication", "copies": 3}
CODED = {"kind": "erasure", "data_shards": 8, "parity_shards": 2}


def servers_of(redundancy=REPLICATED, **more):
    shared = {"bandwidth_bytes_per_s": 100e9, "data_servers": 20, "redundancy": redundancy, **more}
    storage = Storage(StorageSpec.model_validate({"shared": shared}), 2)
    return DataServers(storage.spec.shared, storage.links), storage


@pytest.mark.parametrize(("redundancy", "weight"), [(REPLICATED, 2.0), (CODED, 9.0)])
def test_a_rebuild_reads_what_it_needs_and_writes_what_was_lost(redundancy, weight):
    """A copy is read and written once; a shard of 8 + 2 is computed from eight others."""
    servers, storage = servers_of(redundancy)
    rebuild = servers.fail(3, stored_bytes=40e12)
    assert rebuild.size_bytes == 2e12  # an even part of 20
    assert dict(rebuild.uses) == {storage.shared_link: weight}
    assert not rebuild.data_lost
    (rate,) = rates(storage, StarOfServers(storage, 2), [list(rebuild.uses)])
    assert rate == pytest.approx(100e9 / weight)


def test_reads_and_writes_of_a_rebuild_are_apart_where_their_bandwidths_are():
    servers, storage = servers_of(CODED, write_bandwidth_bytes_per_s=50e9)
    uses = dict(servers.fail(0, 1e12).uses)
    assert uses == {storage.links.shared_read[0]: 8.0, storage.links.shared_write[0]: 1.0}
    assert servers.capacities() == [(0, 95e9), (storage.links.shared_write[0], 47.5e9)]


def test_a_rebuild_is_spread_over_all_data_servers():
    servers, storage = servers_of(CODED, stripe_count=4)
    uses = dict(servers.fail(0, 1e12).uses)
    on_servers = [uses[link] for link in storage.links.data_server_read]
    assert on_servers == pytest.approx([9.0 / 20] * 20)


def test_bandwidth_goes_with_a_data_server_and_comes_back_with_a_new_one():
    servers, _ = servers_of()
    assert servers.capacities() == [(0, 100e9)]
    servers.fail(3, 1e12)
    servers.fail(7, 1e12)
    assert servers.down == (3, 7)
    assert servers.capacities() == [(0, pytest.approx(90e9))]
    servers.rebuilt(3)
    assert servers.capacities() == [(0, pytest.approx(90e9))]
    servers.replaced(3)
    servers.replaced(7)
    assert servers.capacities() == [(0, 100e9)]


def test_more_losses_at_once_than_the_redundancy_makes_up_for_lose_data():
    servers, _ = servers_of()
    assert [servers.fail(n, 20e12).data_lost for n in range(3)] == [False, False, True]
    assert servers.data_lost
    in_time, _ = servers_of()
    for n in range(6):
        assert not in_time.fail(n, 20e12).data_lost
        in_time.rebuilt(n)
    assert not in_time.data_lost


def test_what_is_rebuilt_lies_on_those_that_are_up():
    servers, _ = servers_of()
    assert servers.fail(0, 20e12).size_bytes == 1e12
    assert servers.fail(1, 20e12).size_bytes == 1e12  # what server 0 held is not on the others yet
    servers.rebuilt(0)
    servers.rebuilt(1)
    assert servers.fail(2, 20e12).size_bytes == pytest.approx(20e12 / 18)


def test_an_empty_file_system_rebuilds_nothing_and_a_cap_holds():
    servers, _ = servers_of(rebuild_bandwidth_bytes_per_s=1e9)
    rebuild = servers.fail(0, 0.0)
    assert (rebuild.size_bytes, rebuild.uses) == (0.0, ())
    assert rebuild.cap_bytes_per_s == 1e9
    assert servers_of()[0].fail(0, 1e12).cap_bytes_per_s == 100e9


def test_only_what_is_up_can_fail():
    servers, _ = servers_of(data_servers=3)
    servers.fail(0, 1.0)
    for number in (0, 3, -1):
        with pytest.raises(GuardError, match="expected one of 2 that are up"):
            servers.fail(number, 1.0)
    servers.fail(1, 1.0)
    with pytest.raises(GuardError, match="not the last"):
        servers.fail(2, 1.0)
