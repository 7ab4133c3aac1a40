"""Distillation: a small network learns from the guesses of a large one (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from trainers.registry import Task

__all__ = ["Distillation", "distillation", "soft_loss"]


def soft_loss(student: jax.Array, teacher: jax.Array, temperature: float) -> jax.Array:
    """Return T^2 times the mean divergence KL(teacher || student) of their softened guesses, in nats.

    T^2 keeps the gradients as large as those of the hard loss, whatever the temperature.

    Args:
        student: logits, shape ... x C.
        teacher: likewise.
        temperature: T > 0; both logits are divided by it.
    """
    log_s = jax.nn.log_softmax(student.astype(jnp.float32) / temperature)
    log_t = jax.nn.log_softmax(teacher.astype(jnp.float32) / temperature)
    divergence = jnp.sum(jnp.exp(log_t) * (log_t - log_s), axis=-1)
    return temperature**2 * jnp.mean(divergence)


@dataclass(frozen=True, kw_only=True)
class Distillation(Task):
    """A task whose loss is a mixture: part of it how far its guesses are from the teacher's."""

    teacher: Any
    """A flax.linen.Module with the same outputs."""
    teacher_params: Any
    temperature: float
    weight: float
    """Of the teacher, 0 to 1; the rest is the loss of the labels."""

    def loss_of(self, params: Any, x: Any, y: Any, key: Any = None) -> jax.Array:  # noqa: ANN401 - pytrees of arrays
        """Return the mixture, penalties included with the labels' part."""
        rngs = {} if key is None else {"dropout": key}
        student = self.network.apply({"params": params}, x, train=key is not None, rngs=rngs)
        teacher = jax.lax.stop_gradient(self.teacher.apply({"params": self.teacher_params}, x))
        hard = super().loss_of(params, x, y, key)
        return self.weight * soft_loss(student, teacher, self.temperature) + (1.0 - self.weight) * hard


def distillation(
    student: Task,
    teacher: Task,
    teacher_params: Any,  # noqa: ANN401 - a pytree
    *,
    temperature: float = 4.0,
    weight: float = 0.7,
) -> Distillation:
    """Return the student's task, taught.

    Args:
        student: what is trained.
        teacher: what it learns from.
        teacher_params: trained, on the host.
        temperature: how much the guesses are softened, > 0.
        weight: of the teacher, 0 to 1.

    Raises:
        ValueError: if the two do not guess the same classes or tokens, or for a temperature or weight that cannot be.
    """
    kinds = (student.card.kind, teacher.card.kind)
    if kinds not in {("classes", "classes"), ("tokens", "tokens")}:
        raise ValueError(
            f"a student of {kinds[0]} and a teacher of {kinds[1]} -> expected classes or tokens of both"
        )
    if not temperature > 0.0 or not 0.0 <= weight <= 1.0:
        raise ValueError(f"temperature {temperature}, weight {weight} -> expected > 0, and 0 to 1")
    given = {field.name: getattr(student, field.name) for field in dataclasses.fields(Task)}
    return Distillation(
        **given,
        teacher=teacher.network,
        teacher_params=teacher_params,
        temperature=temperature,
        weight=weight,
    )
