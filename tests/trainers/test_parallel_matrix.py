"""All modes on all kinds of models, rules and layouts; and the traffic of every model there is. Slow: many programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("jax", reason="needs the extra train")

import jax
import numpy as np

from tests.trainers.parallel_cases import QUICKLY, assert_same, trained
from trainers.data import Dataset
from trainers.flops import dot_flops, transformer_step_flops
from trainers.hlo import Collective, collective_kinds, collectives
from trainers.parallel import DATA_PARALLEL, parallelise
from trainers.registry import CARDS, State, load_task, parameter_count

pytestmark = pytest.mark.usefixtures("eight_devices")

LAYOUTS: dict[str, tuple[str, int, dict[str, int]]] = {
    "pmap": ("pmap", 4, {}),
    "jit": ("jit", 4, {}),
    "shard_map": ("shard_map", 4, {}),
    "fsdp": ("fsdp", 4, {}),
    "tensor": ("tensor", 4, {}),
    "data x tensor": ("tensor", 8, {"shards": 4}),
}
STAGES: dict[str, tuple[str, int, dict[str, int]]] = {
    "stages": ("pipeline", 2, {}),
    "data x stages": ("pipeline", 8, {"shards": 2, "micro_batches": 4}),
    "more micro-batches": ("pipeline", 2, {"micro_batches": 8}),
}
# Rules that divide by the size of a gradient turn rounding into steps; plain descent is held to rounding.
ASTRAY = {"adam": 1e-3, "adamw": 1e-3}
"""A tenth of the rate."""
TOLERANCES = {"sgd": 2e-5, "momentum": 2e-5, "adam": 5e-4, "adamw": 5e-4}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("layout", [*LAYOUTS, *STAGES])
@pytest.mark.parametrize("network", ["mlp", "digits_conv", "transformer"])
def test_equals_one_device(network: str, layout: str, recipe: str) -> None:
    if layout in STAGES and network != "transformer":
        pytest.skip("no row of equal blocks")
    mode, devices, options = (LAYOUTS | STAGES)[layout]
    got = trained(network, recipe, mode, devices, **options)
    assert_same(
        got, trained(network, recipe, "jit", 1), tolerance=TOLERANCES[recipe], astray=ASTRAY.get(recipe, 0.0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("layout", [*LAYOUTS, "stages", "data x stages"])
def test_accumulating_gradients_equals_one_pass_and_they_cross_once(layout: str) -> None:
    network = "transformer" if layout in STAGES else "mlp"
    mode, devices, options = (LAYOUTS | STAGES)[layout]
    if mode == "pipeline":
        options = options | {"micro_batches": 2}
    got = trained(network, "sgd accumulating", mode, devices, **options)
    assert_same(got, trained(network, "sgd", "jit", 1), tolerance=2e-5)
    if mode in DATA_PARALLEL:
        found = collectives(got.hlo_text)
        assert found == {"all-reduce": Collective(1, 4 * parameter_count(got.state) + 4)}


@pytest.mark.slow
def test_dropout_under_sharded_jit_draws_the_masks_of_one_device() -> None:
    task = load_task("tiny_transformer")
    from trainers.models.transformer import Transformer

    network = Transformer(width=16, heads=4, blocks=2, vocabulary=32, dropout=0.3)
    task = replace(task, network=network, recipe=replace(task.recipe, dropout=0.3))
    x, y = np.random.default_rng(0).integers(0, 32, (2, 16, 8)).astype(np.uint8)
    params = jax.device_get(jax.jit(network.init)(jax.random.key(0), x[:1])["params"])
    state = State(params, jax.device_get(task.optimizer.init(params)), np.int32(0))
    losses = {}
    for mode, devices in (("jit", 1), ("jit", 4), ("tensor", 4)):
        parallel = parallelise(task, mode, devices)  # type: ignore[arg-type]
        step = parallel.step.lower(*parallel.abstract(state, (x, y))).compile(compiler_options=QUICKLY)
        losses[mode, devices] = float(step(parallel.place_state(state), *parallel.place_batch((x, y)))[1])
        if (mode, devices) == ("jit", 4):
            sent = collectives(step.as_text())
            assert sent == {"all-reduce": Collective(1, 4 * parameter_count(state) + 4)}
    assert losses["jit", 4] == pytest.approx(losses["jit", 1], rel=1e-5)
    assert losses["tensor", 4] == pytest.approx(losses["jit", 1], rel=1e-5)


def _compiled(name: str, mode: Any, devices: int, samples: int) -> tuple[Any, State, Dataset]:
    """Compile a model's step for shapes alone: nothing is placed or computed."""
    task = load_task(name)
    dataset = task.card.dataset(0)
    x, y = (
        jax.ShapeDtypeStruct((samples, *part.shape[1:]), part.dtype)
        for part in (dataset.train_x, dataset.train_y)
    )

    def first() -> State:
        params = task.network.init(jax.random.key(0), jax.numpy.zeros((1, *x.shape[1:]), x.dtype))["params"]
        return State(params, task.optimizer.init(params), jax.numpy.int32(0))

    state = jax.eval_shape(first)
    parallel = parallelise(task, mode, devices)
    return (
        parallel.step.lower(*parallel.abstract(state, (x, y))).compile(compiler_options=QUICKLY),
        state,
        dataset,
    )


QUICK_CARDS = ("linear",)


@pytest.mark.parametrize("mode", DATA_PARALLEL)
@pytest.mark.parametrize(
    "name", [name if name in QUICK_CARDS else pytest.param(name, marks=pytest.mark.slow) for name in CARDS]
)
def test_every_model_all_reduces_four_bytes_a_parameter_and_the_loss(name: str, mode: Any) -> None:
    compiled, state, _ = _compiled(name, mode, 2, 4)
    parameters = parameter_count(state)
    found = collectives(compiled.as_text())
    print(f"{name} {mode}: {parameters} parameters, {found}")
    assert set(found) == {"all-reduce"}
    assert found["all-reduce"].size_bytes == 4 * parameters + 4
    (kind,) = collective_kinds(compiled, 2, mode)
    assert (kind.kind, kind.devices, kind.mode) == ("all_reduce", 2, mode)
    assert (kind.count, kind.size_bytes) == (found["all-reduce"].count, found["all-reduce"].size_bytes)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [4, 8])
def test_traffic_does_not_depend_on_the_number_of_devices(devices: int) -> None:
    compiled, _, _ = _compiled("digits_mlp", "jit", devices, 16)
    assert collectives(compiled.as_text())["all-reduce"].size_bytes == 4 * 101_770 + 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_transformer", "transformer_lm", "transformer_encoder"])
def test_flops_of_the_transformers_are_those_counted_by_hand(name: str) -> None:
    samples = 4
    compiled, state, dataset = _compiled(name, "jit", 1, samples)
    length = dataset.train_x.shape[-1]
    by_hand = transformer_step_flops(load_task(name).network, samples, length)
    products = dot_flops(compiled.as_text())
    everything = compiled.cost_analysis()["flops"]
    simple = by_hand.attention + 6.0 * parameter_count(state) * samples * length
    print(
        f"{name}: by hand {by_hand.total:.6g}, products {products / by_hand.total - 1:+.3%}, "
        f"all that XLA counts {everything / by_hand.total - 1:+.2%}, products against 6 x all parameters {products / simple - 1:+.2%}"
    )
    assert products == pytest.approx(by_hand.total, rel=1e-9)
    # Norms, softmax, GELU, loss and optimizer come on top.
    assert by_hand.total < everything < 1.1 * by_hand.total
