"""Checks between the parts of a scenario, and warnings about what is possible but unlikely."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dcsim.errors import Problem
from dcsim.facility.hardware import CATALOGUE
from dcsim.facility.weather import SITES
from dcsim.spec import PolicyChoice, check_scenario, load_scenario, plausibility, scenario_from_data
from dcsim.spec.check import idle_it_power_w, peak_it_power_w
from tests.spec.examples import Change, Data

POLICIES = {"ordering": ("fifo",), "placement": ("first_fit", "spread"), "energy": ("none", "carbon_shift")}


def problems_of(data: Data, base_dir: Path, **more: Any) -> tuple[Problem, ...]:
    known = {"catalogue": CATALOGUE, "known_policies": POLICIES, "known_sites": SITES, **more}
    return check_scenario(scenario_from_data(data), base_dir, known_profiles=("digits_mlp",), **known)


def test_a_sound_scenario_has_no_problems(small: Data, tmp_path: Path) -> None:
    assert problems_of(small, tmp_path) == ()


@pytest.mark.parametrize(
    ("path", "value", "place", "part"),
    [
        (
            "cluster.racks.0.servers.0.accelerator",
            "H1000",
            "cluster.racks.0.servers.0.accelerator",
            "did you mean 'H100'?",
        ),
        ("workload.mix.0.profile", "digits_mpl", "workload.mix.0.profile", "did you mean 'digits_mlp'?"),
        ("policies", {"placement": "spred"}, "policies.placement", "did you mean 'spread'?"),
        ("weather", {"kind": "site", "site": "Dublin"}, "weather.site", "did you mean 'dublin'?"),
        ("workload.mix.0.widths", {8: 1, 65: 1}, "workload.mix.0.widths.65", "at most 64"),
        ("cooling", {"capacity_w": "5 kW"}, "cooling.capacity_w", "more than the idle heat"),
        (
            "power",
            {"stages": [{"name": "ups", "rated_power_w": "5 kW"}]},
            "power.stages.0.rated_power_w",
            "idle draw",
        ),
        (
            "cluster.racks.0.servers.0.sleep_power_w",
            "2 kW",
            "cluster.racks.0.servers.0.sleep_power_w",
            "idle power",
        ),
        ("workload", {"kind": "trace", "path": "jobs.csv"}, "workload.path", "an existing file"),
        ("weather", {"kind": "file", "path": "../w.epw"}, "weather.path", "inside the scenario's folder"),
        ("profiles", {"x": "https://example.org/x.json"}, "profiles.x", "dcsim opens no URLs"),
    ],
)
def test_problems_between_parts(
    changed: Change, tmp_path: Path, path: str, value: Any, place: str, part: str
) -> None:
    (tmp_path.parent / "w.epw").write_text("x")
    (problem,) = problems_of(changed(path, value), tmp_path)
    assert problem.path == place
    assert part in str(problem)


def test_a_stage_must_carry_the_losses_below_it(changed: Change, tmp_path: Path) -> None:
    scenario = scenario_from_data(changed("seed", 0))
    idle_w = idle_it_power_w(scenario, CATALOGUE)
    stages = [
        {"name": "pdu", "rated_power_w": idle_w, "loss_constant": 0.1},
        {"name": "ups", "rated_power_w": 1.05 * idle_w},
    ]
    (problem,) = problems_of(changed("power", {"stages": stages}), tmp_path)
    assert problem.path == "power.stages.1.rated_power_w"
    stages[1]["rated_power_w"] = 1.11 * idle_w
    assert problems_of(changed("power", {"stages": stages}), tmp_path) == ()


def test_redundant_modules_lose_power_and_units_have_efficiencies(changed: Change, tmp_path: Path) -> None:
    scenario = scenario_from_data(changed("seed", 0))
    idle_w = idle_it_power_w(scenario, CATALOGUE)
    # Two sides of a rating lose 10 % of twice the rating without load: 20 % of the idle draw.
    double = {"name": "ups", "rated_power_w": idle_w, "redundancy": "2N", "loss_constant": 0.1}
    by_unit = {"name": "rectifier", "efficiency": 0.8, "rated_power_w": 1.21 * idle_w}
    above = {"name": "transformer", "rated_power_w": 1.49 * idle_w}
    (problem,) = problems_of(changed("power", {"stages": [double, by_unit, above]}), tmp_path)
    assert problem.path == "power.stages.2.rated_power_w"
    above["rated_power_w"] = 1.51 * idle_w
    assert problems_of(changed("power", {"stages": [double, by_unit, above]}), tmp_path) == ()


def test_power_that_passes_a_stage_by_is_not_in_its_rating(changed: Change, tmp_path: Path) -> None:
    scenario = scenario_from_data(changed("seed", 0))
    idle_w = idle_it_power_w(scenario, CATALOGUE)
    stage = {"name": "sivoc", "rated_power_w": 0.8 * idle_w, "bypass_power_w": 0.25 * idle_w}
    assert problems_of(changed("power", {"stages": [stage]}), tmp_path) == ()
    stage["bypass_power_w"] = 0.1 * idle_w
    (problem,) = problems_of(changed("power", {"stages": [stage]}), tmp_path)
    assert problem.path == "power.stages.0.rated_power_w"


def test_what_is_absurd_is_refused_and_what_is_odd_is_not(changed: Change, tmp_path: Path) -> None:
    price = {"kind": "constant", "price_usd_per_j": "10 USD/kWh"}
    assert problems_of(changed("grid.price", price), tmp_path) == ()
    (problem,) = problems_of(changed("grid.price", price | {"price_usd_per_j": "60 USD/kWh"}), tmp_path)
    assert (problem.path, problem.hint[:14]) == ("grid.price.price_usd_per_j", "USD/MWh meant?")


def test_idle_and_peak_power_add_up(small: Data) -> None:
    # 2 racks x 4 servers of 300 W (900 W busy) and 8 H100; file system 5 kW; 2 leaves and 1 spine of 600 W.
    scenario = scenario_from_data(small)
    h100 = CATALOGUE["H100"]
    assert idle_it_power_w(scenario, CATALOGUE) == pytest.approx(
        8 * (300 + 8 * h100.idle_power_w) + 5_000 + 1_800
    )
    assert peak_it_power_w(scenario, CATALOGUE) == pytest.approx(
        8 * (900 + 8 * h100.peak_power_w) + 5_000 + 1_800
    )


def test_pools_add_up_over_racks_but_not_over_models(small: Data, tmp_path: Path) -> None:
    rack = small["cluster"]["racks"][0]
    other = {"name": "b", "servers": [{"count": 9, "accelerator": "A100-80", "accelerators": 8}]}
    small["cluster"]["racks"] = [rack, {**rack, "name": "c", "count": 1}, other]
    small["workload"]["mix"][0]["widths"] = {96: 1.0}
    assert problems_of(small, tmp_path) == ()
    small["workload"]["mix"][0]["widths"] = {97: 1.0}
    assert [p.path for p in problems_of(small, tmp_path)] == ["workload.mix.0.widths.97"]


def test_all_problems_at_once_with_lines(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "name: a\n"
        "cluster:\n"
        "  racks:\n"
        "    - name: r\n"
        "      servers: [{accelerator: nope, accelerators: 1}]\n"
        "workload:\n"
        "  kind: generated\n"
        "  jobs: 1\n"
        "  mix:\n"
        "    - profile: missing\n"
        "      widths: {2: 1}\n"
        "policies: {energy: nothing}\n"
    )
    loaded = load_scenario(tmp_path / "a.yaml")
    problems = check_scenario(
        loaded.scenario,
        loaded.base_dir,
        catalogue=CATALOGUE,
        known_policies=POLICIES,
        known_profiles=(),
        file="a.yaml",
        lines=loaded.lines,
    )
    assert [(p.file, p.line, p.path) for p in problems] == [
        ("a.yaml", 5, "cluster.racks.0.servers.0.accelerator"),
        ("a.yaml", 10, "workload.mix.0.profile"),
        ("a.yaml", 11, "workload.mix.0.widths.2"),
        ("a.yaml", 12, "policies.energy"),
    ]


def test_an_accelerator_of_the_scenario_counts(small: Data, tmp_path: Path) -> None:
    small["accelerators"] = {
        "mine": {
            "peak_flop_per_s": {"bf16": "500 TFLOP/s"},
            "memory_bytes": "96 GB",
            "memory_bandwidth_bytes_per_s": "4 TB/s",
            "link_bandwidth_bytes_per_s": "450 GB/s",
            "idle_power_w": "80 W",
            "peak_power_w": "750 W",
            "source": "vendor's datasheet",
        }
    }
    small["cluster"]["racks"][0]["servers"][0]["accelerator"] = "mine"
    assert problems_of(small, tmp_path) == ()
    assert plausibility(scenario_from_data(small)) == ()


def test_empty_data_files_are_refused(changed: Change, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").touch()
    (problem,) = problems_of(changed("workload", {"kind": "trace", "path": "jobs.csv"}), tmp_path)
    assert "an empty file" in problem.got


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        ("cluster.racks.0.servers.0.idle_power_w", 0.3, "kW or MW meant?"),
        ("cluster.racks.0.servers.0.memory_bytes", 512, "GB or GiB meant?"),
        ("network.server_bandwidth_bytes_per_s", 400, "GB/s or Gbit/s meant?"),
        ("grid.carbon", {"kind": "constant", "intensity_kg_per_j": 400}, "A plain number is in kg/J"),
        ("grid.carbon", {"kind": "constant", "intensity_kg_per_j": "0.4 g/kWh"}, "kg/kWh given as g/kWh?"),
        ("grid.carbon", {"kind": "constant", "intensity_kg_per_j": "400 kg/kWh"}, "g/kWh meant?"),
        ("grid.price", {"kind": "constant", "price_usd_per_j": "60 USD/kWh"}, "USD/MWh meant?"),
        ("weather", {"kind": "constant", "dry_bulb_deg_c": 55}, "degF meant?"),
        ("accelerators", {"X": "tiny"}, "peak_power_w: 700 mW is unusual"),
        ("preemption", {"checkpoint_interval_s": 30}, "a plain number is in s: min or h meant?"),
        ("preemption", {"restore_s": "30 d"}, "preemption.restore_s: 30 d is unusual"),
        ("policies", {"energy": "carbon_shift"}, "no effect under a constant carbon intensity"),
        ("horizon_s", 10, "shorter than the shortest job"),
        ("profiles", {"unused": "x.json"}, "profiles.unused: no job uses it"),
    ],
)
def test_warnings_name_the_likely_unit(changed: Change, path: str, value: Any, part: str) -> None:
    if value == {"X": "tiny"}:
        figures = {
            "peak_flop_per_s": {"fp32": "1 TFLOP/s"},
            "memory_bytes": "8 GB",
            "memory_bandwidth_bytes_per_s": "100 GB/s",
            "link_bandwidth_bytes_per_s": "10 GB/s",
            "idle_power_w": 0.1,
            "peak_power_w": 0.7,
            "source": "test",
        }
        value = {"X": figures}
    warnings = plausibility(scenario_from_data(changed(path, value)))
    assert any(part in warning for warning in warnings), warnings


def test_ordinary_values_and_defaults_raise_no_warning(small: Data) -> None:
    assert plausibility(scenario_from_data(small), CATALOGUE) == ()


def test_ratings_below_the_peak_are_warned_about(changed: Change) -> None:
    changed("power", {"stages": [{"name": "ups", "rated_power_w": "40 kW"}]})
    scenario = scenario_from_data(changed("cooling", {"capacity_w": "40 kW"}))
    warnings = plausibility(scenario, CATALOGUE)
    assert [warning.split(":")[0] for warning in warnings] == [
        "cooling.capacity_w",
        "power.stages.0.rated_power_w",
    ]


def test_carbon_shift_without_deferrable_jobs_is_warned_about(changed: Change) -> None:
    changed("workload.mix.0.deferrable_fraction", 0)
    changed("grid.carbon", {"kind": "daily", "intensity_kg_per_j": ["300 g/kWh"] * 24})
    scenario = scenario_from_data(changed("policies", {"energy": "carbon_shift"}))
    assert scenario.policies.energy == PolicyChoice(name="carbon_shift")
    assert plausibility(scenario) == (
        "policies.energy: carbon_shift has no effect, as no job is deferrable (workload.mix)",
    )
