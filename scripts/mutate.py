"""Mutation test: change the code in small ways and see whether the tests notice.

    python scripts/mutate.py [--count 40] [--seed 0] [--least 0.8]

Works on a copy of the tree, so the checkout is never touched. A mutant counts as noticed when the
tests of its room fail or run four times longer than they should. Survivors are printed with their place.
"""

from __future__ import annotations

import argparse
import ast
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("dcsim", "tests", "scenarios", "trainers", "pyproject.toml", "README.md", "LICENSE")
TARGETS = {
    "dcsim/facility/sharing.py": (
        "tests/facility/test_sharing.py",
        "tests/properties/test_shared_links_machine.py",
        "tests/oracles/test_max_min.py",
    ),
    "dcsim/facility/cooling.py": ("tests/facility/test_cooling.py", "tests/facility/test_meter.py"),
    "dcsim/facility/power.py": ("tests/facility/test_power.py",),
    "dcsim/facility/series.py": ("tests/facility/test_grid_series.py", "tests/facility/test_grid.py"),
    "dcsim/engine/clock.py": ("tests/engine",),
    "dcsim/policies/placement.py": ("tests/policies",),
    "dcsim/policies/energy.py": ("tests/policies", "tests/simulation"),
    "dcsim/simulation/bundle.py": ("tests/simulation", "tests/oracles"),
    "dcsim/simulation/costing.py": ("tests/simulation",),
    "dcsim/simulation/attempts.py": ("tests/simulation",),
    "dcsim/simulation/backfilling.py": (
        "tests/simulation/test_backfilling.py",
        "tests/policies/test_backfill.py",
    ),
    "dcsim/simulation/realising.py": ("tests/simulation/test_deciding.py", "tests/policies/test_elastic.py"),
    "dcsim/simulation/time_share.py": (
        "tests/simulation/test_time_share.py",
        "tests/oracles/test_fairness.py",
    ),
    "dcsim/policies/tenants.py": ("tests/oracles/test_fairness.py", "tests/policies"),
    "dcsim/policies/gittins.py": ("tests/oracles/test_fairness.py",),
    "dcsim/workload/cost.py": ("tests/workload/test_cost.py",),
    "dcsim/study/statistics.py": ("tests/study/test_statistics.py",),
}
"""What is mutated, and the tests that should notice."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    line: int
    what: str
    source: str


def mutants(file: str) -> Iterator[Mutant]:
    """Yield every mutant of a file."""
    text = (ROOT / file).read_text(encoding="utf-8")
    places = len(list(ast.walk(ast.parse(text))))
    for place in range(places):
        tree = ast.parse(text)
        node = list(ast.walk(tree))[place]
        what = _mutate(node)
        if what:
            yield Mutant(file, getattr(node, "lineno", 0), what, ast.unparse(tree))


def _mutate(node: ast.AST) -> str:
    """Change the node in place; returns what was done, or nothing."""
    if isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in SWAPS:
        if isinstance(node.op, ast.Add) and isinstance(
            getattr(node, "left", None), (ast.JoinedStr, ast.List)
        ):
            return ""
        new = SWAPS[type(node.op)]
        what = f"{type(node.op).__name__} -> {new.__name__}"
        node.op = new()  # type: ignore[assignment]  # an operator for an operator
        return what
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        new = SWAPS[type(node.ops[0])]
        what = f"{type(node.ops[0]).__name__} -> {new.__name__}"
        node.ops[0] = new()  # type: ignore[call-overload]  # as above
        return what
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    ):
        old = node.value
        node.value = old + 1
        return f"{old!r} -> {node.value!r}"
    return ""


def run_tests(copy: Path, tests: tuple[str, ...], timeout_s: float) -> bool:
    """Return whether the tests pass on the copy."""
    there = [test for test in tests if (copy / test).exists()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *there]
    try:
        done = subprocess.run(command, cwd=copy, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    """Sample mutants, run their tests, print the score; 1 when it falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40, help="mutants to try")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--least", type=float, default=0.8, help="lowest score that passes")
    arguments = parser.parse_args()
    everything = [mutant for file in sorted(TARGETS) for mutant in mutants(file)]
    chosen = random.Random(arguments.seed).sample(everything, min(arguments.count, len(everything)))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, copy / name)
        return _score(copy, chosen, len(everything), arguments.least)


def _score(copy: Path, chosen: list[Mutant], total: int, least: float) -> int:
    limits: dict[str, float] = {}
    noticed = 0
    for number, mutant in enumerate(chosen, 1):
        tests = TARGETS[mutant.file]
        if mutant.file not in limits:
            began = time.monotonic()
            if not run_tests(copy, tests, 600.0):
                print(f"the tests of {mutant.file} fail without a mutant")
                return 1
            limits[mutant.file] = 10.0 + 4.0 * (time.monotonic() - began)
        path = copy / mutant.file
        original = path.read_text(encoding="utf-8")
        path.write_text(mutant.source, encoding="utf-8")
        survived = run_tests(copy, tests, limits[mutant.file])
        path.write_text(original, encoding="utf-8")
        noticed += not survived
        verdict = "SURVIVED" if survived else "noticed"
        print(
            f"{number:4d}/{len(chosen)}  {verdict:8s}  {mutant.file}:{mutant.line}  {mutant.what}", flush=True
        )
    score = noticed / len(chosen)
    print(f"{noticed} of {len(chosen)} mutants noticed ({score:.0%}; target {least:.0%}), {total} possible")
    return 0 if score >= least else 1


if __name__ == "__main__":
    sys.exit(main())
