"""Profiles and journals that must not be believed, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dcsim.errors import ProfileError
from dcsim.workload.profile import PROFILE_VERSION
from dcsim.workload.profile_store import load_profile
from trainers.journal import Journal

__all__ = ["Refusal", "journal_refusals", "profile_refusals"]

Record = dict[str, Any]


class Refusal(NamedTuple):
    """One file that is wrong, and the answer."""

    what: str
    """File, and what is wrong with it."""
    reason: str | None
    """Word for word, without folders; None: it was believed."""


def _with(**changes: object) -> Callable[[Record], str]:
    return lambda record: json.dumps({**record, **changes}, indent=2, sort_keys=True)


def _one_field(record: Record) -> str:
    return _with(parameters=int(record["parameters"] or 0) + 1)(record)


def _without_hash(record: Record) -> str:
    return json.dumps({name: value for name, value in record.items() if name != "sha256"})


def _half(record: Record) -> str:
    text = _with()(record)
    return text[: len(text) // 2]


_FOREIGN = {"job": "resnet50", "scale_factor": 1, "throughput": 7.25}
_WRONG: Mapping[str, Callable[[Record], str]] = {
    "corrupted: one field changed": _one_field,
    "corrupted: cut in half": _half,
    "corrupted: without its hash": _without_hash,
    "older: the version before": _with(schema_version=PROFILE_VERSION - 1),
    "newer: the version after": _with(schema_version=PROFILE_VERSION + 1),
    "foreign: another program's JSON": lambda _: json.dumps(_FOREIGN),
    "foreign: a field of another schema": _with(gpu_kind="a100"),
    "foreign: no JSON": lambda _: "step,time\n1,0.5\n",
}  # fmt: skip


def profile_refusals(profile: Path, folder: Path) -> list[Refusal]:
    """Return what is said of copies of a sound profile that are wrong in one way each.

    Args:
        profile: that is believed.
        folder: for the copies.

    Raises:
        ProfileError: the profile itself is refused.
    """
    load_profile(profile)
    record = json.loads(profile.read_text(encoding="utf-8"))
    path = folder / "profile.json"
    found = []
    for what, change in _WRONG.items():
        path.write_text(change(record), encoding="utf-8")
        reason = None
        try:
            load_profile(path)
        except ProfileError as error:
            reason = str(error).replace(f"{folder}/", "")
        found.append(Refusal(f"profile, {what}", reason))
    return found


def journal_refusals(journal: Path, fingerprint: Mapping[str, object], folder: Path) -> list[Refusal]:
    """Return what is said of copies of the journal of a broken off calibration that are wrong in one way each.

    Args:
        journal: with at least one measurement.
        fingerprint: with which it is believed.
        folder: for the copies.
    """
    text = journal.read_text(encoding="utf-8")
    packages = fingerprint.get("packages")
    older = {**(packages if isinstance(packages, dict) else {}), "jax": "0.0.1"}
    lines = text.splitlines(keepends=True)
    # A digit of the last measurement, as a bad block would change it.
    place = lines[-1].index('"step_time_s": ') + len('"step_time_s": ')
    last = lines[-1][:place] + ("1" if lines[-1][place] != "1" else "2") + lines[-1][place + 1 :]
    damaged = "".join([*lines[:-1], last])
    cases: tuple[tuple[str, str, Mapping[str, object]], ...] = (
        ("corrupted: one digit changed", damaged, fingerprint),
        ("corrupted: its last line cut short", text[: -len(lines[-1]) // 2], fingerprint),
        ("foreign: measured with another JAX", text, {**fingerprint, "packages": older}),
        ("foreign: measured on another processor", text, {**fingerprint, "host_cpu": "another"}),
        ("foreign: no journal", "step,time\n1,0.5\n", fingerprint),
    )
    found = []
    path = folder / "journal.jsonl"
    for what, content, wanted in cases:
        path.write_text(content, encoding="utf-8")
        opened = Journal(path, wanted)
        opened.open()
        found.append(Refusal(f"journal, {what}", "; ".join(opened.problems) or None))
    return found
