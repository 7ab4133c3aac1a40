"""Kills cost at most one measurement, or it is seen that they cost more; spoilt files are refused, or it is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dcsim.workload.profile_store import builtin_profiles, save_profile
from tests.trainers.profiles import make_profile
from tests.trainers.readings import reading_of
from tests.trainers.test_closed_loop_report import WHERE
from trainers.__main__ import main
from trainers.journal import Journal
from trainers.pool import CalibrationError
from trainers.settings import Settings
from trainers.validation import resume
from trainers.validation.gather import gather
from trainers.validation.refusals import Refusal, journal_refusals, profile_refusals
from trainers.validation.result import Load
from trainers.validation.resume import SETTINGS, Kill, Run, run_kills
from trainers.validation.resume_report import resume_result
from trainers.worker import Request

LOAD = Load(average_start=0.0, average_end=0.0, taken_share=0.0)
WORKING_S = 10.0
"""Of a calibration that nobody kills: one measurement a second."""


def calibrator(
    *, unwritten: int = 0, changed: float = 1.0, early_ends: int = 0
) -> Callable[[Settings, Path, float | None], Run]:
    """Return what calibrates at once, and can go wrong.

    Args:
        unwritten: measurements that a killed run had finished and did not keep.
        changed: factor of step times between journal and profile.
        early_ends: runs that come to their end before they are killed.
    """
    left = [early_ends]

    def calibrate(settings: Settings, out: Path, moment_s: float | None = None) -> Run:
        killed = moment_s is not None
        whole = not killed or left[0] > 0
        left[0] -= int(killed)
        journal = Journal(settings.journal(out), settings.fingerprint())
        journal.open()
        kept = [each.key[1] for each in journal.readings]
        made = [size for size in settings.batches if size not in kept]
        if moment_s is not None and not whole:
            made = made[: int(moment_s)]
        for size in made if whole else made[: len(made) - unwritten]:
            journal.add(reading_of(1, Request(settings.model, size, "jit")))
        if whole:
            steps = {each.key[:2]: changed * float(each.point["step_time_s"]) for each in journal.readings}
            save_profile(make_profile(settings.name, "cpu-core", steps), out / f"{settings.name}.json")
            journal.discard()
        return Run(len(made), WORKING_S, killed, ())

    return calibrate


def test_every_kill_costs_the_measurement_that_it_broke_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "_calibrate", calibrator())
    said: list[str] = []
    trial = run_kills(tmp_path, 6, 1, said.append)
    assert len(said) == 7
    assert len({kill.after_s for kill in trial.kills}) == 6
    for kill in trial.kills:
        assert kill.finished == kill.kept == int(kill.after_s)
        assert (kill.kept + kill.measured_after, kill.asked, kill.points) == (10, 10, 10)
        assert (kill.lost, kill.unchanged) == (1, True)
    longest = Journal(trial.journal, SETTINGS.fingerprint())
    longest.open()
    assert len(longest.readings) == max(kill.kept for kill in trial.kills)
    result = resume_result(trial.kills, [Refusal("a", "because")], load=LOAD, where=WHERE)
    assert result.passed


def test_measurements_that_were_finished_but_not_kept_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "_calibrate", calibrator(unwritten=2))
    trial = run_kills(tmp_path, 6, 1, lambda _: None)
    assert max(kill.lost for kill in trial.kills) == 2
    result = resume_result(trial.kills, [], load=LOAD, where=WHERE)
    assert [verdict.passed for verdict in result.verdicts] == [False, True, True]


def test_what_was_kept_but_stands_otherwise_in_the_profile_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "_calibrate", calibrator(changed=1.001))
    trial = run_kills(tmp_path, 3, 1, lambda _: None)
    assert [kill.unchanged for kill in trial.kills] == [kill.kept == 0 for kill in trial.kills]
    assert max(kill.kept for kill in trial.kills) > 0


def test_a_kill_after_the_end_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_calibrate", calibrator(early_ends=2))
    (kill,) = run_kills(tmp_path, 1, 1, lambda _: None).kills
    assert kill.after_s < WORKING_S / 4.0
    assert (kill.finished, kill.lost) == (int(kill.after_s), 1)
    monkeypatch.setattr(resume, "_calibrate", calibrator(early_ends=99))
    with pytest.raises(CalibrationError, match="before it could be killed"):
        run_kills(tmp_path / "again", 1, 1, lambda _: None)


@pytest.mark.parametrize(
    ("kill", "lost"),
    [
        (Kill(1.0, 10, 0, 0, 10, True, 10), 1),
        (Kill(1.0, 10, 10, 10, 0, True, 10), 0),
        (Kill(1.0, 10, 10, 9, 1, True, 10), 1),
        (Kill(1.0, 10, 7, 0, 10, True, 10), 7),
    ],
)
def test_what_a_kill_costs(kill: Kill, lost: int) -> None:
    assert kill.lost == lost


@pytest.mark.parametrize(
    "wrong",
    [Kill(1.0, 10, 5, 5, 5, False, 10), Kill(1.0, 10, 5, 5, 5, True, 9)],
    ids=["changed", "a point less"],
)
def test_a_profile_that_is_not_whole_is_seen(wrong: Kill) -> None:
    kills = [Kill(1.0, 10, 5, 5, 5, True, 10), wrong]
    result = resume_result(kills, [], load=LOAD, where=WHERE)
    assert [verdict.passed for verdict in result.verdicts] == [True, False, True]


def test_spoilt_profiles_are_refused_word_for_word(tmp_path: Path) -> None:
    found = profile_refusals(builtin_profiles()["digits_mlp"], tmp_path)
    by_kind = {each.what.removeprefix("profile, "): each.reason or "" for each in found}
    assert all(by_kind.values())
    assert "changed after it was written" in by_kind["corrupted: one field changed"]
    assert "schema_version: 0 -> expected 1" in by_kind["older: the version before"]
    assert "a cost profile" in by_kind["foreign: another program's JSON"]
    assert not any(str(tmp_path) in reason for reason in by_kind.values())


def test_spoilt_journals_are_not_believed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "kept", SETTINGS.fingerprint())
    journal.open()
    for size in (10, 20, 30):
        journal.add(reading_of(1, Request("linear", size, "jit")))
    found = journal_refusals(tmp_path / "kept", SETTINGS.fingerprint(), tmp_path)
    assert [each.reason for each in found] == [
        "line 4 is damaged: left out",
        "line 4 is damaged: left out",
        "measured with another packages: measured again",
        "measured with another host_cpu: measured again",
        "line 1 is damaged: measured again",
    ]


def test_a_file_that_is_believed_fails_the_result() -> None:
    kills = [Kill(1.0, 10, 5, 5, 5, True, 10)]
    refused = [Refusal("profile, one", "changed"), Refusal("profile, two", None)]
    result = resume_result(kills, refused, load=LOAD, where=WHERE)
    assert [verdict.passed for verdict in result.verdicts] == [True, True, False]
    assert result.tables[1].rows[1] == ("profile, two", "believed")


@pytest.mark.slow
def test_real_calibrations_killed_twice(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="needs the extra train")
    assert main(["validate", "resume", "--kills", "2", "--out", str(tmp_path)]) == 0
    (result,) = gather([tmp_path])
    assert json.loads((tmp_path / "resume.json").read_text())["name"] == result.name == "resume"
    assert len(result.tables[1].rows) >= 8
