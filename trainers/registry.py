"""Which data, network, loss and optimizer make one task; listing them imports no JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from trainers import require_jax
from trainers.data import Dataset, digits_data, linear_data, text_data

if TYPE_CHECKING:
    import jax
    import optax

__all__ = ["CARDS", "Card", "State", "Task", "card", "initial_state", "load_task", "parameter_count"]


@dataclass(frozen=True)
class Card:
    """What can be said of a task without JAX."""

    name: str
    summary: str
    dataset: Callable[[int], Dataset]
    """Takes a seed."""
    optimizer: Literal["sgd", "adam", "adamw"]
    batches: tuple[int, ...]
    """Samples per device that `calibrate` measures unless told otherwise."""
    quick_batches: tuple[int, ...]
    classifies: bool
    """Whether accuracy means something."""


class State(NamedTuple):
    """What training carries from step to step, and what a checkpoint stores."""

    params: Any
    opt_state: Any


@dataclass(frozen=True)
class Task:
    """A card brought to life."""

    card: Card
    network: Any
    """A flax.linen.Module."""
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    optimizer: optax.GradientTransformation

    def loss_of(self, params: Any, x: Any, y: Any) -> jax.Array:  # noqa: ANN401 - pytrees of arrays
        """Return the mean loss of a batch."""
        return self.loss(self.network.apply({"params": params}, x), y)


CARDS: Mapping[str, Card] = {
    each.name: each
    for each in (
        Card("linear", "linear model on 100 x 10 inputs, squared error",
             linear_data, "sgd", (25, 50, 75, 100), (25, 50, 100), classifies=False),
        Card("digits_mlp", "784-128-10 classifier of MNIST digits",
             digits_data, "adam", (32, 64, 128, 192, 256), (32, 64, 128), classifies=True),
        Card("tiny_transformer", "causal Transformer over bytes: 2 blocks, width 64, 64 tokens",
             text_data, "adamw", (4, 8, 16, 24, 32), (4, 8, 16), classifies=True),
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


def load_task(name: str) -> Task:
    """Return the task of that name, ready to train.

    Raises:
        ValueError: if there is no such task.
        MissingExtraError: if JAX is not installed.
    """
    chosen = card(name)
    require_jax()
    from trainers.loss import cross_entropy, mean_squared_error
    from trainers.models.digits import DigitClassifier
    from trainers.models.linear import Linear
    from trainers.models.transformer import Transformer
    from trainers.optimizer import OPTIMIZERS

    network = {"linear": Linear, "digits_mlp": DigitClassifier, "tiny_transformer": Transformer}[name]()
    loss = cross_entropy if chosen.classifies else mean_squared_error
    return Task(chosen, network, loss, OPTIMIZERS[chosen.optimizer]())


def initial_state(task: Task, dataset: Dataset, seed: int) -> State:
    """Return freshly drawn parameters and the optimizer's first state, as numpy arrays on the host."""
    import jax

    params = jax.jit(task.network.init)(jax.random.key(seed), dataset.train_x[:1])["params"]
    state: State = jax.device_get(State(params, task.optimizer.init(params)))
    return state


def parameter_count(state: State) -> int:
    """Return the number of trained parameters."""
    import jax

    return sum(int(leaf.size) for leaf in jax.tree.leaves(state.params))
