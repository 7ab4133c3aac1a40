"""The catalogue: every figure has a source, lies in a plausible band, and fits the others."""

from __future__ import annotations

import dataclasses
import re

import pytest
from pydantic import ValidationError

from dcsim.errors import ScenarioError
from dcsim.facility.hardware import CATALOGUE, PRECISIONS, catalogue
from dcsim.spec.cluster import AcceleratorSpec
from dcsim.spec.scenario import Scenario

REQUIRED = [
    "cpu-core",
    "T4",
    "V100",
    "A40",
    "A100-40",
    "A100-80",
    "H100",
    "H200",
    "B200",
    "TPU-v4",
    "TPU-v5e",
    "TPU-v5p",
    "TPU-v6e",
    "K80",
    "P100",
    "A10",
    "G2",
    "G3",
    "V100M16",
    "V100M32",
]
FIGURES = (
    "peak_flop_per_s",
    "memory_bytes",
    "memory_bandwidth_bytes_per_s",
    "link_bandwidth_bytes_per_s",
    "idle_power_w",
    "peak_power_w",
)


def scenario(**accelerators: AcceleratorSpec) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "s",
            "accelerators": accelerators,
            "cluster": {"racks": [{"name": "r", "servers": [{}]}]},
            "workload": {"kind": "trace", "path": "jobs.csv"},
        }
    )


def test_names() -> None:
    assert sorted(CATALOGUE) == sorted(REQUIRED)
    assert all(device.name == name for name, device in CATALOGUE.items())


@pytest.mark.parametrize("name", REQUIRED)
def test_every_figure_has_a_dated_source_or_says_it_is_assumed(name: str) -> None:
    device = CATALOGUE[name]
    assert sorted(device.sources) == sorted(FIGURES)
    for text in device.sources.values():
        assert re.search(r"20[0-2][0-9]|assumed|typical|memory bandwidth", text), text
    assert device.cap_curve.source


@pytest.mark.parametrize("name", REQUIRED)
def test_figures_lie_in_plausible_bands(name: str) -> None:
    device = CATALOGUE[name]
    core = device.kind == "cpu"
    assert 0.0 < device.idle_power_w < device.peak_power_w
    assert (0.5 if core else 50.0) <= device.peak_power_w <= 2_000.0
    assert 1e9 <= device.memory_bytes <= 300e9
    assert 1e9 <= device.link_bandwidth_bytes_per_s <= device.memory_bandwidth_bytes_per_s <= 10e12
    # Ridge point of the fastest format: tens to hundreds of operations a byte on accelerators.
    ridge = max(device.peak_flop_per_s.values()) / device.memory_bandwidth_bytes_per_s
    assert (10.0 if core else 15.0) <= ridge <= 1_500.0  # K80: 18
    efficiency = max(device.peak_flop_per_s.values()) / device.peak_power_w
    assert 1e10 <= efficiency <= 6e12


@pytest.mark.parametrize("name", REQUIRED)
def test_a_narrower_format_is_never_slower(name: str) -> None:
    rates = CATALOGUE[name].peak_flop_per_s
    order = [rates[key] for key in PRECISIONS if key in rates]
    assert set(rates) <= set(PRECISIONS)
    assert order == sorted(order)
    if "bf16" in rates and "fp16" in rates:
        assert rates["bf16"] == rates["fp16"]


def test_published_relations_between_devices() -> None:
    a40, a80 = CATALOGUE["A100-40"], CATALOGUE["A100-80"]
    assert a40.peak_flop_per_s == a80.peak_flop_per_s
    # NVIDIA: H100 SXM doubles twice and a half the dense bf16 rate of the A100; sparse figures would give twice that.
    ratio = CATALOGUE["H100"].peak_flop_per_s["bf16"] / a80.peak_flop_per_s["bf16"]
    assert ratio == pytest.approx(3.17, abs=0.01)
    assert CATALOGUE["TPU-v6e"].peak_flop_per_s["bf16"] / CATALOGUE["TPU-v5e"].peak_flop_per_s[
        "bf16"
    ] == pytest.approx(4.7, abs=0.05)  # Google: 4.7 times the peak compute of v5e


def test_cpu_core_is_a_share_of_its_socket() -> None:
    core = CATALOGUE["cpu-core"]
    assert core.peak_flop_per_s["fp32"] * 128 == pytest.approx(33.6e12, rel=0.01)
    assert core.peak_flop_per_s["fp64"] * 2 == core.peak_flop_per_s["fp32"]
    assert core.memory_bandwidth_bytes_per_s * 128 == pytest.approx(614.4e9)


def test_cap_curves_are_measured_or_say_which_one_is_assumed() -> None:
    for name, device in CATALOGUE.items():
        measured = name in {"V100", "V100M16", "V100M32", "A40"}
        assert device.cap_curve.source.startswith("measured" if measured else "assumed to be that of the ")
        assert device.idle_power_w / device.peak_power_w <= device.least_cap < 0.6


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        CATALOGUE["T4"].peak_flop_per_s["fp32"] = 1.0  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        CATALOGUE["T4"].idle_power_w = 1.0  # type: ignore[misc]


def user_spec(**changes: object) -> AcceleratorSpec:
    figures: dict[str, object] = {
        "peak_flop_per_s": {"bf16": "500 TFLOP/s"},
        "memory_bytes": "96 GiB",
        "memory_bandwidth_bytes_per_s": "4 TB/s",
        "link_bandwidth_bytes_per_s": "400 GB/s",
        "idle_power_w": 60.0,
        "peak_power_w": "600 W",
        "source": "our data sheet",
    }
    return AcceleratorSpec.model_validate(figures | changes)


def test_users_add_and_redefine() -> None:
    models = catalogue(scenario(X1=user_spec(), T4=user_spec(peak_power_w=65.0)))
    assert models["X1"].peak_flop_per_s["bf16"] == 5e14
    assert models["X1"].memory_bytes == 96 * 2**30
    assert set(models["X1"].sources.values()) == {"our data sheet"}
    assert models["T4"].peak_power_w == 65.0
    assert models["H100"] == CATALOGUE["H100"]


def test_users_mistakes_are_refused_at_one_door_or_the_other() -> None:
    with pytest.raises((ScenarioError, ValidationError), match="fp31"):
        catalogue(scenario(X1=user_spec(peak_flop_per_s={"fp31": 1e12})))
    with pytest.raises((ScenarioError, ValidationError), match=r"idle_power_w|peak_power_w"):
        catalogue(scenario(X1=user_spec(idle_power_w=700.0)))
