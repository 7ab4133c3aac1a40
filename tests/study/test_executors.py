"""Worker processes end with the process that started them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WAITS = """
from dcsim.study.executors import Limits, run_processes
from tests.study.fakes import wait_for_ever
list(run_processes(wait_for_ever, [None], Limits(1)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_workers_do_not_outlive_a_killed_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITS], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
        # The worker holds the other end of the pipe: it comes to its end only when the worker is gone.
        rest, _ = parent.communicate(timeout=60.0)
    assert worker != parent.pid
    assert rest == ""
