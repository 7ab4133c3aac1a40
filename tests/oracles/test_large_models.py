"""Predicted steps of large language models against measured ones: vTrain, Selene, and published rates.

Nothing of these rows is in `ASSUMED`, but that two counts of operators (of the softmax that Megatron does not fuse, and
of a collective) were chosen by cross-validation inside the first training part of vTrain's rows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.facility.hardware import CATALOGUE
from tests.oracles.figures import Figures
from tests.oracles.large_runs import (
    DGX_A100,
    NARAYANAN,
    PublishedRate,
    read_megatron,
    read_vtrain,
    weak_scaling_run,
)
from trainers.large.architectures import architecture
from trainers.large.efficiency import ASSUMED
from trainers.large.fit import MeasuredStep, fit_efficiency, predicted_s
from trainers.large.kernels import kernel_times_s
from trainers.large.layout import TrainingLayout, layout_problems
from trainers.large.links import Cluster
from trainers.large.memory import memory_parts
from trainers.large.operators import Kernel
from trainers.large.predict import COVERAGE, HIGH, LOW, Prediction, cluster_problems
from trainers.large.step import step_time

pytestmark = pytest.mark.oracle

Floats = npt.NDArray[np.float64]
SEEDS = (0, 1, 2, 3, 4)

# (copies, M, N, K, TFLOP/s) of bf16 products on an H100, as measured by OpenXLA (openxla/xla, Apache-2.0,
# xla/service/gpu/model/matmul_interpolator_data.h, entries of sm_90).
PRODUCTS = (
    (1, 4096, 4096, 4096, 783.3), (2, 4096, 4096, 2048, 763.0), (2, 4096, 1024, 4096, 750.6),
    (4, 2048, 2048, 2048, 725.7), (4, 1024, 2048, 2048, 712.7), (2, 2048, 4096, 1024, 678.7),
    (4, 4096, 1024, 1024, 673.8), (4, 4096, 256, 2048, 588.7), (1, 2048, 2048, 2048, 632.0),
    (2, 512, 2048, 2048, 525.3), (2, 1024, 2048, 1024, 493.4), (1, 4096, 2048, 512, 447.0),
    (1, 4096, 4096, 256, 392.2), (1, 1024, 1024, 2048, 350.0), (1, 2048, 512, 2048, 347.7),
    (1, 4096, 1024, 512, 343.7), (2, 256, 2048, 2048, 332.2), (1, 256, 2048, 4096, 285.9),
    (1, 4096, 512, 512, 238.8), (1, 1024, 2048, 256, 139.5),
)  # fmt: skip
LARGE_FLOPS = 1.6e10
"""Above it a product of the table takes more than 25 us; below it its launch is a large part of its time."""


def _errors(steps: list[MeasuredStep], predicted: Floats) -> Floats:
    return predicted / np.array([step.step_time_s for step in steps]) - 1.0


def _tell(figure: Figures, name: str, error: Floats) -> None:
    size = np.abs(error)
    shown = (
        f"median {np.median(size):.2%}, 90th percentile {np.quantile(size, 0.9):.2%}, max {size.max():.2%}"
    )
    figure.tell(name, f"{shown}, bias {np.mean(error):+.2%}", f"{len(size)} steps")


def test_large_products_run_as_fast_as_measured_by_others(figure: Figures) -> None:
    kernels = [Kernel("product", 2.0 * b * (m * k + k * n + m * n), m, n, k, b) for b, m, n, k, _ in PRODUCTS]
    times_s = kernel_times_s(kernels, CATALOGUE["H100"], "bf16", ASSUMED)
    flops = np.array([kernel.flops for kernel in kernels])
    error = flops / times_s / 1e12 / np.array([row[-1] for row in PRODUCTS]) - 1.0
    large = flops > LARGE_FLOPS
    worst = float(np.abs(error[large]).max())
    figure.at_most(
        "products above 16 GFLOP on an H100, max |error| of rate", worst, 0.10, f"{large.sum()} shapes"
    )
    _tell(figure, "smaller products, rate", error[~large])


def test_vtrain_without_any_fit(shared_data: Path, figure: Figures) -> None:
    steps = read_vtrain(shared_data / "measured" / "vtrain" / "ground_truth_single.csv")
    error = _errors(steps, predicted_s(steps, DGX_A100, ASSUMED))
    basis = "1,440 steps of Megatron-DeepSpeed on 8 A100; data sheet and assumed efficiencies"
    figure.at_most("vTrain, no fit, mean |error|", float(np.abs(error).mean()), 0.15, basis)
    _tell(figure, "vTrain, no fit", error)
    _tell_layouts(figure, steps, error)


def _tell_layouts(figure: Figures, steps: list[MeasuredStep], error: Floats) -> None:
    by_layout: dict[str, list[float]] = defaultdict(list)
    for step, one in zip(steps, error, strict=True):
        layout = step.layout
        by_layout[f"tensor {layout.tensor} data {layout.data} pipeline {layout.pipeline}"].append(one)
    for name, found in sorted(by_layout.items()):
        figure.tell(f"  {name}: mean |error|", f"{np.abs(found).mean():.1%}, bias {np.mean(found):+.1%}")


def test_vtrain_from_a_fifth_of_the_rows(shared_data: Path, figure: Figures) -> None:
    steps = read_vtrain(shared_data / "measured" / "vtrain" / "ground_truth_single.csv")
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(steps))
        train, rest = ([steps[i] for i in part] for part in np.split(order, [len(steps) // 5]))
        fitted = fit_efficiency(train, DGX_A100)
        error = _errors(rest, predicted_s(rest, DGX_A100, fitted))
        basis = f"fitted on {len(train)} random rows, seed {seed}, {len(rest)} left out"
        figure.at_most(f"vTrain, seed {seed}, mean |error|", float(np.abs(error).mean()), 0.08, basis)
        _tell(figure, f"vTrain, seed {seed}", error)
        if seed == SEEDS[0]:
            _tell_layouts(figure, rest, error)


def test_selene_without_any_fit(shared_data: Path, figure: Figures) -> None:
    steps = read_megatron(shared_data / "measured" / "megatron" / "selene_a100_iteration_time.csv")
    error = _errors(steps, predicted_s(steps, DGX_A100, ASSUMED))
    for step, one in zip(steps, error, strict=True):
        name = f"Selene, {step.shape.name}, {step.layout.recomputation} recomputation, |error|"
        figure.at_most(name, abs(one), 0.08, f"{step.step_time_s:g} s published; assumed efficiencies")


def _rate(row: PublishedRate) -> tuple[float, int]:
    """Return the best (TFLOP/s a device, micro-batch) of those that fit."""
    found = []
    for micro_batch in (1, 2, 4, 8):
        shape, layout = weak_scaling_run(row, micro_batch)
        if layout_problems(shape, layout) or cluster_problems(shape, layout, DGX_A100):
            continue
        step = step_time(shape, layout, DGX_A100, ASSUMED)
        prediction = Prediction(shape, layout, DGX_A100, step, {}, 0.0)
        found.append((prediction.hfu * 312.0, micro_batch))
    return max(found)


def test_weak_scaling_from_2_billion_to_a_trillion_parameters(figure: Figures) -> None:
    for row in NARAYANAN:
        rate, micro_batch = _rate(row)
        basis = f"{row.tflop_per_s:g} TFLOP/s a device published on {row.devices}; micro-batch {micro_batch}"
        name = f"Narayanan et al. 2021, {row.billions:g} B, |error|"
        figure.at_most(name, abs(rate / row.tflop_per_s - 1.0), 0.10, basis)


def test_intervals_hold_as_many_published_steps_as_they_say(shared_data: Path, figure: Figures) -> None:
    steps = read_vtrain(shared_data / "measured" / "vtrain" / "ground_truth_single.csv")
    steps += read_megatron(shared_data / "measured" / "megatron" / "selene_a100_iteration_time.csv")
    ratio = 1.0 / (1.0 + _errors(steps, predicted_s(steps, DGX_A100, ASSUMED)))
    ratio = np.append(ratio, [_rate(row)[0] / row.tflop_per_s for row in NARAYANAN])
    held = float(np.mean((ratio >= LOW) & (ratio <= HIGH)))
    figure.near("published steps between low and high", held, COVERAGE, 0.03, f"{len(ratio)} steps")
    low, high = np.quantile(ratio, [0.05, 0.95])
    figure.tell("measured over predicted, 5th and 95th percentile", f"{low:.3f} to {high:.3f}")


def test_llama_3_of_405_billion_is_as_well_used_as_published(figure: Figures) -> None:
    """38 to 43 % (Grattafiori et al. 2024, table 4), 16,384 H100, tensor 8, pipeline 16; 126 layers and two ends are 128.

    Its chunks a stage are not published: two and four are between what is.
    """
    shape = replace(architecture("llama3-405b"), layers=128)
    cluster = Cluster(CATALOGUE["H100"], between_bytes_per_s=400e9)
    for interleaving in (2, 4, 8):
        layout = TrainingLayout(
            devices=16384, global_batch=2048, tensor=8, pipeline=16, interleaving=interleaving,
            sequence_parallel=True, zero_stage=1, fused_attention=True,
        )  # fmt: skip
        step = step_time(shape, layout, cluster, ASSUMED)
        prediction = Prediction(shape, layout, cluster, step, memory_parts(shape, layout), 0.0)
        figure.near(f"Llama 3 405B, {interleaving} chunks, MFU", prediction.mfu, 0.41, 0.06, "0.41 published")
