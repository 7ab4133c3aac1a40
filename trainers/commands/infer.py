"""`infer`: latency of a model against batch."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import Any

from trainers import require_jax
from trainers.commands.arguments import call_batches, model, positive, say, seed
from trainers.commands.outputs import out_folder
from trainers.recipe import Precision
from trainers.registry import card

__all__ = ["add", "run"]

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    infer = commands.add_parser("infer", help="measure latency and throughput of inference against batch")
    infer.add_argument("model", type=model)
    infer.add_argument("--batch", type=call_batches, default=BATCHES, help="samples a call, e.g. 1,8,64")
    infer.add_argument("--calls", type=positive, default=200, help="timed calls of each batch")
    infer.add_argument(
        "--precision", choices=("fp32", "bf16", "int8"), default="fp32", help="of the arithmetic"
    )
    infer.add_argument("--seed", type=seed, default=0)
    infer.add_argument("--out", type=out_folder, metavar="DIR", help="write inference.json there")
    infer.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure as the options say, with freshly drawn weights: time does not depend on their values."""
    require_jax()
    from trainers.inference import latency_table, measure_inference
    from trainers.provenance import load_average
    from trainers.quantise import outputs_in_int8, quantised
    from trainers.registry import initial_state, load_task

    chosen, load = card(options.model), load_average()
    precision: Precision = "bf16" if options.precision == "bf16" else "fp32"
    task = load_task(options.model, replace(chosen.recipe, precision=precision))
    dataset = chosen.dataset(options.seed)
    params = initial_state(task, dataset, options.seed).params

    def outputs_of(weights: Any, x: Any) -> Any:  # noqa: ANN401 - pytrees
        if options.precision == "int8":
            return outputs_in_int8(task.network, weights, x)
        return task.network.apply({"params": weights}, x)

    held = quantised(params) if options.precision == "int8" else params
    rows = measure_inference(
        outputs_of, held, dataset.test_x, options.batch, calls=options.calls, seed=options.seed
    )
    say(latency_table(rows))
    if options.out is not None:
        _write(options, [asdict(row) for row in rows], load)
    return 0


def _write(options: argparse.Namespace, rows: list[dict[str, Any]], load_start: float) -> None:
    """Write the rows with their units and provenance."""
    from trainers.files import finite_json, write_text
    from trainers.provenance import host_cpu, load_average, package_versions

    path = options.out / "inference.json"
    content = {
        "model": options.model,
        "precision": options.precision,
        "rows": rows,
        "units": {
            "mean_s": "s",
            "p50_s": "s",
            "p95_s": "s; null from fewer than 20 calls",
            "p99_s": "s; null from fewer than 100 calls",
            "cpu_s": "core-seconds a call",
            "samples_per_s": "1/s",
            "compile_s": "s",
            "flops": "floating-point operations of a batch",
        },
        "provenance": {
            "command": _command(options),
            "seed": options.seed,
            "host_cpu": host_cpu(),
            "load_average_start": load_start,
            "load_average_end": load_average(),
            "packages": package_versions(),
        },
    }
    write_text(path, finite_json(content) + "\n")
    say(f"wrote {path}")


def _command(options: argparse.Namespace) -> str:
    """Return what repeats the measurement, without the names of folders."""
    batches = ",".join(map(str, options.batch))
    given = f"--batch {batches} --calls {options.calls} --precision {options.precision} --seed {options.seed}"
    return f"python -m trainers infer {options.model} {given}"
