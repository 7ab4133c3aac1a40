"""Checkpoints where there is no room for them, followed by hand: an event, never the end of a run."""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.simulation.kinds import LogKind
from tests.simulation.stored import (
    SIZE,
    checkpointing,
    interrupted,
    log,
    periodic,
    simulated,
    stepped,
    storage,
)


def test_a_full_disk_is_an_event_and_the_older_checkpoint_stays():
    parts: dict[str, Any] = {"storage": storage(local={"bandwidth_bytes_per_s": 1e6, "capacity_bytes": 7e6})}
    result = interrupted(28.0, {"target": "local"}, **parts)
    # The first fits (10-15). The second (25) would need its room beside it: the job goes on at once, until 28.
    events = result.events
    full = events["kind"] == LogKind.DISK_FULL
    assert (events["time_s"][full][0], events["server"][full][0], events["value"][full][0]) == (25.0, 0, SIZE)
    assert result.jobs["redone_s"][0] == 13.0
    assert result.jobs["restore_s"][0] == 5.0
    # From 53 on 90 steps; the checkpoints due after 10, 20, ... 80 of them do not fit either.
    assert result.jobs["end_s"][0] == 53.0 + 90.0
    assert int(full.sum()) == 1 + 8


def test_a_full_disk_when_a_job_has_to_go_loses_what_it_did_since():
    parts: dict[str, Any] = {"storage": storage(local={"bandwidth_bytes_per_s": 1e6, "capacity_bytes": 7e6})}
    rules = {"preemption": periodic(10.0)}
    result = interrupted(20.0, {"target": "local"}, "checkpoint", **parts, **rules)
    # 10 steps are on the disk, 15 are done at 20: it goes at once, and does 5 again.
    assert log(result, LogKind.PREEMPT) == [(20.0, "preempt", 0)]
    assert result.jobs["redone_s"][0] == 5.0
    assert result.jobs["status"].tolist() == ["completed", "completed"]


@pytest.mark.parametrize(("on_full", "written"), [("skip", 2), ("evict_oldest", 4)])
def test_older_checkpoints_make_room_where_that_is_wanted(on_full, written):
    parts = {"storage": storage(local={"bandwidth_bytes_per_s": 1e6, "capacity_bytes": 12e6})}
    checkpoints = {"target": "local", "keep": 2, "on_full": on_full}
    result = simulated(checkpointing(checkpoints, **parts), stepped(45.0))
    # Two of 5 MB fit beside each other; for the third one has to go.
    assert result.jobs["end_s"].tolist() == [45.0 + written * 5.0]
    assert len(log(result, LogKind.DISK_FULL)) == 4 - written


def test_the_room_of_a_write_that_was_broken_off_is_free_again():
    # 5 MB are safe, and 3 of 5 MB written when it is stopped: with room for two there always is for a new one.
    parts: dict[str, Any] = {"storage": storage(local={"bandwidth_bytes_per_s": 1e6, "capacity_bytes": 12e6})}
    result = interrupted(28.0, {"target": "local"}, **parts)
    assert log(result, LogKind.DISK_FULL) == []
    assert result.jobs["end_s"][0] == 53.0 + 90.0 + 8 * 5.0


def test_the_file_system_fills_up_with_copies():
    shared = {"capacity_bytes": 19e6, "redundancy": {"kind": "replication", "copies": 2}, "data_servers": 2}
    result = simulated(checkpointing(servers=2, storage=storage(shared=shared)), stepped([15.0, 16.0]))
    # Each takes 10 MB of the 19: the second job goes on without.
    assert log(result, LogKind.DISK_FULL) == [(10.0, "disk_full", 1)]
    assert result.jobs["checkpoint_s"].tolist() == [10.0, 0.0]


def test_room_is_free_again_when_a_job_is_over():
    parts: dict[str, Any] = {"storage": storage(local={"bandwidth_bytes_per_s": 1e6, "capacity_bytes": 7e6})}
    jobs = stepped([15.0] * 3)
    result = simulated(checkpointing({"target": "local"}, **parts), jobs)  # one after the other
    assert result.jobs["end_s"].tolist() == [20.0, 40.0, 60.0]
    assert log(result, LogKind.DISK_FULL) == []
