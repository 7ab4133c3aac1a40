"""Ending a comparison from outside keeps what is finished, and leaves no worker behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = """
name: long
cluster: {racks: [{name: r, servers: [{count: 8, accelerator: A100-80, accelerators: 8}]}]}
workload: {kind: generated, jobs: 60000, mix: [{profile: digits_mlp}]}
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_comparison_cleanly(ending: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(SCENARIO)
    command = [sys.executable, "-m", "dcsim", "compare", "long.yaml", "--placement", "first_fit,spread"]
    command += ["--energy", "none", "--seeds", "20", "--workers", "1", "--out", "study"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "finished" in process.stderr.readline()  # the first run is stored
    process.send_signal(ending)
    # The pipe closes only when no worker holds it any more.
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "finished runs are kept" in said
    assert "Traceback" not in said
