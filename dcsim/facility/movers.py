"""Fans and pumps: power from flow, by part-load polynomials and the cube law (pure functions)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["AFFINITY", "VARIABLE_VOLUME", "Fan", "Pump", "fan_w", "part_load_fraction", "pump_w"]

Floats = npt.NDArray[np.float64]
Cubic = tuple[float, float, float, float]

AFFINITY: Cubic = (0.0, 0.0, 0.0, 1.0)
"""Power with the cube of flow: the fan laws of a system without static pressure."""

VARIABLE_VOLUME: Cubic = (0.35071223, 0.30850535, -0.54137364, 0.87198823)
"""Supply fan with inlet vanes, ASHRAE 90.1-1989 user's manual, as in EnergyPlus' Fan:VariableVolume examples."""


@dataclass(frozen=True, slots=True)
class Fan:
    """A fan with a duct system.

    >>> round(float(fan_w(1.0, Fan(flow_m3_per_s=7.0, pressure_pa=300.0, efficiency=0.7, curve=AFFINITY))), 6)
    3000.0
    """

    flow_m3_per_s: float
    """Full flow."""
    pressure_pa: float
    """Rise at full flow."""
    efficiency: float
    """Air power over electric power, motor included, (0, 1]."""
    curve: Cubic = VARIABLE_VOLUME
    """Power over full power, by flow over full flow."""
    least_flow: float = 0.25
    """Below this part of full flow power falls no further."""

    @property
    def full_w(self) -> float:
        """Electric power at full flow, W, before the curve."""
        return self.flow_m3_per_s * self.pressure_pa / self.efficiency


@dataclass(frozen=True, slots=True)
class Pump:
    """A pump with its motor.

    >>> round(float(pump_w(1.0, Pump(flow_l_per_s=7.02, head_pa=100_000.0))), 6)
    1000.0
    """

    flow_l_per_s: float
    """Full flow."""
    head_pa: float
    """At full flow."""
    motor_efficiency: float = 0.9
    impeller_efficiency: float = 0.78
    """EnergyPlus' for a pump that is not described further."""
    curve: Cubic = (0.0, 1.0, 0.0, 0.0)
    """Power over full power, by flow over full flow; linear: constant head and efficiency."""

    @property
    def full_w(self) -> float:
        """Electric power at full flow, W."""
        return self.flow_l_per_s * 1e-3 * self.head_pa / (self.motor_efficiency * self.impeller_efficiency)


def part_load_fraction(flow_fraction: npt.ArrayLike, curve: Cubic, least_flow: float = 0.0) -> Floats:
    """Return power over full power, >= 0, of a cubic in flow over full flow, held below `least_flow`.

    >>> part_load_fraction([0.0, 0.5, 1.0], AFFINITY).tolist()
    [0.0, 0.125, 1.0]
    """
    x = np.maximum(np.asarray(flow_fraction, dtype=np.float64), least_flow)
    value = curve[0] + x * (curve[1] + x * (curve[2] + x * curve[3]))
    return np.asarray(np.maximum(value, 0.0), dtype=np.float64)


def fan_w(flow_fraction: npt.ArrayLike, fan: Fan) -> Floats:
    """Return the electric power, W, of a running fan at a part of its full flow, 0..1."""
    return np.asarray(fan.full_w * part_load_fraction(flow_fraction, fan.curve, fan.least_flow))


def pump_w(flow_fraction: npt.ArrayLike, pump: Pump) -> Floats:
    """Return the electric power, W, of a pump at a part of its full flow, 0..1; none without flow."""
    flow = np.asarray(flow_fraction, dtype=np.float64)
    return np.where(flow > 0.0, pump.full_w * part_load_fraction(flow, pump.curve), 0.0)
