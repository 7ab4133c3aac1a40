"""The scenarios that ship with dcsim: sound, without warnings, and each says what question it answers."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from dcsim.facility.hardware import CATALOGUE
from dcsim.facility.weather import SITES
from dcsim.policies import POLICY_KINDS, known_policies
from dcsim.spec import check_scenario, load_scenario, plausibility, scenario_from_data, scenario_to_data
from dcsim.spec.check import server_groups

FOLDER = Path(__file__).resolve().parents[2] / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))
KINDS = POLICY_KINDS


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    """Each YAML scenario of the repository."""
    return request.param


def test_there_are_scenarios() -> None:
    assert {path.stem for path in FILES} >= {
        "battery_and_solar",
        "capacity_10k",
        "carbon_shift",
        "demo",
        "energy_budget",
        "energy_policies",
        "liquid_cooling",
        "philly_like",
        "schedulers",
        "shared_network",
        "thermal_room",
    }


def test_it_is_sound_and_raises_no_warning(file: Path) -> None:
    loaded = load_scenario(file)
    problems = check_scenario(
        loaded.scenario,
        loaded.base_dir,
        catalogue=CATALOGUE,
        known_policies={kind: tuple(known_policies(kind)) for kind in KINDS},
        known_sites=SITES,
        file=str(file),
        lines=loaded.lines,
    )
    assert problems == ()
    assert plausibility(loaded.scenario, CATALOGUE) == ()


def test_it_names_the_schema_and_its_question(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# yaml-language-server: $schema=scenario.schema.json"
    assert "# Question:" in text
    assert load_scenario(file).scenario.name == file.stem
    assert load_scenario(file).scenario.description


def test_it_survives_the_way_to_plain_data_and_back(file: Path) -> None:
    scenario = load_scenario(file).scenario
    assert scenario_from_data(scenario_to_data(scenario)) == scenario


def test_ten_thousand_servers_are_a_page() -> None:
    path = FOLDER / "capacity_10k.yaml"
    assert sum(servers for _, servers, _ in server_groups(load_scenario(path).scenario)) == 10_000
    assert len(path.read_text(encoding="utf-8").splitlines()) < 100


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_python_scenarios_are_sound_and_say_what_they_answer(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "Question:" in text
    assert 'if __name__ == "__main__":' in text
    scenario = runpy.run_path(str(path))["scenario"](4)
    assert check_scenario(scenario, FOLDER, catalogue=CATALOGUE, known_sites=SITES) == ()
    assert scenario_from_data(scenario_to_data(scenario)) == scenario


def test_more_servers_wait_less() -> None:
    """The script runs, and with twelve more servers hours of waiting become minutes."""
    script = FOLDER / "what_if_more_servers.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["16", "20", "24", "28"]
    assert rows[0][2] == "h"
    assert rows[-1][2] == "min"
