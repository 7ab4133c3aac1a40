"""Every parallel mode computes what one device computes, and sends and holds what its kind must."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("jax", reason="needs the extra train")

import jax
import numpy as np

from tests.trainers.parallel_cases import (
    BLOCKS,
    LENGTH,
    SAMPLES,
    assert_same,
    first_state,
    samples_of,
    task_of,
    trained,
)
from trainers.flops import dot_flops, transformer_step_flops
from trainers.hlo import collectives, step_cost
from trainers.parallel import DATA_PARALLEL, MODES, parallelise
from trainers.registry import parameter_count

pytestmark = pytest.mark.usefixtures("eight_devices")


def sent(network: str, recipe: str, mode: Any, devices: int, **options: Any) -> dict[str, tuple[int, float]]:
    found = collectives(trained(network, recipe, mode, devices, **options).hlo_text)
    return {kind: (each.count, each.size_bytes) for kind, each in found.items()}


@pytest.mark.parametrize("mode", DATA_PARALLEL)
def test_copies_equal_one_device_and_reduce_every_gradient_once(mode: Any) -> None:
    got = trained("mlp", "adam", mode, 4)
    assert_same(got, trained("mlp", "adam", "jit", 1), tolerance=2e-5)
    assert sent("mlp", "adam", mode, 4) == {"all-reduce": (1, 4 * parameter_count(got.state) + 4)}


def test_a_divided_state_equals_a_whole_one_and_takes_a_share_of_the_memory() -> None:
    got, single = trained("mlp", "adam", "fsdp", 4), trained("mlp", "adam", "jit", 1)
    assert_same(got, single, tolerance=2e-5)
    (kept,) = list(got.parallel.kept_whole(got.state))
    assert kept == "Dense_1/bias"  # ten classes
    divided = parameter_count(got.state) - 10
    found = collectives(got.hlo_text)
    assert found["all-gather"].size_bytes == 4 * divided
    assert found["reduce-scatter"].size_bytes == divided  # 4 bytes a parameter, a quarter of them
    # The bias, the loss, and the squares of three arrays' norms, by which gradients are clipped; the bias is whole.
    assert found["all-reduce"].size_bytes == 4 * (10 + 1 + 3)
    batch_bytes = sum(part.nbytes for part in samples_of("mlp")[0])
    whole = single.argument_bytes - batch_bytes
    share = got.argument_bytes - batch_bytes / 4
    # A quarter, but for the bias with its two moments, and two counters of the updates.
    assert share == pytest.approx((whole - 3 * 40 - 8) / 4 + 3 * 40 + 8, rel=1e-3)


def test_divided_layers_of_the_classifier_equal_whole_ones() -> None:
    got = trained("mlp", "adam", "tensor", 4)
    assert_same(got, trained("mlp", "adam", "jit", 1), tolerance=2e-5)
    assert dict(got.parallel.kept_whole(got.state)) == {
        "Dense_1/bias": "added once, to the sum over the devices"
    }
    # The logits of all samples are summed over the devices; so are single numbers of the norm and the penalty.
    (_, size_bytes) = sent("mlp", "adam", "tensor", 4)["all-reduce"]
    assert size_bytes == pytest.approx(4 * SAMPLES * 10, abs=4 * 8)


@pytest.mark.slow
def test_divided_layers_equal_whole_ones_and_send_two_all_reduces_a_block_each_way() -> None:
    got = trained("transformer", "adamw", "tensor", 4, shards=2)
    assert_same(got, trained("transformer", "adamw", "jit", 1), tolerance=2e-4)
    held, whole = _split(got.state)
    activations = 4 * (SAMPLES // 2) * LENGTH * 16
    # Megatron's four all-reduces of activations a block; gradients over the copies, loss, norm for clipping, L1 and L2.
    gradients = 4 * (held / 2 + whole) + 4
    (_, size_bytes) = sent("transformer", "adamw", "tensor", 4, shards=2)["all-reduce"]
    assert size_bytes == pytest.approx(4 * BLOCKS * activations + gradients, abs=200)
    assert got.parallel.kept_whole(got.state)["Embed_0/embedding"]


def test_stages_equal_one_device_and_pass_on_every_micro_batch() -> None:
    got = trained("transformer", "adamw", "pipeline", 4, shards=2, micro_batches=4)
    assert_same(got, trained("transformer", "adamw", "jit", 1), tolerance=2e-4)
    found = sent("transformer", "adamw", "pipeline", 4, shards=2, micro_batches=4)
    micro_batch = 4 * (SAMPLES // 2 // 4) * LENGTH * 16
    ticks = 4 + 2 - 1
    kernels, others = _split(got.state)
    assert found == {
        "collective-permute": (2 * ticks, 2 * ticks * micro_batch),
        # The column's samples are gathered for the first stage, and their gradients for the last.
        "all-gather": (2, 2 * 4 * micro_batch),
        "reduce-scatter": (2, 2 * 2 * micro_batch),
        # Of what every device has, over all of them; of a stage's blocks, over the columns; and some sums of one number.
        "all-reduce": (pytest.approx(8, abs=8), pytest.approx(4 * (others + kernels / 2) + 4, abs=200)),
    }


def _split(state: Any) -> tuple[int, int]:
    """Count the parameters of the Transformer that lie in divided layers, and the others."""
    blocks = {name: child for name, child in state.params.items() if name.startswith("Block")}
    kernels = sum(leaf.size for leaf in jax.tree.leaves(blocks) if leaf.ndim > 1)
    return kernels, parameter_count(state) - kernels


def test_products_of_the_compiled_step_are_those_counted_by_hand() -> None:
    single = trained("transformer", "adamw", "jit", 1)
    by_hand = transformer_step_flops(task_of("transformer", "adamw").network, SAMPLES, LENGTH)
    assert dot_flops(single.hlo_text) == by_hand.total
    stages = trained("transformer", "adamw", "pipeline", 4, shards=2, micro_batches=4)
    # Each stage works in 5 ticks on 4 micro-batches of half of the samples; half of the blocks are its own.
    blocks = by_hand.total - 6 * 16 * 32 * SAMPLES * LENGTH
    head = 6 * 16 * 32 * SAMPLES * LENGTH / 4
    assert dot_flops(stages.hlo_text) == blocks / 4 * 5 / 4 + head


def test_products_of_the_classifier_are_those_counted_by_hand() -> None:
    # Forward, gradient by weights for both layers, gradient by inputs for the second one only; 2 FLOPs each.
    products = 2 * SAMPLES * (2 * 784 * 8 + 3 * 8 * 10)
    assert dot_flops(trained("mlp", "adam", "jit", 1).hlo_text) == products


def test_every_device_holds_the_same_state_after_pmap_steps() -> None:
    parallel = parallelise(task_of("mlp", "adam"), "pmap", 4)
    placed = parallel.place_state(first_state("mlp", "adam"))
    compiled = trained("mlp", "adam", "pmap", 4).compiled
    for batch in samples_of("mlp"):
        placed, _ = compiled(placed, *parallel.place_batch(batch))
    for leaf in jax.tree.leaves(jax.device_get(placed.params)):
        assert (leaf == leaf[:1]).all()


def test_memory_holds_at_least_state_and_batch() -> None:
    got = trained("mlp", "adam", "jit", 4)
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(got.state))
    shares = sum(part.nbytes for part in samples_of("mlp")[0]) // 4
    cost = step_cost(got.compiled)
    assert cost.argument_bytes >= held + shares
    assert cost.memory_bytes == cost.argument_bytes + cost.output_bytes + cost.temporary_bytes


@pytest.mark.parametrize(
    ("mode", "devices", "options", "message"),
    [
        ("jit", 9, {}, "9 devices -> expected 1 to 8"),
        ("expert", 1, {}, "expected one of pmap, jit, shard_map, fsdp, tensor, pipeline"),
        ("tensor", 4, {"shards": 3}, "3 shards -> expected a divisor of 4"),
        ("jit", 4, {"shards": 2}, "in mode tensor or pipeline only"),
        ("tensor", 4, {"micro_batches": 2}, "in mode pipeline only"),
        ("pipeline", 4, {"micro_batches": 0}, "0 micro-batches"),
    ],
)
def test_impossible_requests_are_refused(mode: Any, devices: int, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parallelise(task_of("mlp", "adam"), mode, devices, **options)


@pytest.mark.parametrize("mode", MODES)
def test_samples_that_do_not_divide_are_refused(mode: Any) -> None:
    parallel = parallelise(task_of("mlp", "adam"), mode, 8, **({"shards": 2} if mode == "tensor" else {}))
    with pytest.raises(ValueError, match=r"9 samples a step -> expected a multiple of \d"):
        parallel.place_batch((np.zeros((9, 784)), np.zeros(9)))


def test_networks_without_equal_blocks_have_no_stages() -> None:
    parallel = parallelise(task_of("mlp", "adam"), "pipeline", 2)
    with pytest.raises(ValueError, match="expected a row of equal blocks"):
        parallel.place_state(first_state("mlp", "adam"))


def test_stages_must_divide_the_blocks() -> None:
    parallel = parallelise(task_of("transformer", "adamw"), "pipeline", 3)
    with pytest.raises(ValueError, match="3 stages -> expected a divisor of 2"):
        parallel.place_state(first_state("transformer", "adamw"))
