"""Cost profiles on disk: canonical JSON that carries its own SHA-256, read without trusting it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from dcsim.errors import Problem, ProfileError, ScenarioError
from dcsim.spec.names import nearest
from dcsim.spec.scenario import Scenario
from dcsim.spec.workload import TraceWorkloadSpec
from dcsim.workload.files import replace_file
from dcsim.workload.measured_kind import MeasuredKind
from dcsim.workload.profile import PROFILE_VERSION, CostProfile
from dcsim.workload.profile_parts import part_facts

__all__ = [
    "PROFILE_BYTES_MAX",
    "JobCosts",
    "LoadedProfile",
    "builtin_profiles",
    "load_profile",
    "load_profiles",
    "profile_json_schema",
    "profile_problems",
    "save_profile",
    "used_profiles",
]

PROFILE_BYTES_MAX = 4 * 2**20
"""A larger file is not a cost profile [B]."""

_HASH_FIELD = "sha256"


@dataclass(frozen=True, slots=True)
class LoadedProfile:
    """A cost profile, where it came from, and the hash that its file carries."""

    profile: CostProfile
    sha256: str
    path: Path


JobCosts = LoadedProfile | MeasuredKind
"""What says what a kind of job costs: a profile measured and fitted, or a table of measured rates."""


def builtin_profiles() -> Mapping[str, Path]:
    """Return the profiles kept in dcsim, by name: their files' stems, sorted."""
    folder = Path(__file__).parent / "profiles"
    return MappingProxyType({path.stem: path for path in sorted(folder.glob("*.json"))})


def save_profile(profile: CostProfile, path: Path) -> str:
    """Write `profile` to `path` in one step, old file or new, never a half; return its SHA-256.

    Equal profiles give equal bytes.

    Raises:
        ProfileError: The profile contradicts itself (see profile_problems).
    """
    problems = profile_problems(profile, str(path))
    if problems:
        raise ProfileError(problems)
    content = profile.model_dump(mode="json")
    digest = _digest(content)
    text = json.dumps({**content, _HASH_FIELD: digest}, indent=2, sort_keys=True, allow_nan=False) + "\n"
    replace_file(path, partial(_write_text, text))
    return digest


def load_profile(path: Path) -> tuple[CostProfile, str]:
    """Return the profile in `path` and its SHA-256.

    Raises:
        ProfileError: With every problem: unreadable, too large, not strict JSON (duplicate keys, NaN),
            no profile, of another version, changed since it was written, or contradicting itself.
    """
    record = _parse(_read(path), str(path))
    if not record.keys() & CostProfile.model_fields.keys():
        raise ProfileError(
            [Problem(str(path), None, "", "other JSON", "a cost profile, as the trainers write it")]
        )
    version = record.get("schema_version")
    if version != PROFILE_VERSION or isinstance(version, bool):
        hint = "calibrate again with this version: python -m trainers calibrate"
        raise ProfileError(
            [Problem(str(path), None, "schema_version", repr(version), str(PROFILE_VERSION), hint)]
        )
    given = record.pop(_HASH_FIELD, None)
    digest = _digest(record)
    problems = [] if given == digest else [_changed(path, given, digest)]
    try:
        # Strict JSON mode: a text is no number, and a list is fine for a tuple.
        profile = CostProfile.model_validate_json(json.dumps(record), strict=True)
    except ValidationError as error:
        raise ProfileError([*problems, *_field_problems(error, str(path))]) from None
    problems += profile_problems(profile, str(path))
    if problems:
        raise ProfileError(problems)
    return profile, digest


def profile_problems(profile: CostProfile, file: str = "profile") -> list[Problem]:
    """Return where a profile contradicts itself; empty where it is sound.

    Ranges run upwards and hold all fitted points, percentiles are in order, the fit is positive on
    its range, no configuration is measured twice, and see `dcsim.workload.profile_parts` for the parts that not
    every profile has.
    """
    facts = (*_fit_facts(profile), *_point_facts(profile), *part_facts(profile))
    return [Problem(file, None, *each) for each in facts]


