"""Simulators to compare with, each in an environment of its own beside the project's."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.one_device_jobs import ACCELERATORS_A_SERVER, one_device_jobs

__all__ = ["HPCSIM", "PeerMeasurement", "PeerMissingError", "measure_hpcsim"]

HPCSIM = "hpcsim==0.3.1"
_ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT_S = 1_800


class PeerMissingError(Exception):
    """A peer cannot be installed here; the message says why."""


@dataclass(frozen=True)
class PeerMeasurement:
    """What one process of a peer used."""

    cpu_s: float
    jct_mean_s: float
    completed: int
    peak_memory_bytes: float


def measure_hpcsim(jobs: int, servers: int) -> PeerMeasurement:
    """Return what `one_device_jobs` cost under hpcsim's FIFO, in a fresh process.

    Raises:
        PeerMissingError: it cannot be installed.
    """
    submit_s, run_s = one_device_jobs(jobs, servers)
    told = {"submit_s": submit_s, "run_s": run_s, "servers": servers, "accelerators": ACCELERATORS_A_SERVER}
    done = subprocess.run(
        [str(_python()), str(_ROOT / "benchmarks" / "run_hpcsim.py")],
        input=json.dumps(told),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_TIMEOUT_S,
    )
    return PeerMeasurement(**json.loads(done.stdout))


@cache
def _python() -> Path:
    """Return the Python of the peer's environment, made where it is not there yet."""
    folder = _ROOT / ".venv-hpcsim"
    python = folder / "bin" / "python"
    stamp = folder / f".has-{HPCSIM}"
    if stamp.exists():
        return python
    steps = ([sys.executable, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", HPCSIM])
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            words = getattr(error, "stderr", None) or str(error)
            raise PeerMissingError(f"{HPCSIM}: {words.strip().splitlines()[-1][:200]}") from error
    stamp.touch()
    return python
