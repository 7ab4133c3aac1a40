"""What compiled steps send and compute, against what can be counted by hand; nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dcsim.workload.profile import Mode
from trainers.registry import CARDS
from trainers.validation.result import Column, Load, Table, Validation, Verdict, Where

__all__ = ["FLOPS_LIMIT", "Exchange", "StepFlops", "count_result", "exchanges", "step_flops", "transformers"]

FLOPS_LIMIT = 0.01
"""Of the products of a Transformer's step against those by hand."""

_SAMPLES_PER_DEVICE = 2
"""Neither the parameters nor their exchange depend on it; few samples compile quickly."""
_FLOPS_SAMPLES = 4
_LLVM_QUICKLY = {"xla_backend_optimization_level": 0}
"""The program of XLA's operations is the same; only the machine code of its loops gets less care."""

Progress = Callable[[str], None]


class Exchange(NamedTuple):
    """What one compiled step exchanges."""

    model: str
    mode: Mode
    devices: int
    parameters: int
    all_reduces: int
    """Calls in a step."""
    all_reduce_bytes: float
    """Of one device, all calls together [B]."""
    others: tuple[str, ...] = ()
    """Other collectives that it holds, as XLA calls them."""

    @property
    def expected_bytes(self) -> int:
        """Four bytes a parameter, and four for the loss [B].

        >>> Exchange("linear", "jit", 2, 11, 1, 48.0).expected_bytes
        48
        """
        return 4 * self.parameters + 4


class StepFlops(NamedTuple):
    """FLOPs of one compiled step on one device."""

    model: str
    samples: int
    length: int
    """Tokens of a sample."""
    by_hand: float
    """6 N + attention."""
    products: float
    """Matrix products of the compiled program."""
    everything: float
    """All that XLA counts: norms, softmax, loss and optimizer too."""

    @property
    def error_relative(self) -> float:
        """Products over those by hand, less one."""
        return self.products / self.by_hand - 1.0


@dataclass
class _Shapes:
    """A task with the shapes of its state and of one sample."""

    task: Any
    state: Any
    sample: tuple[Any, Any]

    def compiled(self, mode: Mode, devices: int, samples: int) -> Any:  # noqa: ANN401 - jax.stages.Compiled
        """Compile the step for shapes alone: nothing is placed or computed."""
        import jax

        from trainers.parallel import parallelise

        batch = tuple(jax.ShapeDtypeStruct((samples, *part.shape[1:]), part.dtype) for part in self.sample)
        parallel = parallelise(self.task, mode, devices)
        lowered = parallel.step.lower(*parallel.abstract(self.state, (batch[0], batch[1])))
        return lowered.compile(compiler_options=_LLVM_QUICKLY)


def _shapes(name: str) -> _Shapes:
    import jax
    import numpy as np

    from trainers.registry import State, load_task

    task = load_task(name)
    dataset = task.card.dataset(0)
    x = dataset.train_x

    def first() -> State:
        params = task.network.init(jax.random.key(0), jax.numpy.zeros((1, *x.shape[1:]), x.dtype))["params"]
        return State(params, task.optimizer.init(params), jax.numpy.int32(0))

    one = (
        np.empty((0, *x.shape[1:]), x.dtype),
        np.empty((0, *dataset.train_y.shape[1:]), dataset.train_y.dtype),
    )
    return _Shapes(task, jax.eval_shape(first), one)


def exchanges(
    models: Sequence[str], devices: Sequence[int], modes: Sequence[Mode], progress: Progress
) -> Iterator[Exchange]:
    """Yield what the compiled step of each model exchanges, by mode and number of devices.

    Args:
        models: of the registry.
        devices: counts of virtual devices, 2 or more; JAX must have as many.
        modes: data-parallel ones.
        progress: called with a line of text for each.

    Raises:
        ValueError: JAX has fewer devices, or a model does not exist.
    """
    from trainers.hlo import Collective, collectives
    from trainers.registry import parameter_count

    for name in models:
        shapes = _shapes(name)
        parameters = parameter_count(shapes.state)
        for mode in modes:
            for count in devices:
                compiled = shapes.compiled(mode, count, count * _SAMPLES_PER_DEVICE)
                found = collectives(compiled.as_text())
                ours = found.pop("all-reduce", Collective(0, 0.0))
                row = Exchange(
                    name, mode, count, parameters, ours.count, ours.size_bytes, tuple(sorted(found))
                )
                progress(
                    f"{name}: {mode} on {count}: {row.all_reduce_bytes:,.0f} B of {row.expected_bytes:,} B"
                )
                yield row


def transformers() -> tuple[str, ...]:
    """Return the models of the registry whose samples are tokens.

    >>> "tiny_transformer" in transformers(), "linear" in transformers()
    (True, False)
    """
    return tuple(name for name, card in CARDS.items() if card.kind == "tokens")


