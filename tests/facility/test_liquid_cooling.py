"""The liquid loop away from its peak: the CDU by log mean temperatures, fans and pumps by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.facility.cooling_plant import Outdoors
from dcsim.facility.liquid_cooling import LiquidLoop, LiquidPlant, LoopState
from dcsim.facility.plant_build import build_cooling_plant
from dcsim.spec.cooling import CoolingSpec

PEAK_W = 1e6


def loop_of(**liquid: object) -> LiquidLoop:
    about = {"captured_fraction": 1.0, "water_class": "W45", "air": "crac", **liquid}
    plant = build_cooling_plant(CoolingSpec(plant="liquid", fan_fraction=0.0, liquid=about), PEAK_W)
    assert isinstance(plant, LiquidPlant)
    return plant.loop


def conductance(state: LoopState, heat_w: float) -> float:
    """UA = Q / log mean temperature difference of a counter-flow exchanger: another way to the same number."""
    hot = float(state.liquid_return_deg_c[0] - state.facility_return_deg_c[0])
    cold = float(state.liquid_supply_deg_c[0] - state.facility_supply_deg_c[0])
    mean = hot if abs(hot - cold) < 1e-9 else (hot - cold) / np.log(hot / cold)
    return heat_w / mean


@pytest.mark.parametrize("ratio", [0.6, 1.0, 2.5])
def test_conductance_of_the_cdu_goes_with_flow(ratio: float) -> None:
    """A supply of 40 degC needs facility water under the limit, so that no valve mixes it."""
    loop = loop_of(supply_deg_c=40.0, facility_flow_ratio=ratio, cdu_effectiveness=0.8)
    full = conductance(loop.state(np.array([PEAK_W])), PEAK_W)
    for share in (0.5, 0.75):
        part = conductance(loop.state(np.array([share * PEAK_W])), share * PEAK_W)
        assert part / full == pytest.approx(share**0.8, rel=1e-9)
    # Effectiveness at peak, of the smaller rate.
    state = loop.state(np.array([PEAK_W]))
    most = (
        min(1.0, ratio) * PEAK_W / 10.0 * float((state.liquid_return_deg_c - state.facility_supply_deg_c)[0])
    )
    assert pytest.approx(most * 0.8) == PEAK_W


@pytest.mark.parametrize(("share", "flow"), [(1.0, 1.0), (0.7, 0.7), (0.4, 0.4), (0.1, 0.4)])
def test_pumps_follow_the_cube_of_flow(share: float, flow: float) -> None:
    loop = loop_of(pump_fraction=0.01, facility_pump_fraction=0.03)
    weather = Outdoors(*(np.array([value]) for value in (15.0, 10.0, 0.005, 101_325.0)))
    output = loop.operate(np.array([share * PEAK_W]), weather)
    assert float(output.pump_w[0]) == pytest.approx(0.04 * PEAK_W * flow**3)


@pytest.mark.parametrize(("kind", "sink"), [("tower", 10.0), ("dry", 30.0)])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_fans_of_the_cooler_by_hand(kind: str, sink: float, share: float) -> None:
    """W45 in, 55 degC back: water is to be cooled by 10 K of the 45 or 25 K to the outdoor temperature.

    At peak a range of 10 K and an approach of 4 K are NTU = -ln(1 - 10 / 14); half the water has twice that.
    """
    loop = loop_of(cooler=kind, cooler_approach_k=4.0, cooler_fan_fraction=0.02)
    weather = Outdoors(*(np.array([value]) for value in (30.0, 10.0, 0.005, 101_325.0)))
    full_ntu = -np.log(1.0 - 10.0 / 14.0) / share
    needed_ntu = -np.log(1.0 - 10.0 / (55.0 - sink))
    air = (needed_ntu / full_ntu) ** (1.0 / 0.6)
    assert air < 1.0
    output = loop.operate(np.array([share * PEAK_W]), weather)
    assert float(output.tower_fan_w[0]) == pytest.approx(0.02 * PEAK_W * air**3)
    assert (output.compressor_w[0], output.free_fraction[0]) == (0.0, 1.0)


def test_the_trim_chiller_by_hand() -> None:
    """W17 and a wet bulb of 20: of 27 degC back, 7 K of drive times 10 / 14 is 5 K of the 10."""
    loop = loop_of(water_class="W17")
    weather = Outdoors(*(np.array([value]) for value in (30.0, 20.0, 0.01, 101_325.0)))
    output = loop.operate(np.array([PEAK_W]), weather)
    assert float(output.free_fraction[0]) == pytest.approx(0.5)
    cop = 0.5 * 290.15 / (20.0 + 4.0 + 5.0 - 17.0)
    assert float(output.compressor_w[0]) == pytest.approx(0.5 * PEAK_W / min(cop, 12.0))
    assert float(output.tower_fan_w[0]) == pytest.approx(0.015 * PEAK_W)


def test_a_set_point_of_the_liquid_moves_the_facility_water() -> None:
    loop = loop_of()
    heat = np.array([PEAK_W, PEAK_W])
    state = loop.state(heat, np.array([30.0, 60.0]))
    np.testing.assert_allclose(state.liquid_return_deg_c, [40.0, 70.0])
    # 0.7 of the way: 10 / 0.7 K under the return; above the class's limit a valve mixes.
    np.testing.assert_allclose(state.facility_supply_deg_c, [40.0 - 10.0 / 0.7, 45.0])
