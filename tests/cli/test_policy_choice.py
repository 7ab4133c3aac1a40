"""Policies named on the command line and in files: combined ones, and those of the hall."""

from __future__ import annotations

import json

import pytest


def test_combined_policies_run(dcsim, scenario_file, tmp_path):
    out = tmp_path / "run"
    result = dcsim("run", scenario_file, "--energy", "power_cap+sleep_idle", "--out", out)
    assert result.exit_code == 0, result.stderr
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["policies"]["energy"] == "power_cap+sleep_idle"
    assert dcsim("replay", out).exit_code == 0


def test_arms_of_combined_policies_are_compared(dcsim, scenario_file, tmp_path):
    out = tmp_path / "study"
    result = dcsim(
        "compare",
        scenario_file,
        *("--energy", "none,power_cap+sleep_idle", "--cooling", "fixed,weather_reset"),
        *("--seeds", "1", "--executor", "inline", "--out", out),
    )
    assert result.exit_code == 0, result.stderr
    study = json.loads((out / "study.json").read_text(encoding="utf-8"))
    assert [arm["name"] for arm in study["arms"]] == [
        "first_fit__none__fixed",
        "first_fit__none__weather_reset",
        "first_fit__power_cap+sleep_idle__fixed",
        "first_fit__power_cap+sleep_idle__weather_reset",
    ]
    assert "weather_reset" in (out / "arms.csv").read_text(encoding="utf-8")
    assert dcsim("report", out).exit_code == 0


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        ("power_cap+sleep_idel", "'sleep_idel' is no energy policy"),
        ("power_cap+power_cap", "power_cap twice"),
        ("sleep_idle+sleep_forecast", "one policy that puts idle servers to sleep"),
    ],
)
def test_what_cannot_be_combined_is_told(dcsim, scenario_file, energy, message):
    result = dcsim("run", scenario_file, "--energy", energy)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize("kind", ["cooling", "battery"])
def test_policies_of_the_hall_are_chosen(dcsim, scenario_file, kind):
    wrong = dcsim("run", scenario_file, f"--{kind}", "nosuch")
    assert wrong.exit_code == 2
    assert f"is no {kind} policy" in wrong.stderr


def test_a_scenario_addresses_the_parameters_of_each(dcsim, scenario_file):
    text = scenario_file.read_text(encoding="utf-8")
    energy = "{name: power_cap+sleep_idle, parameters: {power_cap.cap_fraction: 0.6, sleep_idle.after_s: 60}}"
    scenario_file.write_text(text + f"policies: {{energy: {energy}}}\n", encoding="utf-8")
    assert dcsim("check", scenario_file).exit_code == 0
    assert dcsim("run", scenario_file, "--energy", "power_cap").exit_code == 0
    wrong = "{name: power_cap+sleep_idle, parameters: {power_cap.cap_fraction: 6, after_s: 60}}"
    scenario_file.write_text(
        text
        + f"policies:\n  energy: {wrong}\n  cooling: nosuch\n  battery: {{name: idle, parameters: {{x: 1}}}}\n",
        encoding="utf-8",
    )
    result = dcsim("check", scenario_file)
    said = " ".join(result.stderr.split())
    assert result.exit_code == 2
    assert "policies.energy.parameters.power_cap.cap_fraction: 6 -> expected a fraction in (0, 1]" in said
    assert (
        "policies.energy.parameters.after_s: a parameter without its policy -> expected sleep_idle.after_s"
        in said
    )
    assert "policies.cooling: 'nosuch' -> expected one of" in said
    assert "policies.battery.parameters.x: an unknown parameter" in said


def test_policies_of_all_kinds_are_listed(dcsim):
    said = dcsim("policies").stdout
    for name in ("power_budget", "weather_reset", "peak_shaving", "awake_first"):
        assert name in said


def test_an_event_that_idle_servers_break_is_refused(dcsim, scenario_file):
    text = scenario_file.read_text(encoding="utf-8")
    event = "{start_s: 1 h, duration_s: 1 h, it_limit_w: 300 W}"
    scenario_file.write_text(text + f"grid: {{demand_response: [{event}]}}\n", encoding="utf-8")
    result = dcsim("check", scenario_file)
    assert result.exit_code == 2
    assert "grid.demand_response.0.it_limit_w: 300 W -> expected at least what idle servers draw" in " ".join(
        result.stderr.split()
    )


@pytest.mark.parametrize(
    ("option", "names", "message"),
    [
        (
            "--battery",
            ("battery_price", "idle,battery_price"),
            "onsite.battery: nothing -> expected a battery",
        ),
        ("--placement", ("xint", "first_fit,xint"), "policies.placement: 'xint' -> expected a `room`"),
    ],
)
def test_what_named_policies_need_is_told_before_anything_starts(
    dcsim, scenario_file, tmp_path, option, names, message
):
    out = tmp_path / "out"
    for command, name in zip(("run", "compare"), names, strict=True):
        result = dcsim(command, scenario_file, option, name, "--out", out)
        assert result.exit_code == 2, result.output
        assert f"{scenario_file}: {message}" in result.stderr
        assert "1 problem; nothing was run or written" in result.stderr
        assert not out.exists()


def test_named_policies_without_effect_are_warned_of_once(dcsim, scenario_file, tmp_path):
    words = "warning: policies.energy: power_budget has no budget to keep"
    alone = dcsim("run", scenario_file, "--energy", "power_budget")
    assert alone.exit_code == 0, alone.stderr
    assert alone.stderr.count(words) == 1
    choice = ["--energy", "none,power_budget", "--placement", "first_fit,spread", "--seeds", "2"]
    arms = dcsim("compare", scenario_file, *choice, "--executor", "inline", "--out", tmp_path / "study")
    assert arms.exit_code == 0, arms.stderr
    assert arms.stderr.count(words) == 1
    assert arms.stderr.index(words) < arms.stderr.index("finished")