def used_profiles(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the profiles that a scenario's jobs may use, sorted.

    A native trace may name any of the scenario's own and of the built-in profiles.
    """
    workload = scenario.workload
    if not isinstance(workload, TraceWorkloadSpec):
        return tuple(sorted({kind.profile for kind in workload.mix}))
    names = {workload.profile} if workload.profile else set()
    if workload.format == "native":
        names |= {*scenario.profiles, *builtin_profiles()}
    return tuple(sorted(names))


def load_profiles(names: Iterable[str], scenario: Scenario, base_dir: Path) -> dict[str, JobCosts]:
    """Load profiles by name: the scenario's own and the kinds of its rate table first, then those kept in dcsim.

    All kinds of the rate table are there, named or not.

    Args:
        names: As `used_profiles` gives them.
        scenario: For its `profiles` and `accelerators`.
        base_dir: Folder of the scenario file; paths may not leave it or the declared data folders.

    Raises:
        ScenarioError: With every unknown name, every path that is refused, and every name that both
            a profile of the scenario and a kind of its rate table have.
        ProfileError: With every problem of the files, among them a device that is in no catalogue
            and points faster than their device's peak.
    """
    from dcsim.facility.hardware import catalogue
    from dcsim.workload.cost import check_efficiency

    devices = catalogue(scenario)
    loaded = _measured_kinds(scenario, base_dir)
    problems: list[Problem] = []
    for name, path in _paths((name for name in names if name not in loaded), scenario, base_dir).items():
        try:
            profile, digest = load_profile(path)
            check_efficiency(profile, devices.get(profile.device))
        except ProfileError as error:
            problems += error.problems
        else:
            loaded[name] = LoadedProfile(profile, digest, path)
    if problems:
        raise ProfileError(problems)
    return loaded


def profile_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile file, its `sha256` included."""
    schema = CostProfile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"][_HASH_FIELD] = {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "SHA-256 of the other fields as JSON with sorted keys and no spaces.",
    }
    schema["required"] = [*schema["required"], _HASH_FIELD]
    return schema


def _digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _write_text(text: str, path: Path) -> None:
    """Write UTF-8 text with newlines as they are."""
    path.write_bytes(text.encode())


