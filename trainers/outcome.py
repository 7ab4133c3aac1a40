"""What a training run came to: a table to read, and `summary.json` to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainers.curve import write_curve
from trainers.data import Dataset
from trainers.files import finite_json, write_text
from trainers.metrics import Metrics
from trainers.provenance import provenance
from trainers.registry import Task, parameter_count
from trainers.train import Training

__all__ = ["Outcome", "metrics_table", "summary", "write_outcome"]

SHARES = ("accuracy", "precision", "recall", "f1")
UNITS = {
    "time_s": "s",
    "loss": "nats, or squared target units",
    "accuracy, precision, recall, f1": "share, 0 to 1",
    "perplexity": "tokens",
    "confusion": "samples, by class (row) and guessed class (column)",
}


@dataclass(frozen=True)
class Outcome:
    """A run and how it was asked for."""

    task: Task
    dataset: Dataset
    training: Training
    metrics: Metrics
    """On all held-out samples."""
    batch: int
    """Samples per device."""
    devices: int
    mode: str
    seed: int
    command: str
    """What repeats it."""
    load_average_start: float


def metrics_table(metrics: Metrics) -> str:
    """Return the metrics as aligned text, by class where there are a few.

    >>> print(metrics_table(Metrics(0.25, 500, accuracy=0.9)))
    held-out samples          500
    loss                   0.2500
    accuracy               90.0 %
    """
    rows = [("held-out samples", f"{metrics.samples:d}")]
    for name, value in metrics.scalars().items():
        rows.append((name, f"{value:.1%}".replace("%", " %") if name in SHARES else f"{value:.4f}"))
    lines = [f"{name:<18}{value:>11}" for name, value in rows]
    if metrics.classes:
        lines += ["", "class  precision  recall      F1  samples"]
        lines += [
            f"{number:5d}{each.precision:11.3f}{each.recall:8.3f}{each.f1:8.3f}{each.support:9d}"
            f"{'  (0 where nothing divides)' if each.undefined else ''}"
            for number, each in enumerate(metrics.classes)
        ]
    return "\n".join(lines)


def summary(outcome: Outcome) -> dict[str, Any]:
    """Return everything about a run in plain values, with units and provenance."""
    training, stages = outcome.training, outcome.training.stages
    whole_batch = outcome.batch * outcome.devices
    made = int(training.state.step)
    return {
        "model": outcome.task.card.name,
        "dataset": _dataset(outcome.dataset),
        "recipe": asdict(outcome.task.recipe),
        "run": {
            "steps": made,
            "first_step": training.first,
            "finished": training.finished,
            "batch_per_device": outcome.batch,
            "devices": outcome.devices,
            "mode": outcome.mode,
            "epochs": made * whole_batch / len(outcome.dataset.train_x),
        },
        "parameters": parameter_count(training.state),
        "metrics": {"samples": outcome.metrics.samples, **outcome.metrics.scalars()},
        "classes": [asdict(each) for each in outcome.metrics.classes],
        "confusion": outcome.metrics.confusion,
        "last_batch_loss": training.losses[-1] if training.losses else None,
        "time_s": {"wall": _rounded(stages.wall_s), "cpu": _rounded(stages.cpu_s)},
        "units": UNITS,
        "provenance": provenance(
            command=outcome.command,
            dataset=f"{outcome.dataset.name} ({outcome.dataset.licence})",
            backend=_backend(),
            seed=outcome.seed,
            import_time_s=stages.wall_s.get("import", 0.0),
            load_average_start=outcome.load_average_start,
        ).model_dump(mode="json"),
    }


def write_outcome(outcome: Outcome, folder: Path) -> tuple[Path, ...]:
    """Write `summary.json`, and the learning curve if there is one; return what was written."""
    path = folder / "summary.json"
    write_text(path, finite_json(summary(outcome)) + "\n")
    curve = outcome.training.curve
    return (path, *(write_curve(curve, folder) if curve else ()))


def _dataset(dataset: Dataset) -> dict[str, Any]:
    """Return what a data set is, and what preparing it took."""
    return {
        "name": dataset.name,
        "licence": dataset.licence,
        "train_samples": len(dataset.train_x),
        "test_samples": len(dataset.test_x),
        "size_bytes": dataset.bytes_total,
        "preparation": [asdict(stage) for stage in dataset.stages],
    }


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 6) for stage, value in seconds.items()}


def _backend() -> str:
    import jax

    return str(jax.default_backend())
