"""Every module says what is public, in order, and documents it; the package's own page is complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import dcsim

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for room in ("dcsim", "trainers") for path in (ROOT / room).rglob("*.py"))
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _exports(tree: ast.Module) -> list[str] | None:
    """The names of `__all__`, or None where the module has none."""
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))
    return None


def _in_order(names: list[str]) -> list[str]:
    """Sorted as ruff sorts `__all__`: constants, then classes, then the rest, each naturally."""

    def key(name: str) -> tuple[int, list[tuple[int, int, str]]]:
        rank = 0 if name.isupper() else 1 if name[:1].isupper() else 2
        parts = [part for part in re.split(r"(\d+)", name) if part]
        return rank, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]

    return sorted(names, key=key)


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])
def test_module_says_what_it_is_for_and_what_is_public(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the first line says what the file is for"
    if path.name == "__main__.py" or not any(isinstance(node, ast.stmt) for node in tree.body[1:]):
        return
    names = _exports(tree)
    assert names is not None, "__all__ is missing"
    assert names == _in_order(names), "__all__ is not sorted"
    assert len(set(names)) == len(names), "__all__ names something twice"


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])
def test_what_is_public_is_documented_and_what_is_not_exported_is_private(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    exported = _exports(tree) or []
    for node in tree.body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        assert ast.get_docstring(node), f"{node.name} has no docstring"
        if path.name != "__main__.py":
            assert node.name in exported, f"{node.name} is public but not in __all__"


def test_the_public_api_is_what_the_package_docstring_lists() -> None:
    documented = re.findall(r"^`(\w+)`", dcsim.__doc__ or "", flags=re.MULTILINE)
    assert sorted(documented) == sorted(dcsim.__all__)
    assert len(set(documented)) == len(documented)


@pytest.mark.parametrize("name", dcsim.__all__)
def test_every_public_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(dcsim, name)
    if name != "__version__":
        assert value.__doc__
    assert name in dir(dcsim)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = dcsim.simulat
