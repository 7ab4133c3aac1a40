"""The command line: `python -m trainers list | train | calibrate | show | validate`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dcsim.errors import DcsimError, InputError, MissingExtraError
from dcsim.workload.profile import CostProfile
from trainers import require_jax
from trainers.registry import CARDS, card

__all__ = ["main"]

EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} -> expected an integer >= 1")
    return value


def _positive_list(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _mode_list(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    for part in parts:
        if part not in ("pmap", "jit"):
            raise argparse.ArgumentTypeError(f"{part!r} -> expected pmap, jit or both with a comma between")
    return parts


def _model(text: str) -> str:
    try:
        return card(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers", description="Train small models, and measure what it costs."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="name the models")
    train = commands.add_parser("train", help="train a model and print its loss")
    train.add_argument("model", type=_model)
    train.add_argument("--steps", type=_positive, default=200)
    train.add_argument("--batch", type=_positive, help="samples per device")
    train.add_argument("--devices", type=_positive, default=1, help="virtual CPU devices")
    train.add_argument("--mode", choices=("pmap", "jit"), default="jit")
    train.add_argument("--seed", type=int, default=0)
    _add_calibrate(commands.add_parser("calibrate", help="measure models and write their cost profiles"))
    show = commands.add_parser("show", help="print a profile")
    show.add_argument("profile", type=Path)
    validate = commands.add_parser("validate", help="compare a profile with new measurements")
    validate.add_argument("what", choices=("holdout",), help="random configurations that were not fitted")
    validate.add_argument(
        "model",
        nargs="*",
        type=_model,
        metavar="MODEL",
        help="calibrated on this host first (default: all but linear)",
    )
    validate.add_argument("--profile", type=Path, action="append", default=[], help="use this one as it is")
    validate.add_argument("--points", type=_positive, default=4)
    validate.add_argument("--steps", type=_positive, default=100)
    validate.add_argument("--budget-s", type=float, default=30.0, help="a model")
    validate.add_argument("--seed", type=int, default=1)
    validate.add_argument("--max-error", type=float, default=0.25, help="of the mean |relative error|")
    return parser


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="+", type=_model, metavar="MODEL")
    parser.add_argument("--devices", type=_positive_list, default=(1, 2), help="device counts, e.g. 1,2")
    parser.add_argument("--batch", type=_positive_list, default=(), help="samples per device, e.g. 32,64,128")
    parser.add_argument("--modes", type=_mode_list, default=("pmap", "jit"))
    parser.add_argument("--steps", type=_positive, default=200, help="timed steps of each configuration")
    parser.add_argument(
        "--budget-s", type=float, help="time for a model: 90, with --quick 30 (12 steps are always timed)"
    )
    parser.add_argument("--out", type=Path, default=Path("profiles"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--max-spread", type=float, default=0.25, help="refuse points whose halves differ by more"
    )
    parser.add_argument(
        "--force", action="store_true", help="write noisy profiles too, with a warning inside"
    )
    parser.add_argument("--quick", action="store_true", help="fewer configurations")
    parser.add_argument("--backend", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--device", default="cpu-core", help="its name in the hardware catalogue, e.g. A100-80"
    )


def _list(_: argparse.Namespace) -> int:
    for each in CARDS.values():
        _say(f"{each.name:<18}{each.summary}; {each.optimizer}")
    return 0


def _train(options: argparse.Namespace) -> int:
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
        on_step=lambda step, loss: _say(f"step {step:5d}  loss {loss:.4f}") if step % every == 0 else None,
    )  # fmt: skip
    metrics = evaluate(task, result.state, dataset)
    accuracy = "" if metrics.accuracy is None else f", accuracy {metrics.accuracy:.1%}"
    _say(f"test loss {metrics.loss:.4f}{accuracy}")
    return 0


def _calibrate(options: argparse.Namespace) -> int:
    from trainers.calibrate import Settings, calibrate

    for model in options.model:
        settings = Settings(
            model=model, devices=options.devices, batches=options.batch, modes=options.modes,
            steps=options.steps, budget_s=options.budget_s or (30.0 if options.quick else 90.0), max_spread=options.max_spread, seed=options.seed,
            quick=options.quick, backend=options.backend, device=options.device,
        )  # fmt: skip
        profile = calibrate(settings, options.out, _say, force=options.force)
        from trainers.show import describe

        _say(describe(profile))
        _say(f"wrote {options.out / f'{model}.json'}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from dcsim.workload.profile_store import load_profile
    from trainers.show import describe

    profile, sha256 = load_profile(options.profile)
    _say(describe(profile))
    _say(f"sha256         {sha256}")
    return 0


def _validate(options: argparse.Namespace) -> int:
    from dcsim.workload.profile_store import load_profile

    profiles = [load_profile(path)[0] for path in options.profile]
    models = options.model or ([] if profiles else ["digits_mlp", "tiny_transformer"])
    profiles += [_fresh(model, options) for model in models]
    passed = [_holdout(profile, options) for profile in profiles]
    return 0 if all(passed) else EXIT_FAILED


def _fresh(model: str, options: argparse.Namespace) -> CostProfile:
    """Calibrate a model on this host, for a prediction of this host."""
    from trainers.calibrate import Settings, calibrate

    settings = Settings(
        model=model, steps=options.steps, budget_s=options.budget_s, seed=options.seed, quick=True
    )
    with tempfile.TemporaryDirectory() as folder:
        return calibrate(settings, Path(folder), _say, force=True)


def _holdout(profile: CostProfile, options: argparse.Namespace) -> bool:
    """Print predicted beside measured, and return whether the mean error is small enough."""
    from trainers.provenance import host_cpu
    from trainers.validate import holdout

    if profile.provenance.host_cpu != host_cpu():
        _say(f"warning: {profile.name} was measured on another processor: {profile.provenance.host_cpu}")
    compared = holdout(
        profile,
        count=options.points,
        steps=options.steps,
        budget_s=options.budget_s,
        seed=options.seed,
        progress=_say,
    )
    _say(f"{profile.name}: devices  batch  predicted ms  measured ms (p10 to p90)   error")
    for each in compared:
        span = f"({each.measured_low_s * 1e3:.3f} to {each.measured_high_s * 1e3:.3f})"
        _say(
            f"{'':{len(profile.name) + 2}}{each.devices:7d}{each.batch_per_device:7d}{each.predicted_s * 1e3:14.3f}"
            f"{each.measured_s * 1e3:13.3f} {span:<18}{each.error_relative:+8.1%}"
        )
    if not compared:
        _say(f"{profile.name}: the fit's range holds no configuration that was not measured already")
        return False
    mean = sum(abs(each.error_relative) for each in compared) / len(compared)
    _say(f"{profile.name}: mean |error| {mean:.1%}, limit {options.max_error:.0%}")
    return bool(mean <= options.max_error)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 if it failed, 2 for wrong input, 130 if interrupted."""
    options = _parser().parse_args(arguments)
    handlers = {"list": _list, "train": _train, "calibrate": _calibrate, "show": _show, "validate": _validate}
    try:
        return handlers[options.command](options)
    except (InputError, MissingExtraError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_INPUT
    except DcsimError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader, `head` perhaps, has seen enough; nothing is left to flush at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
