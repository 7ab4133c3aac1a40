"""Stand-ins for the simulator, importable by worker processes: quick, wrong, slow and deadly ones."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from dcsim.results.run_result import RunResult
from dcsim.results.stored_energy import stored_energy_note
from dcsim.spec.scenario import Scenario
from tests.results.synthetic import make_result


def simulate(scenario: Scenario, seed: int, *, base_dir: Path) -> RunResult:
    """Return a made-up run; what the placement is called decides what goes wrong."""
    placement, energy = scenario.policies.placement.name, scenario.policies.energy.name
    misfortune = {"raises": _raise, "dies": _die, "dies_once": _die_once, "hangs": _hang, "stops": _stop}
    if placement in misfortune and seed == 1:
        misfortune[placement](base_dir)
    return make_result(seed, placement, energy, count=12, bins=6, name=scenario.name)


def simulate_draining(scenario: Scenario, seed: int, *, base_dir: Path) -> RunResult:
    """Return a made-up run whose battery ends 36 MJ (10 kWh) and 3.6 MJ a seed below its start, unless idle."""
    result = simulate(scenario, seed, base_dir=base_dir)
    if scenario.policies.battery.name == "idle":
        return result
    account = {**result.account, "energy_stored_change_j": -36e6 - 3.6e6 * seed, "energy_import_j": 360e6}
    note = stored_energy_note(account)
    assert note is not None
    return replace(result, account=account, warnings=(*result.warnings, note))


def wait_for_ever(_cell: object) -> NoReturn:
    """Say which process this is, and do nothing more."""
    print(os.getpid(), flush=True)
    while True:
        signal.pause()


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
