"""Energy that a battery ends with beside what it began with is told where it matters."""

from __future__ import annotations

import pytest

from dcsim.results.stored_energy import stored_energy_note


@pytest.mark.parametrize(
    ("change_kwh", "import_kwh", "said"),
    [(-50.0, 1_000.0, "50 kWh less"), (20.0, 1_000.0, "20 kWh more"), (-10.1, 1_000.0, "10.1 kWh less")],
)
def test_a_change_beyond_a_hundredth_of_the_import_is_told(
    change_kwh: float, import_kwh: float, said: str
) -> None:
    account = {"energy_stored_change_j": change_kwh * 3.6e6, "energy_import_j": import_kwh * 3.6e6}
    note = stored_energy_note(account)
    assert note == f"battery: ended with {said} than it began with; cost and carbon do not count that"
    assert str(stored_energy_note(account, "spread + none")).startswith("battery under spread + none: ended")


@pytest.mark.parametrize(("change_kwh", "import_kwh"), [(0.0, 0.0), (-9.9, 1_000.0), (9.9, 1_000.0)])
def test_a_small_change_is_not(change_kwh: float, import_kwh: float) -> None:
    account = {"energy_stored_change_j": change_kwh * 3.6e6, "energy_import_j": import_kwh * 3.6e6}
    assert stored_energy_note(account) is None
