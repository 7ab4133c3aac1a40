"""The guards find what is planted: each corruption of a finished run is named."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from dcsim.errors import GuardError
from dcsim.simulation.kinds import LogKind
from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

run_module: Any = sys.modules["dcsim.simulation.run"]
JOBS = job_table(submit_s=[0.0, 0.0, 300.0], duration_s=[10.0, 10.0, 10.0], accelerators=[3, 6, 2])
SLEEPY = {"energy": {"name": "sleep_idle", "parameters": {"after_s": 100.0}}}


def _corrupted(monkeypatch: pytest.MonkeyPatch, corrupt: Any) -> None:
    """Run, with `corrupt(run, columns)` applied just before the guards look."""
    original = run_module.check_run

    def check(state, end_s):
        columns = {name: column.copy() for name, column in state.log.columns().items()}
        corrupt(state, columns)
        monkeypatch.setattr(state, "log", type("Log", (), {"columns": lambda self: columns})())
        original(state, end_s)

    monkeypatch.setattr(run_module, "check_run", check)
    run(hall(policies=SLEEPY), JOBS)


def _row(columns, kind, number=0):
    return np.flatnonzero(columns["kind"] == kind)[number]


def _backwards(state, columns):
    columns["time_s"][-1] = 1.0


def _partial(state, columns):
    columns["value"][_row(columns, LogKind.GRANT, 1)] -= 1


def _elsewhere(state, columns):
    columns["server"][_row(columns, LogKind.GRANT, 1)] = 1


def _lost_end(state, columns):
    keep = np.arange(len(columns["kind"])) != _row(columns, LogKind.END, 2)
    for name in columns:
        columns[name] = columns[name][keep]


def _late_wake(state, columns):
    columns["time_s"][_row(columns, LogKind.AWAKE)] -= 1.0


def _lost_wake(state, columns):
    columns["kind"][_row(columns, LogKind.WAKE)] = LogKind.AWAKE


def _lost_work(state, columns):
    state.steps_done[0] -= 1.0


def _held(state, columns):
    state.eligible_s[1] = 5.0


def _early_end(state, columns):
    state.end_s[0] = -1.0


def _overtaken(state, columns):
    state.start_s[0] = 20.0


def _power(state, columns):
    state.it_power_w[0] = 1e9


def _no_power(state, columns):
    state.it_power_w[0] = 0.0


def _arrivals(state, columns):
    columns["time_s"][_row(columns, LogKind.SUBMIT, 2)] -= 1.0


def _kept(state, columns):
    state.inputs.fleet.free_bytes[0] -= 1


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (_backwards, "clock runs backwards"),
        (_partial, "granted in part"),
        (_elsewhere, "over-allocated"),
        (_lost_end, "ends are not the run's"),
        (_late_wake, "was awake, due at"),
        (_lost_wake, "from asleep to awake"),
        (_lost_work, "work left"),
        (_held, "beyond its slack"),
        (_early_end, "ends before it starts"),
        (_overtaken, "before one that goes first"),
        (_power, "IT power above"),
        (_no_power, "IT power below"),
        (_arrivals, "submissions are not the trace's"),
        (_kept, "holds other devices"),
    ],
)
def test_a_planted_fault_is_named(monkeypatch, corrupt, message):
    with pytest.raises(GuardError, match=message):
        _corrupted(monkeypatch, corrupt)


def test_an_honest_run_passes(monkeypatch):
    _corrupted(monkeypatch, lambda state, columns: None)


def test_who_is_let_go_at_an_instant_by_the_end_of_another_need_not_have_gone_first():
    # The second goes first, but waits for the third, which starts and ends at 1 s; then for the first's device.
    jobs = job_table(
        submit_s=[0.0, 0.0, 1.0],
        duration_s=[2.0, 1.0, 0.0],
        accelerators=[1, 2, 1],
        job_id=["a", "b", "c"],
        after={"b": ("c",)},
    )
    result = run(hall(2, 1), jobs)
    assert result.jobs["start_s"].tolist() == [0.0, 2.0, 1.0]
