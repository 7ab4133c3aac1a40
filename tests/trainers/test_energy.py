"""Energy counters are read right where they are, and their absence is explained."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainers.energy import Nvml, Rapl, find_counter


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
