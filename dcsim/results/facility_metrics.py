"""The figures by which facilities are judged, as the standards define them: pure functions of energies."""

from __future__ import annotations

import math

__all__ = ["cue_kg_per_j", "ere", "erf", "iteu_sv", "partial_pue", "ratio", "wue_l_per_j"]


def ratio(part: float, whole: float) -> float:
    """Return part over whole; NaN where the whole is not positive.

    >>> ratio(1.0, 4.0), ratio(1.0, 0.0)
    (0.25, nan)
    """
    return part / whole if whole > 0.0 else math.nan


def partial_pue(energy_it_j: float, energy_added_j: float) -> float:
    """Return partial PUE of a zone: its energy over that of the IT equipment in it (ISO/IEC 30134-2, annex on pPUE).

    Args:
        energy_it_j: of the IT equipment.
        energy_added_j: what the zone (cooling, or the power chain) adds to it.

    >>> partial_pue(100.0, 20.0)
    1.2
    """
    return ratio(energy_it_j + energy_added_j, energy_it_j)


def wue_l_per_j(water_l: float, energy_it_j: float) -> float:
    """Return water usage effectiveness, water taken in over IT energy, L/J (ISO/IEC 30134-9, category 1).

    >>> round(wue_l_per_j(1.8, 3.6e6) * 3.6e6, 9)
    1.8
    """
    return ratio(water_l, energy_it_j)


def cue_kg_per_j(carbon_kg: float, energy_it_j: float) -> float:
    """Return carbon usage effectiveness, CO2-equivalent of all energy taken in over IT energy, kg/J (ISO/IEC 30134-8)."""
    return ratio(carbon_kg, energy_it_j)


def erf(energy_reused_j: float, energy_facility_j: float) -> float:
    """Return the energy reuse factor, energy given to others over all energy taken in (ISO/IEC 30134-6).

    >>> erf(30.0, 120.0)
    0.25
    """
    return ratio(energy_reused_j, energy_facility_j)


def ere(energy_facility_j: float, energy_reused_j: float, energy_it_j: float) -> float:
    """Return energy reuse effectiveness, (facility - reused) / IT = PUE (1 - ERF) (The Green Grid, white paper 29).

    >>> ere(120.0, 30.0, 100.0)
    0.9
    """
    return ratio(energy_facility_j - energy_reused_j, energy_it_j)


def iteu_sv(busy_core_s: float, cores: float, duration_s: float) -> float:
    """Return the IT equipment utilisation of servers, mean CPU utilisation of all servers (ISO/IEC 30134-5).

    Args:
        busy_core_s: core-seconds granted to jobs.
        cores: of all servers.
        duration_s: of the run.

    >>> iteu_sv(50.0, 10.0, 10.0)
    0.5
    """
    return ratio(busy_core_s, cores * duration_s)
