"""The power chain: redundancy, units of constant efficiency, power that passes a stage by, ready-made chains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dcsim.facility.power import build_chain, chain_input_w, chain_losses_w, constant_efficiency_input_w
from dcsim.spec.power import CHAINS, PowerChainSpec, PowerStageSpec

C0, C1, C2 = 0.012, 0.02, 0.012


def _chain(peak_it_w: float = 1e6, **fields: object):
    stage = PowerStageSpec.model_validate({"name": "ups", **fields})
    return build_chain(PowerChainSpec(stages=(stage,)), peak_it_w, 0.0)


@pytest.mark.parametrize(
    ("redundancy", "modules", "installed"),
    [("N", 4, 4), ("N+1", 4, 5), ("N+2", 4, 6), ("2N", 4, 8), ("2(N+1)", 4, 10), ("N+1", 1, 2)],
)
def test_all_installed_modules_share_the_load(redundancy: str, modules: int, installed: int) -> None:
    """By hand: each module carries load / installed and loses rating (c0 + c1 u + c2 u^2) of its own rating."""
    rating_w, load_w = 1e6, 6e5
    (stage,) = _chain(
        rated_power_w=rating_w, redundancy=redundancy, modules=modules,
        loss_constant=C0, loss_linear=C1, loss_quadratic=C2,
    )  # fmt: skip
    module_w = rating_w / modules
    share = load_w / installed / module_w
    by_hand = installed * module_w * (C0 + C1 * share + C2 * share**2)
    ((_, loss),) = chain_losses_w((stage,), load_w)
    assert float(loss) == pytest.approx(by_hand, rel=1e-12)
    assert stage.usable_w == pytest.approx(rating_w, rel=1e-12)  # what is left when the redundant ones fail


def test_2n_halves_the_load_of_each_module() -> None:
    (single,), (double,) = (
        _chain(rated_power_w=1e6, redundancy=kind, loss_constant=C0, loss_quadratic=C2)
        for kind in ("N", "2N")
    )
    ((_, one),), ((_, two),) = chain_losses_w((single,), 4e5), chain_losses_w((double,), 8e5)
    assert float(two) == pytest.approx(2.0 * float(one), rel=1e-12)
    # No-load losses twice, ohmic ones half: worse at low load.
    assert float(chain_input_w((double,), 1e5)) > float(chain_input_w((single,), 1e5))


@given(units=st.integers(1, 10_000), load_w=st.floats(0.0, 1e7), overhead_w=st.floats(0.0, 100.0))
def test_units_of_constant_efficiency_share_any_load_alike(
    units: int, load_w: float, overhead_w: float
) -> None:
    chain = _chain(1e7, efficiency=0.96, unit_overhead_w=overhead_w, units=units)
    one = float(constant_efficiency_input_w(load_w / units, overhead_w, 0.96))
    assert float(chain_input_w(chain, load_w)) == pytest.approx(units * one, rel=1e-12, abs=1e-6)


def test_units_are_counted_from_the_peak_and_redundant_ones_added() -> None:
    exact = _chain(8_000.0, efficiency=0.9, unit_overhead_w=9.0, unit_peak_w=1_000.0)
    more = _chain(8_001.0, efficiency=0.9, unit_overhead_w=9.0, unit_peak_w=1_000.0)
    twice = _chain(8_000.0, efficiency=0.9, unit_overhead_w=9.0, unit_peak_w=1_000.0, redundancy="2N")
    idle = [float(chain_input_w(chain, 0.0)) for chain in (exact, more, twice)]
    assert idle == pytest.approx([80.0, 90.0, 160.0])


def test_what_passes_a_stage_by_joins_at_its_input() -> None:
    """By hand: 300 W through 90 %, 100 W beside it, all 433.3 W through 50 W of loss."""
    spec = PowerChainSpec.model_validate(
        {
            "stages": [
                {"name": "converter", "efficiency": 0.9, "bypass_power_w": 100.0},
                {"name": "ups", "rated_power_w": 1000.0, "loss_constant": 0.05},
            ]
        }
    )
    chain = build_chain(spec, 400.0, 0.0)
    (first, lost), (second, _) = chain_losses_w(chain, 400.0)
    assert float(first) == 300.0
    assert float(lost) == pytest.approx(300.0 / 9.0)
    assert float(second) == pytest.approx(400.0 + 300.0 / 9.0)
    assert float(chain_input_w(chain, 400.0)) == pytest.approx(400.0 + 300.0 / 9.0 + 50.0)
    assert float(chain_losses_w(chain, 60.0)[0][0]) == 0.0  # never more than there is


@given(
    name=st.sampled_from(sorted(CHAINS)),
    peak_w=st.floats(1e4, 1e8),
    loads=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8),
    cooling_w=st.floats(0.0, 1e7),
)
def test_every_ready_made_chain_conserves_energy(
    name: str, peak_w: float, loads: list[float], cooling_w: float
) -> None:
    spec = PowerChainSpec.model_validate({"chain": name})
    chain = build_chain(spec, peak_w, cooling_w)
    it_w = np.sort(np.array(loads)) * peak_w
    flows = chain_losses_w(chain, it_w, cooling_w)
    total = chain_input_w(chain, it_w, cooling_w)
    np.testing.assert_allclose(total, it_w + cooling_w + sum(loss for _, loss in flows), rtol=1e-12)
    assert np.all(np.diff(total) >= 0.0)
    assert all(np.all(loss >= 0.0) for _, loss in flows)


def test_ready_made_chains_lose_what_their_sources_say() -> None:
    """At half load an online UPS gives about 95 %, the rectifier of a DC bus 96.0 %."""

    def efficiency(chain, it_w):
        return it_w / float(chain_input_w(chain, it_w))

    rectifier = build_chain(PowerChainSpec(chain="380v_dc"), 8e5, 0.0)[1:2]
    assert efficiency(rectifier, 0.5 * rectifier[0].rated_w) == pytest.approx(0.960, abs=5e-4)
    ups = build_chain(PowerChainSpec(chain="double_conversion"), 8e5, 0.0)[1:2]
    assert 0.94 < efficiency(ups, 0.5 * ups[0].rated_w) < 0.96
    direct, alternating = (
        chain_input_w(build_chain(PowerChainSpec.model_validate({"chain": name}), 8e5, 0.0), 4e5)
        for name in ("380v_dc", "double_conversion")
    )
    assert (
        0.02 < 1.0 - float(direct) / float(alternating) < 0.07
    )  # LBNL 2008: up to 7 % less than the best AC


def test_the_default_is_the_double_conversion_chain_as_before() -> None:
    assert PowerChainSpec().stages == CHAINS["double_conversion"]
    assert PowerChainSpec(stages=()).stages == ()
    spec = PowerChainSpec(chain="frontier")
    assert PowerChainSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("said", "where", "what"),
    [
        ({"chain": "frontier", "stages": []}, "stages", "those of the chain 'frontier'"),
        ({"stages": [{"name": "a", "redundancy": "N+1"}]}, "modules", "how many modules N is in"),
        ({"stages": [{"name": "a", "efficiency": 0.9, "loss_linear": 0.1}]}, "loss_linear", "0 beside"),
        (
            {"stages": [{"name": "a", "unit_overhead_w": 10}]},
            "unit_overhead_w",
            "nothing without `efficiency`",
        ),
        (
            {"stages": [{"name": "a", "efficiency": 0.9, "units": 2, "unit_peak_w": 5}]},
            "units",
            "either `units` or",
        ),
        ({"stages": [{"name": "a"}, {"name": "b", "level": "rack"}]}, "level", "'hall' or above"),
        (
            {"stages": [{"name": "a", "level": "pdu", "carries_cooling": True}]},
            "level",
            "'hall' where cooling",
        ),
    ],
)
def test_chains_that_make_no_sense_are_refused(said: dict[str, object], where: str, what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PowerChainSpec.model_validate(said)
    assert where in str(caught.value)
    assert what in str(caught.value)
