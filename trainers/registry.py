"""Which data, network, loss and optimizer make one task; listing them imports no JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from trainers import require_jax
from trainers.data import Augment, Dataset, digits_data, linear_data, text_data
from trainers.recipe import Recipe

if TYPE_CHECKING:
    import jax
    import optax

__all__ = ["CARDS", "Card", "Kind", "State", "Task", "card", "initial_state", "load_task", "parameter_count"]


Kind = Literal["regression", "binary", "classes", "tokens"]
"""What a network puts out: a number, one logit, a logit a class, or logits at every position."""


@dataclass(frozen=True)
class Card:
    """What can be said of a task without JAX."""

    name: str
    summary: str
    dataset: Callable[[int], Dataset]
    """Takes a seed."""
    recipe: Recipe
    """How it is trained unless told otherwise."""
    batches: tuple[int, ...]
    """Samples per device between whose smallest and largest `calibrate` measures unless told otherwise."""
    quick_batches: tuple[int, ...]
    kind: Kind
    network: Callable[[Recipe], Any]
    """Makes the flax.linen.Module; imports it only then."""
    augment: Augment | None = None
    """Changes training samples anew each time they are drawn; on the host."""

    @property
    def optimizer(self) -> str:
        """Name of the update rule."""
        return self.recipe.optimizer

    @property
    def classifies(self) -> bool:
        """Whether accuracy means something."""
        return self.kind != "regression"


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

    def loss_of(self, params: Any, x: Any, y: Any, key: Any = None) -> jax.Array:  # noqa: ANN401 - pytrees of arrays
        """Return the mean loss of a batch, penalties included; with a key hidden units are dropped."""
        rngs = {} if key is None else {"dropout": key}
        outputs = self.network.apply({"params": params}, x, train=key is not None, rngs=rngs)
        loss = self.loss(outputs, y)
        if self.recipe.l1 or self.recipe.l2:
            from trainers.loss import penalty

            loss += penalty(params, self.recipe.l1, self.recipe.l2)
        return loss


def _linear(recipe: Recipe) -> Any:  # noqa: ANN401 - a flax.linen.Module
    from trainers.models.linear import Linear

    return Linear()


def _digits(recipe: Recipe, hidden: int = 128) -> Any:  # noqa: ANN401 - a flax.linen.Module
    from trainers.models.digits import DigitClassifier

    return DigitClassifier(hidden=hidden)


def _tiny_transformer(recipe: Recipe) -> Any:  # noqa: ANN401 - a flax.linen.Module
    from trainers.models.transformer import Transformer

    return Transformer()


CARDS: Mapping[str, Card] = {
    each.name: each
    for each in (
        Card("linear", "linear model on 100 x 10 inputs, squared error",
             linear_data, Recipe("sgd", 0.05), (25, 50, 75, 100), (25, 50, 100), "regression", _linear),
        Card("digits_mlp", "784-128-10 classifier of MNIST digits",
             digits_data, Recipe("adam", 1e-3), (32, 64, 128, 192, 256), (32, 64, 128), "classes", _digits),
        Card("tiny_transformer", "causal Transformer over bytes: 2 blocks, width 64, 64 tokens",
             text_data, Recipe("adamw", 3e-3, weight_decay=0.01), (4, 8, 16, 24, 32), (4, 8, 16), "tokens",
             _tiny_transformer),
    )
}  # fmt: skip
"""All tasks by name."""


def card(name: str) -> Card:
    """Return the card of a task.

    Raises:
        ValueError: if there is no such task; the message names those there are.

    >>> card("digits_mlp").optimizer
    'adam'
    """
    if name not in CARDS:
        raise ValueError(f"model {name!r} -> expected one of {', '.join(CARDS)}")
    return CARDS[name]


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
    return Task(chosen, recipe, chosen.network(recipe), LOSSES[chosen.kind], transformation(recipe, steps))


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
