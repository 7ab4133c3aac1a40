"""pmap and sharded jit compute what one device computes, and send what the gradients weigh."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

import jax
import optax

from trainers.data import batches
from trainers.hlo import collectives, step_cost
from trainers.parallel import parallelise
from trainers.registry import CARDS, State, Task, initial_state, load_task, parameter_count

pytestmark = pytest.mark.usefixtures("eight_devices")

BATCH = 16
"""Samples over all devices."""


class Case:
    """A task with plain gradient descent, so that a difference in gradients is not normalised away."""

    def __init__(self, model: str) -> None:
        loaded = load_task(model)
        self.task = Task(loaded.card, loaded.recipe, loaded.network, loaded.loss, optax.sgd(1.0))
        self.dataset = self.task.card.dataset(0)
        self.state = initial_state(self.task, self.dataset, 0)
        self.batch = next(batches(self.dataset, BATCH, 0))
        self.parameters = parameter_count(self.state)

    @cached_property
    def single(self) -> tuple[float, Any]:
        """Return loss and gradients of the whole batch on one device, without any of our step code."""
        loss, gradients = jax.jit(jax.value_and_grad(self.task.loss_of))(self.state.params, *self.batch)
        return float(loss), jax.device_get(gradients)

    def compiled(self, mode: Any, devices: int) -> tuple[Any, Any, Any]:
        """Return the compiled step, and its arguments."""
        parallel = parallelise(self.task, mode, devices)
        state, batch = parallel.place_state(self.state), parallel.place_batch(self.batch)
        return parallel.step.lower(state, *batch).compile(), state, batch


case_of = cache(Case)


@pytest.fixture(scope="module", params=list(CARDS))
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


@pytest.mark.parametrize("mode", ["pmap", "jit"])
def test_loss_and_gradients_equal_those_of_one_device_and_traffic_is_four_bytes_a_parameter(
    case: Case, mode: Any
) -> None:
    devices = 4
    expected_loss, expected = case.single
    parallel = parallelise(case.task, mode, devices)
    compiled, state, batch = case.compiled(mode, devices)
    after, loss = compiled(state, *batch)
    np.testing.assert_allclose(np.asarray(loss).reshape(-1)[0], expected_loss, rtol=1e-5)
    fetched: State = parallel.fetch_state(after)
    # One step of plain descent at rate 1 moves the parameters by the gradients.
    moved = jax.tree.map(lambda old, new: old - new, case.state.params, fetched.params)
    scale = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    for got, wanted in zip(jax.tree.leaves(moved), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, wanted, atol=2e-6 * max(1.0, scale), rtol=2e-4)

    found = collectives(compiled.as_text())
    assert set(found) == {"all-reduce"}
    assert found["all-reduce"].size_bytes == 4 * case.parameters + 4
    assert step_cost(compiled).all_reduce == found["all-reduce"]


@pytest.mark.parametrize(("mode", "devices"), [("pmap", 2), ("jit", 8)])
def test_traffic_does_not_depend_on_the_number_of_devices(devices: int, mode: Any) -> None:
    case = case_of("digits_mlp")
    compiled, _, _ = case.compiled(mode, devices)
    assert collectives(compiled.as_text())["all-reduce"].size_bytes == 4 * 101_770 + 4


def test_every_device_holds_the_same_state_after_pmap_steps() -> None:
    case = case_of("linear")
    parallel = parallelise(case.task, "pmap", 8)
    state, batch = parallel.place_state(case.state), parallel.place_batch(case.batch)
    for _ in range(3):
        state, _ = parallel.step(state, *batch)
    for leaf in jax.tree.leaves(jax.device_get(state.params)):
        assert (leaf == leaf[:1]).all()


@pytest.mark.parametrize(
    ("mode", "devices", "message"), [("jit", 9, "expected 1 to 8"), ("tensor", 1, "pmap, jit")]
)
def test_impossible_requests_are_refused(mode: Any, devices: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parallelise(load_task("linear"), mode, devices)


def test_flops_agree_with_counting_the_products_by_hand() -> None:
    case = case_of("digits_mlp")
    compiled, _, _ = case.compiled("jit", 1)
    # Forward, gradient by weights for both layers, gradient by inputs for the second one only; 2 FLOPs each.
    products = 2 * BATCH * (2 * 784 * 128 + 3 * 128 * 10)
    adam_and_activations = 0.35
    assert products <= step_cost(compiled).flops <= products * (1 + adam_and_activations)


def test_memory_holds_at_least_state_and_batch() -> None:
    case = case_of("digits_mlp")
    compiled, _, _ = case.compiled("jit", 2)
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(case.state))
    shares = BATCH // 2 * case.dataset.bytes_per_sample
    cost = step_cost(compiled)
    assert cost.argument_bytes >= held + shares
    assert cost.memory_bytes == cost.argument_bytes + cost.output_bytes + cost.temporary_bytes


def test_parameters_equal_those_counted_by_hand() -> None:
    width, hidden, length, vocabulary = 64, 256, 64, 256
    block = 4 * width * width + 2 * width * hidden + 2 * width
    transformer = (2 * vocabulary + length) * width + 2 * block + 2 * width
    expected = {"linear": 11, "digits_mlp": 785 * 128 + 129 * 10, "tiny_transformer": transformer}
    assert {name: case_of(name).parameters for name in CARDS} == expected
