"""Wires facility, workload and policies together: simulate(scenario, seed) -> RunResult."""

from dcsim.simulation.inputs import Policies
from dcsim.simulation.run import simulate

__all__ = ["Policies", "simulate"]
