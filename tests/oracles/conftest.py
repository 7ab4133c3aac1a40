"""What the oracles share: every figure is printed beside its target, and fails when it falls short."""

from __future__ import annotations

import pytest

from tests.oracles.figures import Figures


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let `make oracle` show the figures of the fast tier, too."""
    if config.getoption("markexpr") == "oracle":
        for item in items:
            if "figure" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.oracle)


@pytest.fixture
def figure() -> Figures:
    """Report one figure: `figure.near(name, measured, target, within)`, `.equal`, `.at_most`, `.tell`."""
    return Figures()
