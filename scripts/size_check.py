"""Fail when a module has more than 500 lines or a function more than 60: python scripts/size_check.py [FOLDER ...]."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["FOLDERS", "FUNCTION_LINES", "MODULE_LINES", "main", "oversized"]

FOLDERS = ("dcsim", "trainers", "scripts", "scenarios", "benchmarks", "tests")
MODULE_LINES = 500
FUNCTION_LINES = 60


def oversized(path: Path) -> Iterator[str]:
    """Yield a message for the module, and for each function in it, that is over its limit.

    A function is counted from its first decorator to its last line, docstring included.
    """
    source = path.read_text(encoding="utf-8")
    lines = len(source.splitlines())
    if lines > MODULE_LINES:
        yield f"{path}: {lines} lines -> at most {MODULE_LINES} a module"
    for node in ast.walk(ast.parse(source, filename=str(path))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        length = (node.end_lineno or node.lineno) - first + 1
        if length > FUNCTION_LINES:
            yield f"{path}:{first}: {node.name}: {length} lines -> at most {FUNCTION_LINES} a function"


def main(folders: Sequence[str]) -> int:
    """Check all modules below the folders; print what is too large and return the exit code."""
    modules = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    messages = [message for path in modules for message in oversized(path)]
    for message in messages:
        print(message)
    print(f"size: {len(modules)} modules checked, {len(messages)} too large")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or FOLDERS))
