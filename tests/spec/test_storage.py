"""What a scenario says of storage and checkpoints: old meanings kept, contradictions refused with a way out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from dcsim.errors import ScenarioError
from dcsim.spec import plausibility, scenario_from_data, scenario_to_data
from dcsim.spec.checkpoints import CheckpointSpec
from dcsim.spec.storage import SharedFileSystemSpec, StorageSpec
from dcsim.testing.strategies import storages
from tests.spec.examples import Data

FAILURE = {"at_s": "1 h", "data_server": 0}
TWO_COPIES = {"kind": "replication", "copies": 2}
REFUSED: list[tuple[dict[str, Any], str, list[str]]] = [
    ({"shared": {"data_servers": 4, "stripe_count": 5}}, "shared.stripe_count", ["5", "at most the 4"]),
    (
        {"shared": {"data_servers": 4, "redundancy": {"kind": "erasure"}}},
        "shared.redundancy",
        ["10 copies or shards", "at most the 4 data servers", "a data server of its own"],
    ),
    (
        {"shared": {"redundancy": {"kind": "raid6"}}},
        "shared.redundancy.kind",
        ["'raid6'", "one of none, replication, erasure"],
    ),
    (
        {"shared": {"redundancy": {"kind": "replication", "data_shards": 4}}},
        "shared.redundancy.data_shards",
        ["an unknown field", "kind, copies"],
    ),
    (
        {"shared": {"redundancy": {"kind": "replication", "copies": 1}}},
        "shared.redundancy.copies",
        ["1 -> expected an integer >= 2"],
    ),
    (
        {"shared": {"data_servers": 2, "failures": [FAILURE]}},
        "shared.failures",
        ["failures without redundancy", "give `redundancy`"],
    ),
    (
        {"shared": {"failures": [FAILURE | {"data_server": 1}], "redundancy": TWO_COPIES}},
        "shared.failures.0.data_server",
        ["1 -> expected one of the 1 data servers, counted from 0", "give `data_servers`"],
    ),
    (
        {"shared": {"data_servers": 2, "failures": [FAILURE, FAILURE], "redundancy": TWO_COPIES}},
        "shared.failures.1",
        ["fails while it is down", "repair_s"],
    ),
    (
        {"shared": {"metadata_operations_per_s": 1_000}},
        "shared.metadata_operations_per_s",
        ["without effect", "a mean file size", "give `file_bytes`"],
    ),
    ({"shared": {"file_bytes": 0}}, "shared.file_bytes", ["0"]),
    ({"shared": {"write_bandwidth_bytes_per_s": 0}}, "shared.write_bandwidth_bytes_per_s", ["> 0"]),
    ({"shared": {"latency_s": "2 min"}}, "shared.latency_s", ["2 min", "<= 1 min"]),
    ({"local": {"read_operations_per_s": "1M"}}, "local.read_operations_per_s", ["'1M'", "a number"]),
    ({"local": {"capacity_bytes": "4 Tb"}}, "local.capacity_bytes", ["'4 Tb'"]),
    (
        {"datasets": {"a": {"size_bytes": "1 GB", "place": "object"}}},
        "datasets.a.place",
        ["object -> expected shared or local", "describe `object_store`"],
    ),
    ({"datasets": {"a": {"size_bytes": 0}}}, "datasets.a.size_bytes", ["0", ">= 1 B"]),
    (
        {"datasets": {"a": {"size_bytes": "1 GB", "file_bytes": "2 GB"}}},
        "datasets.a.file_bytes",
        ["2 GB -> expected at most the dataset's 1 GB"],
    ),
    (
        {"datasets": {"Sets": {"size_bytes": 1}, "sets": {"size_bytes": 1}}},
        "datasets.sets",
        ["a name of its own", "differs only by case"],
    ),
    (
        {"datasets": {"a": {"size_bytes": "5 TB", "place": "local"}}},
        "datasets",
        ["datasets of 5 TB on local", "at most the 4 TB of a local disk"],
    ),
    (
        {
            "shared": {"capacity_bytes": "1 TB", "redundancy": {"kind": "replication", "copies": 3}},
            "datasets": {"a": {"size_bytes": "400 GB"}},
        },
        "datasets",
        ["datasets of 1.2 TB on shared", "at most the 1 TB of the file system", "each byte takes 3"],
    ),
    (
        {"feed": "cached", "cache": {"where": "none"}},
        "cache.where",
        ["none -> expected node or shared under feed: cached"],
    ),
    ({"cache": {}}, "cache", ["nothing is read through", "name `datasets`"]),
    ({"feed": "cached", "cache": {"where": "shared"}}, "cache.capacity_bytes", ["the size of"]),
    (
        {"feed": "cached", "cache": {"bandwidth_bytes_per_s": "1 GB/s"}},
        "cache.bandwidth_bytes_per_s",
        ["1 GB/s -> expected none, or where: shared", "as fast as the disk"],
    ),
    (
        {"cache": {"where": "none", "capacity_bytes": "1 GB"}},
        "cache.capacity_bytes",
        ["1 GB -> expected none, or where: node or shared"],
    ),
    (
        {"feed": "cached", "cache": {"capacity_bytes": "5 TB"}},
        "cache.capacity_bytes",
        ["5 TB -> expected at most the 4 TB that datasets leave of the local disk"],
    ),
    ({"feed": "cached", "cache": {"policy": "fifo"}}, "cache.policy", ["one of no_eviction, lru"]),
]


def test_what_says_nothing_is_what_it_was() -> None:
    spec = StorageSpec()
    assert spec.shared.bandwidth_bytes_per_s == 100e9
    assert spec.shared.power_w == 5_000.0
    assert spec.local.bandwidth_bytes_per_s == 6e9
    assert spec.local.capacity_bytes == 4e12
    assert spec.feed == "shared"
    assert (spec.object_store, spec.cache, spec.datasets) == (None, None, {})
    assert spec.shared.latency_s == spec.local.latency_s == 0.0
    limits = ("write_bandwidth_bytes_per_s", "metadata_operations_per_s", "capacity_bytes", "stripe_count")
    assert [getattr(spec.shared, name) for name in limits] == [None] * len(limits)


def test_everything_at_once_is_understood(small: Data) -> None:
    small["storage"] = {
        "shared": {
            "bandwidth_bytes_per_s": "400 GB/s",
            "write_bandwidth_bytes_per_s": "200 GB/s",
            "data_servers": 16,
            "stripe_count": 4,
            "metadata_operations_per_s": 200_000,
            "operations_per_file": 3,
            "file_bytes": "110 kB",
            "latency_s": "500 us",
            "client_bandwidth_bytes_per_s": "10 GB/s",
            "capacity_bytes": "5 PB",
            "redundancy": {"kind": "erasure", "data_shards": 8, "parity_shards": 2},
            "rebuild_bandwidth_bytes_per_s": "2 GB/s",
            "failures": [{**FAILURE, "repair_s": "1 d"}, {"at_s": "2 d", "data_server": 0}],
        },
        "object_store": {"requests_per_s": 5_500, "redundancy": {"kind": "replication"}},
        "local": {"read_operations_per_s": 1e6, "write_bandwidth_bytes_per_s": "3 GB/s"},
        "cache": {"where": "node", "policy": "lru", "capacity_bytes": "2 TB", "prefetch_bytes": "256 MB"},
        "datasets": {
            "imagenet": {"size_bytes": "148 GB", "file_bytes": "115 kB"},
            "c4": {"size_bytes": "350 GB", "place": "object"},
            "digits": {"size_bytes": "1 MB", "place": "local"},
        },
    }
    small["checkpoints"] = {"target": "object", "mode": "asynchronous", "keep": 3, "stagger_s": "5 min"}
    scenario = scenario_from_data(small)
    assert scenario.storage.datasets["c4"].place == "object"
    assert scenario.checkpoints is not None
    assert scenario.checkpoints.stagger_s == 300.0
    assert scenario_from_data(scenario_to_data(scenario)) == scenario
    assert plausibility(scenario) == ()


@pytest.mark.parametrize(("storage", "path", "parts"), REFUSED)
def test_what_cannot_be_is_refused_with_what_would_do(
    small: Data, storage: dict[str, Any], path: str, parts: list[str]
) -> None:
    small["storage"] = storage
    with pytest.raises(ScenarioError) as caught:
        scenario_from_data(small)
    (problem,) = caught.value.problems
    assert problem.path == f"storage.{path}"
    for part in parts:
        assert part in str(problem)


@pytest.mark.parametrize(
    ("checkpoints", "storage", "path", "parts"),
    [
        ({"target": "tape"}, {}, "target", ["'tape'", "one of shared, object, local"]),
        ({"target": "object"}, {}, "target", ["object -> expected shared or local", "object_store"]),
        ({"target": "local"}, {"local": {"capacity_bytes": 0}}, "target", ["no capacity"]),
        ({"keep": 0}, {}, "keep", ["0 -> expected an integer >= 1"]),
        ({"bytes_per_parameter": 0}, {}, "bytes_per_parameter", ["> 0"]),
        ({"stagger_s": "-1 min"}, {}, "stagger_s", [">= 0"]),
        (
            {"snapshot_bandwidth_bytes_per_s": "20 GB/s"},
            {},
            "snapshot_bandwidth_bytes_per_s",
            ["20 GB/s -> expected none, or mode: asynchronous", "takes no snapshot"],
        ),
    ],
)
def test_checkpoints_that_cannot_be_are_refused(
    small: Data, checkpoints: dict[str, Any], storage: dict[str, Any], path: str, parts: list[str]
) -> None:
    small |= {"checkpoints": checkpoints, "storage": storage}
    with pytest.raises(ScenarioError) as caught:
        scenario_from_data(small)
    (problem,) = caught.value.problems
    assert problem.path == f"checkpoints.{path}"
    for part in parts:
        assert part in str(problem)


def test_all_that_is_wrong_with_one_part_is_told_at_once(small: Data) -> None:
    small["storage"] = {
        "shared": {"data_servers": 2, "stripe_count": 3, "redundancy": {"kind": "replication"}},
    }
    with pytest.raises(ScenarioError) as caught:
        scenario_from_data(small)
    assert [p.path for p in caught.value.problems] == [
        "storage.shared.stripe_count",
        "storage.shared.redundancy",
    ]


@pytest.mark.parametrize(
    ("place", "field", "value", "hint"),
    [
        ("shared", "write_bandwidth_bytes_per_s", 200, "GB/s or Gbit/s meant?"),
        ("shared", "client_bandwidth_bytes_per_s", "10 TB/s", "bits given as bytes?"),
        ("shared", "latency_s", "3 s", "us or ms meant?"),
        ("shared", "capacity_bytes", 100, "GB or GiB meant?"),
        ("local", "write_bandwidth_bytes_per_s", "8 TB/s", "bits given as bytes?"),
        ("local", "request_bytes", 4, "GB or GiB meant?"),
        ("object_store", "bandwidth_bytes_per_s", 20, "GB/s or Gbit/s meant?"),
        ("object_store", "request_bytes", "8 TB", "GB meant?"),
    ],
)
def test_wrong_units_are_suspected(small: Data, place: str, field: str, value: object, hint: str) -> None:
    small["storage"] = {place: {field: value}}
    (warning,) = plausibility(scenario_from_data(small))
    assert warning.startswith(f"storage.{place}.{field}: ")
    assert hint in warning


def test_wrong_units_of_datasets_and_checkpoints_are_suspected(small: Data) -> None:
    small["storage"] = {"datasets": {"a": {"size_bytes": 148}}}
    small["checkpoints"] = {"mode": "asynchronous", "snapshot_bandwidth_bytes_per_s": 20, "stagger_s": 1e6}
    warnings = plausibility(scenario_from_data(small))
    assert [text.split(":")[0] for text in warnings] == [
        "storage.datasets.a.size_bytes",
        "checkpoints.stagger_s",
        "checkpoints.snapshot_bandwidth_bytes_per_s",
    ]


def test_one_pool_may_be_redundant_whatever_its_width() -> None:
    """With one data server all of them are said in one; only its bandwidth and its room count."""
    assert SharedFileSystemSpec.model_validate({"redundancy": {"kind": "erasure"}}).data_servers == 1


def test_defaults_are_those_that_are_documented() -> None:
    nothing = {"kind": "none"}
    assert StorageSpec.model_validate({"object_store": {}}).model_dump() == {
        "shared": {
            "bandwidth_bytes_per_s": 100e9,
            "write_bandwidth_bytes_per_s": None,
            "power_w": 5_000.0,
            "data_servers": 1,
            "stripe_count": None,
            "metadata_operations_per_s": None,
            "operations_per_file": 2.0,
            "file_bytes": None,
            "latency_s": 0.0,
            "client_bandwidth_bytes_per_s": None,
            "capacity_bytes": None,
            "redundancy": nothing,
            "rebuild_bandwidth_bytes_per_s": None,
            "failures": (),
        },
        "local": {
            "bandwidth_bytes_per_s": 6e9,
            "write_bandwidth_bytes_per_s": None,
            "read_operations_per_s": None,
            "write_operations_per_s": None,
            "request_bytes": 2.0**17,
            "latency_s": 0.0,
            "capacity_bytes": 4e12,
        },
        "object_store": {
            "bandwidth_bytes_per_s": 20e9,
            "write_bandwidth_bytes_per_s": None,
            "requests_per_s": None,
            "request_bytes": 2.0**23,
            "latency_s": 0.03,
            "client_bandwidth_bytes_per_s": None,
            "capacity_bytes": None,
            "redundancy": nothing,
            "power_w": 0.0,
        },
        "feed": "shared",
        "cache": None,
        "datasets": {},
    }


@pytest.mark.parametrize(
    ("place", "field", "allowed", "refused"),
    [
        ("shared", "latency_s", 60, 61),
        ("shared", "file_bytes", 1, 0.5),
        ("shared", "operations_per_file", 0, -1),
        ("shared", "data_servers", 10_000, 10_001),
        ("shared", "stripe_count", 1, 0),
        ("local", "latency_s", 0, -1),
        ("local", "request_bytes", 1, 0.5),
        ("local", "capacity_bytes", 0, -1),
        ("object_store", "latency_s", 60, 61),
        ("object_store", "requests_per_s", 0.001, 0),
        ("object_store", "request_bytes", 1, 0.5),
        ("object_store", "power_w", 0, -1),
    ],
)
def test_bounds(place: str, field: str, allowed: float, refused: float) -> None:
    StorageSpec.model_validate({place: {field: allowed}})
    with pytest.raises(ValidationError):
        StorageSpec.model_validate({place: {field: refused}})


def test_failures_one_after_the_other_and_at_once_on_others() -> None:
    """A data server may fail again at the instant of its repair, and others while it is down."""

    def at(second_s: float) -> Data:
        again = [{"at_s": 0, "data_server": 1, "repair_s": 10}, {"at_s": second_s, "data_server": 1}]
        failures = [*again, {"at_s": 5, "data_server": 0}]
        return {"data_servers": 4, "redundancy": TWO_COPIES, "failures": failures}

    assert len(SharedFileSystemSpec.model_validate(at(10)).failures) == 3
    with pytest.raises(ValidationError, match="fails while it is down"):
        SharedFileSystemSpec.model_validate(at(9))


def test_power_is_that_of_both_stores() -> None:
    assert StorageSpec.model_validate({"object_store": {"power_w": 70}}).power_w == 5_070.0


def test_checkpoints_by_default_are_synchronous_shards_on_the_file_system() -> None:
    spec = CheckpointSpec()
    assert (spec.target, spec.mode, spec.sharded, spec.keep) == ("shared", "synchronous", True, 1)


@given(storages(tiers=True))
def test_what_is_drawn_is_valid_and_survives_being_written_out(spec: StorageSpec) -> None:
    assert StorageSpec.model_validate(spec.model_dump(mode="json")) == spec
