"""`dcsim fleet` as a user types it: tables within 80 columns, files where asked, problems told with exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Dcsim = Callable[..., Result]

SITE = """\
name: hall
cluster: {racks: [{name: r, servers: [{accelerator: A100-80, accelerators: 8, count: 2}]}]}
grid: {carbon: {kind: constant, intensity_kg_per_j: INTENSITY g/kWh}}
"""
FLEET = """\
name: two
horizon_s: 2 d
sites:
  - {name: dirty, scenario: dirty.yaml}
  - {name: clean, scenario: clean.yaml}
workload:
  kind: generated
  jobs: 20
  mix: [{profile: tiny_transformer}]
routing: follow_the_sun
"""


@pytest.fixture
def fleet_file(tmp_path: Path) -> Path:
    for name, intensity in (("dirty", "600"), ("clean", "100")):
        (tmp_path / f"{name}.yaml").write_text(SITE.replace("INTENSITY", intensity), encoding="utf-8")
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET, encoding="utf-8")
    return path


def lines_fit(text: str) -> bool:
    return all(len(line) <= 80 for line in text.splitlines() if not line.startswith("wrote "))


def test_a_run_is_printed_and_stored(dcsim, fleet_file, tmp_path):
    result = dcsim("fleet", "run", fleet_file, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "two: follow_the_sun, seed 0" in result.stdout
    assert all(name in result.stdout for name in ("dirty", "clean", "network", "fleet"))
    assert lines_fit(result.stdout)
    assert (tmp_path / "out/fleet.json").exists()
    assert (tmp_path / "out/sites/clean/manifest.json").exists()
    replayed = dcsim("replay", tmp_path / "out/sites/clean")
    assert replayed.exit_code == 0, replayed.stdout


def test_a_router_can_be_given(dcsim, fleet_file):
    result = dcsim("fleet", "run", fleet_file, "--routing", "home", "--seed", "4")
    assert "two: home, seed 4" in result.stdout
    assert "nothing was moved" in result.stdout
    for wrong, part in (("hme", "did you mean 'home'"), ("home,cleanest", "dcsim fleet compare")):
        refused = dcsim("fleet", "run", fleet_file, "--routing", wrong)
        assert refused.exit_code == 2
        assert part in " ".join(refused.stderr.replace("│", " ").split())


def test_routers_are_compared(dcsim, fleet_file, tmp_path):
    arguments = ("--routing", "home,follow_the_sun,load_balance", "--seeds", "2", "--out", tmp_path / "study")
    result = dcsim("fleet", "compare", fleet_file, *arguments)
    assert result.exit_code == 0, result.stderr
    assert "Against home, paired by seed" in result.stdout
    assert lines_fit(result.stdout)
    assert (tmp_path / "study/fleet-summary.csv").exists()


def test_a_sound_fleet_is_checked(dcsim, fleet_file):
    result = dcsim("fleet", "check", fleet_file)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("sound, no warnings\n")


def test_the_fleet_that_ships_with_dcsim_is_sound_and_says_what_it_answers(dcsim, repository):
    path = repository / "scenarios/three_sites/fleet.yaml"
    result = dcsim("fleet", "check", path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("sound, no warnings\n")
    assert path.read_text(encoding="utf-8").startswith("# Question:")


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "fleet.yaml",
            "follow_the_sun",
            "follow_sun",
            "fleet.yaml:10: routing: 'follow_sun' -> expected one of",
        ),
        (
            "fleet.yaml",
            "routing: follow_the_sun",
            "routing: {name: home, parameters: {speed: 3}}",
            "fleet.yaml:10: routing.parameters.speed: an unknown parameter",
        ),
        (
            "fleet.yaml",
            "horizon_s: 2 d",
            "horizon_s: -1",
            "fleet.yaml:2: horizon_s: -1 s -> expected a duration",
        ),
        (
            "clean.yaml",
            "A100-80",
            "A100-81",
            "clean.yaml:2: cluster.racks.0.servers.0.accelerator: 'A100-81'",
        ),
        (
            "clean.yaml",
            "name: hall",
            "name: hall\npolicies: {ordering: fife}",
            "clean.yaml:2: policies.ordering",
        ),
        ("fleet.yaml", "tiny_transformer", "tiny_transfomer", "tiny_transfomer"),
    ],
)
def test_what_cannot_be_used_ends_with_code_2_and_its_place(dcsim, fleet_file, file, old, new, told):
    path = fleet_file.parent / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    for command in ("check", "run"):
        result = dcsim("fleet", command, fleet_file)
        assert result.exit_code == 2, result.stdout
        assert told in result.stderr
