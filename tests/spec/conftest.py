"""A small valid scenario, and ways to change one field of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.spec.examples import SMALL, Change, Data


@pytest.fixture
def small() -> Data:
    """Plain data of a valid scenario, the test's own copy."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def changed(small: Data) -> Change:
    """Return a function that gives the small scenario with one field, by dotted path, set to a value."""

    def change(path: str, value: Any) -> Data:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        node: Any = small
        for part in parents:
            node = node[part] if isinstance(part, int) else node.setdefault(part, {})
        node[last] = value
        return small

    return change
