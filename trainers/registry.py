"""Which data, network, loss and optimizer make one task; listing them imports no JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from trainers import require_jax
from trainers.card import Card, Kind
from trainers.cards import CARDS, card
from trainers.data import Dataset
from trainers.recipe import Recipe

if TYPE_CHECKING:
    import jax
    import optax

__all__ = ["CARDS", "Card", "Kind", "State", "Task", "card", "initial_state", "load_task", "parameter_count"]


class State(NamedTuple):
    """What training carries from step to step, and what a checkpoint stores."""

    params: Any
    opt_state: Any
    step: Any
    """Updates made so far, int32."""


@dataclass(frozen=True)
class Task:
    """A card brought to life."""

    card: Card
    recipe: Recipe
    network: Any
    """A flax.linen.Module, called as network(x, train=bool)."""
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    optimizer: optax.GradientTransformation
    steps: int = 0
    """Updates that the schedule is stretched over; 0: not known."""

    def loss_of(self, params: Any, x: Any, y: Any, key: Any = None) -> jax.Array:  # noqa: ANN401 - pytrees of arrays
        """Return the mean loss of a batch, penalties included; with a key hidden units are dropped."""
        rngs = {} if key is None else {"dropout": key}
        outputs = self.network.apply({"params": params}, x, train=key is not None, rngs=rngs)
        loss = self.loss(outputs, y)
        if self.recipe.l1 or self.recipe.l2:
            from trainers.loss import penalty

            loss += penalty(params, self.recipe.l1, self.recipe.l2)
        return loss


def load_task(name: str, recipe: Recipe | None = None, steps: int = 0) -> Task:
    """Return the task of that name, ready to train.

    Args:
        name: of a card.
        recipe: how to train it; None: as its card says.
        steps: updates that a schedule is stretched over; 0: not known, the rate stays constant after the warm-up.

    Raises:
        ValueError: if there is no such task.
        MissingExtraError: if JAX is not installed.
    """
    chosen = card(name)
    require_jax()
    from trainers.loss import LOSSES
    from trainers.optimizer import transformation

    recipe = recipe or chosen.recipe
    return Task(
        chosen, recipe, chosen.network(recipe), LOSSES[chosen.kind], transformation(recipe, steps), steps
    )


def initial_state(task: Task, dataset: Dataset, seed: int) -> State:
    """Return freshly drawn parameters and the optimizer's first state, as numpy arrays on the host."""
    import jax
    import numpy as np

    params = jax.jit(task.network.init)(jax.random.key(seed), dataset.train_x[:1])["params"]
    state: State = jax.device_get(State(params, task.optimizer.init(params), np.int32(0)))
    return state


def parameter_count(state: State) -> int:
    """Return the number of trained parameters."""
    import jax

    return sum(int(leaf.size) for leaf in jax.tree.leaves(state.params))
