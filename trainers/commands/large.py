"""`large`: predict the training of a large language model from its shape and its layout; nothing is run."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim.errors import InputError, Problem
from trainers.commands.arguments import positive, say
from trainers.commands.outputs import out_file
from trainers.large.layout import PRECISION_BYTES, RECOMPUTATIONS, TrainingLayout

if TYPE_CHECKING:
    from trainers.large.architecture import Architecture
    from trainers.large.links import Cluster
    from trainers.large.predict import Prediction

__all__ = ["add", "run"]

_SHAPE = ("layers", "hidden", "heads", "sequence", "vocabulary", "key_value_heads", "feed_forward")


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    large = commands.add_parser("large", help="predict the training of a large language model")
    large.add_argument("model", nargs="?", help="a built-in architecture; none: list them")
    large.add_argument(
        "--architecture", type=Path, metavar="FILE", help="JSON of an architecture of your own"
    )
    for name in _SHAPE:
        large.add_argument(f"--{name.replace('_', '-')}", type=positive, help="in place of the model's")
    _add_cluster(large)
    _add_layout(large)
    large.add_argument(
        "--best", type=positive, nargs="?", const=10, metavar="N", help="the N fastest layouts that fit"
    )
    large.add_argument("--name", help="of the profile; else the model's")
    large.add_argument("--tokens", type=float, default=300e9, help="of the data set")
    large.add_argument("--out", type=out_file, metavar="FILE", help="write a cost profile")
    large.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Predict as the options say."""
    from trainers.large.predict import predict
    from trainers.large.rank import ranked
    from trainers.large.text import describe, describe_architectures, describe_ranking

    if options.model is None and options.architecture is None:
        say(describe_architectures())
        return 0
    shape, cluster = _read(options)
    layout = _layout(options)
    if options.best:
        found = ranked(shape, layout, cluster)
        if not found:
            expected = "a layout that divides the model and fits: more devices, or more of their memory"
            raise InputError(
                [Problem("large", None, "", f"none of all layouts on {layout.devices} devices", expected)]
            )
        say(f"{shape.name}: {len(found):,} layouts fit {layout.devices:,} x {cluster.device.name}")
        say(describe_ranking(found, options.best))
        say("")
        layout = found[0].layout
    prediction = predict(shape, layout, cluster)
    say(describe(prediction))
    if options.out:
        _write(options, prediction)
    return 0


def _write(options: argparse.Namespace, prediction: Prediction) -> None:
    """Write the profile and say how the simulator is told the layout."""
    from dcsim.workload.profile_store import save_profile
    from trainers.large.cost_profile import cost_profile

    layout = prediction.layout
    profile = cost_profile(prediction, _command(options, layout), options.tokens)
    try:
        save_profile(profile, options.out)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            [Problem(str(options.out), None, "", reason, "a file that can be written")]
        ) from None
    parallelism = {
        name: value
        for name, value in (
            ("tensor", layout.tensor), ("pipeline", layout.pipeline), ("interleaving", layout.interleaving),
            ("micro_batches", layout.micro_batches), ("zero_stage", layout.zero_stage),
        )
        if value != (0 if name == "zero_stage" else 1)
    }  # fmt: skip
    say("")
    say(f"wrote {options.out}; in a scenario's mix:")
    say(f"  profile: {profile.name}")
    say(f"  batch_per_accelerator: {profile.fit.batch_per_device_max}")
    say(f"  widths: {{{layout.devices}: 1}}")
    if parallelism:
        say(f"  parallelism: {json.dumps(parallelism).replace(chr(34), '')}")


def _add_cluster(large: argparse.ArgumentParser) -> None:
    large.add_argument("--device", default="A100-80", help="of the hardware catalogue")
    large.add_argument("--server-devices", type=positive, default=8)
    large.add_argument(
        "--network", type=float, default=200.0, metavar="GB/s", help="of a server, one direction"
    )
    large.add_argument("--latency", type=float, default=5.0, metavar="us", help="between servers")


