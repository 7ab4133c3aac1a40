"""The standards' figures by hand, and the identities that hold between them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.results import facility_metrics as standard

J_PER_KWH = 3.6e6
energies = st.floats(1e3, 1e15)


def test_a_year_by_hand() -> None:
    # 1 GWh of IT, 0.15 GWh of cooling, 0.05 GWh of losses, 0.3 GWh of heat given away, 1,800 m3, 480 t.
    it_j, cooling_j, loss_j, reused_j = (1e6 * share * J_PER_KWH for share in (1.0, 0.15, 0.05, 0.3))
    facility_j = it_j + cooling_j + loss_j
    assert standard.ratio(facility_j, it_j) == pytest.approx(1.2)
    assert standard.partial_pue(it_j, cooling_j) == pytest.approx(1.15)
    assert standard.partial_pue(it_j, loss_j) == pytest.approx(1.05)
    assert standard.wue_l_per_j(1.8e6, it_j) * J_PER_KWH == pytest.approx(1.8)  # L/kWh
    assert standard.cue_kg_per_j(480e3, it_j) * J_PER_KWH == pytest.approx(0.48)  # kg/kWh
    assert standard.erf(reused_j, facility_j) == pytest.approx(0.25)
    assert standard.ere(facility_j, reused_j, it_j) == pytest.approx(0.9)
    assert standard.iteu_sv(4.0 * 3_600.0, 16.0, 7_200.0) == pytest.approx(0.125)


@given(energies, energies, energies, st.floats(0.0, 1.0))
def test_identities_between_them(it_j: float, cooling_j: float, loss_j: float, reused: float) -> None:
    facility_j = it_j + cooling_j + loss_j
    pue = standard.ratio(facility_j, it_j)
    partial = standard.partial_pue(it_j, cooling_j) + standard.partial_pue(it_j, loss_j)
    assert partial - 1.0 == pytest.approx(pue, rel=1e-9)
    # The Green Grid, white papers 29 and 32: ERE = (1 - ERF) PUE; CUE = carbon emission factor x PUE.
    erf = standard.erf(reused * facility_j, facility_j)
    assert standard.ere(facility_j, reused * facility_j, it_j) == pytest.approx(
        (1.0 - erf) * pue, abs=1e-9 * pue
    )
    factor = 0.4 / J_PER_KWH
    assert standard.cue_kg_per_j(factor * facility_j, it_j) == pytest.approx(factor * pue, rel=1e-12)


def test_of_nothing_there_is_no_figure() -> None:
    assert all(
        math.isnan(value)
        for value in (
            standard.ratio(1.0, 0.0),
            standard.partial_pue(0.0, 1.0),
            standard.wue_l_per_j(1.0, 0.0),
            standard.cue_kg_per_j(1.0, 0.0),
            standard.erf(0.0, 0.0),
            standard.ere(1.0, 0.0, 0.0),
            standard.iteu_sv(1.0, 0.0, 10.0),
        )
    )
