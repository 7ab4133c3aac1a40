"""Steps compiled for TPUs that are not there: what the compiler says exactly, and what is only reckoned."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("jax", reason="needs the extra train")

from jax.errors import JaxRuntimeError
from jax.experimental import topologies

from dcsim.errors import InputError, MissingExtraError
from dcsim.facility.hardware import CATALOGUE
from dcsim.workload.cost import step_cost
from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import load_profile
from trainers import aot
from trainers.__main__ import main
from trainers.aot import Settings, Topology, TopologyError, compile_profile, load_topology
from trainers.hlo import Collective, StepCost
from trainers.operators import module_cost, operator_costs
from trainers.predict import ASSUMED, CALL_S

CHIP = CATALOGUE["TPU-v5e"]
PARAMETERS = 785 * 128 + 129 * 10


def topology(count: int) -> Topology:
    return Topology("v5e:2x2", [None] * count, CHIP, "TPU v5 lite")


def text(*lines: str) -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"ENTRY %main (a: f32[8]) -> f32[8] {{\n{body}\n}}\n"


def compiled(*lines: str, batch: int = 1) -> aot.Compiled:
    executable = SimpleNamespace(as_text=lambda: text(*lines))
    nothing = StepCost(0.0, 0.0, 0.0, 0.0, 0.0, Collective(0, 0.0))
    cost = module_cost(executable.as_text())
    return aot.Compiled(batch, executable, nothing, cost, operator_costs(executable, batch), 0.0)


@pytest.fixture
def libtpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that libtpu is installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: SimpleNamespace() if name == "libtpu" else found(name)
    )


def answer(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> None:
    def described(**_: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(topologies, "get_topology_desc", described)


def test_without_libtpu_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "libtpu" else found(name))
    with pytest.raises(MissingExtraError, match="tpu-aot"):
        load_topology("v5e:2x2")


@pytest.mark.usefixtures("libtpu")
def test_a_libtpu_that_another_process_holds_is_told_from_a_topology_that_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(
        monkeypatch, JaxRuntimeError("ABORTED: Internal error when accessing libtpu multi-process lockfile.")
    )
    with pytest.raises(TopologyError, match="held by another process"):
        load_topology("v5e:2x2")
    answer(monkeypatch, JaxRuntimeError("INVALID_ARGUMENT: no such slice"))
    with pytest.raises(InputError, match=r"v5e:7x7 -> expected a topology that libtpu knows.*no such slice"):
        load_topology("v5e:7x7")


@pytest.mark.usefixtures("libtpu")
def test_devices_that_are_half_a_chip_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, SimpleNamespace(devices=[SimpleNamespace(device_kind="TPU v4")] * 8))
    with pytest.raises(InputError, match="a device of TPU v4 is not one chip"):
        load_topology("v4:2x2x1")


def step_that(outcome: Any) -> Any:
    def compile_it() -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return SimpleNamespace(lower=lambda: SimpleNamespace(compile=compile_it))


def test_a_step_that_does_not_fit_is_refused_whether_the_compiler_says_so_or_the_catalogue() -> None:
    memory = SimpleNamespace(
        argument_size_in_bytes=2**33,
        output_size_in_bytes=0,
        alias_size_in_bytes=0,
        temp_size_in_bytes=2**33 + 1,
    )
    large = SimpleNamespace(
        cost_analysis=dict,
        memory_analysis=lambda: memory,
        as_text=lambda: text("ROOT %a = f32[8]{0} parameter(0)"),
    )
    with pytest.raises(
        InputError, match=r"16 GiB a device -> expected at most 16 GiB, the memory of a TPU-v5e"
    ):
        aot._compiled(step_that(large), (), 64, topology(4))
    out_of_memory = JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory on HBM (119.29G)\nmore")
    with pytest.raises(InputError, match=r"119\.29G.* -> expected at most 16 GiB"):
        aot._compiled(step_that(out_of_memory), (), 64, topology(4))
    with pytest.raises(TopologyError, match="batch 64 on v5e:2x2: INTERNAL"):
        aot._compiled(step_that(JaxRuntimeError("INTERNAL: oh")), (), 64, topology(4))


def test_collectives_take_what_their_bytes_take_on_the_links() -> None:
    step = compiled(
        "%a = f32[1000000]{0} parameter(0)",
        "%r = f32[1000000]{0} all-reduce(%a), replica_groups={{0,1,2,3}}",
        "%g = f32[1000000]{0} all-gather(%a), replica_groups={{0,1,2,3}}, dimensions={0}",
        "%s = f32[250000]{0} reduce-scatter(%a), replica_groups={{0,1,2,3}}, dimensions={0}",
        "ROOT %p = f32[1000000]{0} collective-permute(%a), source_target_pairs={{0,1},{1,0}}",
    )
    size, rate = 4e6, CHIP.link_bandwidth_bytes_per_s
    assert aot.exchange_s(step, topology(4)) == pytest.approx((1.5 + 0.75 + 0.75 + 1.0) * size / rate)


def test_computing_is_a_roofline_at_stated_parts_and_the_start_of_operators_that_are_no_copies() -> None:
    step = compiled(
        "%a = bf16[512,1024]{1,0} parameter(0)",
        "%b = bf16[1024,4096]{1,0} parameter(1)",
        "%c = bf16[1024,4096]{1,0} copy(%b)",
        "ROOT %d = bf16[512,4096]{1,0} dot(%a, %c), lhs_contracting_dims={1}, rhs_contracting_dims={0}",
        batch=512,
    )
    product = 2 * 512 * 1024 * 4096 / (ASSUMED.matmul * 197e12)
    copied = 2 * 2 * 1024 * 4096 / (ASSUMED.memory * 819e9)
    assert aot.compute_time_s(step, CHIP, "fp32") == pytest.approx(product + copied + CALL_S["tpu"])


def test_meshes_are_made_of_the_devices_chosen_and_of_no_more(eight_devices: int) -> None:
    import jax

    from trainers.parallel import parallelise
    from trainers.parallel.placement import make_mesh, on_devices
    from trainers.registry import load_task

    with on_devices(jax.devices()[5:7]):
        assert list(make_mesh([("data", 2)]).devices.flat) == jax.devices()[5:7]
        with pytest.raises(ValueError, match="expected 1 to 2"):
            parallelise(load_task("linear"), "jit", 3)
    assert make_mesh([("data", 8)]).size == 8


needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="needs the extra tpu-aot"
)


@pytest.fixture(scope="module")
def slice_of_four(eight_devices: int) -> CostProfile:
    return compile_profile(Settings("digits_mlp", batches=(8, 16)))


@needs_libtpu
def test_a_tpus_program_sends_its_gradients_and_the_loss_and_multiplies_what_it_must(
    slice_of_four: CostProfile,
) -> None:
    profile = slice_of_four
    assert (profile.origin, profile.device, profile.points) == ("compiled", "TPU-v5e", ())
    assert profile.collectives.all_reduce_bytes == 4 * PARAMETERS + 4
    (found,) = profile.collectives.compiled
    assert (found.kind, found.devices, found.count, found.size_bytes) == (
        "all_reduce",
        4,
        1,
        4 * PARAMETERS + 4,
    )
    products = {each.kind: each.flops_per_sample for each in profile.operators}
    assert products["matmul"] == 2 * (2 * 784 * 128 + 3 * 128 * 10)
    assert profile.memory_bytes_per_device >= profile.checkpoint_bytes
    assert profile.energy.energy_per_step_j is None


@needs_libtpu
def test_a_compiled_profile_says_that_nothing_was_timed_wherever_it_is_used(
    slice_of_four: CostProfile,
) -> None:
    assert "not timed" in slice_of_four.description
    assert "compiled, not timed" in slice_of_four.provenance.warnings[0]
    cost = step_cost(slice_of_four, CHIP, 4, 16)
    assert cost.extrapolated
    assert any("not timed" in reason for reason in cost.reasons)


@needs_libtpu
def test_the_command_divides_the_state_where_told_and_writes_a_profile_that_loads(
    eight_devices: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--mode", "fsdp", "--batch", "16", "--out", str(tmp_path)]
    assert main(["compile", "digits_mlp", *options]) == 0
    assert "compiled, not timed" in capsys.readouterr().out
    profile, _ = load_profile(tmp_path / "digits_mlp.json")
    kinds = {each.kind: each.size_bytes for each in profile.collectives.compiled}
    assert kinds["all_gather"] > 0.0
    assert main(["compile", "digits_mlp", "--topology", "v5e:1x1", *options[2:]]) == 0
    alone, _ = load_profile(tmp_path / "digits_mlp.json")
    assert (alone.collectives.compiled, alone.fit.per_device_s) == ((), 0.0)
