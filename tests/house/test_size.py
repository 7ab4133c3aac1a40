"""The size check finds what is too large, counts as people do, and passes on the whole tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.size_check import FUNCTION_LINES, MODULE_LINES, oversized


def test_every_module_and_function_is_within_its_limit(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/size_check.py"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _module(path: Path, body: str) -> Path:
    path.write_text(body, encoding="utf-8")
    return path


def test_a_function_one_line_over_is_reported_with_its_place(tmp_path: Path) -> None:
    statements = "    pass\n" * FUNCTION_LINES
    (message,) = oversized(_module(tmp_path / "long.py", f"\n\ndef walk():\n{statements}"))
    assert message.endswith(
        f"long.py:3: walk: {FUNCTION_LINES + 1} lines -> at most {FUNCTION_LINES} a function"
    )


def test_a_function_at_the_limit_passes_and_its_decorator_counts(tmp_path: Path) -> None:
    statements = "    pass\n" * (FUNCTION_LINES - 1)
    assert list(oversized(_module(tmp_path / "full.py", f"def walk():\n{statements}"))) == []
    assert len(list(oversized(_module(tmp_path / "dressed.py", f"@cached\ndef walk():\n{statements}")))) == 1


def test_methods_and_nested_functions_are_counted(tmp_path: Path) -> None:
    statements = "        pass\n" * FUNCTION_LINES
    source = f"class Crane:\n    async def lift(self):\n{statements}"
    assert len(list(oversized(_module(tmp_path / "method.py", source)))) == 1


def test_a_module_one_line_over_is_reported(tmp_path: Path) -> None:
    assert list(oversized(_module(tmp_path / "full.py", "x = 1\n" * MODULE_LINES))) == []
    assert len(list(oversized(_module(tmp_path / "long.py", "x = 1\n" * (MODULE_LINES + 1))))) == 1
