"""Comparisons: the rows, resuming, failing cells, locks, and the same bytes from every executor."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dcsim.errors import MissingExtraError, PolicyError, ResultError, ScenarioError
from dcsim.results.store import verify_run
from dcsim.spec import LoadedScenario
from dcsim.spec.onsite import BatterySpec, OnsiteSpec
from dcsim.study import Progress, Study, compare, read_study
from tests.results.synthetic import make_result, make_scenario
from tests.study.fakes import simulate, simulate_draining

ROOT = Path(__file__).parents[2]
StudyMaker = Callable[..., Study]
COLUMNS = (
    "placement,energy,seed,jct_mean_s,jct_p95_s,wait_mean_s,makespan_s,accelerator_utilisation,energy_it_j,"
    "energy_facility_j,pue,carbon_kg,carbon_embodied_kg,cost_usd,peak_import_w,water_l,jobs_completed,preemptions,"
    "productive_fraction,deadlines_met_fraction,network_stall_fraction,data_stall_fraction"
)


def all_bytes(folder: Path) -> dict[str, bytes]:
    """Return every file that promises to be reproducible."""
    skip = {".lock", "study.log.json", "run.log.json"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in skip
    }


def test_summary_has_one_row_an_arm_and_seed_in_order(study: StudyMaker, tmp_path: Path) -> None:
    done = study(placements=["spread", "first_fit"], seeds=[2, 0, 1])
    text = (tmp_path / "study" / "summary.csv").read_text()
    assert text.splitlines()[0] == COLUMNS
    rows = list(csv.DictReader(text.splitlines()))
    keys = [(row["placement"], row["energy"], int(row["seed"])) for row in rows]
    assert keys == sorted(keys)
    assert len(keys) == 2 * 2 * 3
    for row in rows:
        made = make_result(int(row["seed"]), row["placement"], row["energy"], count=12, bins=6).summary
        assert float(row["jct_mean_s"]) == made["jct_mean_s"]
        assert float(row["carbon_kg"]) == made["carbon_kg"]
    assert done.is_complete
    assert done.baseline.name == "spread__none"


def test_a_study_comes_back_from_its_folder(study: StudyMaker, tmp_path: Path) -> None:
    done = study()
    assert read_study(tmp_path / "study") == done


def test_a_damaged_study_file_is_named(study: StudyMaker, tmp_path: Path) -> None:
    study()
    path = tmp_path / "study" / "study.json"
    path.write_text(path.read_text().replace('"first_fit"', '"worst_fit"', 1))
    with pytest.raises(ResultError, match=r"study\.json: damaged"):
        read_study(tmp_path / "study")


def test_a_second_call_keeps_everything(study: StudyMaker, tmp_path: Path) -> None:
    study()
    before = all_bytes(tmp_path / "study")
    states: list[str] = []
    study(progress=lambda p: states.append(p.state))
    assert states == ["kept"] * 12
    assert all_bytes(tmp_path / "study") == before


def test_interrupted_then_resumed_gives_the_same_bytes(study: StudyMaker, tmp_path: Path) -> None:
    study()
    whole = all_bytes(tmp_path / "study")
    calls = 0

    def stop_at_fifth(_: Progress) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(out=tmp_path / "again", progress=stop_at_fifth)
    assert not (tmp_path / "again" / "summary.csv").exists()
    states: list[str] = []
    study(out=tmp_path / "again", progress=lambda p: states.append(p.state))
    assert states.count("kept") == 5
    assert all_bytes(tmp_path / "again") == whole


KILLED = """
import sys, time
from pathlib import Path
from dcsim.study import compare
from tests.results.synthetic import make_result, make_scenario
def simulate(scenario, seed, *, base_dir):
    time.sleep(0.02)
    return make_result(seed, scenario.policies.placement.name, scenario.policies.energy.name,
                       count=12, bins=6, name=scenario.name)
print("ready", flush=True)
compare(make_scenario(), placements=["first_fit", "spread"], energies=["none", "power_cap"], seeds=[0, 1, 2],
        out=Path(sys.argv[1]), executor="inline", simulate=simulate)
