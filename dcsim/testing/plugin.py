"""The pytest plug-in: fixtures for whoever tests policies or scenarios; imports nothing until used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

__all__ = ["guarded_simulate"]


@pytest.fixture(scope="session")
def guarded_simulate() -> Callable[..., Any]:
    """Return `dcsim.simulate` with every guard on."""
    from dcsim.simulation import simulate

    return partial(simulate, guards=True)
