"""Profiles on disk: equal bytes for equal profiles, and nothing taken on trust."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcsim.errors import ProfileError, ScenarioError
from dcsim.spec.scenario import Scenario
from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import (
    PROFILE_BYTES_MAX,
    LoadedProfile,
    builtin_profiles,
    load_profile,
    load_profiles,
    profile_json_schema,
    profile_problems,
    save_profile,
    used_profiles,
)


def _scenario(profiles: dict[str, str], *names: str) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "test",
            "profiles": profiles,
            "cluster": {"racks": [{"name": "r", "servers": [{"accelerator": "V100", "accelerators": 8}]}]},
            "workload": {"kind": "generated", "jobs": 1, "mix": [{"profile": name} for name in names]},
        }
    )


def test_round_trip(profile: CostProfile, tmp_path: Path) -> None:
    digest = save_profile(profile, tmp_path / "deep" / "p.json")
    assert load_profile(tmp_path / "deep" / "p.json") == (profile, digest)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["p.json"]


def test_equal_profiles_give_equal_bytes(make_profile: Callable[..., CostProfile], tmp_path: Path) -> None:
    save_profile(make_profile(), tmp_path / "a.json")
    save_profile(make_profile(), tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (
        save_profile(make_profile(parameters=1), tmp_path / "c.json") != load_profile(tmp_path / "a.json")[1]
    )


def test_no_flipped_byte_goes_unnoticed(profile: CostProfile, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    save_profile(profile, path)
    content = path.read_bytes()
    record = json.loads(content)
    for position in range(0, len(content), 13):
        changed = bytearray(content)
        changed[position] ^= 1 << (position % 7)
        path.write_bytes(bytes(changed))
        try:
            read, _ = load_profile(path)
        except ProfileError:
            continue
        # Only white space or the spelling of a number may differ: the content is the same.
        assert read == profile, f"byte {position}"
        assert json.loads(bytes(changed)) == record


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema_version: 2 -> expected 1, calibrate again"),
        ('"schema_version": 1', '"schema_version": true', "schema_version: True -> expected 1"),
        ('  "schema_version": 1,\n', "", "schema_version: None -> expected 1"),
        ('"parameters": 100000', '"parameters": 100001', "the file was changed after it was written"),
        ('"parameters": 100000', '"parameters": 100000, "parameters": 5', "parameters: given twice"),
        ('"parameters": 100000', '"parameters": NaN', "NaN -> expected finite numbers"),
        ('"parameters": 100000', '"parameters": -Infinity', "-Infinity -> expected finite numbers"),
        ('"flops_per_sample": 1000000.0', '"flops_per_sample": 1e999', "a number beyond 1.8e308"),
        ('"parameters": 100000', '"parametres": 100000', "did you mean 'parameters'?"),
        ('"parameters": 100000', '"parameters": "100000"', "parameters: '100000'"),
        ('"flops_per_sample": 1000000.0', '"flops_per_sample": -1.0', "flops_per_sample: -1.0"),
        ('"parameters": 100000', '"parameters": 100000,,', "p.json:"),
        ('"name": "round"', '"name": ' + "[" * 100_000, "nesting or a number out of bounds"),
        ('"parameters": 100000', '"parameters": ' + "9" * 5000, "nesting or a number out of bounds"),
    ],
)
def test_what_cannot_be_trusted_is_refused(
    profile: CostProfile, tmp_path: Path, old: str, new: str, words: str
) -> None:
    path = tmp_path / "p.json"
    save_profile(profile, path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_hash_is_refused(profile: CostProfile, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    save_profile(profile, path)
    record = json.loads(path.read_text())
    del record["sha256"]
    path.write_text(json.dumps(record))
    with pytest.raises(ProfileError, match="sha256: missing"):
        load_profile(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe{}", b"x" * (PROFILE_BYTES_MAX + 1), b"null"])
def test_what_is_no_profile_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(ProfileError, match=r"p\.json"):
        load_profile(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(ProfileError, match="a readable file"):
            load_profile(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fit": {"devices_min": 3}}, "1 <= min <= max"),
        ({"fit": {"batch_per_device_max": 4096}}, "within the measured 32 to 128"),
        ({"fit": {"overhead_s": 0.0, "per_sample_s": 0.0}}, "overhead_s or per_sample_s above 0"),
    ],
)
def test_contradictions_are_refused_on_writing(
    make_profile: Callable[..., CostProfile], tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        save_profile(make_profile(**changes), tmp_path / "p.json")
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_contradictory_points_are_found(profile: CostProfile) -> None:
    first = profile.points[0]
    swapped = first.model_copy(update={"step_time_low_s": 9.0})
    broken = profile.model_copy(update={"points": (swapped, *profile.points)})
    words = " ".join(map(str, profile_problems(broken)))
    assert "10th percentile <= median" in words
    assert "measured once" in words


def test_a_failed_write_leaves_the_old_file(
    profile: CostProfile,
    make_profile: Callable[..., CostProfile],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "p.json"
    save_profile(profile, path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_profile(make_profile(parameters=7), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["p.json"]


def test_profiles_are_found_by_name(profile: CostProfile, tmp_path: Path) -> None:
    digest = save_profile(profile, tmp_path / "mine.json")
    scenario = _scenario({"mine": "mine.json"}, "mine", "mine")
    assert used_profiles(scenario) == ("mine",)
    found = load_profiles(used_profiles(scenario), scenario, tmp_path)
    mine = found["mine"]
    assert isinstance(mine, LoadedProfile)
    assert mine.profile == profile
    assert found["mine"].sha256 == digest


def test_unknown_names_and_escapes_are_all_reported(profile: CostProfile, tmp_path: Path) -> None:
    inside = tmp_path / "scenario"
    inside.mkdir()
    save_profile(profile, tmp_path / "outside.json")
    (inside / "link.json").symlink_to(tmp_path / "outside.json")
    scenario = _scenario(
        {"up": "../outside.json", "root": str(tmp_path / "outside.json"), "link": "link.json", "ok": "no.json"},
        "up", "root", "link", "upp", "ok",
    )  # fmt: skip
    with pytest.raises(ScenarioError) as caught:
        load_profiles(used_profiles(scenario), scenario, inside)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["profiles.link", "profiles.ok", "profiles.root", "profiles.up", "workload profile"]
    assert "did you mean 'up'?" in str(caught.value)


def test_profiles_faster_than_their_device_or_from_nowhere_are_refused(
    make_profile: Callable[..., CostProfile], tmp_path: Path
) -> None:
    save_profile(make_profile(device="abacus"), tmp_path / "a.json")
    fast = [{**p.model_dump(), "flops_per_device": 1e12} for p in make_profile().points]
    save_profile(make_profile(points=fast), tmp_path / "b.json")
    scenario = _scenario({"a": "a.json", "b": "b.json"}, "a", "b")
    with pytest.raises(ProfileError) as caught:
        load_profiles(("a", "b"), scenario, tmp_path)
    assert "abacus" in str(caught.value)
    assert "of the peak of cpu-core" in str(caught.value)


def test_builtin_profiles_are_sound_and_sorted() -> None:
    kept = builtin_profiles()
    assert list(kept) == sorted(kept)
    for path in kept.values():
        profile, digest = load_profile(path)
        assert profile_problems(profile) == []
        assert len(digest) == 64
    # Their devices are in the catalogue, and none of them computes beyond its device's peak.
    scenario = _scenario({}, *kept)
    assert set(load_profiles(kept, scenario, Path())) == set(kept)


PARTS: dict[str, Any] = {
    "origin": "predicted",
    "surface": {
        "knots": [
            {"devices": 1, "batch_per_device": 32, "step_time_s": 0.004},
            {"devices": 1, "batch_per_device": 128, "step_time_s": 0.014},
        ],
        "interval_relative": 0.1,
        "coverage": 0.9,
        "regimes": [32],
    },
    "operators": [{"kind": "matmul", "flops_per_sample": 1e6, "bytes_per_sample": 1e4}],
    "startup": {"process_s": 1.0, "data_s": 0.5, "compile_s": 2.0},
    "prediction": {
        "devices": 2, "global_batch": 64, "layout": "data=2", "step_time_s": 0.01, "step_time_low_s": 0.009,
        "step_time_high_s": 0.012, "coverage": 0.9, "mfu": 0.3, "parts_s": {"compute": 0.008, "all_reduce": 0.002},
        "memory_parts_bytes": {"weights": 4e5}, "assumptions": ["full overlap"],
    },
    "collectives": {
        "compiled": [{"kind": "all_reduce", "devices": 2, "mode": "jit", "count": 1, "size_bytes": 400_004.0}],
        "overlap_fraction": 0.5,
    },
    "energy": {"power_w": 10.0},
    "provenance": {"device_kind": "cpu"},
}  # fmt: skip
"""All that a profile may leave out."""


def test_the_schema_names_every_field(make_profile: Callable[..., CostProfile], tmp_path: Path) -> None:
    schema = profile_json_schema()
    save_profile(make_profile(**PARTS), tmp_path / "whole.json")
    save_profile(make_profile(), tmp_path / "bare.json")
    whole, bare = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "bare"))
    assert set(schema["properties"]) == set(whole)
    assert whole.keys() - bare.keys() == {"origin", "surface", "operators", "startup", "prediction"}
    # What is required is in every file, and what is not may be left out.
    assert set(schema["required"]) <= set(bare)
    assert schema["additionalProperties"] is False
    assert "sha256" in schema["required"]


def test_parts_come_back_as_they_were(make_profile: Callable[..., CostProfile], tmp_path: Path) -> None:
    profile = make_profile(**PARTS)
    save_profile(profile, tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json")[0] == profile


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("surface", {"knots": PARTS["surface"]["knots"][::-1]}, "(1, 32) after (1, 128) -> expected ascending"),
        ("surface", {"knots": PARTS["surface"]["knots"][:1] * 2}, "(1, 32) after (1, 32) -> expected ascending"),
        ("surface", {"regimes": [256]}, "surface.regimes.0: 256 -> expected a batch from 32 to below 128"),
        ("surface", {"regimes": [64, 64]}, "surface.regimes.1: 64 after 64 -> expected ascending"),
        ("prediction", {"step_time_low_s": 0.011}, "expected low <= step time <= high"),
        ("prediction", {"parts_s": {"compute": 0.004, "all_reduce": 0.002}}, "0.006 s in all -> expected parts that add"),
        ("prediction", {"memory_parts_bytes": {"weights": -1.0}}, "memory_parts_bytes.weights: -1 -> expected at least 0"),
    ],
)  # fmt: skip
def test_parts_that_contradict_themselves_are_refused(
    make_profile: Callable[..., CostProfile], tmp_path: Path, part: str, changes: dict[str, Any], words: str
) -> None:
    changed = {**PARTS, part: {**PARTS[part], **changes}}
    if "parts_s" in changes:
        changed["prediction"] = {**PARTS["prediction"], "parts_s": changes["parts_s"]}
    with pytest.raises(ProfileError) as caught:
        save_profile(make_profile(**changed), tmp_path / "p.json")
    assert words in str(caught.value)


def test_parts_that_contradict_the_rest_are_refused(make_profile: Callable[..., CostProfile]) -> None:
    def words(**changes: Any) -> str:
        return " ".join(map(str, profile_problems(make_profile(**{**PARTS, **changes}))))

    assert words() == ""
    assert "one, origin measured -> expected origin predicted" in words(origin="measured")
    outside = [{"devices": 1, "batch_per_device": batch, "step_time_s": 0.01} for batch in (32, 256)]
    assert "within the measured 32 to 128" in words(surface={**PARTS["surface"], "knots": outside})
    other = {**PARTS["surface"], "mode": "pmap"}
    assert "pmap -> expected the mode of some measured points" in words(
        origin="measured", prediction=None, surface=other
    )
    twice = PARTS["operators"] * 2
    assert "operators: matmul -> expected each kind once" in words(operators=twice)
    compiled = PARTS["collectives"]["compiled"] * 2
    assert "each (kind, devices, mode) once" in words(collectives={"compiled": compiled})


@pytest.mark.parametrize("content", [{"traceEvents": []}, {}])
def test_other_json_is_said_to_be_no_profile(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ProfileError, match="expected a cost profile"):
        load_profile(path)