"""


def test_killed_at_a_random_point_then_resumed_gives_the_same_bytes(
    study: StudyMaker, tmp_path: Path
) -> None:
    """kill -9 at a random moment, also in the middle of a write; the seed of the moment is fixed."""
    study(out=tmp_path / "whole")
    whole, moments = all_bytes(tmp_path / "whole"), random.Random(5)
    for attempt in range(2):
        out = tmp_path / f"killed{attempt}"
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            process.stdout.readline()
            deadline = time.monotonic() + 20.0
            while not (out / "runs").exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(moments.uniform(0.0, 0.3))
            process.send_signal(signal.SIGKILL)
        study(out=out)
        assert all_bytes(out) == whole


def test_damaged_and_missing_runs_are_made_again(study: StudyMaker, tmp_path: Path) -> None:
    study()
    whole = all_bytes(tmp_path / "study")
    runs = tmp_path / "study" / "runs"
    (runs / "spread__none__seed1" / "manifest.json").unlink()
    path = runs / "first_fit__none__seed0" / "jobs.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    (runs / ".partial-1-first_fit__none__seed0").mkdir()
    states: list[str] = []
    study(progress=lambda p: states.append(p.state))
    assert states.count("finished") == 2
    assert all_bytes(tmp_path / "study") == whole


def test_runs_of_another_scenario_are_not_mixed_in(study: StudyMaker, tmp_path: Path) -> None:
    study()
    states: list[str] = []
    compare(
        make_scenario(jobs=41),
        placements=["first_fit"],
        energies=["none"],
        seeds=[0, 1, 2],
        out=tmp_path / "study",
        executor="inline",
        simulate=simulate,
        progress=lambda p: states.append(p.state),
    )
    assert states == ["finished"] * 3


def test_more_seeds_keep_the_runs_there_are(study: StudyMaker) -> None:
    study(seeds=[0, 1])
    states: list[str] = []
    study(seeds=[0, 1, 2, 3], progress=lambda p: states.append(p.state))
    assert (states.count("kept"), states.count("finished")) == (8, 8)


def test_a_failing_cell_is_told_and_the_others_go_on(study: StudyMaker, tmp_path: Path) -> None:
    done = study(placements=["first_fit", "raises"], energies=["none"])
    assert not done.is_complete
    (failure,) = done.failed
    assert (failure.arm, failure.seed) == ("raises__none", 1)
    assert failure.error == "ValueError: the hall is on fire"
    assert failure.replay == (
        f"dcsim run {tmp_path}/hall.yaml --ordering fifo --placement raises --energy none --seed 1 "
        f"--out {tmp_path}/study/runs/raises__none__seed1-again"
    )
    assert len(done.rows) == 5
    log = json.loads((tmp_path / "study" / "study.log.json").read_text())
    assert "the hall is on fire" in log["tracebacks"]["raises__none__seed1"]
    paired = {d.metric: d.difference.n for d in done.differences()}
    assert paired.pop("deadlines_met_fraction") == 0  # nobody has one
    assert set(paired.values()) == {2}


def test_processes_give_the_same_bytes_whatever_their_number(study: StudyMaker, tmp_path: Path) -> None:
    study()
    whole = all_bytes(tmp_path / "study")
    for workers in (1, 3):
        out = tmp_path / f"workers{workers}"
        study(out=out, executor="process", workers=workers)
        assert all_bytes(out) == whole


def test_a_worker_that_dies_costs_only_its_own_cell(study: StudyMaker) -> None:
    done = study(placements=["first_fit", "dies"], energies=["none"], executor="process", workers=2)
    assert [(f.arm, f.seed) for f in done.failed] == [("dies__none", 1)]
    assert "died" in done.failed[0].error
    assert len(done.rows) == 5


def test_a_worker_killed_once_is_recovered(study: StudyMaker, tmp_path: Path) -> None:
    done = study(placements=["first_fit", "dies_once"], energies=["none"], executor="process", workers=2)
    assert (tmp_path / "died").exists()
    assert done.is_complete


def test_a_cell_over_its_time_is_stopped(study: StudyMaker) -> None:
    done = study(
        placements=["first_fit", "hangs"],
        energies=["none"],
        executor="process",
        workers=2,
        cell_timeout_s=4.0,
    )
    assert [(f.arm, f.seed) for f in done.failed] == [("hangs__none", 1)]
    assert "4 s" in done.failed[0].error


def test_ctrl_c_passes_through_and_keeps_what_is_done(study: StudyMaker, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        study(placements=["first_fit", "stops"], energies=["none"])
    verify_run(tmp_path / "study" / "runs" / "first_fit__none__seed2")
    study(placements=["first_fit"], energies=["none"])


def test_two_writers_are_refused(study: StudyMaker) -> None:
    def second_writer(p: Progress) -> None:
        if p.done == 1:
            with pytest.raises(ResultError, match=rf'another process is writing here .*"pid":{os.getpid()}'):
                study()

    assert study(progress=second_writer).is_complete


def test_the_lock_of_a_dead_process_is_not_in_the_way(study: StudyMaker, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / ".lock").write_text('{"host":"elsewhere","pid":1}')
    assert study().is_complete


def test_a_folder_with_somebody_elses_summary_is_refused(study: StudyMaker, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "summary.csv").write_text("mine")
    with pytest.raises(ResultError, match="not of a dcsim study"):
        study()
    assert (tmp_path / "study" / "summary.csv").read_text() == "mine"


def test_several_orderings_are_told_apart(study: StudyMaker, tmp_path: Path) -> None:
    done = study(orderings=["fifo", "shortest_first"])
    assert len(done.arms) == 8
    assert (tmp_path / "study" / "summary.csv").read_text().splitlines()[0] == f"{COLUMNS},ordering"
    arms = list(csv.DictReader((tmp_path / "study" / "arms.csv").read_text().splitlines()))
    summary = list(csv.DictReader((tmp_path / "study" / "summary.csv").read_text().splitlines()))
    assert [(a["placement"], a["energy"], a["ordering"], a["seed"]) for a in arms] == [
        (s["placement"], s["energy"], s["ordering"], s["seed"]) for s in summary
    ]
    assert {row["ordering"] for row in arms} == {"fifo", "shortest_first"}


def test_policies_of_the_hall_are_told_apart(study: StudyMaker, tmp_path: Path) -> None:
    study(coolings=["fixed", "weather_reset"], energies=["none"], placements=["first_fit"], seeds=[3, 4])
    summary = list(csv.DictReader((tmp_path / "study" / "summary.csv").read_text().splitlines()))
    assert list(summary[0]) == [*COLUMNS.split(","), "ordering", "cooling"]
    assert [(row["cooling"], row["seed"]) for row in summary] == [
        *(("fixed", "3"), ("fixed", "4")),
        *(("weather_reset", "3"), ("weather_reset", "4")),
    ]


def test_batteries_that_end_emptier_are_told_arm_by_arm(loaded: LoadedScenario, tmp_path: Path) -> None:
    onsite = OnsiteSpec(battery=BatterySpec(capacity_j=3.6e8))
    done = compare(
        loaded.scenario.model_copy(update={"onsite": onsite}),
        placements=["first_fit"],
        energies=["none"],
        batteries=["idle", "peak_shaving"],
        seeds=[0, 1, 2],
        out=tmp_path / "study",
        executor="inline",
        simulate=simulate_draining,
    )
    (text,) = done.stored_energy
    assert text == (
        "battery under first_fit + none + peak_shaving: ended with 11 kWh less than it began with; "
        "cost and carbon do not count that"
    )  # the mean of 10, 11 and 12
    assert done.cautions().count(text) == 1
    assert not any(warning.startswith("battery") for warning in done.warnings)
    assert read_study(done.path) == done
    with (tmp_path / "study" / "summary.csv").open(encoding="utf-8") as file:
        assert [row["battery"] for row in csv.DictReader(file)] == ["idle"] * 3 + ["peak_shaving"] * 3


def test_old_runs_thrown_away_are_told_once(study: StudyMaker, tmp_path: Path) -> None:
    study()
    page, notes, told = tmp_path / "study" / "report.html", tmp_path / "study" / "notes.txt", list[str]()
    page.write_text("of the old runs", encoding="utf-8")
    notes.write_text("mine", encoding="utf-8")
    study(warn=told.append)
    assert (told, page.exists()) == ([], True)  # every run is kept
    compare(
        make_scenario(jobs=41),
        placements=["first_fit", "spread"],
        energies=["none"],
        seeds=[0, 1, 2, 3],
        out=tmp_path / "study",
        executor="inline",
        simulate=simulate,
        warn=told.append,
    )
    assert len(told) == 1
    assert told[0].startswith("6 finished runs are thrown away and made again")
    assert not page.exists()
    assert notes.read_text(encoding="utf-8") == "mine"


def test_nan_is_written_as_nan(loaded: LoadedScenario, tmp_path: Path) -> None:
    done = compare(
        loaded,
        placements=["first_fit"],
        energies=["none"],
        seeds=[0],
        out=tmp_path / "study",
        executor="inline",
        simulate=lambda _, seed, **__: make_result(seed, count=4, unfinished=4, bins=3),
    )
    (row,) = csv.DictReader((tmp_path / "study" / "summary.csv").read_text().splitlines())
    assert row["jct_mean_s"] == "nan"
    assert math.isnan(float(read_study(done.path).rows[0].values["jct_mean_s"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": []}, "no seeds"),
        ({"seeds": [0, 0]}, "named twice"),
        ({"seeds": [-1]}, "seed -1"),
        ({"seeds": [True]}, "seed True"),
        ({"placements": []}, "no placement policy"),
        ({"energies": ["none", "none"]}, "energy policy named twice: none"),
        ({"executor": "abacus"}, "'abacus' -> expected one of inline, process, ray"),
        ({"baseline": "first_fit"}, "baseline 'first_fit' -> expected one of first_fit__none"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(
    study: StudyMaker, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ScenarioError, match=message):
        study(**changes)
    assert not (tmp_path / "study").exists()


def test_an_unknown_policy_stops_the_study_before_it_starts(study: StudyMaker, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="frist_fit"):
        study(placements=["frist_fit"], simulate=None)
    assert not (tmp_path / "study").exists()


def test_ray_missing_names_the_extra(study: StudyMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"dcsim\[ray\]"):
        study(executor="ray")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own making
def test_ray_gives_the_same_bytes(study: StudyMaker, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    study()
    study(out=tmp_path / "ray", executor="ray", workers=2)
    assert all_bytes(tmp_path / "ray") == all_bytes(tmp_path / "study")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own making
def test_a_cell_that_kills_its_ray_worker_is_told(study: StudyMaker) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    done = study(placements=["first_fit", "dies"], energies=["none"], executor="ray", workers=2)
    assert [(f.arm, f.seed) for f in done.failed] == [("dies__none", 1)]
