"""What the oracles share: every figure is printed beside its target, and fails when it falls short."""

from __future__ import annotations

import pytest

from tests.oracles.figures import Figures


@pytest.fixture
def figure() -> Figures:
    """Report one figure: `figure.near(name, measured, target, within)`, `.equal`, `.at_most`, `.tell`."""
    return Figures()
