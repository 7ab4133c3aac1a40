"""From scenario to job table: steps from run times, and jobs that no server can take."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.errors import ScenarioError, TraceError
from dcsim.facility.hardware import CATALOGUE
from dcsim.spec.scenario import Scenario
from dcsim.workload.build import build_jobs, check_jobs_fit, reference_accelerator
from dcsim.workload.cost import ideal_step_time_s, step_cost
from dcsim.workload.generate import generate_jobs
from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.profile import StartUp
from dcsim.workload.profile_store import LoadedProfile

V100 = {"accelerator": "V100", "accelerators": 8, "cpu_cores": 96, "memory_bytes": "512 GiB"}
T4 = {"accelerator": "T4", "accelerators": 2, "cpu_cores": 32, "memory_bytes": "128 GiB"}
CPU = {"cpu_cores": 16, "memory_bytes": "64 GiB"}


def _scenario(workload: dict[str, Any], *servers: dict[str, Any], **changes: Any) -> Scenario:
    racks = [{"name": f"r{i}", "servers": [server]} for i, server in enumerate(servers or (V100, T4, CPU))]
    return Scenario.model_validate(
        {"name": "test", "cluster": {"racks": racks}, "workload": workload} | changes
    )


def _trace(tmp_path: Path, text: str, loaded: dict[str, LoadedProfile], **workload: Any) -> JobTable:
    (tmp_path / "jobs.csv").write_text(text)
    scenario = _scenario({"kind": "trace", "path": "jobs.csv"} | workload)
    return build_jobs(scenario, 0, tmp_path, loaded, CATALOGUE, 10)


def test_generated_jobs_are_those_of_the_generator(loaded: dict[str, LoadedProfile]) -> None:
    workload = {"kind": "generated", "jobs": 50, "mix": [{"profile": "round", "widths": {"2": 1}}]}
    scenario = _scenario(workload, grid={"start": "2024-03-01T12:00:00+02:00"})
    table = build_jobs(scenario, 3, Path(), loaded, CATALOGUE, 10)
    start = datetime(2024, 3, 1, 10, tzinfo=UTC)
    again = generate_jobs(scenario.workload, 3, loaded, 10, CATALOGUE["V100"], start)  # type: ignore[arg-type]
    np.testing.assert_array_equal(table.steps, again.steps)
    np.testing.assert_array_equal(table.submit_s, again.submit_s)


def test_the_reference_is_what_the_cluster_has_most_of() -> None:
    workload = {"kind": "trace", "path": "x.csv"}
    many_t4 = _scenario(workload, V100, T4 | {"count": 5})
    tie = _scenario(workload, T4 | {"count": 4}, V100)
    none = _scenario(workload, CPU)
    for scenario, name in ((many_t4, "T4"), (tie, "T4"), (_scenario(workload), "V100")):
        assert reference_accelerator(scenario, CATALOGUE) == CATALOGUE[name]
    assert reference_accelerator(none, CATALOGUE) is None


def test_unknown_accelerators_and_clusters_without_any(loaded: dict[str, LoadedProfile]) -> None:
    workload = {"kind": "generated", "jobs": 1, "mix": [{"profile": "round"}]}
    with pytest.raises(
        ScenarioError, match=r"racks\.0\.servers\.0\.accelerator: V1000 .*did you mean 'V100'\?"
    ):
        build_jobs(_scenario(workload, V100 | {"accelerator": "V1000"}), 0, Path(), loaded, CATALOGUE, 8)
    with pytest.raises(ScenarioError, match="no accelerators"):
        build_jobs(_scenario(workload, CPU), 0, Path(), loaded, CATALOGUE, 0)


def test_run_times_become_steps_of_the_default_profile(
    tmp_path: Path, loaded: dict[str, LoadedProfile]
) -> None:
    text = (
        "job_id,submit_s,duration_s,accelerators,accelerator_share,batch_per_accelerator\n"
        "a,0,1000,4,1,64\nb,0,1000,1,0.5,64\nc,0,7,0,1,0\nd,0,0,1,1,0\n"
    )
    plain = _trace(tmp_path, text, loaded)
    assert plain.duration_s.tolist() == [1000.0, 1000.0, 7.0, 0.0]
    table = _trace(tmp_path, text, loaded, profile="round")
    table.check()
    profile, v100 = loaded["round"].profile, CATALOGUE["V100"]
    step_s = [ideal_step_time_s(step_cost(profile, v100, n, 64), v100, n) for n in (4, 1)]
    assert table.steps[0] == round(1000 / step_s[0])
    assert table.steps[1] == round(500 / step_s[1])  # half a device takes twice as long
    assert np.isnan(table.steps[2])
    assert table.duration_s[2] == 7.0
    assert table.steps[3] == 0.0
    assert table.texts("profile") == ["round", "round", "", "round"]
    assert table.notes == ("1 CPU-only jobs keep their run time instead of profile round",)


def test_named_profiles_rule_over_the_default(tmp_path: Path, loaded: dict[str, LoadedProfile]) -> None:
    both = {**loaded, "other": loaded["round"]}
    text = "job_id,submit_s,duration_s,steps,profile\na,0,,5,other\nb,1,60,,\n"
    table = _trace(tmp_path, text, both, profile="round")
    assert table.texts("profile") == ["other", "round"]
    assert table.steps[0] == 5.0
    with pytest.raises(
        TraceError, match=r"profile: othr -> expected a known profile, did you mean 'other'\?"
    ):
        _trace(tmp_path, text.replace("other", "othr"), both)


def test_traces_are_cut_and_stretched(tmp_path: Path, loaded: dict[str, LoadedProfile]) -> None:
    text = "job_id,submit_s,duration_s\n" + "".join(f"j{i},{10 * i},1\n" for i in range(5))
    table = _trace(tmp_path, text, loaded, max_jobs=3, time_scale=0.5)
    assert table.submit_s.tolist() == [0.0, 5.0, 10.0]
    assert len(table.notes) == 2
    assert _trace(tmp_path, text, loaded, max_jobs=9).notes == ()


def test_paths_may_not_leave_the_folder(tmp_path: Path, loaded: dict[str, LoadedProfile]) -> None:
    (tmp_path / "jobs.csv").write_text("job_id,submit_s,duration_s\na,0,1\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    scenario = _scenario({"kind": "trace", "path": "../jobs.csv"})
    with pytest.raises(ScenarioError, match="data folder"):
        build_jobs(scenario, 0, inside, loaded, CATALOGUE, 10)


GIB = 2.0**30


@pytest.mark.parametrize(
    ("job", "fits"),
    [
        ({"accelerators": 8}, True),
        ({"accelerators": 9}, False),  # a gang is placed on one type: 8 V100 or 2 T4
        ({"accelerators": 2, "accelerator_types": "T4"}, True),
        ({"accelerators": 3, "accelerator_types": "T4"}, False),
        ({"accelerators": 3, "accelerator_types": "T4|V100"}, True),
        ({"accelerators": 1, "accelerator_types": "H100"}, False),
        ({"accelerators": 0}, True),
        ({"accelerators": 0, "cpu_cores": 96.0}, True),
        ({"accelerators": 0, "cpu_cores": 97.0}, False),
        ({"accelerators": 0, "memory_bytes": 513 * GIB}, False),
        ({"accelerators": 1, "cpu_cores": 97.0}, False),
        ({"accelerators": 4, "cpu_cores": 96.0, "memory_bytes": 512 * GIB}, True),
        ({"accelerators": 1, "accelerator_share": 0.1, "memory_bytes": 600 * GIB}, False),
    ],
)
def test_jobs_that_fit_nowhere_are_refused(job: dict[str, Any], *, fits: bool) -> None:
    scenario = _scenario({"kind": "trace", "path": "x.csv"})
    table = job_table(submit_s=0.0, duration_s=1.0, job_id=["it"], **job)
    if fits:
        check_jobs_fit(table, scenario)
        return
    with pytest.raises(ScenarioError, match=r"jobs\.it: .* -> expected a job that fits the empty cluster"):
        check_jobs_fit(table, scenario)


@pytest.mark.parametrize(
    ("spread", "width", "fits"), [(1, 8, True), (1, 9, False), (2, 16, True), (2, 17, False), (0, 24, True)]
)
def test_the_limit_of_servers_counts(spread: int, width: int, *, fits: bool) -> None:
    scenario = _scenario({"kind": "trace", "path": "x.csv"}, V100 | {"count": 3})
    table = job_table(submit_s=0.0, duration_s=1.0, accelerators=width, max_servers=spread)
    if fits:
        check_jobs_fit(table, scenario)
    else:
        with pytest.raises(ScenarioError, match=f"on at most {spread} servers"):
            check_jobs_fit(table, scenario)


def test_every_kind_that_fits_nowhere_is_named_once() -> None:
    scenario = _scenario({"kind": "trace", "path": "x.csv"})
    table = job_table(submit_s=np.zeros(120), duration_s=1.0, accelerators=[100 + i % 30 for i in range(120)])
    with pytest.raises(ScenarioError) as caught:
        check_jobs_fit(table, scenario)
    assert len(caught.value.problems) == 21
    assert "(4 such jobs)" in str(caught.value)
    assert "10 more kinds of jobs" in str(caught.value)


def test_the_published_pods_fit_the_published_nodes(shared_data: Path) -> None:
    from dcsim.workload.readers import read_openb, read_openb_nodes

    folder = shared_data / "traces" / "openb"
    cluster = read_openb_nodes(folder / "openb_node_list_all_node.csv")
    scenario = _scenario({"kind": "trace", "path": "x.csv"}).model_copy(update={"cluster": cluster})
    check_jobs_fit(read_openb(folder / "openb_pod_list_default.csv"), scenario)


def test_run_times_shorter_than_a_start_up_are_told(tmp_path: Path, loaded: dict[str, LoadedProfile]) -> None:
    """Of 100 s: 70 s on two devices, 1 s on one, and what the step of each takes; of no length nothing is made."""
    header = "job_id,submit_s,duration_s,profile,batch_per_accelerator,accelerators\n"
    rows = [("a", 30, 2), ("b", 0, 1), ("c", 500, 1), ("d", 99, 1)]
    text = header + "".join(f"{name},0,{run_s},round,128,{width}\n" for name, run_s, width in rows)
    assert _trace(tmp_path, text, loaded).notes == ()
    slow = loaded["round"].profile.model_copy(
        update={"startup": StartUp(process_s=100.0, data_s=0.0, compile_s=0.0)}
    )
    table = _trace(tmp_path, text, {"round": replace(loaded["round"], profile=slow)})
    assert table.steps[[0, 1, 3]].tolist() == [1.0, 0.0, 1.0]
    step_s = {
        width: ideal_step_time_s(step_cost(slow, CATALOGUE["V100"], width, 128), CATALOGUE["V100"], width)
        for width in (1, 2)
    }
    added = 2 * (70.0 + step_s[2]) + 1.0 + step_s[1]
    told = "2 of 4 jobs run longer than given, their start-up and one step being longer"
    assert table.notes == (f"{told}: {added:.4g} accelerator-seconds more in all",)
