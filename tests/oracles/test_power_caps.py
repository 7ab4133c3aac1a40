"""Power caps against the tables of You, Chung, Chowdhury, "Zeus", NSDI 2023: V100 and A40, workloads left out.

What is known of a workload that is left out is what a user measures without a cap: its power, and its time at
each batch size it was run with (a + c / b gives the overhead of its steps). Nothing under any cap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.facility.catalogue_data import MEASURED_CURVES
from tests.oracles.cap_fit import FITTED, Tables, fitted_curve, left_out, read_tables
from tests.oracles.figures import Figures

pytestmark = pytest.mark.oracle

Floats = npt.NDArray[np.float64]
FOLDS = 10
BASIS = "mean absolute error of speed over the uncapped, all limits but the highest"


@dataclass(frozen=True)
class Device:
    """What is asked of one device."""

    name: str
    fixed: tuple[str, ...]
    """Not fitted."""
    speed_error: float
    """Target, on pairs left out."""
    saving: float
    """Target: of the cap of least energy, mean over workloads, as the tables have it."""

    @property
    def tables(self) -> str:
        """Name of the file."""
        return f"zeus__summary_power_{self.name.lower()}.csv"


# No workload of the V100 comes to its lowest clock.
DEVICES = (Device("V100", ("lowest_clock",), 0.02, 0.22), Device("A40", (), 0.04, 0.16))
each_device = pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)


@cache
def _tables(folder: Path, device: Device) -> Tables:
    return read_tables(folder / "gpu_power" / device.tables, device.name)


@cache
def _pairs_left_out(folder: Path, device: Device) -> tuple[Floats, Floats]:
    tables = _tables(folder, device)
    return left_out(MEASURED_CURVES[device.name], tables, tables.pairs, FOLDS, device.fixed)


def _error(predicted: Floats, measured: Floats) -> float:
    return float(np.nanmean(np.abs(predicted - measured)))


@each_device
def test_curves_of_the_catalogue_are_the_fit(shared_data: Path, device: Device) -> None:
    tables, curve = _tables(shared_data, device), MEASURED_CURVES[device.name]
    fit = fitted_curve(curve, tables, slice(None), device.fixed)
    for name in FITTED:
        assert getattr(curve, name) == pytest.approx(getattr(fit, name), rel=0.02), name


@each_device
def test_speed_of_pairs_left_out(shared_data: Path, device: Device, figure: Figures) -> None:
    tables = _tables(shared_data, device)
    speed, power = _pairs_left_out(shared_data, device)
    name = f"caps, {device.name}, (network, batch size) pairs left out"
    figure.at_most(f"{name}: speed", _error(speed, tables.speed), device.speed_error, BASIS)
    highest = _error(speed, tables.speed_to_highest)
    figure.tell(f"{name}: speed, relative to the run at the highest limit alone", highest)
    rows = np.count_nonzero(~np.isnan(tables.speed))
    with_reference = highest * rows / (rows + len(tables.pairs))
    figure.at_most(f"{name}: the same, that run counted too", with_reference, device.speed_error)
    never = ~tables.binds
    figure.tell(
        f"{name}: error of 'no cap slows it' on the {never.sum()} workloads that draw less than the lowest limit",
        _error(np.ones(never.sum())[:, None], tables.speed_to_highest[never]),
        "noise of the highest limit's run",
    )
    relative = power / tables.capped_power - 1.0
    figure.at_most(f"{name}: power, relative", float(np.nanmean(np.abs(relative))), device.speed_error * 2)


@each_device
def test_speed_of_networks_left_out(shared_data: Path, device: Device, figure: Figures) -> None:
    tables = _tables(shared_data, device)
    networks = [network for network, _ in tables.pairs]
    speed, power = left_out(MEASURED_CURVES[device.name], tables, networks, len(networks), device.fixed)
    name = f"caps, {device.name}, whole networks left out"
    figure.at_most(f"{name}: speed", _error(speed, tables.speed), 1.25 * device.speed_error, BASIS)
    for network in sorted(set(networks)):
        rows = np.array([other == network for other in networks])
        figure.tell(f"{name}: speed of {network}", _error(speed[rows], tables.speed[rows]))
    relative = power / tables.capped_power - 1.0
    figure.tell(f"{name}: power, relative", float(np.nanmean(np.abs(relative))))


def _with_uncapped(energy: Floats) -> Floats:
    """Return energies a unit of work over the uncapped one, that one last."""
    return np.concatenate([energy, np.ones((len(energy), 1))], axis=1)


@each_device
def test_the_cap_of_least_energy(shared_data: Path, device: Device, figure: Figures) -> None:
    tables = _tables(shared_data, device)
    speed, power = _pairs_left_out(shared_data, device)
    measured = _with_uncapped(tables.capped_power / tables.speed_to_highest / tables.power[:, None])
    foreseen = _with_uncapped(power / speed / tables.power[:, None])
    foreseen = np.where(np.isnan(measured), np.inf, foreseen)
    best = 1.0 - np.nanmin(measured, axis=1)
    got = 1.0 - measured[np.arange(len(measured)), foreseen.argmin(axis=1)]
    promised = 1.0 - foreseen.min(axis=1)
    name = f"caps, {device.name}, least energy"
    figure.near(f"{name}: saved by the best cap of the tables", float(best.mean()), device.saving, 0.01)
    figure.near(
        f"{name}: saved by the caps chosen on pairs left out", float(got.mean()), float(best.mean()), 0.025
    )
    bound = tables.binds
    figure.near(
        f"{name}: the same, workloads that draw more than the lowest limit",
        float(got[bound].mean()),
        float(best[bound].mean()),
        0.015,
    )
    figure.near(f"{name}: promised to those", float(promised[bound].mean()), float(got[bound].mean()), 0.03)
    figure.tell(
        f"{name}: 'saved' by the best run of those that draw less than the lowest limit",
        float(best[~bound].mean()),
        "noise",
    )
