"""Stand-ins for the simulator, importable by worker processes: quick, wrong, slow and deadly ones."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from dcsim.results.run_result import RunResult
from dcsim.spec.scenario import Scenario
from tests.results.synthetic import make_result


def simulate(scenario: Scenario, seed: int, *, base_dir: Path) -> RunResult:
    """Return a made-up run; what the placement is called decides what goes wrong."""
    placement, energy = scenario.policies.placement.name, scenario.policies.energy.name
    misfortune = {"raises": _raise, "dies": _die, "dies_once": _die_once, "hangs": _hang, "stops": _stop}
    if placement in misfortune and seed == 1:
        misfortune[placement](base_dir)
    return make_result(seed, placement, energy, count=12, bins=6, name=scenario.name)


def simulate_by_leave(scenario: Scenario, seed: int, *, base_dir: Path, allow_fmu: bool = False) -> RunResult:
    """Return a made-up run where native code may run, and fail where it may not."""
    if not allow_fmu:
        raise PermissionError("no leave")
    return simulate(scenario, seed, base_dir=base_dir)


def _raise(_base_dir: Path) -> None:
    raise ValueError("the hall is on fire")


def _die(_base_dir: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(base_dir: Path) -> None:
    mark = base_dir / "died"
    if not mark.exists():
        mark.write_text("once")
        _die(base_dir)


def _hang(_base_dir: Path) -> None:
    time.sleep(600.0)


def _stop(_base_dir: Path) -> None:
    raise KeyboardInterrupt
