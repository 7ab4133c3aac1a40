"""Power: Fan's server curve, the conversion chain."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.power import (
    build_chain,
    chain_input_w,
    chain_losses_w,
    constant_efficiency_input_w,
    server_cpu_power_w,
    stage_input_w,
    stage_loss_w,
)
from dcsim.spec.power import PowerChainSpec, PowerStageSpec

losses = st.floats(0.0, 0.1)


def test_server_power_follows_fan_2007() -> None:
    """Closed form at u = 0.5: 2u - u^1.4 = 1 - 0.5^1.4 = 0.6211."""
    assert float(server_cpu_power_w(100.0, 300.0, 0.5)) == pytest.approx(100.0 + 200.0 * 0.62107, abs=0.01)
    powers = server_cpu_power_w(100.0, 300.0, np.linspace(0.0, 1.0, 101))
    assert powers[0] == 100.0
    assert powers[-1] == pytest.approx(300.0, rel=1e-15)
    assert np.all(np.diff(powers) > 0.0)


def test_stage_by_hand() -> None:
    """A 100 kW stage at half load: 100 kW x (1 % + 2 % x 0.5 + 4 % x 0.25) = 3 kW."""
    assert float(stage_loss_w(50e3, 100e3, 0.01, 0.02, 0.04)) == pytest.approx(3e3)
    assert float(stage_input_w(50e3, 100e3, 0.01, 0.02, 0.04)) == pytest.approx(53e3)


def test_frontier_chain_in_both_forms() -> None:
    """Frontier: SIVOC (13 W, 0.98) behind rectifiers (17 W, 0.96); the quadratic form holds the same curve."""
    output = np.array([200.0, 1_000.0, 3_000.0])
    by_efficiency = constant_efficiency_input_w(constant_efficiency_input_w(output, 13.0, 0.98), 17.0, 0.96)
    by_hand = ((output + 13.0) / 0.98 + 17.0) / 0.96
    np.testing.assert_allclose(by_efficiency, by_hand, rtol=1e-15)
    rated = 4_000.0
    sivoc = stage_input_w(output, rated, 13.0 / 0.98 / rated, 1 / 0.98 - 1, 0.0)
    both = stage_input_w(sivoc, rated, 17.0 / 0.96 / rated, 1 / 0.96 - 1, 0.0)
    np.testing.assert_allclose(both, by_efficiency, rtol=1e-12)
    assert 0.90 < output[-1] / both[-1] < 0.94  # MODEL of Frontier: 93.6 % at peak


def test_default_chain_is_an_ordinary_ups_chain() -> None:
    chain = build_chain(PowerChainSpec(), 1e6, 3e5)
    assert [stage.name for stage in chain] == ["pdu", "ups", "transformer"]
    assert chain[0].rated_w == 1.25e6
    assert chain[2].rated_w > 1.25 * (1e6 + 3e5)
    efficiency = 1e6 / float(chain_input_w(chain[:2], 1e6))
    assert 0.94 < efficiency < 0.96
    at_tenth = 1e5 / float(chain_input_w(chain[:2], 1e5))
    assert 0.80 < at_tenth < efficiency  # no-load losses weigh more at low load


def test_cooling_is_fed_behind_the_ups() -> None:
    """Cooling loads the transformer and nothing below it."""
    chain = build_chain(PowerChainSpec(), 1e6, 3e5)
    with_cooling, without = chain_losses_w(chain, 1e6, 3e5), chain_losses_w(chain, 1e6)
    assert with_cooling[:2] == without[:2]
    assert with_cooling[2][0] - without[2][0] == 3e5
    assert with_cooling[2][1] > without[2][1]


def test_no_stages_means_no_losses() -> None:
    chain = build_chain(PowerChainSpec(stages=()), 1e6, 3e5)
    assert float(chain_input_w(chain, 5e5, 1e5)) == 6e5


def test_a_facility_without_load_can_be_built() -> None:
    chain = build_chain(PowerChainSpec(stages=(PowerStageSpec(name="ups", loss_linear=0.1),)), 0.0, 0.0)
    assert float(chain_input_w(chain, 0.0)) == 0.0


@given(
    stages=st.lists(st.tuples(losses, losses, losses, st.booleans()), max_size=4),
    loads=st.lists(st.floats(0.0, 1e8), min_size=2, max_size=20),
    cooling_w=st.floats(0.0, 1e7),
)
def test_chain_conserves_energy_and_is_monotone(
    stages: list[tuple[float, float, float, bool]], loads: list[float], cooling_w: float
) -> None:
    carries = sorted(flag for *_, flag in stages)
    spec = PowerChainSpec(
        stages=tuple(
            PowerStageSpec(
                name=f"s{i}", loss_constant=c0, loss_linear=c1, loss_quadratic=c2, carries_cooling=carries[i]
            )
            for i, (c0, c1, c2, _) in enumerate(stages)
        )
    )
    chain = build_chain(spec, 1e7, 1e6)
    it_w = np.sort(np.array(loads))
    total = chain_input_w(chain, it_w, cooling_w)
    flows = chain_losses_w(chain, it_w, cooling_w)
    for output, loss in flows:
        assert np.all(loss >= 0.0)
        assert np.all(output >= 0.0)
    np.testing.assert_allclose(total, it_w + cooling_w + sum(loss for _, loss in flows), rtol=1e-13)
    assert np.all(np.diff(total) >= -1e-9 * total[1:])
    # Every stage draws exactly what it delivers and loses.
    for (output, loss), (above, _) in pairwise(flows):
        step = above - output - loss
        assert np.all(
            (np.abs(step) <= 1e-9 * (above + 1.0)) | (np.abs(step - cooling_w) <= 1e-9 * (above + 1.0))
        )
