"""A training run predicted from its architecture and its layout: time, memory, traffic, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.errors import InputError, Problem
from trainers.large.architecture import Architecture
from trainers.large.efficiency import ASSUMED, Efficiency
from trainers.large.kernels import product_rate
from trainers.large.layout import TrainingLayout, layout_problems
from trainers.large.links import Cluster
from trainers.large.memory import checkpoint_bytes, memory_parts
from trainers.large.step import StepTime, step_time

__all__ = ["COVERAGE", "HIGH", "LOW", "Prediction", "cluster_problems", "predict"]

LOW, HIGH, COVERAGE = 0.93, 1.38, 0.9
"""Of real step times over predictions with the assumed efficiencies, 90 % lie between: 5th and 95th percentiles of the
errors on 1,454 published steps (docs/explanation/large-models.md). Most rows that lie above are of DeepSpeed on
models below 2 B, whose software is slower than Megatron-LM's on large ones."""


@dataclass(frozen=True)
class Prediction:
    """One step of a run, and what its devices hold."""

    shape: Architecture
    layout: TrainingLayout
    cluster: Cluster
    step: StepTime
    memory_parts_bytes: dict[str, float]
    """Of the fullest device."""
    checkpoint_bytes: float

    @property
    def step_time_s(self) -> float:
        """Most likely time of a step [s]."""
        return self.step.total_s

    @property
    def step_time_low_s(self) -> float:
        """Below it lie 5 % of steps [s]."""
        return LOW * self.step_time_s

    @property
    def step_time_high_s(self) -> float:
        """Above it lie 5 % of steps [s]."""
        return HIGH * self.step_time_s

    @property
    def memory_bytes(self) -> float:
        """Of the fullest device [B]."""
        return sum(self.memory_parts_bytes.values())

    @property
    def tokens_per_s(self) -> float:
        """Of the whole run."""
        return self.layout.global_batch * self.shape.sequence / self.step_time_s

    @property
    def mfu(self) -> float:
        """Model FLOPs utilisation (Chowdhery et al. 2022, arXiv:2204.02311, appendix B): recomputation is not counted."""
        return self._utilisation(self.shape.flops_per_sample)

    @property
    def hfu(self) -> float:
        """Hardware FLOPs utilisation: recomputation is counted."""
        return self._utilisation(self.shape.flops_per_sample + self._repeated_flops())

    def _repeated_flops(self) -> float:
        s, layers = self.shape.sequence, self.shape.layers
        attention = 4.0 * s * s * self.shape.hidden * layers
        if self.layout.recomputation == "full":
            return 2.0 * s * layers * self.shape.layer_matrix_parameters + attention
        stored = self.layout.recomputation != "selective" or self.layout.fused_attention
        return 0.0 if stored else attention

    def _utilisation(self, flops_per_sample: float) -> float:
        rate = product_rate(self.cluster.device, self.layout.precision)
        return flops_per_sample * self.layout.global_batch / (self.step_time_s * self.layout.devices * rate)


def cluster_problems(shape: Architecture, layout: TrainingLayout, cluster: Cluster) -> list[Problem]:
    """Return why a layout that divides the architecture does not fit its devices; empty where it does."""
    problems = []
    device = cluster.device
    if not product_rate(device, layout.precision):
        known = "one of " + ", ".join(device.peak_flop_per_s)
        problems.append(Problem("layout", None, "precision", f"{layout.precision} on {device.name}", known))
    if layout.tensor > cluster.server_devices:
        hint = (
            "tensor parallelism across servers is not modelled: it would wait for the network in every layer"
        )
        expected = f"at most the devices of a server, {cluster.server_devices}"
        problems.append(Problem("layout", None, "tensor", str(layout.tensor), expected, hint))
    parts = memory_parts(shape, layout)
    size, most = sum(parts.values()), device.memory_bytes
    if size > most:
        held = ", ".join(f"{name.replace('_', ' ')} {value / 1e9:.1f}" for name, value in parts.items())
        expected = f"at most {most / 1e9:.1f} GB, the memory of {device.name}"
        hint = f"GB: {held}; more tensor or pipeline parallelism, recomputation, or a ZeRO stage takes less"
        problems.append(Problem("layout", None, "memory", f"{size / 1e9:.1f} GB a device", expected, hint))
    return problems


def predict(
    shape: Architecture, layout: TrainingLayout, cluster: Cluster, efficiency: Efficiency = ASSUMED
) -> Prediction:
    """Return the prediction of a run.

    Raises:
        InputError: with every reason why the layout does not divide the model, or does not fit the devices.
    """
    problems = layout_problems(shape, layout) or cluster_problems(shape, layout, cluster)
    if problems:
        raise InputError(problems)
    step = step_time(shape, layout, cluster, efficiency)
    parts = memory_parts(shape, layout)
    return Prediction(shape, layout, cluster, step, parts, checkpoint_bytes(shape, layout))
