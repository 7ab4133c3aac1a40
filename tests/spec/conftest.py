"""A small valid scenario, and ways to change one field of it."""

from __future__ import annotations

import copy

import pytest

from tests.spec.examples import SMALL

@pytest.fixture
def small():
    """Plain data of a valid scenario, the test's own copy."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def changed(small):
    """Return a function that gives the small scenario with one field, by dotted path, set to a value."""

    def change(path, value):
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        node = small
        for part in parents:
            node = node[part] if isinstance(part, int) else node.setdefault(part, {})
        node[last] = value
        return small

    return change
