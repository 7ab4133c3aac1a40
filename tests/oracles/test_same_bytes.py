"""Same seed, same bytes: under any PYTHONHASHSEED, in any process, and twice in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracles.digest import coupled_run_digest
from tests.oracles.figures import Figures

REPOSITORY = Path(__file__).resolve().parents[2]


def _digest_elsewhere(hash_seed: str, seed: int) -> str:
    """Return the digest of the run in a new process."""
    code = f"from tests.oracles.digest import coupled_run_digest as d; print(d({seed}))"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": f"UTC{hash_seed}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture(scope="module")
def here() -> str:
    """The digest of the run in this process."""
    return coupled_run_digest(3)


@pytest.mark.parametrize("hash_seed", ["0", "1", "2", "3"])
def test_hash_seed_and_process_do_not_matter(hash_seed: str, here: str, figure: Figures) -> None:
    other = _digest_elsewhere(hash_seed, 3)
    assert other == here
    figure.tell(f"same bytes in another process, PYTHONHASHSEED={hash_seed}", f"sha256 {other[:16]}...")


def test_a_second_run_in_the_same_process_is_the_same(here: str) -> None:
    assert coupled_run_digest(3) == here


def test_another_seed_is_another_run(here: str) -> None:
    assert coupled_run_digest(4) != here
