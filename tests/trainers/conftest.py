"""Eight virtual CPU devices for all tests of the trainers; set here, before JAX can start."""

from __future__ import annotations

import importlib.util
import os

import pytest

from trainers.devices import use_virtual_devices

DEVICES = 8

use_virtual_devices(DEVICES)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

HAS_JAX = all(importlib.util.find_spec(name) for name in ("jax", "flax", "optax", "mlxtend"))


@pytest.fixture(scope="session")
def eight_devices() -> int:
    """Skip where JAX is missing or was started with fewer devices; return their number."""
    if not HAS_JAX:
        pytest.skip("needs the extra train")
    import jax

    if jax.device_count() < DEVICES:
        pytest.skip("JAX was started before the tests of the trainers could ask for 8 devices")
    return DEVICES
