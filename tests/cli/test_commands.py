"""Each command does what its help says, and prints within 80 columns."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from dcsim.policies import EnergyPolicy, registry
from dcsim.results.schema import SUMMARY
from dcsim.spec import ClusterSpec
from dcsim.workload.profile_store import builtin_profiles, load_profile, save_profile

Dcsim = Callable[..., Result]
TERMINAL_COLUMNS = 80


def _lines_fit(text: str) -> bool:
    """Paths that are written to may be longer than a line, and are not cut."""
    return all(len(line) <= TERMINAL_COLUMNS for line in text.splitlines() if not line.startswith("wrote "))


def test_check_accepts_a_sound_scenario(dcsim: Dcsim, scenario_file: Path) -> None:
    result = dcsim("check", scenario_file)
    assert result.exit_code == 0
    assert "sound" in result.stdout


def test_check_looks_into_the_files_that_a_scenario_names(dcsim: Dcsim, scenario_file: Path) -> None:
    jobs = scenario_file.with_name("jobs.csv")
    jobs.write_text("job_id,submit_s,accelerators,duration_s\na,0,1,-5\nb,zero,1,5\n", encoding="utf-8")
    result = dcsim("check", scenario_file)
    assert result.exit_code == 2
    assert "jobs.csv:2:" in result.stderr
    assert "jobs.csv:3:" in result.stderr


def test_check_prints_what_looks_unlikely_and_passes(dcsim: Dcsim, scenario_file: Path) -> None:
    text = scenario_file.read_text(encoding="utf-8")
    scenario_file.write_text(
        text + "grid: {carbon: {kind: constant, intensity_kg_per_j: 0.4 g/kWh}}\n", encoding="utf-8"
    )
    result = dcsim("check", scenario_file)
    assert result.exit_code == 0
    assert result.stdout.startswith("warning: ")
    assert "1 warning\n" in result.stdout


def test_schema_is_json_and_can_be_written(dcsim: Dcsim, tmp_path: Path) -> None:
    printed = dcsim("schema")
    assert json.loads(printed.stdout)["title"] == "dcsim scenario"
    assert dcsim("schema", "--out", tmp_path / "schema.json").exit_code == 0
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == printed.stdout


def test_run_prints_a_summary_and_writes_only_when_told(
    dcsim: Dcsim, scenario_file: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = dcsim("run", scenario_file)
    assert result.exit_code == 0
    assert _lines_fit(result.stdout)
    assert sorted(tmp_path.rglob("*")) == before
    stored = dcsim("run", scenario_file, "--out", tmp_path / "run", "--seed", 7, "--placement", "spread")
    assert stored.exit_code == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["seed"] == 7
    assert manifest["policies"]["placement"] == "spread"


def test_replay_proves_a_run_and_finds_a_changed_one(
    dcsim: Dcsim, scenario_file: Path, tmp_path: Path
) -> None:
    dcsim("run", scenario_file, "--out", tmp_path / "run")
    result = dcsim("replay", tmp_path / "run")
    assert result.exit_code == 0
    assert "byte-identical" in result.stdout
    table = tmp_path / "run" / "jobs.parquet"
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    damaged = dcsim("replay", tmp_path / "run")
    assert damaged.exit_code == 1
    assert "jobs.parquet" in damaged.stderr


def test_profiles_of_a_folder_are_used_and_found_again_by_replay(
    dcsim: Dcsim, scenario_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    profile, _ = load_profile(builtin_profiles()["digits_mlp"])
    slower = profile.fit.model_copy(update={"overhead_s": 2 * profile.fit.overhead_s})
    save_profile(profile.model_copy(update={"fit": slower}), profiles / "digits_mlp.json")
    text = scenario_file.read_text(encoding="utf-8").partition("workload:")[0].replace("A100-80", "cpu-core")
    text += "workload: {kind: generated, jobs: 3, mix: [{profile: digits_mlp}]}\n"
    scenario_file.write_text(text, encoding="utf-8")
    result = dcsim("run", scenario_file, "--profiles", profiles, "--out", tmp_path / "run")
    assert result.exit_code == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest["data_files"]) == ["digits_mlp.json"]
    assert manifest["profiles"][0]["sha256"] != load_profile(builtin_profiles()["digits_mlp"])[1]
    monkeypatch.setenv("DCSIM_DATA_DIRS", "")
    assert dcsim("replay", tmp_path / "run").exit_code == 0


@pytest.fixture
def study(dcsim: Dcsim, scenario_file: Path, tmp_path: Path) -> tuple[Result, Path]:
    out = tmp_path / "study"
    choice = ["--placement", "first_fit,spread", "--energy", "none,power_cap", "--seeds", "2"]
    return dcsim("compare", scenario_file, *choice, "--executor", "inline", "--out", out), out


def test_compare_writes_summary_and_report(study: tuple[Result, Path]) -> None:
    result, out = study
    assert result.exit_code == 0
    assert _lines_fit(result.stdout)
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [column.name for column in SUMMARY]
    assert len(rows) == 1 + 2 * 2 * 2
    assert (out / "report.html").stat().st_size > 0


def test_compare_said_again_keeps_what_is_done(
    dcsim: Dcsim, scenario_file: Path, study: tuple[Result, Path]
) -> None:
    _, out = study
    before = (out / "summary.csv").read_bytes()
    choice = ["--placement", "first_fit,spread", "--energy", "none,power_cap", "--seeds", "2"]
    again = dcsim("compare", scenario_file, *choice, "--executor", "inline", "--out", out)
    assert again.exit_code == 0
    assert "finished" not in again.stderr
    assert again.stderr.count("kept") == 8
    assert (out / "summary.csv").read_bytes() == before


def test_report_writes_the_page_again(dcsim: Dcsim, study: tuple[Result, Path]) -> None:
    _, out = study
    (out / "report.html").unlink()
    result = dcsim("report", out)
    assert result.exit_code == 0
    assert (out / "report.html").exists()


def test_report_of_no_study_fails_with_a_message(dcsim: Dcsim, tmp_path: Path) -> None:
    result = dcsim("report", tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr


def test_trace_import_and_describe_agree(dcsim: Dcsim, scenario_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "jobs.parquet"
    result = dcsim("trace", "import", "native", scenario_file.with_name("jobs.csv"), "--out", out)
    assert result.exit_code == 0
    assert "wrote 3 jobs" in result.stdout
    described = dcsim("trace", "describe", out)
    assert described.exit_code == 0
    assert _lines_fit(described.stdout)
    original = dcsim("trace", "describe", scenario_file.with_name("jobs.csv"))
    assert described.stdout.partition("about")[2] == original.stdout.partition("about")[2] != ""


def test_malformed_rows_are_refused_or_left_out_when_told(
    dcsim: Dcsim, scenario_file: Path, tmp_path: Path
) -> None:
    jobs = scenario_file.with_name("jobs.csv")
    jobs.write_text("job_id,submit_s,accelerators,duration_s\na,0,1,-5\nb,1,1,5\n", encoding="utf-8")
    out = tmp_path / "jobs.parquet"
    refused = dcsim("trace", "import", "native", jobs, "--out", out)
    assert refused.exit_code == 2
    assert not out.exists()
    skipped = dcsim("trace", "import", "native", jobs, "--out", out, "--on-bad", "skip")
    assert skipped.exit_code == 0
    assert "note: " in skipped.stdout
    assert "wrote 1 jobs" in skipped.stdout


def test_cluster_import_gives_the_part_of_a_scenario(dcsim: Dcsim, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.csv"
    nodes.write_text(
        "sn,cpu_milli,memory_mib,gpu,model\na,96000,786432,8,V100M32\nb,64000,262144,0,\n", encoding="utf-8"
    )
    out = tmp_path / "cluster.yaml"
    result = dcsim("cluster", "import", "openb", nodes, "--out", out)
    assert result.exit_code == 0
    cluster = ClusterSpec.model_validate(yaml.safe_load(out.read_text(encoding="utf-8"))["cluster"])
    assert sum(rack.count * group.count for rack in cluster.racks for group in rack.servers) == 2


@pytest.mark.parametrize("arguments", [["hardware"], ["hardware", "H100"], ["policies"], ["version"]])
def test_what_is_shown_fits_the_terminal(dcsim: Dcsim, arguments: list[str]) -> None:
    result = dcsim(*arguments)
    assert result.exit_code == 0
    assert result.stdout
    assert _lines_fit(result.stdout)


def test_policies_of_installed_packages_are_loaded_only_when_asked(
    dcsim: Dcsim, scenario_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gentle(EnergyPolicy):
        name = "gentle"
        optimises = "nothing"
        source = "a test"

    def points(*, group: str) -> list[EntryPoint]:
        point = EntryPoint("gentle", "package:Gentle", group)
        monkeypatch.setattr(EntryPoint, "load", lambda _: Gentle)
        return [point]

    monkeypatch.setattr(registry, "entry_points", points)
    monkeypatch.setitem(registry._REGISTRY, "energy", dict(registry._REGISTRY["energy"]))
    assert "gentle" not in dcsim("policies").stdout
    assert dcsim("run", scenario_file, "--energy", "gentle").exit_code == 2
    assert "gentle" in dcsim("--plugins", "policies").stdout
    assert dcsim("--plugins", "run", scenario_file, "--energy", "gentle").exit_code == 0


def test_names_are_shown_whole(dcsim: Dcsim) -> None:
    assert "cpu-core " in dcsim("hardware").stdout
    assert "shortest_first " in dcsim("policies").stdout


def test_an_unknown_accelerator_is_refused(dcsim: Dcsim) -> None:
    result = dcsim("hardware", "H1000")
    assert result.exit_code == 2
    assert "H100" in result.stderr


def test_a_profile_kept_in_dcsim_is_shown_by_name(dcsim: Dcsim) -> None:
    result = dcsim("profile", "show", "digits_mlp")
    assert result.exit_code == 0
    assert _lines_fit(result.stdout)
    assert "101,770" in result.stdout  # 784 x 128 + 128 + 128 x 10 + 10 parameters


@pytest.mark.parametrize(
    "command",
    [[], ["run"], ["compare"], ["report"], ["replay"], ["check"], ["schema"], ["trace"], ["trace", "import"],
     ["trace", "describe"], ["cluster"], ["cluster", "import"], ["profile", "show"], ["hardware"], ["policies"]],
)  # fmt: skip
def test_help_fits_the_terminal(dcsim: Dcsim, command: list[str]) -> None:
    result = dcsim(*command, "--help")
    assert result.exit_code == 0
    assert _lines_fit(result.stdout)


@pytest.mark.parametrize(
    ("parameters", "path", "expected"),
    [
        ("{fraction: 0.5}", "policies.energy.parameters.fraction", "a parameter of power_cap: cap_fraction"),
        ("{cap_fraction: half}", "policies.energy.parameters.cap_fraction", "a number"),
        ("{cap_fraction: 2}", "policies.energy.parameters.cap_fraction", "a fraction in (0, 1]"),
    ],
)
def test_parameters_of_policies_are_checked_with_all_the_rest(
    dcsim: Dcsim, scenario_file: Path, parameters: str, path: str, expected: str
) -> None:
    text = scenario_file.read_text(encoding="utf-8")
    text += f"policies:\n  placement: nowhere\n  energy: {{name: power_cap, parameters: {parameters}}}\n"
    scenario_file.write_text(text, encoding="utf-8")
    result = dcsim("check", scenario_file)
    assert result.exit_code == 2
    assert f"small.yaml:13: {path}: " in result.stderr
    assert f"expected {expected}" in result.stderr
    assert "small.yaml:12: policies.placement: 'nowhere'" in result.stderr


def test_ten_million_jobs_are_checked_in_a_moment(dcsim: Dcsim, scenario_file: Path) -> None:
    text = scenario_file.read_text(encoding="utf-8").partition("workload:")[0]
    text += "workload: {kind: generated, jobs: 10000000, mix: [{profile: tiny_transformer}]}\n"
    scenario_file.write_text(text, encoding="utf-8")
    began_s = time.process_time()
    assert dcsim("check", scenario_file).exit_code == 0
    assert time.process_time() - began_s < 10.0


@pytest.mark.parametrize("row", ["a,1672531200000,1,10", "a,0,1,1e300"])
def test_times_beyond_a_century_are_refused_instead_of_simulated(
    dcsim: Dcsim, scenario_file: Path, row: str
) -> None:
    jobs = scenario_file.with_name("jobs.csv")
    jobs.write_text(f"job_id,submit_s,accelerators,duration_s\n{row}\n", encoding="utf-8")
    result = dcsim("run", scenario_file)
    assert result.exit_code == 2
    assert "jobs.a: would end after " in result.stderr


def test_check_warns_of_what_files_say(dcsim: Dcsim, scenario_file: Path) -> None:
    scenario_file.with_name("c.csv").write_text("t,v\n2023-01-01T00:00Z,1.8\n", encoding="utf-8")
    carbon = "{kind: file, path: c.csv, time_column: t, value_column: v, unit: kg/kWh, beyond_end: repeat}"
    text = scenario_file.read_text(encoding="utf-8") + f"grid: {{carbon: {carbon}}}\n"
    scenario_file.write_text(text, encoding="utf-8")
    result = dcsim("check", scenario_file)
    assert result.exit_code == 0
    assert "1800 g/kWh is above any real grid" in result.stdout


def test_an_output_folder_of_others_is_refused_before_the_run(
    dcsim: Dcsim, scenario_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("simulated although the result has nowhere to go")

    monkeypatch.setattr("dcsim.simulation.simulate", never)
    result = dcsim("run", scenario_file, "--out", scenario_file.parent)
    assert result.exit_code == 1
    assert "not a dcsim run" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--seeds", "1000000000"), ("--placement", ""), ("--energy", "none,"), ("--seeds", "0")],
)
def test_absurd_arguments_of_compare_are_refused(
    dcsim: Dcsim, scenario_file: Path, tmp_path: Path, arguments: tuple[str, str]
) -> None:
    result = dcsim("compare", scenario_file, *arguments, "--out", tmp_path / "study")
    assert result.exit_code == 2
    assert not (tmp_path / "study").exists()


def test_a_seed_beyond_64_bits_is_refused(dcsim: Dcsim, scenario_file: Path) -> None:
    assert dcsim("run", scenario_file, "--seed", str(2**63)).exit_code == 2


def test_a_terminal_that_is_not_utf8_does_not_break_tables(scenario_file: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = [sys.executable, "-m", "dcsim", "run", str(scenario_file)]
    done = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\xe2" not in done.stdout


def test_pipes_do_not_block(dcsim: Dcsim, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    assert dcsim("profile", "show", tmp_path / "pipe.csv").exit_code == 2
    assert dcsim("trace", "describe", tmp_path / "pipe.csv").exit_code == 2
    assert dcsim("cluster", "import", "openb", tmp_path / "pipe.csv").exit_code == 2


def test_a_trickle_that_takes_millennia_is_stopped(dcsim: Dcsim, scenario_file: Path) -> None:
    text = scenario_file.read_text(encoding="utf-8").partition("workload:")[0]
    text += "workload: {kind: generated, jobs: 5, mix: [{profile: tiny_transformer}]}\n"
    text += "storage: {shared: {bandwidth_bytes_per_s: 1e-3}}\n"
    scenario_file.write_text(text, encoding="utf-8")
    result = dcsim("run", scenario_file)
    assert result.exit_code == 1
    assert "give horizon_s" in result.stderr


def test_every_wrong_parameter_comes_at_once(dcsim: Dcsim, scenario_file: Path) -> None:
    text = scenario_file.read_text(encoding="utf-8")
    text += "policies:\n  placement: {name: fgd, parameters: {popularity: 2, levels: -1, nosuch: 0}}\n"
    scenario_file.write_text(text, encoding="utf-8")
    result = dcsim("check", scenario_file)
    assert result.exit_code == 2
    for name in ("popularity", "levels", "nosuch"):
        assert f"policies.placement.parameters.{name}: " in result.stderr
    assert "3 problems" in result.stderr


@pytest.mark.parametrize(
    "part",
    [
        "policies: {ordering: {name: tiresias, parameters: {round_s: 1.0e-9}}}",
        "preemption: {checkpoint_interval_s: 1 ms}",
    ],
)
def test_what_would_take_for_ever_is_refused(dcsim: Dcsim, scenario_file: Path, part: str) -> None:
    text = scenario_file.read_text(encoding="utf-8")
    scenario_file.write_text(f"{text}{part}\n", encoding="utf-8")
    result = dcsim("run", scenario_file)
    assert result.exit_code == 2
    assert "1 problem" in result.stderr


def test_every_command_names_the_file_and_line_of_jobs_that_fit_nowhere(
    dcsim: Dcsim, scenario_file: Path
) -> None:
    jobs = scenario_file.with_name("jobs.csv")
    jobs.write_text("job_id,submit_s,accelerators,duration_s\na,0,99,10\n", encoding="utf-8")
    out = scenario_file.with_name("study")
    for command in (("check",), ("run",), ("compare", "--ordering", "fifo,tiresias", "--out", out)):
        result = dcsim(*command, scenario_file)
        assert result.exit_code == 2
        assert f"{scenario_file}:8: jobs.a: 99 accelerators" in result.stderr
    assert not out.exists()


def test_check_warns_of_tenants_without_jobs(dcsim: Dcsim, scenario_file: Path) -> None:
    text = scenario_file.read_text(encoding="utf-8")
    scenario_file.write_text(text + "tenants: [{name: defualt}, {name: default}]\n", encoding="utf-8")
    result = dcsim("check", scenario_file)
    assert result.exit_code == 0
    assert "warning: tenants.0.name: no job is of 'defualt' (did you mean 'default'?)" in result.stdout
    assert "tenants.1" not in result.stdout
