"""`import`: write the cost profiles of measurements that others made."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.commands.arguments import not_negative, positive, say
from trainers.commands.outputs import out_folder

if TYPE_CHECKING:
    from trainers.imports.sources import ImportedModel, Source

__all__ = ["add", "run"]

SOURCES = {
    "gavel": "Gavel's throughputs: simulation_throughputs.json",
    "pollux": "Pollux's step times: a folder with */placements.csv",
    "vtrain": "vTrain's iterations: ground_truth_single.csv",
    "zeus": "Zeus's epochs and power: summary_power_GPU.csv",
    "csv": "a table of your own",
    "tensorboard": "the event log of a run, or a folder of them",
    "trace": "a profiler's trace in Chrome's JSON: *.trace.json.gz",
}


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    parser = commands.add_parser("import", help="write the profiles of measurements that others made")
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    made = {}
    for name, summary in SOURCES.items():
        source = made[name] = sources.add_parser(name, help=summary, description=summary)
        source.add_argument("path", type=Path, metavar="PATH")
        source.add_argument(
            "--out", type=out_folder, default=Path("profiles"), help="folder (default: profiles)"
        )
        source.add_argument(
            "--device", type=_device_name, metavar="NAME", help="in the hardware catalogue, e.g. A100-80"
        )
        source.set_defaults(run=run)
    made["zeus"].add_argument("--train", type=Path, metavar="CSV", help="summary_train.csv: epochs to target")
    made["zeus"].add_argument(
        "--samples-per-epoch", type=_count, action="append", default=[], metavar="DATASET=N"
    )
    for name in ("csv", "tensorboard", "trace"):
        _add_run(made[name], required=name != "csv")
    made["csv"].add_argument(
        "--column", type=_pair, action="append", default=[], metavar="NAME=HEADER", help="what a column is"
    )
    made["csv"].add_argument("--repeats", action="store_true", help="equal configurations are repeats")
    made["tensorboard"].add_argument("--tag", help="scalar that is looked at (default: the commonest)")
    made["tensorboard"].add_argument(
        "--unit", choices=("s", "ms", "us", "steps_per_s"), help="of the scalar, if it holds step times"
    )
    made["trace"].add_argument("--step-name", help="of the events that mark steps")
    for name, steps in (("tensorboard", 2), ("trace", 1)):
        made[name].add_argument(
            "--warm-up", type=not_negative, default=steps, help=f"steps left out ({steps})"
        )


def run(options: argparse.Namespace) -> int:
    """Import as the options say; nothing is written where anything is wrong."""
    from trainers.imports.profiles import imported_profile, save_profiles

    source, models = _read(options)
    profiles = [imported_profile(model, source) for model in models]
    paths = save_profiles(profiles, options.out)
    for profile, path in zip(profiles, paths, strict=True):
        fit, surface = profile.fit, profile.surface
        sure = "error not known" if surface is None else f"+-{surface.interval_relative:.1%} between points"
        say(
            f"{path}: {len(profile.points)} points on {profile.device}, {fit.devices_min} to {fit.devices_max} devices, "
            f"batch {fit.batch_per_device_min} to {fit.batch_per_device_max}, {sure}"
        )
    for note in dict.fromkeys(note for model in models for note in model.notes):
        say(f"note: {note}")
    return 0


def _read(options: argparse.Namespace) -> tuple[Source, list[ImportedModel]]:
    """Return what the source says."""
    path, device = options.path, options.device
    match options.source:
        case "gavel":
            from trainers.imports.gavel import read_gavel_models

            return read_gavel_models(path, device=device)
        case "pollux":
            from trainers.imports.pollux import read_pollux_models

            return read_pollux_models(path, device=device or "T4")
        case "vtrain":
            from trainers.imports.vtrain import read_vtrain_models

            return read_vtrain_models(path, device=device or "A100-80")
        case "zeus":
            from trainers.imports.zeus import read_zeus_models

            samples = dict(options.samples_per_epoch)
            return read_zeus_models(path, device=device, samples_per_epoch=samples, train=options.train)
        case "csv":
            return _read_own_table(options)
        case _:
            return _read_run(options)


def _read_own_table(options: argparse.Namespace) -> tuple[Source, list[ImportedModel]]:
    from trainers.imports.own_table import OwnTable, read_own_table

    said = OwnTable(
        columns=dict(options.column),
        model=options.model,
        device=options.device,
        devices=options.devices,
        batch_per_device=options.batch,
        parameters=options.parameters,
        repeats=options.repeats,
    )
    return read_own_table(options.path, said)


def _read_run(options: argparse.Namespace) -> tuple[Source, list[ImportedModel]]:
    from trainers.imports.run import Run

    run = Run(
        options.devices, options.batch, options.model, options.device, options.parameters, options.warm_up
    )
    if options.source == "tensorboard":
        from trainers.imports.tensorboard import read_event_log

        return read_event_log(options.path, run, tag=options.tag, unit=options.unit)
    from trainers.imports.trace_operators import read_trace_model

    return read_trace_model(options.path, run, step_name=options.step_name)


def _add_run(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add what a table may and a log does not say of a run."""
    parser.add_argument("--model", help="name (default: that of the file)")
    parser.add_argument("--devices", type=positive, required=required, help="of the gang")
    parser.add_argument("--batch", type=positive, required=required, help="samples a step on each device")
    parser.add_argument("--parameters", type=positive, help="of the model: 4 bytes each are exchanged")


def _device_name(text: str) -> str:
    """Return a name that a catalogue may hold; which of them hold it is for the reader of the profile."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,99}", text) is None:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} -> expected a name of letters, digits and ' ._+-'")
    return text


def _pair(text: str) -> tuple[str, str]:
    """Return the two sides of NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} -> expected NAME=VALUE")
    return name, value


def _count(text: str) -> tuple[str, int]:
    """Return name and count of NAME=N."""
    name, value = _pair(text)
    return name, positive(value)
