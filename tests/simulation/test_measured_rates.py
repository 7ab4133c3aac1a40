"""Jobs whose cost is a table of measured rates, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.errors import PolicyError, ProfileError, ScenarioError
from dcsim.results.inputs import input_hashes
from dcsim.simulation import simulate
from dcsim.simulation.inputs import prepare
from dcsim.simulation.rates import Rates
from dcsim.spec import check_scenario
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import job_table
from dcsim.workload.measured_kind import MeasuredKind
from dcsim.workload.rate_table import MeasuredRate, RateProvenance, RateTable
from dcsim.workload.rate_table_file import save_rate_table
from tests.simulation.halls import DEVICE_IDLE_W, DEVICE_PEAK_W, hall, run

LAYOUTS = {(1,): 1.0, (2,): 1.5, (4,): 2.0, (2, 2): 1.25, (4, 4): 3.0}
"""Steps a second of kind "lm" on "D" at 8 samples a device."""


def _table(
    rates: dict[tuple[int, ...], float], *, kind: str = "lm", on: str = "D", **parts: Any
) -> RateTable:
    return RateTable(
        provenance=RateProvenance(source="by hand", measured_on="paper"),
        rates=tuple(
            MeasuredRate(kind=kind, accelerator=on, layout=layout, batch=8, steps_per_s=rate)
            for layout, rate in rates.items()
        ),
        **parts,
    )


def _kinds(*tables: RateTable) -> dict[str, MeasuredKind]:
    return {name: MeasuredKind(table, name) for table in tables for name in table.names()}


def _mixed(*types: str, devices: int = 4) -> Scenario:
    """One server of each type, in a rack of its own."""
    server = {"accelerators": devices}
    return hall(
        cluster={"racks": [{"name": name, "servers": [{"accelerator": name, **server}]} for name in types]}
    )


def _alone(table: RateTable, scenario: Scenario | None = None, **job: Any) -> Any:
    columns = {"submit_s": 0.0, "steps": 600.0, "profile": "lm", "batch_per_accelerator": 8, **job}
    return run(scenario or hall(), job_table(**columns), profiles=_kinds(table))


@pytest.mark.parametrize(("width", "seconds"), [(1, 600.0), (2, 400.0), (4, 300.0), (8, 200.0)])
def test_a_gang_runs_at_the_rate_of_its_layout(width: int, seconds: float) -> None:
    jobs = _alone(_table(LAYOUTS), accelerators=width).jobs
    assert jobs["jct_s"].tolist() == pytest.approx([seconds], rel=1e-12)
    assert jobs["ideal_s"].tolist() == pytest.approx([seconds], rel=1e-12)
    assert not jobs["extrapolated"][0]


def test_the_same_width_elsewhere_is_slower() -> None:
    # Four single devices leave two on each server of four: the gang goes on two servers.
    jobs = job_table(
        submit_s=[0.0] * 4 + [1.0],
        steps=600.0,
        profile="lm",
        batch_per_accelerator=8,
        accelerators=[1, 1, 1, 1, 4],
    )
    scenario = hall(policies={"placement": "spread"})
    table = run(scenario, jobs, profiles=_kinds(_table(LAYOUTS))).jobs
    assert table["servers"][4] == 2
    assert table["jct_s"][4] == pytest.approx(600.0 / 1.25, rel=1e-12)
    assert table["ideal_s"][4] == pytest.approx(300.0, rel=1e-12)


def test_a_table_without_layouts_has_one_rate_a_width() -> None:
    one = _table({(8,): 5.0}, layouts="any")
    jobs = _alone(one, accelerators=8).jobs
    assert jobs["servers"].tolist() == [2]
    assert jobs["jct_s"].tolist() == pytest.approx([120.0], rel=1e-12)
    assert not jobs["extrapolated"][0]


def test_devices_are_busy_all_the_time_and_links_carry_nothing() -> None:
    jobs = _alone(_table(LAYOUTS), accelerators=8).jobs
    # Both servers' cores are busy, too: 600 W above idle each.
    power_w = 8 * (DEVICE_PEAK_W - DEVICE_IDLE_W) + 2 * 600.0
    assert jobs["energy_j"].tolist() == pytest.approx([power_w * 200.0], rel=1e-9)
    assert jobs["network_bytes"].tolist() == jobs["input_bytes"].tolist() == [0.0]


def test_part_of_a_device_gives_part_of_the_rate_and_says_so() -> None:
    result = _alone(_table(LAYOUTS), accelerators=1, accelerator_share=0.5)
    assert result.jobs["jct_s"].tolist() == pytest.approx([1_200.0], rel=1e-12)
    assert result.jobs["extrapolated"][0]


def test_beyond_the_measurements_is_marked_with_its_reason() -> None:
    result = _alone(_table({(1,): 1.0, (2,): 1.5}), accelerators=4)
    assert result.jobs["extrapolated"][0]
    record = result.provenance[0]
    assert record["measured_on"] == "D"
    assert record["used_on"] == ["D"]
    assert len(record["reasons"]) == 1
    assert record["reasons"][0].startswith("lm on D: layout (4,)")
    assert record["source"] == "by hand"


def test_jobs_stay_on_the_types_they_were_measured_on() -> None:
    # Server 0 is a V100's, of which the table says nothing: both wait for the T4s.
    jobs = job_table(submit_s=[0.0, 0.0], steps=600.0, profile="lm", accelerators=4)
    result = run(_mixed("V100", "T4"), jobs, profiles=_kinds(_table({(4,): 2.0}, on="T4")))
    assert result.jobs["first_server"].tolist() == [1, 1]
    assert result.jobs["end_s"].tolist() == pytest.approx([300.0, 600.0], rel=1e-12)


def test_a_width_with_a_rate_of_0_does_not_run_there() -> None:
    table = RateTable(
        provenance=RateProvenance(source="by hand"),
        rates=(
            *_table({(1,): 3.0, (2,): 0.0}, on="V100").rates,
            *_table({(1,): 1.0, (2,): 2.0}, on="T4").rates,
        ),
    )
    jobs = job_table(submit_s=[0.0, 0.0], steps=600.0, profile="lm", accelerators=[1, 2])
    result = run(_mixed("T4", "V100", devices=2), jobs, profiles=_kinds(table))
    # The narrow job is faster on the V100, which is its ideal, but first fit finds the T4 first.
    assert result.jobs["ideal_s"].tolist() == pytest.approx([200.0, 300.0], rel=1e-12)
    assert result.jobs["first_server"][1] == 0


def test_a_kind_measured_on_nothing_here_is_refused() -> None:
    with pytest.raises(
        ScenarioError, match="'lm', 4 wide, on T4 -> expected an accelerator with a rate above 0"
    ):
        _alone(_table({(4,): 1.0}, on="V100"), _mixed("T4"), accelerators=4)


def test_a_layout_with_a_rate_of_0_stops_a_placement() -> None:
    jobs = job_table(submit_s=0.0, steps=600.0, profile="lm", accelerators=4)
    table = _table({(4,): 2.0, (2, 2): 0.0})
    scenario = hall(policies={"placement": "spread"})
    with pytest.raises(PolicyError, match=r"lm was put on \(2, 2\) D, where its measured rate is 0"):
        run(scenario, jobs, profiles=_kinds(table))


def test_policies_see_rates_by_type() -> None:
    jobs = job_table(submit_s=[0.0, 0.0], steps=600.0, profile=["a", "b"], accelerators=1)
    tables = (_table({(1,): 3.0}, kind="a", on="V100"), _table({(1,): 1.0, (2,): 1.8}, kind="b", on="T4"))
    inputs = prepare(_mixed("T4", "V100"), 0, Path(), jobs=jobs, profiles=_kinds(*tables))
    rates = Rates(inputs)
    assert rates.types == ("T4", "V100")
    assert [[rates.steps_per_s(row, 1, kind) for kind in (0, 1)] for row in (0, 1)] == [
        [0.0, 3.0],
        [1.0, 0.0],
    ]
    # Twice as wide is worth twice the samples a step: 1.8 steps/s are 3.6 of those asked for.
    assert rates.steps_per_s(1, 2, 0) == pytest.approx(3.6, rel=1e-12)


# -- named by a scenario -----------------------------------------------------------------------------


def _written(tmp_path: Path, **parts: Any) -> Scenario:
    save_rate_table(_table(LAYOUTS), tmp_path / "rates.json")
    return hall(rates="rates.json", **parts)


def test_a_trace_names_kinds_of_the_rate_table(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(
        "job_id,submit_s,accelerators,duration_s,steps,profile,batch_per_accelerator\n"
        "by-steps,0,4,,600,lm,8\n"
        "by-time,1000,8,50,,lm,8\n"
    )
    scenario = _written(tmp_path, workload={"kind": "trace", "path": "jobs.csv"})
    result = simulate(scenario, base_dir=tmp_path, guards=True)
    assert result.jobs["jct_s"].tolist() == pytest.approx([300.0, 50.0], rel=1e-12)
    assert result.provenance[0]["sha256"] != "0" * 64


def test_a_trace_takes_a_kind_for_its_default(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("job_id,submit_s,accelerators,duration_s\na,0,2,100\n")
    scenario = _written(tmp_path, workload={"kind": "trace", "path": "jobs.csv", "profile": "lm"})
    result = simulate(scenario, base_dir=tmp_path)
    assert result.jobs["profile"].tolist() == ["lm"]
    assert result.jobs["jct_s"].tolist() == pytest.approx([100.0], rel=1e-12)


def test_a_generated_mix_names_kinds_of_the_rate_table(tmp_path: Path) -> None:
    mix = [{"profile": "lm", "widths": {4: 1.0, 8: 1.0}}]
    sizes = {"median_s": 100.0, "sigma": 0.0}
    workload = {"kind": "generated", "jobs": 20, "mix": mix, "sizes": sizes}
    result = simulate(_written(tmp_path, workload=workload), base_dir=tmp_path)
    assert set(result.jobs["accelerators"]) == {4, 8}
    np.testing.assert_allclose(result.jobs["ideal_s"], 100.0, rtol=1e-12)
    assert not result.jobs["extrapolated"].any()


def test_a_name_is_a_profile_or_a_kind(tmp_path: Path) -> None:
    workload = {"kind": "generated", "jobs": 1, "mix": [{"profile": "lm"}]}
    scenario = _written(tmp_path, workload=workload, profiles={"lm": "lm.json"})
    with pytest.raises(ScenarioError, match=r"profiles\.lm: 'lm' -> expected a name that is no kind"):
        simulate(scenario, base_dir=tmp_path)


def test_a_missing_or_broken_table_is_refused(tmp_path: Path) -> None:
    workload = {"kind": "generated", "jobs": 1, "mix": [{"profile": "lm"}]}
    with pytest.raises(ScenarioError, match="rates"):
        simulate(hall(rates="nowhere.json", workload=workload), base_dir=tmp_path)
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ProfileError, match="version"):
        simulate(hall(rates="broken.json", workload=workload), base_dir=tmp_path)


def test_the_table_is_a_file_of_the_scenario(tmp_path: Path) -> None:
    workload = {"kind": "generated", "jobs": 1, "mix": [{"profile": "lm"}]}
    scenario = _written(tmp_path, workload=workload)
    # Whether "lm" is one of its kinds is seen when it is read.
    assert check_scenario(scenario, tmp_path) == ()
    assert list(input_hashes(scenario, tmp_path)) == ["rates.json"]
    missing = check_scenario(hall(rates="nowhere.json", workload=workload), tmp_path)
    assert [problem.path for problem in missing] == ["rates"]


def test_run_times_need_a_rate_on_the_reference_accelerator(tmp_path: Path) -> None:
    save_rate_table(_table({(1,): 1.0}, on="T4"), tmp_path / "rates.json")
    (tmp_path / "jobs.csv").write_text("job_id,submit_s,accelerators,duration_s,profile\na,0,1,100,lm\n")
    scenario = hall(rates="rates.json", workload={"kind": "trace", "path": "jobs.csv"})
    with pytest.raises(ProfileError, match="no rates on 'D' -> expected one of T4"):
        simulate(scenario, base_dir=tmp_path)