def step_flops(models: Sequence[str], progress: Progress) -> Iterator[StepFlops]:
    """Yield the FLOPs of each Transformer's compiled step beside those by hand (see `trainers.flops`)."""
    from trainers.flops import dot_flops, transformer_step_flops

    for name in models:
        shapes = _shapes(name)
        compiled = shapes.compiled("jit", 1, _FLOPS_SAMPLES)
        length = int(shapes.sample[0].shape[-1])
        costs = compiled.cost_analysis()
        # Older releases of JAX return one entry a program.
        everything = float((costs[0] if isinstance(costs, list) else costs)["flops"])
        by_hand = transformer_step_flops(shapes.task.network, _FLOPS_SAMPLES, length).total
        row = StepFlops(name, _FLOPS_SAMPLES, length, by_hand, dot_flops(compiled.as_text()), everything)
        progress(f"{name}: products {row.error_relative:+.4%} against 6 N + attention")
        yield row


def count_result(
    sent: Sequence[Exchange], flops: Sequence[StepFlops], *, load: Load, where: Where
) -> Validation:
    """Return the counts as a result to read.

    Args:
        sent: of `exchanges`.
        flops: of `step_flops`.
        load: of the host meanwhile.
        where: and when.
    """
    return Validation(
        name="exact-counts",
        title="Exact counts of the compiled steps",
        summary=(
            "Each step is compiled for shapes alone, and the program that XLA made of it is read. All-reduces of the "
            "data-parallel modes are held against 4 bytes a parameter and 4 for the loss, matrix products of the "
            "Transformers against 6 N a token and attention. Nothing is run, so that no repeat gives another figure."
        ),
        repeats=1,
        load=load,
        where=where,
        verdicts=(*_exchange_verdicts(sent), *(_flops_verdict(row) for row in flops)),
        tables=(*_exchange_tables(sent), *([_flops_table(flops)] if flops else [])),
    )


def _exchange_verdicts(sent: Sequence[Exchange]) -> tuple[Verdict, ...]:
    if not sent:
        return ()
    worst = max(abs(row.all_reduce_bytes - row.expected_bytes) for row in sent)
    models = len({row.model for row in sent})
    modes = ", ".join(dict.fromkeys(row.mode for row in sent))
    devices = ", ".join(str(count) for count in sorted({row.devices for row in sent}))
    return (
        Verdict(
            what="all-reduce bytes - (4 x parameters + 4)", value=worst, unit="B", limit=0.0, relation="is",
            meaning=f"largest difference of {len(sent)} compiled steps: {models} models, {modes}, {devices} devices",
        ),
        Verdict(
            what="compiled steps with other collectives", value=sum(bool(row.others) for row in sent), limit=0.0,
            relation="is", meaning=f"of the same {len(sent)}",
        ),
    )  # fmt: skip


def _flops_verdict(row: StepFlops) -> Verdict:
    return Verdict(
        what=f"{row.model}: FLOPs against 6 N + attention", value=abs(row.error_relative), unit="%", limit=FLOPS_LIMIT,
        meaning="|matrix products of the compiled step / by hand - 1|",
    )  # fmt: skip


def _exchange_tables(sent: Sequence[Exchange]) -> tuple[Table, ...]:
    """Return one row a model: what differs between modes and devices is said, not averaged."""
    by_model: dict[str, list[Exchange]] = {}
    for row in sent:
        by_model.setdefault(row.model, []).append(row)
    if not by_model:
        return ()
    columns = (
        Column(name="model"),
        Column(name="parameters"),
        Column(name="4 x parameters + 4", unit="B"),
        Column(name="least", unit="B", meaning="all-reduced on one device and step, of all modes and numbers of devices"),
        Column(name="most", unit="B"),
        Column(name="compiled steps"),
        Column(name="calls", meaning="all-reduce instructions in a step; XLA puts gradients together as it likes"),
        Column(name="others", meaning="collectives of other kinds"),
    )  # fmt: skip
    return (
        Table(
            title="All-reduces",
            columns=columns,
            rows=tuple(_exchange_row(rows) for rows in by_model.values()),
        ),
    )


def _exchange_row(rows: Sequence[Exchange]) -> tuple[str | int | float | None, ...]:
    sizes, calls = [row.all_reduce_bytes for row in rows], sorted({row.all_reduces for row in rows})
    others = sorted({name for row in rows for name in row.others})
    return (
        rows[0].model,
        rows[0].parameters,
        rows[0].expected_bytes,
        round(min(sizes)),
        round(max(sizes)),
        len(rows),
        str(calls[0]) if len(calls) == 1 else f"{calls[0]} to {calls[-1]}",
        ", ".join(others) or "none",
    )


def _flops_table(flops: Sequence[StepFlops]) -> Table:
    return Table(
        title="FLOPs of the Transformers",
        columns=(
            Column(name="model"),
            Column(name="samples"),
            Column(name="tokens", meaning="of a sample"),
            Column(name="by hand", meaning="6 N a token and 12 L D a token and block, N = 12 D^2 blocks + D V"),
            Column(name="products", meaning="matrix products of the compiled step, forward and backward"),
            Column(name="error", unit="%", meaning="products / by hand - 1"),
            Column(
                name="all that XLA counts", unit="%",
                meaning="over by hand, less one: norms, softmax, GELU, loss and optimizer come on top",
            ),
        ),
        rows=tuple(
            (row.model, row.samples, row.length, row.by_hand, row.products, row.error_relative, row.everything / row.by_hand - 1.0)
            for row in flops
        ),
    )  # fmt: skip
