"""Energy counters are read right where they are, and their absence is explained."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from trainers.energy import Nvml, Rapl, find_counter, power_w
from trainers.zeus_counter import ZeusCounter, find_zeus


def package(root: Path, name: str, count_uj: int, range_uj: int = 1000) -> Path:
    zone = root / name
    zone.mkdir()
    (zone / "energy_uj").write_text(f"{count_uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return zone


def test_all_packages_are_summed_and_a_wrap_is_seen(tmp_path: Path) -> None:
    first, second = package(tmp_path, "intel-rapl:0", 990), package(tmp_path, "intel-rapl:1", 100)
    package(tmp_path, "intel-rapl:0:0", 5)  # the cores of package 0: counted with it
    counter = find_counter("cpu", tmp_path)
    assert isinstance(counter, Rapl)
    assert "2 whole processor package" in counter.method
    (first / "energy_uj").write_text("9")  # 990 -> 1000, 0 -> 9: 20 steps
    (second / "energy_uj").write_text("150")
    assert counter.read_j() == pytest.approx(70e-6)
    assert counter.read_j() == pytest.approx(70e-6)


def test_a_host_without_counters_says_why(tmp_path: Path) -> None:
    assert (
        find_counter("cpu", tmp_path)
        == "not measured: this host has no RAPL counters (virtual machines hide them)"
    )


def test_unreadable_counters_say_why(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl:0").mkdir()
    assert find_counter("cpu", tmp_path) == "not measured: RAPL counters are not readable (FileNotFoundError)"


def test_a_card_is_read_in_millijoules_and_its_refusal_is_an_error() -> None:
    def consumption(_: Any, target: Any) -> int:
        target._obj.value = 12_345
        return 0

    assert Nvml(
        SimpleNamespace(nvmlDeviceGetTotalEnergyConsumption=consumption), None
    ).read_j() == pytest.approx(12.345)
    refusing = SimpleNamespace(nvmlDeviceGetTotalEnergyConsumption=lambda *_: 3)
    with pytest.raises(OSError, match="NVML error 3"):
        Nvml(refusing, None).read_j()


def test_a_card_without_driver_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert find_counter("gpu") == "not measured: NVML is not installed"


class Zeus:
    """What of zeus is used, with counters that this test turns."""

    def __init__(self, *, cards: int = 0) -> None:
        self.millijoules = [0.0] * cards
        self.packages = [
            SimpleNamespace(cpu_mj=1000.0, dram_mj=None),
            SimpleNamespace(cpu_mj=500.0, dram_mj=250.0),
        ]

    def __len__(self) -> int:
        return len(self.packages)

    def get_total_energy_consumption(self, index: int) -> Any:
        return self.millijoules[index] if self.millijoules else self.packages[index]


def install(monkeypatch: pytest.MonkeyPatch, **functions: Any) -> None:
    """Let `zeus.device` be found, with these functions in it."""
    device = ModuleType("zeus.device")
    for name, function in functions.items():
        setattr(device, name, function)
    monkeypatch.setitem(sys.modules, "zeus", ModuleType("zeus"))
    monkeypatch.setitem(sys.modules, "zeus.device", device)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())


def test_zeus_sums_the_cards_that_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    zeus = Zeus(cards=4)
    install(monkeypatch, get_gpus=lambda: zeus)
    counter = find_counter("gpu", devices=2)
    assert isinstance(counter, ZeusCounter)
    assert (counter.method, counter.devices) == ("zeus, 2 whole graphics card(s), idle power included", 2)
    zeus.millijoules = [1500.0, 2500.0, 9e9, 9e9]
    assert counter.read_j() == pytest.approx(4.0)


def test_zeus_sums_packages_and_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, get_cpus=Zeus)
    counter = find_counter("cpu")
    assert isinstance(counter, ZeusCounter)
    assert counter.read_j() == pytest.approx(1.75)
    assert counter.devices is None


@pytest.mark.parametrize("error", [RuntimeError, OSError, AttributeError, IndexError, ImportError])
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_whatever_zeus_raises_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, backend: str, error: type[Exception]
) -> None:
    def fail() -> None:
        raise error("as on a host without counters")

    install(monkeypatch, get_gpus=fail, get_cpus=fail)
    assert find_zeus(backend, 1) == f"not measured: zeus finds no counter ({error.__name__})"


def test_the_real_zeus_finds_nothing_or_counts_upwards() -> None:
    pytest.importorskip("zeus", reason="needs the extra energy")
    for backend in ("cpu", "gpu"):
        counter = find_zeus(backend, 1)
        if isinstance(counter, str):
            assert counter.startswith("not measured: zeus finds no counter")
        else:
            assert counter.read_j() <= counter.read_j()


@pytest.mark.parametrize(
    ("joules", "counted", "devices", "expected_w"),
    [
        (None, 1, 1, None),
        (3.0, 1, 1, 300.0),
        (3.0, 2, 2, 150.0),
        (3.0, None, 2, 150.0),  # all cores of the host compute
        (3.0, None, 1, None),  # one of two: whose joules are they?
        (0.0, 1, 1, None),  # the counter did not move
    ],
)
def test_the_draw_of_a_device_is_told_where_it_can_be(
    joules: float | None, counted: int | None, devices: int, expected_w: float | None
) -> None:
    found = power_w(joules, 0.01, counted, devices=devices, host_cores=2)
    assert found == (None if expected_w is None else pytest.approx(expected_w))
