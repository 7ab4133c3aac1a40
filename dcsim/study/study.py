"""A finished (or partly finished) comparison: its rows, its statistics, and its file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dcsim.errors import ResultError
from dcsim.results.canonical import signed_json
from dcsim.results.files import write_atomically
from dcsim.results.manifest import read_signed
from dcsim.results.schema import RESULT_VERSION, SUMMARY
from dcsim.results.versions import code_sha256, dcsim_version, package_versions
from dcsim.study.arms import Arm
from dcsim.study.pareto import pareto_front
from dcsim.study.statistics import METRICS, Interval, PairedDifference, compare_arms, mean_interval

__all__ = ["FORMAT", "STUDY", "Failure", "Row", "Study", "made_by", "read_study", "write_study"]

FORMAT = "dcsim-study"
STUDY = "study.json"


@dataclass(frozen=True, slots=True)
class Row:
    """The summary of one run."""

    arm: str
    seed: int
    values: Mapping[str, float | int | str]
    """Columns of schema.SUMMARY."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell without a result."""

    arm: str
    seed: int
    error: str
    replay: str
    """What to type to see it fail again."""


@dataclass(frozen=True)
class Study:
    """Arms compared on the same seeds."""

    path: Path
    scenario_name: str
    description: str
    scenario_sha256: str
    arms: tuple[Arm, ...]
    baseline: Arm
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    """Sorted by placement, energy, seed."""
    failed: tuple[Failure, ...]
    warnings: tuple[str, ...]
    provenance: tuple[Mapping[str, Any], ...]
    """One record a cost profile, from the runs' manifests."""
    made_by: Mapping[str, Any]
    """Version of dcsim, hash of its code, versions of its packages."""
    stored_energy: tuple[str, ...] = ()
    """A caution for each arm whose batteries end with other energy than they began with."""

    @property
    def is_complete(self) -> bool:
        """Whether every arm has a result for every seed."""
        return not self.failed and len(self.rows) == len(self.arms) * len(self.seeds)

    def arm(self, name: str) -> Arm:
        """Return an arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)

    def values(self, arm: Arm, metric: str) -> dict[int, float]:
        """Return a metric of an arm by seed."""
        return {row.seed: float(row.values[metric]) for row in self.rows if row.arm == arm.name}

    def interval(self, arm: Arm, metric: str) -> Interval:
        """Return the mean of a metric over the seeds of one arm, with its interval."""
        return mean_interval(list(self.values(arm, metric).values()))

    def differences(self) -> tuple[PairedDifference, ...]:
        """Return every arm against the baseline, on every metric."""
        table = {arm.name: {metric: self.values(arm, metric) for metric in METRICS} for arm in self.arms}
        return compare_arms(table, self.baseline.name)

    def pareto(self) -> tuple[str, ...]:
        """Return the arms that none beats in both mean job completion time and facility energy."""
        return pareto_front(
            {
                arm.name: (
                    self.interval(arm, "jct_mean_s").mean,
                    self.interval(arm, "energy_facility_j").mean,
                )
                for arm in self.arms
            }
        )

    def seeds_matter(self) -> bool:
        """Return whether any arm differs between its seeds; a trace replayed as it is does not."""
        for arm in self.arms:
            for metric in METRICS:
                values = [v for v in self.values(arm, metric).values() if not math.isnan(v)]
                if len(set(values)) > 1:
                    return True
        return False

    def cautions(self) -> tuple[str, ...]:
        """Return what a reader of the figures has to know, the runs' own warnings last."""
        found = []
        if len(self.seeds) < 2:
            found.append("one seed only: no interval can be given and no verdict is")
        elif self.rows and not self.seeds_matter():
            found.append("every seed gives the same run: intervals have no width and say nothing of chance")
        completed = {row.values["jobs_completed"] for row in self.rows}
        if len(completed) > 1:
            found.append(
                f"runs completed from {min(completed)} to {max(completed)} jobs: "
                "means over completed jobs do not cover the same jobs in all arms"
            )
        return (*found, *self.stored_energy, *self.warnings)

    def run_dir(self, arm: Arm, seed: int) -> Path:
        """Return the folder of one run."""
        return self.path / "runs" / f"{arm.name}__seed{seed}"


def made_by() -> dict[str, Any]:
    """Return what code makes results now."""
    return {"dcsim": dcsim_version(), "code_sha256": code_sha256(), "packages": package_versions()}


def write_study(study: Study) -> Path:
    """Write `study.json`: arms, rows, failures, paired statistics, provenance; no wall-clock time in it.

    Raises:
        ResultError: the disk is full, read-only or failing.
    """
    content = {
        "format": FORMAT,
        "version": RESULT_VERSION,
        "scenario_name": study.scenario_name,
        "description": study.description,
        "scenario_sha256": study.scenario_sha256,
        "arms": [asdict(arm) | {"name": arm.name} for arm in study.arms],
        "baseline": study.baseline.name,
        "seeds": list(study.seeds),
        "rows": [asdict(row) for row in study.rows],
        "failures": [asdict(failure) for failure in study.failed],
        "differences": [asdict(difference) for difference in study.differences()],
        "pareto": {"metrics": ["jct_mean_s", "energy_facility_j"], "arms": list(study.pareto())},
        "stored_energy": list(study.stored_energy),
        "warnings": list(study.warnings),
        "provenance": [dict(record) for record in study.provenance],
        "made_by": dict(study.made_by),
    }
    path = study.path / STUDY
    write_atomically(path, signed_json(content, "study_sha256"))
    return path


def read_study(path: Path) -> Study:
    """Return a study from its folder.

    Raises:
        ResultError: `study.json` is missing, damaged or of another version.
    """
    content = read_signed(path / STUDY, FORMAT, "study_sha256")
    arms = tuple(
        Arm(**{key: value for key, value in record.items() if key != "name"}) for record in content["arms"]
    )
    named = {arm.name: arm for arm in arms}
    if content["baseline"] not in named:
        raise ResultError(f"{path / STUDY}: baseline {content['baseline']!r} is not among its arms")
    missing = {column.name for column in SUMMARY} - set(
        content["rows"][0]["values"] if content["rows"] else ()
    )
    if content["rows"] and missing:
        what = ", ".join(sorted(missing))
        raise ResultError(f"{path / STUDY}: written by another version, without {what}; compare again")
    return Study(
        path=path,
        scenario_name=content["scenario_name"],
        description=content["description"],
        scenario_sha256=content["scenario_sha256"],
        arms=arms,
        baseline=named[content["baseline"]],
        seeds=tuple(content["seeds"]),
        rows=tuple(_row(record) for record in content["rows"]),
        failed=tuple(Failure(**record) for record in content["failures"]),
        warnings=tuple(content["warnings"]),
        provenance=tuple(content["provenance"]),
        made_by=content["made_by"],
        stored_energy=tuple(content.get("stored_energy", ())),
    )


def _row(record: Mapping[str, Any]) -> Row:
    values = {key: math.nan if value is None else value for key, value in record["values"].items()}
    return Row(record["arm"], record["seed"], values)
