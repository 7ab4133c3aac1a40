"""Arms whose batteries end with other energy than they began with: part of what they seem to save."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from dcsim.results.stored_energy import stored_energy_note
from dcsim.study.arms import Arm

__all__ = ["stored_energy_cautions"]

_COLUMNS = ("energy_stored_change_j", "energy_import_j")


def stored_energy_cautions(
    arms: Sequence[Arm], accounts: Iterable[tuple[Arm, Mapping[str, float]]]
) -> tuple[str, ...]:
    """Return a caution for each arm whose stored energy changes much in the mean of its runs.

    Args:
        arms: in the order in which they are named.
        accounts: (arm, row of `schema.ACCOUNT`) of each run.
    """
    of_arm: dict[Arm, list[Mapping[str, float]]] = {arm: [] for arm in arms}
    for arm, account in accounts:
        of_arm[arm].append(account)
    notes = (
        stored_energy_note({name: fmean(row[name] for row in rows) for name in _COLUMNS}, arm.label)
        for arm, rows in of_arm.items()
        if rows
    )
    return tuple(note for note in notes if note is not None)
