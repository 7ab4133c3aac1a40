"""Memory that a step frees: kept by the process, or returned and mapped anew, at a page fault a page."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.trainers.closed_loops import profile
from tests.trainers.readings import reading_of
from trainers.host_noise import allocator_warnings, fault_warnings
from trainers.settings import Settings
from trainers.worker import Request

# A block that glibc always maps by itself, as it maps a step's temporaries: taken, filled and freed five times.
PROGRAM = """
import sys
from trainers.allocator import keep_freed_memory, page_faults
kept = sys.argv[1] == "kept" and keep_freed_memory()
if sys.argv[1] == "kept" and not kept:
    print("not glibc")
    raise SystemExit
for round in range(5):
    before = page_faults()
    block = b"x" * (64 << 20)
    del block
print(page_faults() - before)
"""


def faults_of_a_round(freed_memory: str) -> int:
    """Return the page faults of the fifth time that 64 MiB are taken, filled and freed."""
    command = [sys.executable, "-c", PROGRAM, freed_memory]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if said == "not glibc":
        pytest.skip("the C library here is not glibc, so nothing can be asked of it")
    return int(said)


def test_a_process_that_keeps_its_memory_has_it_given_once() -> None:
    assert faults_of_a_round("kept") < 64
    # By itself each time anew: 16,384 pages of 4 KiB, or 32 of 2 MiB where the system gives huge ones by itself.
    assert faults_of_a_round("returned") >= 32


def test_where_steps_fault_in_their_temporaries_the_profile_says_so() -> None:
    def reading(batch: int, faults: float | None) -> object:
        found = reading_of(1, Request("digits_conv", batch, "jit"))
        point = {**found.point, "temporary_bytes": 40e6, "page_faults_per_step": faults}
        return type(found)(**{**vars(found), "point": point})

    quiet = [reading(32, 0.0), reading(40, 255.0), reading(48, None)]
    assert fault_warnings(quiet) == []  # type: ignore[arg-type]
    (said,) = fault_warnings([*quiet, reading(64, 9_000.0), reading(128, 18_000.0)])  # type: ignore[list-item]
    assert "18,000 page faults at batch 128" in said


def test_a_worker_that_could_not_keep_its_memory_is_told_of() -> None:
    kept = reading_of(1, Request("digits_conv", 32, "jit"))
    not_kept = replace(kept, freed_memory="returned")
    assert allocator_warnings([kept, kept], "kept") == []
    assert allocator_warnings([not_kept], "returned") == []
    (said,) = allocator_warnings([kept, not_kept], "kept")
    assert "not glibc, or refused" in said


def test_points_of_a_shared_process_are_not_taken_for_those_of_their_own() -> None:
    assert Settings("linear", quick=True).fingerprint() != Settings("linear").fingerprint()


def test_a_profile_that_does_not_say_keeps_its_bytes() -> None:
    made = profile("plain").provenance
    assert "freed_memory" not in made.model_dump()
    assert made.model_copy(update={"freed_memory": "kept"}).model_dump()["freed_memory"] == "kept"


def test_steps_of_the_two_kinds_are_not_taken_for_each_other() -> None:
    kept, returned = Settings("digits_conv"), Settings("digits_conv", freed_memory="returned")
    assert kept.fingerprint() != returned.fingerprint()
    assert "--freed-memory" not in kept.command()
    assert returned.command().endswith("--freed-memory returned")
