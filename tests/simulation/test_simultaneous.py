"""What happens at one instant: equal jobs that share a link finish together, before anyone is placed."""

from __future__ import annotations

import math

import pytest

from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run


def test_equal_readers_free_their_server_before_a_gang_is_placed(profiles):
    # Four readers of 0.1 MB/s fill the first server and halve a file system of 0.2 MB/s: 10 steps take
    # 20 s. A job of 3 devices is on the second. The gang of 4 fits there only in part, until at 20 s
    # all readers are done: it goes to the first server as a whole, not to what the third of them left.
    jobs = job_table(
        job_id=["a", "b", "c", "d", "e", "f"],
        submit_s=[0.0] * 6,
        steps=[10.0] * 4 + [math.nan] * 2,
        duration_s=[math.nan] * 4 + [100.0, 5.0],
        accelerators=[1, 1, 1, 1, 3, 4],
        profile=["round"] * 4 + [""] * 2,
    )
    storage = {"shared": {"bandwidth_bytes_per_s": 2e5, "power_w": 0.0}}
    scenario = hall(servers=2, storage=storage, policies={"placement": "first_fit"})
    result = run(scenario, jobs, profiles=profiles)
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0] * 4 + [100.0, 25.0], rel=1e-12)
    assert result.jobs["start_s"][5] == result.jobs["end_s"][0]
    assert (result.jobs["servers"][5], result.jobs["first_server"][5]) == (1, 0)
