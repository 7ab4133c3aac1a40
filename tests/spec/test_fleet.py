"""Fleet files: read whole, refused whole, each problem with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcsim.errors import ScenarioError
from dcsim.spec.fleet import FleetSpec
from dcsim.spec.fleet_load import fleet_from_data, fleet_sha256, load_fleet

SITE = """\
name: hall
cluster: {racks: [{name: r, servers: [{accelerator: A100-80, accelerators: 4}]}]}
"""
FLEET = """\
name: two
horizon_s: 2 d
sites:
  - {name: east, scenario: halls/east.yaml}
  - {name: west, scenario: halls/west.yaml}
workload: {kind: generated, jobs: 3, mix: [{profile: tiny_transformer}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "halls").mkdir()
    for name in ("east", "west"):
        (tmp_path / "halls" / f"{name}.yaml").write_text(SITE, encoding="utf-8")
    return tmp_path


def load(folder: Path, text: str):
    path = folder / "fleet.yaml"
    path.write_text(text, encoding="utf-8")
    return load_fleet(path)


def problem(folder: Path, text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(folder, text)
    return str(caught.value).replace(str(folder), "F")


def test_a_fleet_and_its_sites_are_read(folder):
    loaded = load(folder, FLEET)
    assert [site.scenario.name for site in loaded.sites] == ["hall", "hall"]
    assert {site.scenario.horizon_s for site in loaded.sites} == {2 * 86_400.0}
    assert loaded.sites[0].base_dir == folder / "halls"
    assert loaded.sites[1].scenario.workload.path == "west.jobs.parquet"
    assert loaded.fleet.routing.name == "home"


def test_a_sites_own_workload_horizon_and_seed_do_not_count(folder):
    plain = load(folder, FLEET)
    more = SITE + "horizon_s: 1 h\nworkload: {kind: generated, jobs: 9, mix: [{profile: digits_mlp}]}\n"
    (folder / "halls/east.yaml").write_text(more, encoding="utf-8")
    assert fleet_sha256(load(folder, FLEET)) == fleet_sha256(plain)


def test_units_of_money_and_energy_over_bytes():
    wan = {"energy_j_per_byte": "0.004 kWh/GB", "price_usd_per_byte": "0.02 USD/GB"}
    said = {"name": "x", "horizon_s": 1.0, "sites": [{"name": "a", "scenario": "a.yaml"}]}
    said["workload"] = {"kind": "generated", "jobs": 1, "mix": [{"profile": "p"}]}
    fleet = fleet_from_data({**said, "wan": wan})
    assert fleet.wan.energy_j_per_byte == pytest.approx(1.44e-5)
    assert fleet.wan.price_usd_per_byte == pytest.approx(2e-11)
    again = FleetSpec.model_validate(fleet.model_dump(mode="json"))
    assert again == fleet


REFUSED = [
    ("horizon_s: 2 d\n", "", "F/fleet.yaml: horizon_s: missing -> expected a duration"),
    (
        "name: west",
        "name: East",
        "F/fleet.yaml:5: sites.1.name: 'East' -> expected a site name of its own",
    ),
    (
        "halls/west",
        "halls/wst",
        "F/fleet.yaml:5: sites.1.scenario: 'halls/wst.yaml' -> expected an existing file",
    ),
    ("halls/west", "../west", "F/fleet.yaml:5: sites.1.scenario"),
    (
        "name: two\n",
        "name: two\nhomes: nowhere\n",
        "2: homes: 'nowhere' -> expected one of first_site, round_robin",
    ),
    (
        "name: two\n",
        "name: two\nhome: x\n",
        "F/fleet.yaml:2: home: an unknown field -> expected one of version, name,",
    ),
    (
        "name: two\n",
        "name: two\ntenants: [{name: t, home: wes}]\n",
        "F/fleet.yaml:2: tenants.0.home: 'wes' -> expected one of the sites east, west, did you mean 'west'?",
    ),
    (
        "name: two\n",
        "name: two\ntenants: [{name: t, home: west, may_run_at: [east]}]\n",
        "tenants.0.may_run_at: without the home 'west' -> expected a list with the tenant's home",
    ),
    (
        "name: two\n",
        "name: two\nwan: {pairs: [{between: [east, north]}]}\n",
        "wan.pairs.0.between.1: 'north' -> expected one of the sites east, west",
    ),
    (
        "name: two\n",
        "name: two\nwan: {pairs: [{between: [east, west]}, {between: [west, east]}]}\n",
        "wan.pairs.1.between: a second time -> expected each pair once, it is pair 0 already",
    ),
    (
        "name: two\n",
        "name: two\nwan: {pairs: [{between: [east, east]}]}\n",
        "wan.pairs.0.between: 'east' twice -> expected two different sites",
    ),
    (
        "name: two\n",
        "name: two\nwan: {energy_j_per_byte: 4 kWh}\n",
        "wan.energy_j_per_byte: '4 kWh' -> expected an energy for each byte, such as 0.004 kWh/GB",
    ),
    (
        "name: two\n",
        "name: two\nwan: {price_usd_per_byte: 0.02}\n",
        "wan.price_usd_per_byte: 0.02 -> expected a price for each byte, such as 0.02 USD/GB, from 0 to 1e-06",
    ),
    (
        "name: two\n",
        "name: two\nwan: {bandwidth_bytes_per_s: 0}\n",
        "wan.bandwidth_bytes_per_s: 0 B/s -> expected a bandwidth",
    ),
    ("jobs: 3,", "", "F/fleet.yaml:6: workload.jobs: missing -> expected an integer"),
]


@pytest.mark.parametrize(("old", "new", "told"), REFUSED)
def test_what_cannot_be_used_is_told_with_its_place(folder, old, new, told):
    assert told in problem(folder, FLEET.replace(old, new))


def test_problems_of_a_site_are_told_with_its_own_file_and_line(folder):
    (folder / "halls/west.yaml").write_text(SITE + "cooling: {plant: ice}\n", encoding="utf-8")
    (folder / "halls/east.yaml").write_text("name: hall\n", encoding="utf-8")
    told = problem(folder, FLEET).splitlines()
    assert told[0].startswith("F/halls/east.yaml: cluster: missing -> expected")
    assert told[1].startswith("F/halls/west.yaml:3: cooling.plant: 'ice' -> expected one of")


def test_one_clock_runs_at_all_sites(folder):
    (folder / "halls/west.yaml").write_text(SITE + "grid: {start: 2023-07-01T00:00:00Z}\n", encoding="utf-8")
    told = problem(folder, FLEET)
    assert "F/fleet.yaml:5: sites.1.scenario: grid.start 2023-07-01T00:00:00+00:00 -> expected" in told
