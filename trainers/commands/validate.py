"""`validate`: compare predictions with reality, and write pages of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.commands.arguments import above_zero, model, positive, positive_list, say, seed
from trainers.commands.outputs import out_file, out_folder
from trainers.commands.validate_checks import add_checks

if TYPE_CHECKING:
    from dcsim.workload.profile import CostProfile
    from trainers.settings import Settings
    from trainers.validation.holdout import Comparison
    from trainers.validation.result import Validation

__all__ = ["add", "run"]

EXIT_FAILED = 1


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    validate = commands.add_parser("validate", help="compare predictions with reality")
    kinds = validate.add_subparsers(dest="what", required=True, metavar="WHAT")
    _add_holdout(kinds)
    _add_closed_loop(kinds)
    add_checks(kinds, _finish)
    _add_page(kinds)


def run(options: argparse.Namespace) -> int:
    """Compare as the options say; 1 where a target is missed."""
    return int(options.run(options))


def _add_holdout(kinds: Any) -> None:  # noqa: ANN401 - as above
    holdout = kinds.add_parser(
        "holdout", help="profiles against random configurations that were not measured"
    )
    holdout.add_argument(
        "model", nargs="*", type=model, metavar="MODEL",
        help="calibrated on this host first (default: digits_mlp digits_conv tiny_transformer)",
    )  # fmt: skip
    holdout.add_argument("--profile", type=Path, action="append", default=[], help="use this one as it is")
    holdout.add_argument(
        "--devices", type=positive_list, default=(1,), help="that are calibrated (default: 1)"
    )
    holdout.add_argument("--points", type=positive, default=6, help="configurations of each model")
    holdout.add_argument("--repeats", type=positive, default=5, help="measurements of each configuration")
    holdout.add_argument("--steps", type=positive, default=100, help="timed steps of each measurement")
    holdout.add_argument("--budget-s", type=above_zero, default=300.0, help="time to calibrate a model")
    holdout.add_argument("--seed", type=seed, default=1)
    holdout.add_argument(
        "--max-error", type=above_zero, help="of a model's mean |relative error| (default: 0.05)"
    )
    holdout.add_argument("--worst-error", type=above_zero, help="of a model's largest (default: 0.12)")
    holdout.add_argument(
        "--out", type=out_folder, help="keep profiles, measurements and pages there, and go on from there"
    )
    holdout.set_defaults(run=_holdout)


def _add_closed_loop(kinds: Any) -> None:  # noqa: ANN401 - as above
    loop = kinds.add_parser("closed-loop", help="real jobs on a small real cluster against their simulation")
    loop.add_argument("--jobs", type=positive, default=12)
    loop.add_argument("--models", type=_models, default=(), metavar="MODEL,...", help="of the jobs")
    loop.add_argument("--policies", type=_names, default=("fifo", "shortest_first"), metavar="NAME,...")
    loop.add_argument("--repeats", type=positive, default=5, help="real runs of each policy")
    loop.add_argument("--cores", type=positive, default=2, help="one job each")
    loop.add_argument("--seed", type=seed, default=1)
    loop.add_argument("--budget-s", type=above_zero, default=60.0, help="time to calibrate a model")
    loop.add_argument("--out", type=out_folder, default=Path("validation/closed-loop"))
    loop.set_defaults(run=_closed_loop)


def _add_page(kinds: Any) -> None:  # noqa: ANN401 - as above
    page = kinds.add_parser("page", help="write the results of validations as one page")
    page.add_argument(
        "--from", dest="sources", type=Path, action="append", default=[], metavar="DIR_OR_FILE",
        help="a result, or a folder that holds some; give it again for more",
    )  # fmt: skip
    page.add_argument(
        "--out", type=out_file, default=Path("docs/validation.md"), help="a Markdown file, or an HTML file"
    )
    page.set_defaults(run=_page)


def _models(text: str) -> tuple[str, ...]:
    return tuple(model(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


# -- holdout -----------------------------------------------------------------------------------------------


def _holdout(options: argparse.Namespace) -> int:
    from dcsim.workload.profile_store import load_profile
    from trainers import require_jax

    profiles = [load_profile(path)[0] for path in options.profile]
    require_jax()
    if options.out is not None:
        return _judge_holdout(options, profiles, options.out)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return _judge_holdout(options, profiles, Path(folder))


def _judge_holdout(options: argparse.Namespace, given: Sequence[CostProfile], out: Path) -> int:
    from trainers.provenance import host_cpu, package_versions
    from trainers.validation.holdout import holdout, worker
    from trainers.validation.holdout_report import MEAN_LIMIT, WORST_LIMIT, holdout_result
    from trainers.validation.watch import HostWatch, where

    watch = HostWatch()
    models = list(dict.fromkeys(options.model)) or (
        [] if given else ["digits_mlp", "digits_conv", "tiny_transformer"]
    )

    def measured(profile: CostProfile) -> list[Comparison]:
        start = partial(worker, steps=options.steps, budget_s=3.0, seed=options.seed, progress=say)
        return holdout(
            profile, count=options.points, repeats=options.repeats, seed=options.seed,
            path=out / "measured" / f"{profile.name}.json", workers=start, progress=say,
            how={"steps": options.steps, "timed_on": host_cpu(), "with": package_versions()},
        )  # fmt: skip

    fresh = _fresh(models, options, out, lambda found: [measured(profile) for profile in found])
    profiles = {each.name: each for each in [*given, *fresh]}
    compared = {}
    for name, profile in profiles.items():
        if profile.provenance.host_cpu != host_cpu():
            say(f"warning: {name} was measured on another processor: {profile.provenance.host_cpu}")
        found = measured(profile)
        if not found:
            say(f"{name}: the measured range holds no configuration that was not measured already")
            return EXIT_FAILED
        compared[name] = found
    result = holdout_result(
        profiles, compared, repeats=options.repeats, load=watch.load(), where=where(_holdout_command(options, models)),
        mean_limit=MEAN_LIMIT if options.max_error is None else options.max_error,
        worst_limit=WORST_LIMIT if options.worst_error is None else options.worst_error,
    )  # fmt: skip
    return _finish(result, options.out)


def _holdout_command(options: argparse.Namespace, models: Sequence[str]) -> str:
    """Return the command line that repeats it, without folders."""
    given = [f" --profile {path.name}" for path in options.profile]
    counts = ",".join(map(str, options.devices))
    others = (
        ("--devices", counts, "1"),
        ("--points", f"{options.points}", "6"),
        ("--steps", f"{options.steps}", "100"),
        ("--budget-s", f"{options.budget_s:g}", "300"),
    )
    said = [f" {name} {value}" for name, value, usual in others if value != usual]
    return (
        f"python -m trainers validate holdout{''.join(f' {name}' for name in models)}{''.join(given)}"
        f" --repeats {options.repeats}{''.join(said)} --seed {options.seed}"
    )


def _fresh(
    names: Sequence[str],
    options: argparse.Namespace,
    out: Path,
    meanwhile: Callable[[Sequence[CostProfile]], object],
) -> list[CostProfile]:
    """Calibrate models on this host, for predictions of this host; finished profiles are used again.

    `meanwhile` is called between the visits of the points, so that a host that becomes slower is so for both.
    """
    from trainers.calibrate import Settings, calibrate_together

    folder = out / "profiles"
    wanted = [
        Settings(
            model=name,
            devices=options.devices,
            modes=("jit",),
            budget_s=options.budget_s,
            seed=options.seed,
            target=0.02,  # below what is asked for, so that all 12 points are used where a curve is no line
        )
        for name in names
    ]
    kept = {each.name: found for each in wanted if (found := _made_before(each, folder)) is not None}
    if missing := [each for each in wanted if each.name not in kept]:
        made = calibrate_together(missing, folder, say, force=True, meanwhile=meanwhile)
        kept |= {profile.name: profile for profile in made}
    return [kept[name] for name in names]


def _made_before(settings: Settings, folder: Path) -> CostProfile | None:
    """Return the finished profile of the same calibration, if there is one."""
    from dcsim.errors import InputError
    from dcsim.workload.profile_store import load_profile

    path = folder / f"{settings.name}.json"
    if not path.exists():
        return None
    profile = load_profile(path)[0]
    if profile.provenance.command != settings.command():
        raise InputError(
            f"{path}: made by {profile.provenance.command} -> expected {settings.command()}; remove it, or give another --out"
        )
    return profile


# -- closed loop -------------------------------------------------------------------------------------------


def _closed_loop(options: argparse.Namespace) -> int:
    from trainers import require_jax

    require_jax()
    from trainers.closed_loop.loop import MODELS, LoopSettings, run_loop
    from trainers.closed_loop.report import loop_result
    from trainers.validation.watch import where

    settings = LoopSettings(
        models=options.models or MODELS, policies=options.policies, jobs=options.jobs, repeats=options.repeats,
        cores=options.cores, seed=options.seed, budget_s=options.budget_s,
    )  # fmt: skip
    loop = run_loop(settings, options.out, say)
    return _finish(loop_result(loop, where(settings.command())), options.out)


# -- pages -------------------------------------------------------------------------------------------------


def _finish(result: Validation, out: Path | None) -> int:
    """Print a result, keep it and its pages, and return the exit code."""
    from trainers.files import write_text
    from trainers.validation.markdown import fragment, verdict_text
    from trainers.validation.page import page
    from trainers.validation.result import save_result

    for verdict in result.verdicts:
        value, limit, state = verdict_text(verdict)
        say(f"{verdict.what:<45}{value:>10}  {limit:<20} {state}".rstrip())
    for note in result.notes:
        say(note)
    if out is not None:
        save_result(result, out)
        write_text(out / f"{result.name}.md", fragment(result))
        write_text(out / f"{result.name}.html", page([result]))
        say(f"wrote {out / result.name}.json, .md and .html")
    return 0 if result.passed else EXIT_FAILED


def _page(options: argparse.Namespace) -> int:
    from trainers.files import write_text
    from trainers.validation.gather import gather
    from trainers.validation.markdown import document
    from trainers.validation.page import page

    results = gather(options.sources)
    html = options.out.suffix.lower() in (".html", ".htm")
    write_text(options.out, page(results) if html else document(results))
    say(f"wrote {options.out}: {', '.join(result.name for result in results)}")
    return 0