def _read(path: Path) -> str:
    """Return the text of a profile file, refusing what cannot be one."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe waits for ever
            raise ProfileError([Problem(str(path), None, "", "a pipe or device", "a file")])
        with path.open("rb") as file:
            content = file.read(PROFILE_BYTES_MAX + 1)
        if len(content) > PROFILE_BYTES_MAX:
            expected = f"at most {PROFILE_BYTES_MAX:,} bytes"
            raise ProfileError([Problem(str(path), None, "", "a larger file", expected)])
        return content.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProfileError([Problem(str(path), None, "", reason, "a readable file")]) from None
    except UnicodeDecodeError:
        raise ProfileError([Problem(str(path), None, "", "other bytes", "UTF-8 text")]) from None


def _parse(text: str, file: str) -> dict[str, Any]:
    """Return the JSON object in `text`, refusing duplicate keys, NaN and too deep nesting."""
    repeated: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            names = [name for name, _ in pairs]
            repeated.extend(name for name in record if names.count(name) > 1)
        return record

    def refuse(constant: str) -> float:
        raise ProfileError([Problem(file, None, "", constant, "finite numbers")])

    try:
        record = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ProfileError([Problem(file, error.lineno, "", error.msg, "JSON")]) from None
    except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
        raise ProfileError(
            [Problem(file, None, "", "nesting or a number out of bounds", "a profile")]
        ) from None
    if repeated:
        raise ProfileError([Problem(file, None, name, "given twice", "each key once") for name in repeated])
    if not isinstance(record, dict):
        raise ProfileError([Problem(file, None, "", type(record).__name__, "a JSON object")])
    if not _all_finite(record):
        raise ProfileError([Problem(file, None, "", "a number beyond 1.8e308", "finite numbers")])
    return record


def _all_finite(value: object) -> bool:
    """Return whether no number in a parsed record has overflowed to infinity."""
    if isinstance(value, dict):
        return all(map(_all_finite, value.values()))
    if isinstance(value, list):
        return all(map(_all_finite, value))
    return not isinstance(value, float) or abs(value) < float("inf")


def _changed(path: Path, given: object, digest: str) -> Problem:
    """Return the problem of a file whose hash is missing or does not fit its content."""
    got = "missing" if given is None else str(given)[:80]
    hint = "the file was changed after it was written: calibrate again"
    return Problem(str(path), None, _HASH_FIELD, got, digest, hint)


def _field_problems(error: ValidationError, file: str) -> list[Problem]:
    """Return one problem a field that does not validate, with the nearest name for an unknown one."""
    known = sorted(CostProfile.model_fields)
    problems = []
    for entry in error.errors(include_url=False):
        location = ".".join(map(str, entry["loc"]))
        hint = nearest(str(entry["loc"][-1]), known) if entry["type"] == "extra_forbidden" else ""
        got = "missing" if entry["type"] == "missing" else repr(entry["input"])[:80]
        unknown = entry["type"] == "extra_forbidden"
        expected = "a known field" if unknown else entry["msg"].removeprefix("Input should be ")
        problems.append(Problem(file, None, location, got, expected, hint))
    return problems


def _fit_facts(profile: CostProfile) -> Iterator[tuple[str, str, str]]:
    """Yield (path, got, expected) of a fit that cannot be used."""
    fit = profile.fit
    for name, low, high in (
        ("devices", fit.devices_min, fit.devices_max),
        ("batch_per_device", fit.batch_per_device_min, fit.batch_per_device_max),
    ):
        if not 1 <= low <= high:
            yield f"fit.{name}_min", f"{low}, max {high}", "1 <= min <= max"
    if fit.overhead_s + fit.per_sample_s <= 0:
        yield "fit", "no time for a step of one sample", "overhead_s or per_sample_s above 0"


def _point_facts(profile: CostProfile) -> Iterator[tuple[str, str, str]]:
    """Yield (path, got, expected) of measured points that cannot be right."""
    fit, seen = profile.fit, set()
    if not profile.points:
        if profile.origin in {"measured", "imported"}:
            yield "points", f"none, origin {profile.origin}", "at least one measured point"
        return
    for i, point in enumerate(profile.points):
        key = (point.devices, point.batch_per_device, point.mode)
        if key in seen:
            yield f"points.{i}", f"{key}", "each (devices, batch, mode) measured once"
        seen.add(key)
        low_s, high_s = (point.step_time_low_s or 0.0), (point.step_time_high_s or float("inf"))
        times = (point.step_time_low_s, point.step_time_s, point.step_time_high_s)
        if not low_s <= point.step_time_s <= high_s:
            yield f"points.{i}.step_time_s", f"{times}", "10th percentile <= median <= 90th percentile"
    for name, low, high in (
        ("devices", fit.devices_min, fit.devices_max),
        ("batch_per_device", fit.batch_per_device_min, fit.batch_per_device_max),
    ):
        values = [getattr(point, name) for point in profile.points]
        if low < min(values) or high > max(values):
            yield f"fit.{name}_max", f"{low} to {high}", f"within the measured {min(values)} to {max(values)}"


def _measured_kinds(scenario: Scenario, base_dir: Path) -> dict[str, JobCosts]:
    """Return the kinds of the scenario's rate table by name, in the order of the table."""
    from dcsim.spec import resolve_data_path
    from dcsim.workload.rate_table_file import load_rate_table

    if scenario.rates is None:
        return {}
    try:
        path = resolve_data_path(base_dir, scenario.rates)
    except (ScenarioError, ValueError, OSError) as error:
        expected = "a path inside the scenario's folder or a data folder"
        raise ScenarioError([Problem(scenario.name, None, "rates", str(error), expected)]) from None
    table, digest = load_rate_table(path)
    expected = "a name that is no kind of the rate table"
    twice = [
        Problem(scenario.name, None, f"profiles.{name}", repr(name), expected)
        for name in table.names()
        if name in scenario.profiles
    ]
    if twice:
        raise ScenarioError(twice)
    return {name: MeasuredKind(table, name, digest, path) for name in table.names()}


def _paths(names: Iterable[str], scenario: Scenario, base_dir: Path) -> dict[str, Path]:
    """Return the file of each profile, or raise ScenarioError with every one that has none."""
    from dcsim.spec import resolve_data_path

    builtin = builtin_profiles()
    known = sorted({*builtin, *scenario.profiles})
    paths: dict[str, Path] = {}
    problems: list[Problem] = []
    for name in sorted(set(names)):
        if name in scenario.profiles:
            try:
                paths[name] = resolve_data_path(base_dir, scenario.profiles[name])
            except (ScenarioError, ValueError, OSError) as error:
                expected = "a path inside the scenario's folder or a data folder"
                problems.append(Problem(scenario.name, None, f"profiles.{name}", str(error), expected))
        elif name in builtin:
            paths[name] = builtin[name]
        else:
            hint = nearest(name, known)
            expected = f"one of {', '.join(known)}" if known else "a profile"
            problems.append(Problem(scenario.name, None, "workload profile", name, expected, hint))
    if problems:
        raise ScenarioError(problems)
    return paths
