"""Data servers that fail and are rebuilt, followed by hand.

Four data servers with 1 MB/s together; two copies of a data set of 8 MB: 4 MB on each.
"""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.simulation.kinds import LogKind
from dcsim.workload.profile import CollectiveTraffic
from tests.simulation.conftest import round_profile
from tests.simulation.halls import run
from tests.simulation.stored import bytes_by_link, made, periodic, stepped, storage

SET = 8e6
COPIES = {"data_servers": 4, "redundancy": {"kind": "replication", "copies": 2}}
PROFILE = {
    "input_bytes_per_sample": 25_000.0,
    "dataset_bytes": SET,
    "collectives": CollectiveTraffic(all_reduce_bytes=0.0, all_reduce_count=0),
}


def failing(*failures: dict[str, Any], **parts: Any) -> Any:
    """A hall whose data servers fail, with a job's data set on them."""
    shared = COPIES | {"failures": list(failures)} | parts.pop("shared", {})
    return made(servers=1, storage=storage(shared=shared, datasets={"a": {"size_bytes": SET}}), **parts)


def told(scenario: Any, steps: float = 100.0, **changes: Any) -> Any:
    return run(scenario, stepped(steps, dataset="a"), profiles=round_profile(**(PROFILE | changes)))


def values(result: Any, kind: LogKind) -> Any:
    """Return (time, data server, value) of the rows of a kind."""
    events = result.events
    rows = events["kind"] == kind
    return list(zip(*(events[name][rows].tolist() for name in ("time_s", "server", "value")), strict=True))


def test_a_data_server_takes_its_bandwidth_with_it_and_is_rebuilt_from_copies():
    result = told(failing({"at_s": 10.0, "data_server": 2, "repair_s": 50.0}))
    # From 10 on 0.75 MB/s: the job and the rebuild (which reads and writes each byte) have 0.25 MB/s each. 4 MB
    # are there again at 26. Then the job has 0.75 of the 0.8 MB/s it wants, until the repair at 60.
    assert values(result, LogKind.DATA_SERVER) == [(10.0, 2, 4e6)]
    assert values(result, LogKind.REBUILT) == [(pytest.approx(26.0, rel=1e-12), 2, 4e6)]
    done = 10.0 + 16.0 * 0.25 / 0.8 + 34.0 * 0.75 / 0.8
    assert result.jobs["end_s"].tolist() == pytest.approx([60.0 + 100.0 - done], rel=1e-9)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([60.0 - done], rel=1e-9)
    assert bytes_by_link(result)["shared file system"] == pytest.approx(100 * 0.8e6 + 2 * 4e6, rel=1e-9)
    tiers = result.tiers
    nobodys = (tiers["tier"] == "shared file system") & (tiers["tenant"] == "")
    assert float(tiers["bytes"][nobodys].sum()) == pytest.approx(8e6, rel=1e-9)
    assert not any("data were lost" in warning for warning in result.warnings)


def test_a_rebuild_can_be_held_back():
    shared = {"rebuild_bandwidth_bytes_per_s": 0.1e6}
    result = told(failing({"at_s": 10.0, "data_server": 0}, shared=shared))
    # 4 MB at 0.1 MB/s, twice that on the file system: the job has 0.55 MB/s until 50, 0.75 after that.
    assert values(result, LogKind.REBUILT) == [(pytest.approx(50.0, rel=1e-12), 0, 4e6)]
    done = 10.0 + 40.0 * 0.55 / 0.8
    assert result.jobs["end_s"].tolist() == pytest.approx([50.0 + (100.0 - done) * 0.8 / 0.75], rel=1e-9)


def test_a_shard_is_computed_from_several_others():
    redundancy = {"kind": "erasure", "data_shards": 2, "parity_shards": 2}
    shared = {"redundancy": redundancy, "rebuild_bandwidth_bytes_per_s": 0.1e6}
    result = told(failing({"at_s": 10.0, "data_server": 0}, shared=shared), 20.0)
    # 16 MB are stored here, too: 4 MB on each. Two bytes are read for each that is written: 0.3 of 0.75 MB/s.
    done = 10.0
    expected_s = 10.0 + (20.0 - done) * 0.8 / 0.45
    assert result.jobs["end_s"].tolist() == pytest.approx([expected_s], rel=1e-9)
    rebuilt = 0.1e6 * (expected_s - 10.0)
    assert bytes_by_link(result)["shared file system"] == pytest.approx(20 * 0.8e6 + 3 * rebuilt, rel=1e-9)


def test_reads_and_writes_of_a_rebuild_where_they_are_apart():
    shared = {"write_bandwidth_bytes_per_s": 0.4e6}
    result = told(failing({"at_s": 10.0, "data_server": 0}, shared=shared), 30.0)
    # It writes at 0.3 MB/s, what is left of 0.4; reading as much leaves the job 0.45 of 0.75.
    assert values(result, LogKind.REBUILT)[0][0] == pytest.approx(10.0 + 4.0 / 0.3, rel=1e-9)
    done = 10.0 + 4.0 / 0.3 * 0.45 / 0.8
    assert result.jobs["end_s"].tolist() == pytest.approx(
        [10.0 + 4.0 / 0.3 + (30.0 - done) * 0.8 / 0.75], rel=1e-9
    )


def test_checkpoints_on_the_file_system_are_rebuilt_too():
    scenario = failing({"at_s": 40.0, "data_server": 1}, preemption=periodic(20.0), checkpoints={})
    result = told(scenario, 60.0, checkpoint_bytes=2e6)
    # 4 MB of two copies were written by 24: 20 MB stored, 5 MB on each.
    assert values(result, LogKind.DATA_SERVER) == [(40.0, 1, 5e6)]


def test_one_loss_more_than_there_are_copies_is_data_lost():
    failures = [{"at_s": 10.0, "data_server": 0}, {"at_s": 20.0, "data_server": 1}]
    result = told(failing(*failures))
    # The first was not whole again.
    assert [warning for warning in result.warnings if "data were lost" in warning] == [
        "storage: data were lost with data server 1 at 20 s; jobs go on as if they were still there"
    ]
    assert [row[1] for row in values(result, LogKind.REBUILT)] == [0]
    late = told(failing(failures[0], {"at_s": 60.0, "data_server": 1}))
    assert not any("data were lost" in warning for warning in late.warnings)
    assert [row[1] for row in values(late, LogKind.REBUILT)] == [0, 1]


def test_nothing_stored_is_rebuilt_at_once():
    shared = COPIES | {"failures": [{"at_s": 10.0, "data_server": 0}]}
    result = run(
        made(servers=1, storage=storage(shared=shared)), stepped(20.0), profiles=round_profile(**PROFILE)
    )
    assert values(result, LogKind.REBUILT) == [(10.0, 0, 0.0)]


def test_a_run_may_end_in_a_rebuild():
    result = told(failing({"at_s": 10.0, "data_server": 0}), 12.0)
    end_s = 10.0 + 2.0 * 0.8 / 0.25
    assert result.jobs["end_s"].tolist() == pytest.approx([end_s], rel=1e-9)
    rebuilt = 0.25e6 * (end_s - 10.0)
    assert bytes_by_link(result)["shared file system"] == pytest.approx(12 * 0.8e6 + 2 * rebuilt, rel=1e-9)
