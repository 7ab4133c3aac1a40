"""How wrong predictions outside the measured range are, on published measurements: the widths that `predict` uses.

Other hardware: rates of Gavel's jobs on V100, P100 and K80 (Narayanan et al., OSDI 2020), and times of Zeus' on V100 and
A40 (You, Chung, Chowdhury, NSDI 2023), against what two data sheets say. Other batches: step times of Pollux' applications
on one T4 (Qiao et al., OSDI 2021), against a line through the smaller half of the batches.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

import pytest

from dcsim.facility.hardware import CATALOGUE
from tests.oracles.figures import Figures
from trainers.fit import Sample, fit_step_time
from trainers.predict import COVERAGE, DOUBLED_BATCH, OTHER_GPU

pytestmark = pytest.mark.oracle


def spread(factors: Sequence[float]) -> float:
    """Return the factor, at least 1, within which `COVERAGE` of some ratios to their prediction lie."""
    logs = sorted(abs(math.log(factor)) for factor in factors)
    return math.exp(logs[math.ceil(COVERAGE * len(logs)) - 1])


def sheets_ratio(one: str, other: str) -> float:
    """Return how much faster one device is than another: the mean of both roofs' ratios, where the roof is not known."""
    fast, slow = CATALOGUE[one], CATALOGUE[other]
    compute = fast.peak_flop_per_s["fp32"] / slow.peak_flop_per_s["fp32"]
    memory = fast.memory_bandwidth_bytes_per_s / slow.memory_bandwidth_bytes_per_s
    return math.sqrt(compute * memory)


def gavel_ratios(path: Path) -> Iterator[float]:
    """Yield by how much the measured ratio of rates of a job on two devices differs from the data sheets'."""
    rates = json.loads(path.read_text())
    for one, other in combinations(("v100", "p100", "k80"), 2):
        for job in rates[one]:
            pair = [rates[name].get(job, {}).get("null") for name in (one, other)]
            if job.endswith(", 1)") and all(pair):
                yield pair[0] / pair[1] / sheets_ratio(one.upper(), other.upper())


def zeus_times(path: Path) -> dict[tuple[str, ...], float]:
    """Return the time of an epoch without a cap by workload, batch and optimizer."""
    uncapped: dict[tuple[str, ...], tuple[float, float]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            key = (row["dataset"], row["network"], row["batch_size"], row["optimizer"])
            found = (float(row["power_limit"]), float(row["time_per_epoch"]))
            uncapped[key] = max(found, uncapped.get(key, (0.0, 0.0)))
    return {key: time_s for key, (_, time_s) in uncapped.items()}


def pollux_steps(folder: Path) -> dict[str, dict[int, float]]:
    """Return the step time on one device by application and batch."""
    found: dict[str, dict[int, list[float]]] = {}
    for path in sorted(folder.glob("*/placements.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                if row["placement"] == "1":
                    times = found.setdefault(path.parent.name, {})
                    times.setdefault(int(float(row["local_bsz"])), []).append(float(row["step_time"]))
    return {name: {batch: median(times) for batch, times in steps.items()} for name, steps in found.items()}


def continued(steps: dict[int, float], times_further: float) -> Iterator[float]:
    """Yield measured over predicted at batches that lie so many times beyond those a line was laid through."""
    for batch, time_s in steps.items():
        known = [
            Sample(1, each, steps[each]) for each in sorted(steps) if each * times_further <= 1.1 * batch
        ]
        if len(known) > 1:
            yield time_s / fit_step_time(known).predict_s(1, batch)


def test_other_hardware(shared_data: Path) -> None:
    ratios = list(gavel_ratios(shared_data / "traces/gavel/simulation_throughputs.json"))
    basis = f"factor that holds {COVERAGE:.0%} of {len(ratios)} pairs"
    Figures().at_most(
        "Gavel, V100, P100 and K80: measured over data sheets", spread(ratios), OTHER_GPU, basis
    )
    files = [shared_data / f"gpu_power/zeus__summary_power_{name}.csv" for name in ("v100", "a40")]
    v100, a40 = (zeus_times(path) for path in files)
    others = [a40[key] / v100[key] / sheets_ratio("V100", "A40") for key in v100 if key in a40]
    basis = f"factor that holds {COVERAGE:.0%} of {len(others)} pairs"
    Figures().at_most("Zeus, V100 and A40: measured over data sheets", spread(others), OTHER_GPU, basis)


@pytest.mark.parametrize("doublings", [1, 2])
def test_larger_batches(shared_data: Path, doublings: int) -> None:
    steps = pollux_steps(shared_data / "traces/pollux/placements")
    ratios = [ratio for each in steps.values() for ratio in continued(each, 2.0**doublings)]
    name = f"Pollux on a T4: step time at {2**doublings} times the batches fitted, measured over predicted"
    basis = f"factor that holds {COVERAGE:.0%} of {len(ratios)} steps"
    Figures().at_most(name, spread(ratios), DOUBLED_BATCH["gpu"] ** doublings, basis)
