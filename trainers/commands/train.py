"""`train`: train a model and say how good it became."""

from __future__ import annotations

import argparse
from typing import Any

from trainers import require_jax
from trainers.commands.arguments import model, positive, say

__all__ = ["add", "run"]


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    train = commands.add_parser("train", help="train a model and print its loss")
    train.add_argument("model", type=model)
    train.add_argument("--steps", type=positive, default=200)
    train.add_argument("--batch", type=positive, help="samples per device")
    train.add_argument("--devices", type=positive, default=1, help="virtual CPU devices")
    train.add_argument("--mode", choices=("pmap", "jit"), default="jit")
    train.add_argument("--seed", type=int, default=0)
    train.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train as the options say."""
    require_jax()
    from trainers.devices import use_virtual_devices

    use_virtual_devices(options.devices)
    from trainers.evaluate import evaluate
    from trainers.registry import load_task
    from trainers.train import train

    task = load_task(options.model)
    dataset = task.card.dataset(options.seed)
    every = max(1, options.steps // 10)
    result = train(
        task, dataset,
        steps=options.steps, batch=options.batch or task.card.batches[0],
        devices=options.devices, mode=options.mode, seed=options.seed,
        on_step=lambda step, loss: say(f"step {step:5d}  loss {loss:.4f}") if step % every == 0 else None,
    )  # fmt: skip
    metrics = evaluate(task, result.state, dataset)
    accuracy = "" if metrics.accuracy is None else f", accuracy {metrics.accuracy:.1%}"
    say(f"test loss {metrics.loss:.4f}{accuracy}")
    return 0
