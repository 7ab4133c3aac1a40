"""Loading: every problem at once, at its line, in words that say what to do; and hashes of meaning."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import Problem, ScenarioError
from dcsim.spec import load_scenario, scenario_from_data, scenario_sha256, scenario_to_data
from tests.spec.examples import SMALL, Change, Data

BAD = """\
name: my scenario
seed: -1
horizon_s: 0
bandwith: 5
cluster:
  racks:
    - name: a
      count: 1e3
      servers:
        - count: 0.5
          accelerators: 2.5
          idle_power_w: 6.5 kWh
          cpu_cores: "64"
    - servers: 5
network:
  topology: fattree
  bandwith: 400 Gbit/s
  capacity_w: 5
weather:
  site: oslo
grid:
  start: 2024-02-30
  carbon:
    kind: dayly
  price:
    kind: daily
    price_usd_per_j: [5, 3]
cooling:
power: []
policies:
  placement: 5
  ordering: {name: fifo, parameter: 1}
workload:
  kind: generated
  jobs: 1000000000000
  arrivals:
    diurnal_amplitude: 30
    load:
  mix:
    - profile: p
      widths: {0: 1, a: 3, 8: yes}
      deferrable_fraction: true
  sizes: {min_s: 2 h, max_s: 1 h}
"""

EXPECTED = [
    (1, "name", "the first a letter or digit"),
    (2, "seed", "an integer >= 0"),
    (3, "horizon_s", "> 0"),
    (4, "bandwith", "an unknown field"),
    (8, "cluster.racks.0.count", "write 1000"),
    (10, "cluster.racks.0.servers.0.count", "an integer >= 1"),
    (11, "cluster.racks.0.servers.0.accelerators", "an integer >= 0 and <= 64"),
    (12, "cluster.racks.0.servers.0.idle_power_w", "kWh is a unit of energy"),
    (13, "cluster.racks.0.servers.0.cpu_cores", "remove the quotes"),
    (14, "cluster.racks.1.name", "missing"),
    (14, "cluster.racks.1.servers", "a list of at least 1 item"),
    (16, "network.topology", "did you mean 'fat_tree'?"),
    (17, "network.bandwith", "did you mean 'server_bandwidth_bytes_per_s'?"),
    (18, "network.capacity_w", "it belongs in cooling"),
    (19, "weather.kind", "did you mean kind: site?"),
    (22, "grid.start", "day is out of range for month"),
    (24, "grid.carbon.kind", "did you mean 'daily'?"),
    (27, "grid.price.price_usd_per_j", "2 items -> expected a list of 24 items"),
    (28, "cooling", "indent what belongs to it below"),
    (29, "power", "leave out the '- '"),
    (31, "policies.placement", "a mapping of fields"),
    (32, "policies.ordering.parameter", "did you mean 'parameters'?"),
    (35, "workload.jobs", "<= 10,000,000"),
    (37, "workload.arrivals.diurnal_amplitude", "write '30 %'"),
    (38, "workload.arrivals.rate_per_s", "give one of load and rate_per_s"),
    (41, "workload.mix.0.widths.0", ">= 1"),
    (41, "workload.mix.0.widths.a", "a whole number of accelerators"),
    (41, "workload.mix.0.widths.8", "a number > 0"),
    (42, "workload.mix.0.deferrable_fraction", "a boolean is not a number"),
    (43, "workload.sizes.max_s", "at least min_s (2 h)"),
]


@pytest.fixture
def bad(tmp_path: Path) -> tuple[Problem, ...]:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    with pytest.raises(ScenarioError) as refused:
        load_scenario(path)
    return refused.value.problems


def test_every_problem_is_reported_at_its_line(bad: tuple[Problem, ...]) -> None:
    assert sorted((p.line, p.path) for p in bad if p.path != "workload.arrivals.rate_per_s") == sorted(
        (line, path) for line, path, _ in EXPECTED if path != "workload.arrivals.rate_per_s"
    )
    assert any(p.path == "workload.arrivals.rate_per_s" for p in bad)


@pytest.mark.parametrize(("path", "part"), [(path, part) for _, path, part in EXPECTED])
def test_every_problem_says_what_to_do(bad: tuple[Problem, ...], path: str, part: str) -> None:
    assert part in next(str(problem) for problem in bad if problem.path == path)


def test_problems_come_in_the_order_of_the_file(bad: tuple[Problem, ...]) -> None:
    assert [problem.line for problem in bad] == sorted(problem.line or 0 for problem in bad)


def test_pydantic_english_does_not_leak(bad: tuple[Problem, ...]) -> None:
    for problem in bad:
        assert "Input should" not in str(problem)
        assert "Value error" not in str(problem)
        assert "validation" not in str(problem)


BAD_VALUES: list[tuple[str, Any, str]] = [
    ("version", 2, "one of 1"),
    ("version", 1.0, "one of 1"),
    ("version", True, "one of 1"),
    ("seed", True, "true and false are no numbers"),
    ("seed", 1.5, "an integer"),
    ("seed", 2**63, "an integer"),
    ("seed", None, "give a value"),
    ("name", 5, "quote it: '5'"),
    ("name", "", "at least 1 character"),
    ("name", "x" * 101, "at most 100 characters"),
    ("horizon_s", -1, "> 0"),
    ("horizon_s", "200000 d", "<= 36600 d"),
    ("horizon_s", float("inf"), "finite"),
    ("cluster.racks.0.count", 0, "an integer >= 1"),
    ("cluster.racks.0.count", -4, "-4 -> expected an integer >= 1"),
    ("cluster.racks.0.count", True, "true and false are no numbers"),
    ("cluster.racks.0.count", 10**12, "an integer >= 1 and <="),
    ("cluster.racks.0.servers.0.count", 10_000_000, "at most 1,000,000 servers"),
    ("cluster.racks.0.servers.0.accelerators", "8", "remove the quotes"),
    ("cluster.racks.0.servers.0.accelerators", 0, "how many of accelerator 'H100'"),
    ("cluster.racks.0.servers.0.accelerator", None, "0 where no accelerator is named"),
    ("cluster.racks.0.servers.0.peak_power_w", "100 W", "at least the idle power (300 W)"),
    ("cluster.racks.0.servers.0.idle_power_w", "2 kW", "at least the idle power (2 kW)"),
    ("cluster.racks.0.servers.0.memory_bytes", "0 GB", "> 0"),
    ("cluster.racks.0.servers.0.wake_latency_s", "-1 s", ">= 0"),
    ("cluster.racks", [], "a list of at least 1 item"),
    ("cluster.racks", {"name": "a"}, "start each item with '- '"),
    ("cooling.capacity_w", "5 kWh", "kWh is a unit of energy"),
    ("cooling.supply_temperature_deg_c", "5 degF", ">= 10 degC"),
    ("network.oversubscription", 0.5, "a number >= 1"),
    ("network.server_bandwidth_bytes_per_s", "400 Gbps", "write Gbit/s or GB/s"),
    ("network.server_bandwidth_bytes_per_s", "400 GB", "did you mean GB/s?"),
    ("grid.start", "2024-01-01T00:00:00", "add the offset"),
    ("grid.start", "2024-01-01T23:59:60Z", "leap seconds"),
    ("grid.start", "2300-01-01T00:00:00Z", "a year from 1970 to 2200"),
    ("grid.start", 1_700_000_000, "a date and time"),
    ("grid.start", "next week", "a date and time"),
    ("grid.carbon", {"kind": "constant", "intensity_kg_per_j": "-1 g/kWh"}, ">= 0"),
    ("grid.carbon", {"kind": "constant", "intensity_kg_per_j": "0.4 USD/kWh"}, "energy price"),
    ("grid.carbon", "clean", "a mapping with kind"),
    ("grid.carbon", {"kind": ["daily"]}, "one of constant, daily, file"),
    (
        "grid.carbon",
        {"kind": "file", "path": "c.csv", "time_column": "t", "value_column": "v", "unit": "USD/MWh"},
        "USD/MWh is a unit of energy price",
    ),
    ("power.stages", [{"name": "ups"}, {"name": "UPS"}], "differs only by case from 'ups'"),
    ("power.stages", [{"name": "ups", "loss_constant": 0.6}], "<= 0.5"),
    ("power.stages", [{"name": "a", "carries_cooling": True}, {"name": "b"}], "cooling joins at stage 'a'"),
    ("power.stages", [{"name": "a", "carries_cooling": True, "heats_hall": True}], "stands outside the hall"),
    ("profiles", {"a": "x.json", "A": "y.json"}, "differs only by case"),
    ("profiles", {"a b": "x.json"}, "as the key"),
    ("accelerators", {"X": {}}, "missing"),
    ("workload.jobs", 0, "an integer >= 1"),
    ("workload.arrivals", {"load": 0}, "> 0"),
    ("workload.arrivals", {"rate_per_s": float("inf")}, "a finite number"),
    ("workload.sizes", {"sigma": -1}, ">= 0"),
    ("workload.mix", [], "a list of at least 1 item"),
    ("workload.mix.0.widths", {}, "a mapping"),
    ("workload.mix.0.widths", {"8": 1, 8: 2}, "each width once"),
    ("workload.mix.0.batch_per_accelerator", 0, ">= 1"),
    ("workload", {"kind": "trace"}, "missing"),
    ("workload", {"kind": "trace", "path": "x", "format": "phily"}, "did you mean 'philly'?"),
    ("policies.energy", {"parameters": {}}, "missing"),
    ("policies.energy", {"name": "none", "parameters": {"x": float("nan")}}, "finite"),
]


@pytest.mark.parametrize(("path", "value", "part"), BAD_VALUES)
def test_bad_values(changed: Change, path: str, value: Any, part: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        scenario_from_data(changed(path, value))
    assert part in str(refused.value)
    assert "Input should" not in str(refused.value)


def test_duplicate_rack_names_are_refused_by_case_too(small: Data) -> None:
    rack = small["cluster"]["racks"][0]
    small["cluster"]["racks"] = [rack, {**rack, "name": "A"}, rack]
    with pytest.raises(ScenarioError) as refused:
        scenario_from_data(small)
    paths = [problem.path for problem in refused.value.problems]
    assert paths == ["cluster.racks.1.name", "cluster.racks.2.name"]


def test_an_accelerator_without_figures_names_each_missing_one(changed: Change) -> None:
    with pytest.raises(ScenarioError) as refused:
        scenario_from_data(
            changed("accelerators", {"X": {"source": "datasheet", "peak_flop_per_s": {"fp33": 1}}})
        )
    text = str(refused.value)
    assert "accelerators.X.memory_bytes: missing -> expected a size (MB, GB, GiB) > 0" in text
    assert "accelerators.X.peak_flop_per_s.fp33: 'fp33' -> expected one of fp64" in text


def test_python_scenarios_get_the_same_checks() -> None:
    from pydantic import ValidationError

    from dcsim.spec import ServerSpec

    with pytest.raises(ValidationError, match="at least the idle power"):
        ServerSpec(idle_power_w="2 kW", peak_power_w="1 kW")
    assert ServerSpec(idle_power_w="0.2 kW").idle_power_w == 200.0


@pytest.mark.parametrize("name", ["nothing.yaml", "a\x00b.yaml", ".", "x" * 5_000])
def test_unreadable_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScenarioError, match=r"a YAML file|a readable YAML file"):
        load_scenario(f"{tmp_path}/{name}")


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ScenarioError, match="a folder, pipe or device"):
        load_scenario(tmp_path / "pipe.yaml")


def test_loaded_scenario(tmp_path: Path, small: Data) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small))
    loaded = load_scenario(path)
    assert loaded.base_dir == tmp_path.resolve()
    assert loaded.path == path.resolve()
    assert loaded.sha256 == scenario_sha256(loaded.scenario)
    assert loaded.lines[("name",)] > 0


def test_round_trip_through_plain_data(small: Data) -> None:
    scenario = scenario_from_data(small)
    data = json.loads(json.dumps(scenario_to_data(scenario)))
    assert scenario_from_data(data) == scenario
    assert scenario_to_data(scenario_from_data(data)) == data


def test_the_hash_is_of_the_meaning(small: Data) -> None:
    reference = scenario_sha256(scenario_from_data(small))
    reordered = {key: small[key] for key in reversed(small)}
    written_out = {**small, "seed": 0, "network": {"topology": "fat_tree"}, "policies": {"ordering": "fifo"}}
    in_units = {**small, "network": {"server_bandwidth_bytes_per_s": "400 Gbit/s", "latency_s": "5 us"}}
    in_time_zone = {**small, "grid": {"start": "2023-06-01T02:00:00+02:00"}}
    in_utc = {**small, "grid": {"start": "2023-06-01T00:00:00Z"}}
    for same in (reordered, written_out, in_units):
        assert scenario_sha256(scenario_from_data(same)) == reference
    assert scenario_sha256(scenario_from_data(in_time_zone)) == scenario_sha256(scenario_from_data(in_utc))
    assert scenario_sha256(scenario_from_data({**small, "seed": 1})) != reference


def test_the_hash_does_not_depend_on_the_process(small: Data) -> None:
    code = (
        "import json, sys; from dcsim.spec import *; "
        "print(scenario_sha256(scenario_from_data(json.loads(sys.argv[1]))))"
    )
    reference = scenario_sha256(scenario_from_data(small))
    for hash_seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(small)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == reference


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["5 kW", "2 h", "daily", "file", "fat_tree", "1e3", "2024-02-30", "70 %", "400 Gbit/s", ".."]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(["kind", "name", "count", "path"]), st.integers(0, 9)),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """All paths into nested plain data."""
    yield path
    for key, inner in places_below(node):
        yield from places(inner, (*path, key))


def set_at(node: Any, path: tuple[str | int, ...], value: Any) -> None:
    """Set one place in nested plain data, where an earlier mutation has left it there."""
    *parents, last = path
    for part in parents:
        if part not in dict(places_below(node)):
            return
        node = node[part]
    if isinstance(node, dict) or last in dict(places_below(node)):
        node[last] = value


def places_below(node: Any) -> Iterable[tuple[str | int, Any]]:
    """The items of a mapping or list, none of anything else."""
    return node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()


FULL = scenario_to_data(scenario_from_data(copy.deepcopy(SMALL)))
PLACES = [path for path in places(FULL) if path]


@given(st.lists(st.tuples(st.sampled_from(PLACES), values), min_size=1, max_size=4))
def test_mutated_scenarios_load_or_raise_a_scenario_error(
    mutations: list[tuple[tuple[str | int, ...], Any]],
) -> None:
    data = copy.deepcopy(FULL)
    for path, value in mutations:
        set_at(data, path, value)
    start = time.process_time()
    try:
        scenario = scenario_from_data(data)
    except ScenarioError as error:
        told = [str(problem) for problem in error.problems]
    else:
        told = [scenario_sha256(scenario)]
        assert scenario_from_data(scenario_to_data(scenario)) == scenario
    assert told
    assert all(len(line) < 3_000 for line in told)
    assert time.process_time() - start < 1.0


@given(st.binary(max_size=200))
def test_a_scenario_with_any_bytes_in_it_loads_or_raises(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.yaml"
    text = yaml.safe_dump(FULL).encode()
    cut = len(noise) * 7 % len(text)
    path.write_bytes(text[:cut] + noise + text[cut:])
    try:
        loaded = load_scenario(path)
    except ScenarioError as error:
        told = [str(problem) for problem in error.problems]
    else:
        told = [loaded.sha256]
    assert told


def test_thousands_of_mistakes_take_a_moment(small: Data) -> None:
    figures = {f"a{n}": {"idle_power_w": -1} for n in range(2_000)}
    unknown = {f"field{n}": n for n in range(2_000)}
    began_s = time.process_time()
    with pytest.raises(ScenarioError) as caught:
        scenario_from_data({**small, **unknown, "accelerators": figures})
    assert time.process_time() - began_s < 5.0
    assert len(caught.value.problems) == 101
    assert "more problems" in caught.value.problems[-1].got


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("network", "switch_power_w", 1e300),
        ("network", "server_bandwidth_bytes_per_s", "1e200 GB/s"),
        ("cooling", "hall_time_constant_s", "1e9 h"),
        ("grid", "price", {"kind": "constant", "price_usd_per_j": -1e300}),
        ("storage", "local", {"capacity_bytes": 1e300}),
    ],
)
def test_figures_beyond_anything_physical_are_refused(
    small: Data, part: str, field: str, value: object
) -> None:
    with pytest.raises(ScenarioError, match="is a slip: look at the exponent and the unit"):
        scenario_from_data({**small, part: {field: value}})


def test_control_characters_of_a_file_do_not_reach_the_terminal() -> None:
    shown = str(Problem("a.yaml", 1, "\x1b[31mred", "\u202e", "plain\ntext"))
    assert shown == "a.yaml:1: \\x1b[31mred: \\u202e -> expected plain\ntext"
