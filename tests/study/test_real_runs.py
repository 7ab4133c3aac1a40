"""Comparisons of real simulations: the same bytes from every executor and environment, and replayed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcsim.policies.base import PlacementPolicy
from dcsim.policies.placement import FirstFit
from dcsim.policies.registry import known_policies, register
from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from dcsim.study import Study, compare, replay
from dcsim.study.user_policies import ensure_registered, source_hashes, user_policies
from tests.results.synthetic import make_scenario

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from dcsim.study import compare
from tests.study.test_real_runs import ARMS, real_scenario
compare(real_scenario(), **ARMS, out=Path(sys.argv[1]), executor=sys.argv[2], workers=2)
"""
ARMS = {"placements": ["first_fit", "spread"], "energies": ["none", "carbon_shift"], "seeds": [0, 1]}


def real_scenario() -> Scenario:
    data = make_scenario(jobs=25).model_dump()
    data["workload"]["mix"][0]["profile"] = "digits_mlp"
    return Scenario.model_validate(data)


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".parquet", ".csv") or path.name in ("manifest.json", "study.json")
    }


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Study:
    out = tmp_path_factory.mktemp("real")
    return compare(
        real_scenario(),
        placements=ARMS["placements"],  # type: ignore[arg-type]
        energies=ARMS["energies"],  # type: ignore[arg-type]
        seeds=[0, 1],
        out=out,
        executor="inline",
    )


@pytest.mark.parametrize(
    ("executor", "environment"),
    [
        ("inline", {"PYTHONHASHSEED": "3", "TZ": "Pacific/Apia", "LC_ALL": "C"}),
        ("process", {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}),
    ],
)
def test_neither_executor_nor_environment_changes_a_byte(
    inline: Study, tmp_path: Path, executor: str, environment: dict[str, str]
) -> None:
    subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "again"), executor],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
    )
    assert inline.is_complete, inline.failed
    assert all_bytes(tmp_path / "again") == all_bytes(inline.path)


def test_each_run_replays_from_its_manifest(inline: Study) -> None:
    for arm in inline.arms:
        report = replay(inline.run_dir(arm, 1))
        assert report.identical, str(report)


def test_arms_of_one_seed_see_the_same_jobs(inline: Study) -> None:
    from dcsim.results import read_table

    first = read_table(inline.run_dir(inline.arms[0], 1), "jobs")
    for arm in inline.arms[1:]:
        other = read_table(inline.run_dir(arm, 1), "jobs")
        for column in ("job_id", "submit_s", "accelerators", "profile"):
            assert (other[column] == first[column]).all()


def test_a_users_policy_reaches_the_workers_and_counts_for_resuming(tmp_path: Path) -> None:
    class Mine(FirstFit):
        name = "users_own"

    registry = known_policies("placement")
    register(Mine)
    try:
        assert user_policies() == (Mine,)
        assert list(source_hashes([Mine])) == ["users_own"]
        ensure_registered([Mine])
        done = compare(
            real_scenario(),
            placements=["users_own"],
            energies=["none"],
            seeds=[0, 1],
            out=tmp_path,
            workers=2,
        )
        assert done.is_complete, done.failed
    finally:
        from dcsim.policies import registry as module

        module._REGISTRY["placement"].pop("users_own")
    assert "users_own" not in registry
    assert issubclass(Mine, PlacementPolicy)


def test_a_battery_that_pays_with_its_first_charge_is_told() -> None:
    onsite = {"battery": {"capacity_j": 1.8e8, "initial_charge": 0.9}}
    policies = {**real_scenario().policies.model_dump(), "battery": {"name": "battery_solar"}}
    scenario = Scenario.model_validate(
        {**real_scenario().model_dump(), "onsite": onsite, "policies": policies}
    )
    drained = simulate(scenario, 0)
    kwh = -drained.account["energy_stored_change_j"] / 3.6e6
    assert 0.0 < kwh <= 0.9 * 50.0
    (told,) = [text for text in drained.warnings if text.startswith("battery")]
    assert (
        told
        == f"battery: ended with {kwh:.4g} kWh less than it began with; cost and carbon do not count that"
    )
    idle = {**policies, "battery": {"name": "idle"}}
    kept = simulate(Scenario.model_validate({**scenario.model_dump(), "policies": idle}), 0)
    assert not [text for text in kept.warnings if text.startswith("battery")]
