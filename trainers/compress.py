"""A trained network made smaller, by pruning, int8 and distillation, and what each costs and keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from trainers.data import Dataset
from trainers.distil import distillation
from trainers.evaluate import Evaluator
from trainers.inference import measure_inference
from trainers.metrics import Metrics
from trainers.prune import masks_by_magnitude, pruned, sparse_bytes, sparsity_of, with_masks
from trainers.quantise import dequantised, outputs_in_int8, outputs_of_int8, quantised, stored_bytes
from trainers.registry import State, Task
from trainers.train import train

__all__ = ["Study", "Variant", "variants_table"]

Params = Any
"""A pytree of arrays."""


@dataclass(frozen=True)
class Variant:
    """One form of a network."""

    name: str
    metrics: Metrics
    """On held-out samples."""
    parameters: int
    sparsity: float
    """Share of weights that are 0."""
    size_bytes: int
    """As stored: fp32, int8 with scales, or a bit a weight and those that are not 0, whichever the variant is."""
    flops: float | None
    """Executed for a batch, by the compiled call. Zeros are multiplied like everything else."""
    batch: int
    p50_s: float
    """Of a call with that batch."""
    p99_s: float | None
    """None from fewer than 100 calls."""
    train_steps: int
    """Updates that were spent on this variant, beyond those of the network it comes from."""


class Study:
    """Measures the variants of one trained network alike."""

    def __init__(
        self,
        task: Task,
        dataset: Dataset,
        params: Params,
        *,
        train_batch: int,
        batch: int,
        calls: int,
        seed: int,
    ) -> None:
        """Take a trained network.

        Args:
            task: what it was trained for.
            dataset: to go on training with, and to evaluate on.
            params: trained, on the host.
            train_batch: samples of a step, for fine-tuning and for a student.
            batch: samples of a timed call.
            calls: timed calls.
            seed: of further training.
        """
        self._task = task
        self._dataset = dataset
        self._params = params
        self._train_batch = train_batch
        self._batch = batch
        self._calls = calls
        self._seed = seed

    def original(self) -> Variant:
        """Return the network as it was trained."""
        return self._variant("trained", self._task, self._params, self._params, _plain(self._task))

    def pruned(self, sparsity: float, fine_tune_steps: int) -> Variant:
        """Return it with that share of its weights 0, and the others trained on."""
        masks = masks_by_magnitude(self._params, sparsity)
        params = pruned(self._params, masks)
        if fine_tune_steps:
            params = train(
                with_masks(self._task, masks),
                self._dataset,
                steps=fine_tune_steps,
                batch=self._train_batch,
                seed=(self._seed + 1) % 2**63,
                start=params,
            ).state.params
        name = f"pruned {sparsity:.0%}" + (f", {fine_tune_steps} steps more" if fine_tune_steps else "")
        return self._variant(
            name,
            self._task,
            params,
            params,
            _plain(self._task),
            size_bytes=sparse_bytes(params),
            steps=fine_tune_steps,
        )

    def int8(self, *, products: bool) -> Variant:
        """Return it with weights in int8; with `products` the dense layers multiply in int8 as well."""
        small = quantised(self._params)
        outputs = outputs_in_int8 if products else outputs_of_int8
        network = self._task.network

        def outputs_of(params: Params, x: jax.Array) -> jax.Array:
            return outputs(network, params, x)

        name = "int8 weights and products" if products else "int8 weights"
        return self._variant(
            name, self._task, dequantised(small), small, outputs_of, size_bytes=stored_bytes(small)
        )

    def student(self, student: Task, steps: int, *, taught: bool) -> Variant:
        """Return a smaller network: trained from the labels alone, or taught by this one as well."""
        task = distillation(student, self._task, self._params) if taught else student
        result = train(task, self._dataset, steps=steps, batch=self._train_batch, seed=self._seed)
        params = result.state.params
        name = f"{student.card.name}, {'taught' if taught else 'untaught'}"
        return self._variant(name, student, params, params, _plain(student), steps=steps)

    def _variant(
        self,
        name: str,
        task: Task,
        params: Params,
        held: Params,
        outputs_of: Callable[[Params, jax.Array], jax.Array],
        *,
        size_bytes: int | None = None,
        steps: int = 0,
    ) -> Variant:
        """Evaluate and time one form; `held` is what its call takes, `params` the same as plain fp32."""
        metrics = Evaluator(task, outputs_of)(
            State(held, None, np.int32(0)), self._dataset, batch=self._train_batch
        )
        (latency,) = measure_inference(
            outputs_of, held, self._dataset.test_x, [self._batch], calls=self._calls, seed=self._seed
        )
        leaves = jax.tree.leaves(params)
        return Variant(
            name=name,
            metrics=metrics,
            parameters=sum(int(leaf.size) for leaf in leaves),
            sparsity=sparsity_of(params),
            size_bytes=stored_bytes(params) if size_bytes is None else size_bytes,
            flops=latency.flops,
            batch=self._batch,
            p50_s=latency.p50_s,
            p99_s=latency.p99_s,
            train_steps=steps,
        )


def _plain(task: Task) -> Callable[[Params, jax.Array], jax.Array]:
    def outputs_of(params: Params, x: jax.Array) -> jax.Array:
        outputs: jax.Array = task.network.apply({"params": params}, x)
        return outputs

    return outputs_of


def variants_table(variants: Sequence[Variant]) -> str:
    """Return variants as aligned text."""
    width = max((len(each.name) for each in variants), default=0)
    lines = [f"{'':{width}}    loss  accuracy      bytes  zeros  MFLOPs   p50 ms   p99 ms"]
    for each in variants:
        accuracy = "-" if each.metrics.accuracy is None else f"{each.metrics.accuracy:.1%}"
        flops = "-" if each.flops is None else f"{each.flops / 1e6:.2f}"
        tail = "-" if each.p99_s is None else f"{each.p99_s * 1e3:.3f}"
        lines.append(
            f"{each.name:<{width}}{each.metrics.loss:8.4f}{accuracy:>10}{each.size_bytes:11d}{each.sparsity:7.0%}"
            f"{flops:>8}{each.p50_s * 1e3:9.3f}{tail:>9}"
        )
    return "\n".join(lines)
