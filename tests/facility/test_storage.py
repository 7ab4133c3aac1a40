"""Storage's links, and what reads and writes use of them: by hand, and shared max-min."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.storage import Place, Storage, StorageState, cached_fraction
from dcsim.facility.storage.checkpoint_times import burst_s
from dcsim.facility.storage.loading import overlap_fraction, read_ahead_bytes_per_s, step_time_s
from dcsim.facility.storage.stripes import covered_data_servers, stripe_data_servers
from dcsim.spec.redundancy import RedundancySpec, stored_per_byte
from dcsim.spec.storage import StorageSpec
from dcsim.testing.strategies import storages
from tests.facility.storage_stand_ins import StarOfServers, rates

SERVERS = 4


def storage_of(**parts):
    return Storage(StorageSpec.model_validate(parts), SERVERS)


def test_a_scenario_that_says_nothing_has_one_file_system_and_one_disk_a_server():
    storage = storage_of()
    assert storage.link_names == ["shared file system", *(f"server {s} disk" for s in range(SERVERS))]
    assert storage.capacity_bytes_per_s == [100e9, 6e9, 6e9, 6e9, 6e9]
    assert (storage.shared_link, list(storage.disk_links)) == (0, [1, 2, 3, 4])
    assert storage.power_w == 5_000.0
    assert storage.is_plain


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        (0.0, [(0, 1.5), (5, 1.0), (6, 0.5)]),
        (1.0, [(1, 1.0), (2, 0.5)]),
        (0.25, [(1, 0.25), (2, 0.125), (0, 1.125), (5, 0.75), (6, 0.375)]),
    ],
)
def test_feeds_are_as_they_were(local, expected):
    storage = storage_of()
    assert storage.feed_uses(StarOfServers(storage, SERVERS), [(0, 1.0), (1, 0.5)], local) == expected


def test_local_fractions_are_as_they_were():
    assert storage_of().local_fraction(1e12) == 0.0
    assert storage_of(feed="local").local_fraction(1e12) == 1.0
    cached = storage_of(feed="cached", local={"capacity_bytes": 4e12})
    assert cached.local_fraction(8e12) == cached_fraction(4e12, 8e12) == 0.5
    assert cached.is_plain
    assert cached.cache is None


def test_a_plain_read_uses_what_a_feed_does():
    for feed in ("shared", "local", "cached"):
        storage = storage_of(feed=feed)
        network, streams = StarOfServers(storage, SERVERS), [(0, 1.0), (3, 0.5)]
        for local in (0.0, 0.3, 1.0):
            new = storage.read_uses(network, streams, "shared", local=local)
            assert dict(new) == pytest.approx(dict(storage.feed_uses(network, streams, local)))


def test_new_links_come_after_the_old_ones_in_one_block():
    storage = storage_of(
        shared={
            "write_bandwidth_bytes_per_s": 50e9,
            "data_servers": 2,
            "stripe_count": 1,
            "metadata_operations_per_s": 1e5,
            "file_bytes": 1e6,
        },
        local={
            "write_bandwidth_bytes_per_s": 3e9,
            "read_operations_per_s": 1e6,
            "write_operations_per_s": 5e5,
        },
        object_store={"write_bandwidth_bytes_per_s": 10e9, "requests_per_s": 5_500},
        cache={"where": "shared", "capacity_bytes": 1e12},
        feed="cached",
    )
    disks = [f"server {s} disk" for s in range(SERVERS)]
    expected = [
        ("shared file system", 100e9, "B/s"),
        *((disk, 6e9, "B/s") for disk in disks),
        ("shared file system write", 50e9, "B/s"),
        ("data server 0", 50e9, "B/s"),
        ("data server 1", 50e9, "B/s"),
        ("data server 0 write", 25e9, "B/s"),
        ("data server 1 write", 25e9, "B/s"),
        ("metadata servers", 1e5, "1/s"),
        *((f"{disk} write", 3e9, "B/s") for disk in disks),
        *((f"{disk} reads", 1e6, "1/s") for disk in disks),
        *((f"{disk} writes", 5e5, "1/s") for disk in disks),
        ("object store", 20e9, "B/s"),
        ("object store write", 10e9, "B/s"),
        ("object store requests", 5_500.0, "1/s"),
        ("shared cache", 100e9, "B/s"),
    ]
    found = zip(storage.link_names, storage.capacity_bytes_per_s, storage.link_units, strict=True)
    assert list(found) == expected
    assert len(storage.link_tiers) == len(expected)
    assert len(set(storage.link_names)) == len(expected)


# -- each limit alone, by hand ---------------------------------------------------------------------------


def lone_rate(storage, uses):
    return rates(storage, StarOfServers(storage, SERVERS), [uses])[0]


def read(storage, place, key="", streams=((0, 1.0),), **more):
    return storage.read_uses(StarOfServers(storage, SERVERS), list(streams), place, key, **more)


def write(storage, place, key="object", streams=((0, 1.0),)):
    return storage.write_uses(StarOfServers(storage, SERVERS), list(streams), place, key)


def test_metadata_operations_limit_small_files():
    # 110 kB files, two operations each, 10,000 operations/s: 5,000 files or 550 MB each second.
    shared = {"metadata_operations_per_s": 1e4}
    storage = storage_of(shared=shared, datasets={"imagenet": {"size_bytes": 140e9, "file_bytes": 110e3}})
    assert lone_rate(storage, read(storage, "shared", "imagenet")) == pytest.approx(550e6)


def test_disk_operations_limit_small_requests():
    # 4 kB requests at 100,000/s: 400 MB/s of a disk that gives 6 GB/s.
    storage = storage_of(local={"read_operations_per_s": 1e5, "request_bytes": 4_000})
    assert lone_rate(storage, read(storage, "local")) == pytest.approx(400e6)
    assert lone_rate(storage, write(storage, "local")) == pytest.approx(6e9)  # writes are not limited


def test_files_smaller_than_a_request_take_one_each():
    local = {"read_operations_per_s": 1e5, "request_bytes": 1e6}
    sets = {"small": {"size_bytes": 1e9, "file_bytes": 1e3}, "odd": {"size_bytes": 1e9, "file_bytes": 1.5e6}}
    storage = storage_of(local=local, datasets=sets)
    assert lone_rate(storage, read(storage, "local", "small")) == pytest.approx(1e8)
    # 1.5 MB take two requests of up to 1 MB: 75 GB/s, so the disk is the limit.
    uses = dict(read(storage, "local", "odd"))
    assert uses[storage.links.disk_read_operations[0]] == pytest.approx(2 / 1.5e6)


def test_requests_limit_an_object_store():
    # 5,500 requests/s of 1 MB.
    storage = storage_of(object_store={"requests_per_s": 5_500, "request_bytes": 1e6})
    assert lone_rate(storage, read(storage, "object")) == pytest.approx(5.5e9)
    assert lone_rate(storage, write(storage, "object")) == pytest.approx(5.5e9)


@pytest.mark.parametrize(
    ("redundancy", "factor"),
    [
        ({"kind": "none"}, 1.0),
        ({"kind": "replication", "copies": 3}, 3.0),
        ({"kind": "erasure", "data_shards": 8, "parity_shards": 2}, 1.25),
    ],
)
def test_redundancy_is_written_too_and_read_once(redundancy, factor):
    shared = {"bandwidth_bytes_per_s": 90e9, "redundancy": redundancy}
    storage = storage_of(shared=shared, object_store={"redundancy": redundancy})
    assert lone_rate(storage, write(storage, "shared")) == pytest.approx(90e9 / factor)
    assert lone_rate(storage, read(storage, "shared")) == pytest.approx(90e9)
    assert lone_rate(storage, write(storage, "object")) == pytest.approx(20e9 / factor)
    assert lone_rate(storage, read(storage, "object")) == pytest.approx(20e9)


def test_one_file_gets_the_bandwidth_of_its_stripe():
    shared = {"bandwidth_bytes_per_s": 80e9, "data_servers": 8, "stripe_count": 2}
    storage = storage_of(shared=shared)
    assert lone_rate(storage, write(storage, "shared")) == pytest.approx(2 * 10e9)
    # Four parts are four files; where their stripes do not meet they get four times as much.
    parts = write(storage, "shared", "wide", [(s, 0.25) for s in range(4)])
    total = sum(weight for link, weight in parts if link in storage.links.data_server_write)
    assert total == pytest.approx(1.0)
    busiest = max(weight for link, weight in parts if link in storage.links.data_server_write)
    assert lone_rate(storage, parts) == pytest.approx(10e9 / busiest)
    # A dataset of many files lies on all.
    assert lone_rate(storage, read(storage, "shared")) == pytest.approx(80e9)


def test_a_dataset_of_one_file_or_a_few_lies_on_their_stripes_only():
    shared = {"bandwidth_bytes_per_s": 80e9, "data_servers": 8, "stripe_count": 2}
    sets = {"one": {"size_bytes": 9e9}, "three": {"size_bytes": 9e9, "file_bytes": 3e9}}
    storage = storage_of(shared=shared, datasets=sets)
    assert lone_rate(storage, read(storage, "shared", "one")) == pytest.approx(20e9)
    assert lone_rate(storage, read(storage, "shared", "three")) == pytest.approx(60e9)


def test_copies_of_a_stripe_lie_on_other_data_servers():
    shared = {
        "bandwidth_bytes_per_s": 80e9,
        "data_servers": 8,
        "stripe_count": 2,
        "redundancy": {"kind": "replication", "copies": 3},
    }
    storage = storage_of(shared=shared)
    on_servers = {link: w for link, w in write(storage, "shared") if link in storage.links.data_server_write}
    assert sorted(on_servers.values()) == pytest.approx([0.5] * 6)
    assert lone_rate(storage, write(storage, "shared")) == pytest.approx(20e9)


def test_stripes_on_the_same_data_server_share_it():
    shared = {"bandwidth_bytes_per_s": 80e9, "data_servers": 8, "stripe_count": 1}
    storage = storage_of(shared=shared)
    by_server: dict[int, list[str]] = {}
    for n in range(40):
        by_server.setdefault(stripe_data_servers(f"f{n}", 1, 8)[0], []).append(f"f{n}")
    same = max(by_server.values(), key=len)[:3]
    flows = [write(storage, "shared", key, [(n, 1.0)]) for n, key in enumerate(same)]
    assert rates(storage, StarOfServers(storage, SERVERS), flows) == pytest.approx([10e9 / 3] * 3)


def test_reads_and_writes_share_a_bandwidth_unless_writes_have_their_own():
    pooled = storage_of()
    flows = [read(pooled, "shared"), write(pooled, "shared", streams=[(1, 1.0)])]
    assert rates(pooled, StarOfServers(pooled, SERVERS), flows) == pytest.approx([50e9, 50e9])
    apart = storage_of(shared={"write_bandwidth_bytes_per_s": 40e9})
    flows = [read(apart, "shared"), write(apart, "shared", streams=[(1, 1.0)])]
    assert rates(apart, StarOfServers(apart, SERVERS), flows) == pytest.approx([100e9, 40e9])


@pytest.mark.parametrize("k", [1, 2, 3, 7, 64])
def test_k_bursts_at_once_take_k_times_as_long(k):
    storage = Storage(StorageSpec.model_validate({"shared": {"bandwidth_bytes_per_s": 10e9}}), k)
    network = StarOfServers(storage, k)
    flows = [storage.write_uses(network, [(s, 1.0)], "shared", f"job-{s}") for s in range(k)]
    for rate in rates(storage, network, flows):
        assert 100e9 / rate == pytest.approx(k * burst_s(100e9, 10e9), rel=1e-12)
        assert 100e9 / rate == pytest.approx(burst_s(100e9, 10e9, bursts=k), rel=1e-12)


def test_local_writes_do_not_share():
    storage = storage_of(local={"write_bandwidth_bytes_per_s": 2e9})
    flows = [write(storage, "local", streams=[(s, 1.0)]) for s in range(SERVERS)]
    assert rates(storage, StarOfServers(storage, SERVERS), flows) == pytest.approx([2e9] * SERVERS)


def test_hits_come_from_the_disk_and_fills_go_there():
    storage = storage_of(
        local={"write_bandwidth_bytes_per_s": 3e9}, feed="cached", cache={"capacity_bytes": 1e9}
    )
    links, network = storage.links, StarOfServers(storage, SERVERS)
    uses = dict(read(storage, "shared", streams=[(0, 1.0), (1, 0.5)], local=0.6, filled=[0.4, 0.0]))
    assert uses == pytest.approx(
        {
            links.disk_read[0]: 0.6,
            links.disk_read[1]: 0.3,
            links.disk_write[0]: 0.4,
            links.shared_read[0]: 0.6,
            network.down[0]: 0.4,
            network.down[1]: 0.2,
        }
    )


def test_a_shared_cache_stands_before_the_storage_and_behind_the_network():
    storage = storage_of(
        object_store={},
        datasets={"a": {"size_bytes": 1e12, "place": "object"}},
        cache={"where": "shared", "capacity_bytes": 1e12, "bandwidth_bytes_per_s": 30e9},
    )
    links, network = storage.links, StarOfServers(storage, SERVERS)
    uses = dict(read(storage, "object", "a", local=0.75, filled=0.25))
    assert uses == pytest.approx(
        {links.shared_cache[0]: 1.0, links.object_read[0]: 0.25, network.down[0]: 1.0}
    )


def test_what_hits_whole_leaves_the_store_alone():
    storage = storage_of(
        object_store={"requests_per_s": 1.0},
        datasets={"a": {"size_bytes": 1e9, "place": "object"}},
        cache={"capacity_bytes": 1e9},
    )
    assert read(storage, "object", "a", local=1.0) == [(storage.disk_links[0], 1.0)]


def test_a_restore_from_disks_elsewhere_crosses_the_network():
    storage = storage_of()
    network = StarOfServers(storage, SERVERS)
    halves = [(0, 0.5), (1, 0.5)]
    stay = storage.restore_uses(network, halves, "local", "c", sources=halves)
    assert sorted(stay) == [(1, 0.5), (2, 0.5)]
    moved = dict(storage.restore_uses(network, [(1, 0.5), (2, 0.5)], "local", "c", sources=halves))
    assert moved == {1: 0.5, 2: 0.5, network.up[0]: 0.5, network.down[2]: 0.5}
    assert storage.restore_uses(network, halves, "shared", "c") == [
        (0, 1.0),
        (network.down[0], 0.5),
        (network.down[1], 0.5),
    ]


def test_what_one_server_gets_is_limited_by_its_client_and_by_what_is_on_its_way():
    storage = storage_of(
        shared={"client_bandwidth_bytes_per_s": 5e9, "latency_s": "1 ms"},
        object_store={"latency_s": "20 ms"},
        cache={"where": "none", "prefetch_bytes": 64e6},
    )
    cap = storage.stream_cap_bytes_per_s
    assert cap("shared", [(0, 1.0)]) == 5e9  # 64 MB each ms would be 64 GB/s
    assert cap("shared", [(0, 1.0), (1, 0.5)]) == 5e9
    assert cap("shared", [(s, 0.25) for s in range(4)]) == 20e9
    assert cap("object", [(0, 1.0)]) == pytest.approx(64e6 / 0.02)
    assert cap("object", [(0, 1.0)], write=True) == math.inf
    assert cap("object", [(0, 1.0)], reads_ahead=False) == math.inf
    assert cap("local", [(0, 1.0)]) == math.inf
    assert [storage.latency_s(place) for place in ("shared", "local", "object")] == [1e-3, 0.0, 0.02]
    assert not storage.is_plain


def test_without_latency_or_without_reading_ahead_a_stream_has_no_limit_of_its_own():
    assert read_ahead_bytes_per_s(64e6, 0.0) == math.inf
    assert read_ahead_bytes_per_s(0.0, 0.02) == math.inf  # then reading and computing alternate
    assert read_ahead_bytes_per_s(64e6, 1.0) == 64e6
    assert read_ahead_bytes_per_s(1.0, 0.02) == 50.0


# -- theorems --------------------------------------------------------------------------------------------


@given(
    storages(tiers=True), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=3), st.floats(0, 1), st.data()
)
def test_every_byte_is_read_once_and_written_as_often_as_the_redundancy_says(spec, weights, hit, data):
    storage = Storage(spec, 3)
    network = StarOfServers(storage, 3)
    links, streams = storage.links, list(enumerate(weights))
    total = sum(weights)

    def on(uses, numbers):
        return sum(weight for link, weight in uses if link in numbers)

    local = hit if storage.cache is not None else 0.0
    name = data.draw(st.sampled_from(["", *spec.datasets]))
    place: Place = spec.datasets[name].place if name else "shared"
    uses = storage.read_uses(network, streams, place, name, local=local)
    assert len(dict(uses)) == len(uses)
    assert all(weight > 0.0 for _, weight in uses)
    came = on(uses, links.shared_read) + on(uses, links.object_read) + on(uses, links.disk_read)
    assert came + on(uses, links.shared_cache) == pytest.approx(total)
    if links.data_server_read:
        assert on(uses, links.data_server_read) == pytest.approx(on(uses, links.shared_read), abs=1e-12)

    targets: list[tuple[Place, range, RedundancySpec]] = [
        ("shared", links.shared_write, spec.shared.redundancy),
        ("object", links.object_write, spec.object_store.redundancy),
    ]
    for target, write_link, redundancy in targets:
        uses = storage.write_uses(network, streams, target, "key")
        assert len(dict(uses)) == len(uses)
        assert on(uses, write_link) == pytest.approx(total * stored_per_byte(redundancy))
        if target == "shared" and links.data_server_write:
            assert on(uses, links.data_server_write) == pytest.approx(on(uses, write_link))
        assert on(uses, network.up) == pytest.approx(total)
    StorageState(storage, 3).check()


@given(st.text(max_size=20), st.integers(1, 64), st.integers(1, 64))
def test_stripes_are_distinct_data_servers_and_stable(key, count, data_servers):
    count = min(count, data_servers)
    servers = stripe_data_servers(key, count, data_servers)
    assert len(set(servers)) == count
    assert all(0 <= server < data_servers for server in servers)
    assert servers == stripe_data_servers(key, count, data_servers)
    assert covered_data_servers(1, count, data_servers) == count


@given(st.floats(0, 1e3), st.floats(0, 1e3), st.floats(0, 1e12), st.floats(1, 1e12))
def test_reading_ahead_never_slows_and_no_step_beats_its_parts(compute_s, input_s, prefetch, step_bytes):
    overlap = overlap_fraction(prefetch, step_bytes)
    assert 0.0 <= overlap <= 1.0
    step_s = step_time_s(compute_s, input_s, overlap)
    assert max(compute_s, input_s) <= step_s * (1 + 1e-12)
    assert step_s <= (compute_s + input_s) * (1 + 1e-12)
    assert step_time_s(compute_s, input_s, 1.0) <= step_s * (1 + 1e-12)
