"""Facilities that cannot be: each is refused with its place and its cure, all at once, and nothing is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Dcsim

HALL = """\
name: hall
horizon_s: 2 d
cluster:
  racks:
    - name: r
      count: 2
      servers: [{count: 2, accelerator: A100-80, accelerators: 8}]
workload: {kind: generated, jobs: 5, mix: [{profile: digits_mlp}]}
"""
LINE = HALL.count("\n") + 1
"""Of what a case adds."""

HOURS = [f"2023-01-0{1 + hour // 24}T{hour % 24:02d}:00Z" for hour in range(48)]
FILES = {
    "day.csv": ["t,v", *(f"{time},300" for time in HOURS[:24])],
    "nan.csv": ["t,v", *(f"{time},{'nan' if hour == 5 else 300}" for hour, time in enumerate(HOURS))],
    "gap.csv": ["t,v", *(f"{time},300" for hour, time in enumerate(HOURS) if hour != 7)],
    "autumn.csv": ["t,v", *(f"2023-10-29T{hour:02d}:00,300" for hour in (0, 1, 2, 2, 3))],
    "spring.csv": ["t,v", *(f"2023-03-26T{hour:02d}:00,300" for hour in (0, 1, 2, 3))],
    "short.csv": ["time,dry_bulb_deg_c,relative_humidity", *(f"{time},10,0.5" for time in HOURS[:5])],
    "matrix.csv": ["0.1,0.1", "0.1,x"],
    "weather.csv": [
        "time,dry_bulb_deg_c,relative_humidity",
        *(f"{time},{'nan' if hour == 5 else 10},0.5" for hour, time in enumerate(HOURS)),
    ],
}


def series(file: str, start: str = "2023-01-01T00:00:00Z", unit: str = "g/kWh", more: str = "") -> str:
    return (
        f"grid: {{start: {start}, carbon: {{kind: file, path: {file}, time_column: t, value_column: v, "
        f"unit: {unit}{more}}}}}"
    )


def tariff(energy: str = "{name: a, price_usd_per_j: 0.1 USD/kWh}", more: str = "", zone: str = "UTC") -> str:
    return f"grid: {{tariff: {{kind: time_of_use, time_zone: {zone}, energy: [{energy}]{more}}}}}"


def matrix(rows: str) -> str:
    return f"room: {{layout: {{kind: matrix, recirculation: {rows}}}}}"


IN_THE_SCENARIO = {
    "a negative power": ("cooling: {capacity_w: -5 kW}", "cooling.capacity_w", "> 0"),
    "kW for W": ("cooling: {capacity_w: 40}", "cooling.capacity_w", "more than the idle heat (9.76 kW)"),
    "a plant below the idle heat": ("cooling: {capacity_w: 9 kW}", "cooling.capacity_w", "leave it out"),
    "a budget below idle": ("power: {budget_w: 9 kW}", "power.budget_w", "more than the idle draw (9.76 kW)"),
    "a budget in kW": ("power: {budget_w: 30}", "power.budget_w", "is it in W, not in kW?"),
    "a rating below idle": (
        "power: {stages: [{name: ups, rated_power_w: 9 kW}]}",
        "power.stages.0.rated_power_w",
        "at least the idle draw it carries (9.76 kW)",
    ),
    "a redundant rating below idle": (
        "power: {stages: [{name: ups, rated_power_w: 9 kW, redundancy: 2N}]}",
        "power.stages.0.rated_power_w",
        "at least the idle draw it carries (9.76 kW)",
    ),
    "a breaker below idle": (
        "power: {tree: {rack_breaker_w: 300 W}}",
        "power.tree.rack_breaker_w",
        "the idle draw of its largest rack",
    ),
    "an unknown rack": (
        "power: {tree: {pdus: [{name: p, racks: [rr]}]}}",
        "power.tree.pdus.0.racks.0",
        "did you mean 'r'?",
    ),
    "a rack fed twice": (
        "power: {tree: {pdus: [{name: p, racks: [r]}, {name: q, racks: [r]}]}}",
        "power.tree.pdus.1.racks.0",
        "list each rack at one PDU",
    ),
    "a power in MWh": (
        "onsite: {battery: {capacity_j: 2 MWh, charge_power_w: 2 MWh}}",
        "onsite.battery.charge_power_w",
        "MWh is a unit of energy",
    ),
    "an energy in MW": (
        "onsite: {battery: {capacity_j: 2 MW}}",
        "onsite.battery.capacity_j",
        "MW is a unit of power",
    ),
    "an energy as a plain number of kWh": (
        "onsite: {battery: {capacity_j: 2000}}",
        "onsite.battery.capacity_j",
        "kWh or MWh meant?",
    ),
    "a battery of seconds": (
        "onsite: {battery: {capacity_j: 20 MJ, charge_power_w: 1 MW}}",
        "onsite.battery.charge_power_w",
        "at most 20 C",
    ),
    "a policy without a battery": (
        "policies: {battery: battery_price}",
        "onsite.battery",
        "add `onsite.battery`",
    ),
    "a policy without a room": ("policies: {placement: xint}", "policies.placement", "add `room: {}`"),
    "panels nowhere": (
        "onsite: {solar: {rated_power_w: 10 kW, clearness: 0.7}}",
        "onsite.solar.latitude_deg",
        "choose weather of a site",
    ),
    "a room of other size": (matrix("[[0.1]]"), "room.layout.recirculation", "2, one for each node"),
    "a room that is not square": (
        matrix("[[0.1, 0.1], [0.1]]"),
        "room.layout.recirculation.1",
        "the matrix is square",
    ),
    "a room without an outlet": (
        matrix("[[0.5, 0.5], [0.1, 0.1]]"),
        "room.layout.recirculation.0",
        "less than 1",
    ),
    "NaN in a room": (matrix("[[.nan, 0.1], [0.1, 0.1]]"), "room.layout.recirculation.0.0", "finite"),
    "hours without a rate": (
        tariff("{name: a, price_usd_per_j: 0.1 USD/kWh, from_hour: 0, to_hour: 12}"),
        "grid.tariff.energy",
        "end with a rate without months, days and hours",
    ),
    "a tariff beside a price": (
        "grid: {price: {kind: constant, price_usd_per_j: 0.2 USD/kWh}, " + tariff().removeprefix("grid: {"),
        "grid.tariff",
        "leave out `price`, or the tariff",
    ),
    "tiers that overlap": (
        tariff(
            "{name: a, price_usd_per_j: 0.1 USD/kWh, tiers: [{above_j: 2 MWh, price_usd_per_j: 0.2 USD/kWh},"
            " {above_j: 1 MWh, price_usd_per_j: 0.3 USD/kWh}]}"
        ),
        "grid.tariff.energy.0.tiers.1.above_j",
        "more than the tier before",
    ),
    "USD/W for USD/kW": (
        tariff(more=", demand: [{name: d, price_usd_per_w: 19}]"),
        "grid.tariff.demand.0.price_usd_per_w",
        "USD/kW meant?",
    ),
    "a zone that is none": (
        tariff(zone="Europe/Berln"),
        "grid.tariff.time_zone",
        "did you mean 'Europe/Berlin'?",
    ),
    "an absurd error of the forecast": (
        "grid: {forecast: {kind: noise, carbon_error_24h: 150 %}}",
        "grid.forecast.carbon_error_24h",
        "< 100 %",
    ),
    "a forecast that is none": (
        "grid: {forecast: {kind: oracle}}",
        "grid.forecast.kind",
        "perfect, noise, persistence",
    ),
    "g/kWh for kg/J": (
        "grid: {carbon: {kind: constant, intensity_kg_per_j: 400}}",
        "grid.carbon.intensity_kg_per_j",
        "g/kWh meant? A plain number is in kg/J",
    ),
    "USD/MWh for USD/J": (
        "grid: {price: {kind: constant, price_usd_per_j: 60}}",
        "grid.price.price_usd_per_j",
        "USD/MWh meant? A plain number is in USD/J",
    ),
    "a negative intensity": (
        "grid: {carbon: {kind: constant, intensity_kg_per_j: -100 g/kWh}}",
        "grid.carbon.intensity_kg_per_j",
        ">= 0",
    ),
    "an event below idle": (
        "grid: {demand_response: [{start_s: 1 h, duration_s: 1 h, it_limit_w: 1 kW}]}",
        "grid.demand_response.0.it_limit_w",
        "at least what idle servers draw",
    ),
    "two prices of what is exported": (
        "onsite: {export: allow, export_price_usd_per_j: 0.5 USD/kWh}\n" + tariff(),
        "onsite.export_price_usd_per_j",
        "leave out `onsite.export_price_usd_per_j`, or `grid.tariff`",
    ),
    "two prices of what is exported, without a tariff": (
        "onsite: {export_price_usd_per_j: 0.5 USD/kWh}\ngrid: {export_price: {kind: constant, price_usd_per_j: 0}}",
        "onsite.export_price_usd_per_j",
        "or `grid.export_price`",
    ),
    "readings every nanosecond": (
        "power: {telemetry_interval_s: 1.0e-9}",
        "power.telemetry_interval_s",
        "0 or at least 0.1 s",
    ),
    "a slip in a chain": ("power: {chain: frontie}", "power.chain", "did you mean 'frontier'?"),
    "the carbon of an unknown accelerator": (
        "embodied: {accelerator_kg: {A100: 164}}",
        "embodied.accelerator_kg.A100",
        "did you mean 'A100-40'?",
    ),
    "a lifetime in years without saying so": (
        "embodied: {server_lifetime_s: 6}",
        "embodied.server_lifetime_s",
        ">= 1 d",
    ),
    "a slip in what an FMU answers": (
        "cooling: {plant: fmu, fmu: {path: x.fmu, outputs: {compresor_w: p}}}",
        "cooling.fmu.outputs.compresor_w",
        "did you mean 'compressor_w'?",
    ),
    "a slip in what an FMU is told": (
        "cooling: {plant: fmu, fmu: {path: x.fmu, inputs: {heat: q}}}",
        "cooling.fmu.inputs.heat",
        "did you mean 'heat_w'?",
    ),
    "tiers in kWh": (
        tariff(
            "{name: a, price_usd_per_j: 0.1 USD/kWh, tiers: [{above_j: 50, price_usd_per_j: 0.2 USD/kWh}]}"
        ),
        "grid.tariff.energy.0.tiers.0.above_j",
        "kWh or MWh meant?",
    ),
    "an event after the end": (
        "grid: {demand_response: [{start_s: 3 d, duration_s: 1 h, it_limit_w: 20 kW}]}",
        "grid.demand_response.0.start_s",
        "before the run ends",
    ),
    "two policies of one kind": (
        "policies: {energy: sleep_idle+sleep_forecast}",
        "policies.energy",
        "one policy that puts idle servers to sleep",
    ),
    "a slip in a combination": (
        "policies: {energy: power_cap+sleep_idel}",
        "policies.energy",
        "did you mean 'sleep_idle'?",
    ),
    "an absurd parameter": (
        "policies: {cooling: {name: highest_supply, parameters: {margin_k: 50}}}",
        "policies.cooling.parameters.margin_k",
        "0..20 K",
    ),
    "parts that are no whole": (
        "cooling: {plant: hybrid, hybrid: [{plant: liquid, heat_fraction: 0.5}]}",
        "cooling.hybrid",
        "heat fractions that add up to 1",
    ),
    "degrees Fahrenheit": (
        "cooling: {supply_temperature_deg_c: 75}",
        "cooling.supply_temperature_deg_c",
        "<= 45 degC",
    ),
}
"""What is added to a sound scenario, the field that is refused, and a part of what is said of it."""

IN_FILES = {
    "NaN in the weather": (
        "weather: {kind: file, path: weather.csv}",
        "weather.csv",
        "missing -> expected a number, choose gaps: hold or gaps: interpolate",
    ),
    "weather shorter than the run": (
        "weather: {kind: file, path: short.csv, beyond_end: refuse}",
        "short.csv",
        "data for the whole horizon_s of 2 d, a longer file, a shorter horizon_s, or beyond_end: repeat",
    ),
    "NaN in a series": (series("nan.csv"), "nan.csv", "gaps: interpolate"),
    "an hour left out": (series("gap.csv"), "gap.csv", "'v' at 2023-01-01T07:00:00+00:00: missing"),
    "a series shorter than the run": (
        series("day.csv"),
        "day.csv",
        "data for the whole horizon_s of 2 d, a longer file, a shorter horizon_s, or beyond_end: repeat",
    ),
    "an hour that the clock shows twice": (
        series("autumn.csv", "2023-10-29T00:00:00+02:00", more=", time_zone: Europe/Berlin"),
        "autumn.csv:4",
        "shows twice in Europe/Berlin -> expected a time that the clock shows once, write UTC or offsets",
    ),
    "an hour that the clock never shows": (
        series("spring.csv", "2023-03-26T00:00:00+01:00", more=", time_zone: Europe/Berlin"),
        "spring.csv:4",
        "choose clock_changes: resolve",
    ),
    "grams as kilograms": (
        series("day.csv", unit="kg/kWh", more=", beyond_end: repeat"),
        "day.csv",
        "is the unit g/kWh",
    ),
    "letters in a room": (
        "room: {layout: {kind: matrix, path: matrix.csv}}",
        "matrix.csv:2",
        "numbers separated by commas",
    ),
}
"""What is added, the file that is at fault, and a part of what is said of it."""


@pytest.fixture
def hall(tmp_path: Path) -> Path:
    """The sound scenario and the files of the cases, alone in a folder."""
    folder = tmp_path / "hall"
    folder.mkdir()
    for name, lines in FILES.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "hall.yaml").write_text(HALL, encoding="utf-8")
    return folder / "hall.yaml"


def refused(dcsim: Dcsim, file: Path, added: str) -> list[str]:
    """Return the problems that both commands name, once they have exited with 2 and written nothing."""
    file.write_text(HALL + added + "\n", encoding="utf-8")
    before = sorted(file.parent.rglob("*"))
    said = []
    for command in (["check"], ["run", "--out", file.parent / "out"]):
        result = dcsim(command[0], file, *command[1:])
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert sorted(file.parent.rglob("*")) == before
        said.append(result.stderr.splitlines())
    assert said[0] == said[1]
    assert re.fullmatch(r"\d+ problems?; nothing was run or written", said[0][-1])
    return said[0][:-1]


def test_without_anything_added_it_runs(dcsim: Dcsim, hall: Path) -> None:
    assert dcsim("check", hall).exit_code == 0
    assert dcsim("run", hall).exit_code == 0


@pytest.mark.parametrize(("added", "place", "part"), IN_THE_SCENARIO.values(), ids=IN_THE_SCENARIO)
def test_what_the_scenario_says_is_refused(
    dcsim: Dcsim, hall: Path, added: str, place: str, part: str
) -> None:
    (problem,) = refused(dcsim, hall, added)
    # What is missing altogether has no line.
    assert re.match(rf"{re.escape(str(hall))}(:{LINE})?: {re.escape(place)}: .+ -> expected ", problem), (
        problem
    )
    assert part in problem


@pytest.mark.parametrize(("added", "place", "part"), IN_FILES.values(), ids=IN_FILES)
def test_what_files_say_is_refused(dcsim: Dcsim, hall: Path, added: str, place: str, part: str) -> None:
    problem = refused(dcsim, hall, added)[0]
    assert problem.startswith(f"{hall.with_name(place)}: "), problem
    assert " -> expected " in problem
    assert part in problem


@pytest.mark.parametrize(
    ("field", "place"),
    [("idle_power_w: 0.9, peak_power_w: 2 kW", "idle_power_w"), ("peak_power_w: 900, idle_power_w: 9e5", "")],
)
def test_servers_in_kilowatts(dcsim: Dcsim, hall: Path, field: str, place: str) -> None:
    hall.write_text(HALL.replace("count: 2, accel", f"count: 2, {field}, accel"), encoding="utf-8")
    result = dcsim("check", hall)
    assert result.exit_code == 2
    assert f"hall.yaml:7: cluster.racks.0.servers.0.{place}" in result.stderr
    if place:
        assert "900 mW -> expected 5 W to 10 kW, a plain number is in W: kW or MW meant?" in result.stderr


def test_decisions_without_end(dcsim: Dcsim, hall: Path) -> None:
    policy = "policies: {cooling: {name: flow_by_load, parameters: {interval_s: 1}}}\n"
    hall.write_text(HALL.replace("2 d", "32000 d") + policy, encoding="utf-8")
    result = dcsim("check", hall)
    assert result.exit_code == 2
    place, said = (
        f"hall.yaml:{LINE}: policies.cooling.parameters.interval_s: 1 s -> expected at least 276 s",
        result.stderr,
    )
    assert place in said
    assert "10,000,000 decisions are the most" in said


def test_the_import_may_be_held_below_idle(dcsim: Dcsim, hall: Path) -> None:
    """What servers draw beyond it, a battery gives."""
    event = "grid: {demand_response: [{start_s: 1 h, duration_s: 1 h, import_limit_w: 2 kW}]}\n"
    battery = "onsite: {battery: {capacity_j: 200 kWh}}\npolicies: {battery: demand_response}\n"
    hall.write_text(HALL + event + battery, encoding="utf-8")
    assert dcsim("check", hall).exit_code == 0


def test_all_problems_at_once_in_the_order_of_their_lines(dcsim: Dcsim, hall: Path) -> None:
    added = [
        "cooling: {capacity_w: 40}",
        "power: {budget_w: 3 kW, tree: {rack_breaker_w: 300 W}}",
        "grid: {price: {kind: constant, price_usd_per_j: 60}}",
        "policies: {placement: xint, battery: peak_shaving, energy: none+power_cap}",
    ]
    problems = refused(dcsim, hall, "\n".join(added))
    places = [re.match(r".*?hall\.yaml(?::(\d+))?: (\S+): ", problem).groups() for problem in problems]  # type: ignore[union-attr]
    assert places == [
        (None, "onsite.battery"),
        (f"{LINE}", "cooling.capacity_w"),
        (f"{LINE + 1}", "power.tree.rack_breaker_w"),
        (f"{LINE + 1}", "power.budget_w"),
        (f"{LINE + 2}", "grid.price.price_usd_per_j"),
        (f"{LINE + 3}", "policies.placement"),
        (f"{LINE + 3}", "policies.energy"),
    ]
