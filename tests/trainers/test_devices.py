"""Cores and virtual devices are counted and set as asked."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainers.devices import CoreWatch, available_cores, busy_core_s, xla_flags


@pytest.mark.parametrize("count", [0, -1])
def test_no_devices_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=">= 1"):
        xla_flags(count)


def test_pinning_leaves_one_core_a_device() -> None:
    script = "from trainers.devices import *; print(pin_to_cores(1), available_cores())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]


def test_busy_time_sums_the_working_columns_of_own_cores(tmp_path: Path) -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    rows = [f"cpu{core} 100 10 20 5000 300 4 5 61 7 8" for core in range(1024)]
    stat = tmp_path / "stat"
    stat.write_text("\n".join(["cpu 1 1 1 1 1 1 1 1 1 1", *rows, "intr 5"]))
    assert busy_core_s(stat) == pytest.approx(available_cores() * 200 / 100)


def test_busy_time_is_unknown_without_the_file(tmp_path: Path) -> None:
    assert busy_core_s(tmp_path / "none") is None


def test_own_work_is_not_taken_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([(0.0, 0.0, 100.0), (10.0, 8.0, 112.0)])
    wall_s, own_s, busy_s = next(readings)
    monkeypatch.setattr(time, "perf_counter", lambda: wall_s)
    monkeypatch.setattr(time, "process_time", lambda: own_s)
    monkeypatch.setattr("trainers.devices.busy_core_s", lambda: busy_s)
    watch = CoreWatch(2)
    wall_s, own_s, busy_s = next(readings)
    # 12 core-seconds of work in 10 s on 2 cores, 8 of them our own.
    assert watch.taken_share() == pytest.approx(4 / 20)
