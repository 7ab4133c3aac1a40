"""`validate`: compare predictions with reality."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from dcsim.workload.profile import CostProfile
from trainers.commands.arguments import model, positive, say

__all__ = ["add", "run"]

EXIT_FAILED = 1


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    validate = commands.add_parser("validate", help="compare a profile with new measurements")
    validate.add_argument("what", choices=("holdout",), help="random configurations that were not fitted")
    validate.add_argument(
        "model",
        nargs="*",
        type=model,
        metavar="MODEL",
        help="calibrated on this host first (default: all but linear)",
    )
    validate.add_argument("--profile", type=Path, action="append", default=[], help="use this one as it is")
    validate.add_argument("--points", type=positive, default=4)
    validate.add_argument("--steps", type=positive, default=100)
    validate.add_argument("--budget-s", type=float, default=30.0, help="a model")
    validate.add_argument("--seed", type=int, default=1)
    validate.add_argument("--max-error", type=float, default=0.25, help="of the mean |relative error|")
    validate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare as the options say; 1 where an error is too large."""
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
        return calibrate(settings, Path(folder), say, force=True)


def _holdout(profile: CostProfile, options: argparse.Namespace) -> bool:
    """Print predicted beside measured, and return whether the mean error is small enough."""
    from trainers.provenance import host_cpu
    from trainers.validate import holdout

    if profile.provenance.host_cpu != host_cpu():
        say(f"warning: {profile.name} was measured on another processor: {profile.provenance.host_cpu}")
    compared = holdout(
        profile,
        count=options.points,
        steps=options.steps,
        budget_s=options.budget_s,
        seed=options.seed,
        progress=say,
    )
    say(f"{profile.name}: devices  batch  predicted ms  measured ms (p10 to p90)   error")
    for each in compared:
        span = f"({each.measured_low_s * 1e3:.3f} to {each.measured_high_s * 1e3:.3f})"
        say(
            f"{'':{len(profile.name) + 2}}{each.devices:7d}{each.batch_per_device:7d}{each.predicted_s * 1e3:14.3f}"
            f"{each.measured_s * 1e3:13.3f} {span:<18}{each.error_relative:+8.1%}"
        )
    if not compared:
        say(f"{profile.name}: the fit's range holds no configuration that was not measured already")
        return False
    mean = sum(abs(each.error_relative) for each in compared) / len(compared)
    say(f"{profile.name}: mean |error| {mean:.1%}, limit {options.max_error:.0%}")
    return bool(mean <= options.max_error)
