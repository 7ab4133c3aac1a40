"""Wires facility, workload and policies together: simulate(scenario, seed) -> RunResult."""

from __future__ import annotations

from dcsim.simulation.inputs import Policies
from dcsim.simulation.run import simulate

__all__ = ["Policies", "simulate"]
