"""Temperatures of servers' hottest accelerators over random histories, against one exponential after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.hardware import CATALOGUE
from dcsim.facility.rack_heat import HeatFeedback, ServerCells
from dcsim.facility.servers import Fleet
from dcsim.simulation.device_temperatures import DeviceTemperatures
from dcsim.spec.cluster import ClusterSpec

THERMAL = {
    "resistance_k_per_w": 0.15,
    "time_constant_s": 40.0,
    "leakage_fraction_per_k": 0.01,
    "throttle_deg_c": 80.0,
    "hysteresis_k": 10.0,
}
IDLE_W = CATALOGUE["V100"].idle_power_w


def devices(inlets=(25.0, 30.0), servers=2, *, kept=True):
    thermal = THERMAL if kept else None
    server = {"count": servers, "accelerator": "V100", "accelerators": 4, "thermal": thermal}
    spec = {"racks": [{"name": "r", "count": len(inlets), "servers": [server]}]}
    fleet = Fleet(ClusterSpec.model_validate(spec), CATALOGUE)
    cells = ServerCells.of(fleet)
    feedback = HeatFeedback(fleet.types, cells, len(inlets))
    hottest = np.full(len(fleet), IDLE_W)
    return DeviceTemperatures(fleet.types, cells, feedback, np.array(inlets), hottest)


class OneDevice:
    """T towards Tin + R P + leakage, with a step of the exponential at each change."""

    def __init__(self, inlet: float) -> None:
        self.inlet, self.power, self.now = inlet, IDLE_W, 0.0
        slope = 0.01 * IDLE_W
        self.gain = 1.0 / (1.0 - 0.15 * slope)
        self.here = self.steady()

    def steady(self) -> float:
        alone = self.inlet + 0.15 * self.power
        return 60.0 + self.gain * (alone - 60.0)

    def at(self, now: float) -> float:
        steady = self.steady()
        return steady + (self.here - steady) * math.exp(-(now - self.now) / (40.0 * self.gain))

    def change(self, now: float, inlet: float | None = None, power: float | None = None) -> None:
        self.here, self.now = self.at(now), now
        self.inlet = self.inlet if inlet is None else inlet
        self.power = self.power if power is None else power


changes = st.lists(
    st.tuples(
        st.floats(0.0, 120.0),
        st.one_of(
            st.tuples(st.integers(0, 3), st.floats(0.0, 400.0)),
            st.tuples(st.floats(15.0, 45.0), st.floats(15.0, 45.0)),
        ),
    ),
    max_size=12,
)


@given(changes)
def test_temperatures_are_those_of_each_device_alone(history):
    found, alone = devices(), [OneDevice(25.0), OneDevice(25.0), OneDevice(30.0), OneDevice(30.0)]
    now = 0.0
    for wait, (what, value) in history:
        now += wait
        if isinstance(what, int):
            found.draw(now, what, value)
            alone[what].change(now, power=value)
        else:
            found.breathe(now, np.array([what, value]))
            for server, device in enumerate(alone):
                device.change(now, inlet=(what, value)[server // 2])
        expected = [device.at(now) for device in alone]
        np.testing.assert_allclose(found.at(now, np.arange(4)), expected, rtol=1e-11)
        crossing, already = found.next(now), [device.at(now) >= 80.0 for device in alone]
        for server in crossing.too_hot:
            assert alone[server].at(crossing.time_s) == pytest.approx(80.0, abs=1e-7) or already[server]
        # Nobody was forgotten: until then all that are below their limit stay so.
        until = min(crossing.time_s, now + 1e4)
        assert all(device.at(until) <= 80.0 + 1e-7 or hot for device, hot in zip(alone, already, strict=True))


def test_first_crossing_and_release_by_hand():
    """Idle at 25 degC to 400 W: over the limit after tau ln((steady - start) / (steady - 80))."""
    found, alone = devices((25.0,)), OneDevice(25.0)
    found.draw(10.0, 1, 400.0)
    alone.change(10.0, power=400.0)
    start, steady, tau = alone.here, alone.steady(), 40.0 * alone.gain
    crossing = found.next(10.0)
    due = 10.0 + tau * math.log((steady - start) / (steady - 80.0))
    assert (crossing.too_hot, crossing.cool_again) == ((1,), ())
    assert crossing.time_s == pytest.approx(due, rel=1e-12)
    found.throttle(1, on=True)
    assert found.next(due).time_s == math.inf  # at that power it never cools down
    found.draw(due, 1, 200.0)
    alone.change(due, power=200.0)
    release = found.next(due)
    below = alone.steady()
    assert release.cool_again == (1,)
    assert release.time_s - due == pytest.approx(tau * math.log((80.0 - below) / (70.0 - below)), rel=1e-9)


def test_equal_servers_cross_together_in_order():
    found = devices((25.0, 25.0))
    for server in (3, 0, 2):
        found.draw(5.0, server, 400.0)
    assert found.next(7.0).too_hot == (0, 2, 3)


def test_a_device_at_its_limit_from_the_start_crosses_at_once():
    assert devices((75.0,)).next(0.0).time_s == 0.0


def test_servers_without_a_thermal_model_never_cross():
    found = devices((500.0,), kept=False)
    assert not found.has_any
    assert found.next(0.0).time_s == math.inf
