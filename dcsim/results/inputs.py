"""The files a scenario reads, and their hashes: what a run depends on beside its scenario."""

from __future__ import annotations

from pathlib import Path

from dcsim.results.files import sha256_of_file
from dcsim.spec.paths import referenced_files, resolve_data_path
from dcsim.spec.scenario import Scenario

__all__ = ["input_hashes"]


def input_hashes(scenario: Scenario, base_dir: Path) -> dict[str, str]:
    """Return the SHA-256 of each file the scenario names, by the path as written there.

    Args:
        scenario: whose files are hashed.
        base_dir: folder of the scenario file; paths are resolved by `resolve_data_path`.

    Raises:
        ScenarioError: a file is missing or lies outside the folders allowed.
        ResultError: a file cannot be read.
    """
    texts = sorted({text for _, text in referenced_files(scenario)})
    return {text: sha256_of_file(resolve_data_path(base_dir, text)) for text in texts}
