"""What a battery ends with beside what it began with: energy that neither cost nor carbon counts."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["STORED_SHARE", "stored_energy_note"]

STORED_SHARE = 0.01
"""Of a run's import; a change beyond it may be what an arm seems to save, or to waste."""
_J_PER_KWH = 3.6e6


def stored_energy_note(account: Mapping[str, float], whose: str = "") -> str | None:
    """Return a warning where a battery ends with other energy than it began with; None where that is little.

    Args:
        account: row of `schema.ACCOUNT`, or means of several; energies in J.
        whose: arm that it speaks of, for people; "": one run.

    >>> stored_energy_note({"energy_stored_change_j": -180e6, "energy_import_j": 3.6e9})
    'battery: ended with 50 kWh less than it began with; cost and carbon do not count that'
    >>> stored_energy_note({"energy_stored_change_j": -18e6, "energy_import_j": 3.6e9})
    """
    change_j = account["energy_stored_change_j"]
    if not abs(change_j) > STORED_SHARE * abs(account["energy_import_j"]):
        return None
    than = "less" if change_j < 0.0 else "more"
    under = f" under {whose}" if whose else ""
    shown = f"{abs(change_j) / _J_PER_KWH:,.4g}"
    return (
        f"battery{under}: ended with {shown} kWh {than} than it began with; cost and carbon do not count that"
    )