def _add_layout(large: argparse.ArgumentParser) -> None:
    large.add_argument("--devices", type=positive, default=8)
    large.add_argument("--global-batch", type=positive, default=8, help="sequences a step")
    large.add_argument("--micro-batch", type=positive, default=1, help="sequences")
    large.add_argument("--tensor", type=positive, default=1)
    large.add_argument("--pipeline", type=positive, default=1)
    large.add_argument("--interleaving", type=positive, default=1, help="chunks of layers a stage")
    large.add_argument("--sequence-parallel", action="store_true")
    large.add_argument("--recompute", choices=RECOMPUTATIONS, default="none")
    large.add_argument("--precision", choices=tuple(PRECISION_BYTES), default="bf16")
    large.add_argument("--zero", type=int, choices=(0, 1, 2, 3), default=0, help="ZeRO stage")
    large.add_argument(
        "--overlap", type=float, default=0.0, help="part of backward behind which gradients may hide"
    )
    large.add_argument("--fused-attention", action="store_true", help="scores stay on the chip")


def _read(options: argparse.Namespace) -> tuple[Architecture, Cluster]:
    """Return both, or raise with what is wrong with either."""
    problems: list[Problem] = []
    try:
        shape = _shape(options)
    except InputError as error:
        problems += error.problems
    try:
        cluster = _cluster(options)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    return shape, cluster


def _shape(options: argparse.Namespace) -> Architecture:
    """Return the architecture asked for, with what was said besides."""
    from trainers.large.architecture import read_architecture
    from trainers.large.architectures import architecture

    if options.model is not None and options.architecture is not None:
        raise InputError([Problem("large", None, "", "a model and --architecture", "one of them")])
    shape = read_architecture(options.architecture) if options.architecture else architecture(options.model)
    said = {name: getattr(options, name) for name in _SHAPE if getattr(options, name) is not None}
    return replace(shape, **said, name=options.name or shape.name)


def _cluster(options: argparse.Namespace) -> Cluster:
    from dcsim.facility.hardware import CATALOGUE
    from dcsim.spec.names import nearest
    from trainers.large.links import Cluster

    problems = []
    if options.device not in CATALOGUE:
        hint = nearest(options.device, CATALOGUE)
        problems.append(
            Problem("large", None, "device", options.device, "one of " + ", ".join(CATALOGUE), hint)
        )
    if not 0.0 < options.network < math.inf:
        problems.append(Problem("large", None, "network", f"{options.network:g}", "GB/s above 0"))
    if not 0.0 <= options.latency < math.inf:
        problems.append(Problem("large", None, "latency", f"{options.latency:g}", "us, at least 0"))
    if not 0.0 <= options.tokens <= 1e18:
        problems.append(Problem("large", None, "tokens", f"{options.tokens:g}", "0 to 1e18"))
    if not 0.0 <= options.overlap <= 1.0:
        problems.append(Problem("large", None, "overlap", f"{options.overlap:g}", "0 to 1"))
    if problems:
        raise InputError(problems)
    device = CATALOGUE[options.device]
    return Cluster(device, options.server_devices, options.network * 1e9, options.latency * 1e-6)


def _layout(options: argparse.Namespace) -> TrainingLayout:
    return TrainingLayout(
        devices=options.devices,
        global_batch=options.global_batch,
        tensor=options.tensor,
        pipeline=options.pipeline,
        micro_batch=options.micro_batch,
        interleaving=options.interleaving,
        sequence_parallel=options.sequence_parallel,
        recomputation=options.recompute,
        precision=options.precision,
        zero_stage=options.zero,
        overlap=options.overlap,
        fused_attention=options.fused_attention,
    )


def _command(options: argparse.Namespace, layout: TrainingLayout) -> str:
    """Return what repeats a prediction, folders left out."""
    words = [f"python -m trainers large {_what(options)}"]
    words += [f"--name {options.name}"] if options.name else []
    words += [
        f"--{name.replace('_', '-')} {value}"
        for name in _SHAPE
        if (value := getattr(options, name)) is not None
    ]
    words += [
        f"--device {options.device} --server-devices {options.server_devices}",
        f"--network {options.network:g} --latency {options.latency:g}",
        f"--devices {layout.devices} --global-batch {layout.global_batch} --micro-batch {layout.micro_batch}",
        f"--tensor {layout.tensor} --pipeline {layout.pipeline} --interleaving {layout.interleaving}",
        f"--recompute {layout.recomputation} --precision {layout.precision} --zero {layout.zero_stage}",
        f"--overlap {layout.overlap:g}",
    ]
    words += ["--sequence-parallel"] if layout.sequence_parallel else []
    words += ["--fused-attention"] if layout.fused_attention else []
    return " ".join(words)


def _what(options: argparse.Namespace) -> str:
    """Return how the architecture was named, the folder of a file left out."""
    return str(options.model or f"--architecture {options.architecture.name}")
