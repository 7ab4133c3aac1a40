"""`validate counts`, `validate tables` and `validate resume`: what needs no quiet host."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.commands.arguments import model, positive, positive_list, say, seed
from trainers.commands.outputs import out_folder

if TYPE_CHECKING:
    from trainers.validation.result import Validation

__all__ = ["add_checks"]

Finish = Callable[["Validation", Path | None], int]
"""Prints a result, keeps it and its pages where a folder is given, and returns the exit code."""


def add_checks(kinds: Any, finish: Finish) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add them to what `validate` can do."""
    _add_counts(kinds, finish)
    _add_tables(kinds, finish)
    _add_resume(kinds, finish)


def _add_counts(kinds: Any, finish: Finish) -> None:  # noqa: ANN401 - as above
    counts = kinds.add_parser("counts", help="bytes and FLOPs of compiled steps against those by hand")
    counts.add_argument("model", nargs="*", type=model, metavar="MODEL", help="default: all there are")
    counts.add_argument(
        "--devices",
        type=positive_list,
        default=(2, 4),
        help="numbers of virtual devices, from 2 (default: 2,4)",
    )
    counts.add_argument("--out", type=out_folder, help="keep the result and its pages there")
    counts.set_defaults(run=lambda options: finish(_counts(options), options.out))


def _add_tables(kinds: Any, finish: Finish) -> None:  # noqa: ANN401 - as above
    tables = kinds.add_parser(
        "tables", help="rows of published tables against models that have not seen them"
    )
    tables.add_argument(
        "--shared", type=Path, metavar="DIR",
        help="holds data/measured and data/traces (default: the environment's DCSIM_SHARED, or ../shared)",
    )  # fmt: skip
    tables.add_argument("--out", type=out_folder, help="keep the result and its pages there")
    tables.set_defaults(run=lambda options: finish(_tables(options), options.out))


def _add_resume(kinds: Any, finish: Finish) -> None:  # noqa: ANN401 - as above
    resume = kinds.add_parser("resume", help="kill real calibrations and go on; spoil profiles and read them")
    resume.add_argument("--kills", type=positive, default=5, help="at random moments (default: 5)")
    resume.add_argument("--seed", type=seed, default=1)
    resume.add_argument("--out", type=out_folder, help="keep the result and its pages there")
    resume.set_defaults(run=lambda options: finish(_resume(options), options.out))


def _counts(options: argparse.Namespace) -> Validation:
    from dcsim.errors import InputError
    from trainers import require_jax
    from trainers.devices import use_virtual_devices
    from trainers.registry import CARDS

    if min(options.devices) < 2:
        listed = ",".join(map(str, options.devices))
        raise InputError(f"--devices {listed} -> expected 2 or more: one device exchanges nothing")
    require_jax()
    use_virtual_devices(max(options.devices))

    from trainers.parallel import DATA_PARALLEL
    from trainers.validation.counts import count_result, exchanges, step_flops, transformers
    from trainers.validation.watch import HostWatch, where

    watch = HostWatch()
    models = tuple(options.model) or tuple(CARDS)
    sent = tuple(exchanges(models, options.devices, DATA_PARALLEL, say))
    flops = tuple(step_flops([name for name in transformers() if name in models], say))
    devices = ",".join(map(str, options.devices))
    command = " ".join(["python -m trainers validate counts", *options.model, f"--devices {devices}"])
    return count_result(sent, flops, load=watch.load(), where=where(command))


def _tables(options: argparse.Namespace) -> Validation:
    from trainers.validation.tables import compare_tables
    from trainers.validation.tables_report import tables_result
    from trainers.validation.watch import HostWatch, where

    watch = HostWatch()
    shared = options.shared or Path(os.environ.get("DCSIM_SHARED") or "../shared")
    found = compare_tables(shared, say)
    return tables_result(found, load=watch.load(), where=where("python -m trainers validate tables"))


def _resume(options: argparse.Namespace) -> Validation:
    from trainers import require_jax
    from trainers.validation.refusals import journal_refusals, profile_refusals
    from trainers.validation.resume import SETTINGS, run_kills
    from trainers.validation.resume_report import resume_result
    from trainers.validation.watch import HostWatch, where

    require_jax()
    watch = HostWatch()
    with tempfile.TemporaryDirectory() as folder:
        trial = run_kills(Path(folder), options.kills, options.seed, say)
        refused = profile_refusals(trial.profile, Path(folder))
        if max(kill.kept for kill in trial.kills) > 0:
            refused += journal_refusals(trial.journal, SETTINGS.fingerprint(), Path(folder))
    command = f"python -m trainers validate resume --kills {options.kills} --seed {options.seed}"
    return resume_result(trial.kills, refused, load=watch.load(), where=where(command))
