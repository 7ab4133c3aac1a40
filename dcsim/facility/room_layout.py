"""Who breathes whose exhaust: matrices from a file, or from where the racks stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import InputError, Problem, ScenarioError, SeriesError
from dcsim.facility.room import Room, heat_capacity_rate_w_per_k, make_room, recirculation_faults
from dcsim.facility.series_file import read_text
from dcsim.spec.room import AislesSpec, MatrixSpec, RoomSpec, matrix_issues, node_count

__all__ = ["aisle_matrix", "build_room"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_RACK_DEPTH_M, _RACK_HEIGHT_M = 1.07, 2.0
_COLD_AISLE_M, _HOT_AISLE_M = 1.22, 0.91
"""With two racks' depth 4.27 m, seven floor tiles: ASHRAE, Thermal Guidelines for Data Processing Environments."""
_SHOWN = 10


def build_room(spec: RoomSpec, rack_peak_power_w: Floats, base_dir: Path, *, file: str = "scenario") -> Room:
    """Return the room of a scenario.

    Args:
        spec: its `room`.
        rack_peak_power_w: (R,) of the servers of each rack, > 0.
        base_dir: folder that the path of a matrix starts from.
        file: of the scenario, shown in problems.

    Raises:
        ScenarioError: a file that cannot be used, or air that goes where it cannot, with every problem found.
    """
    nodes = node_count(len(rack_peak_power_w), spec.racks_per_node)
    start = np.arange(nodes) * spec.racks_per_node
    rate = heat_capacity_rate_w_per_k(np.add.reduceat(rack_peak_power_w, start), spec.design_rise_k)
    layout = spec.layout
    if isinstance(layout, AislesSpec):
        parts = aisle_matrix(
            rate,
            racks_per_row=layout.racks_per_row,
            recirculation_fraction=layout.recirculation_fraction,
            containment=layout.containment,
            decay_m=layout.decay_m,
            rack_width_m=layout.rack_width_m,
        )
        place, hint = "room.layout.recirculation_fraction", "a lower one, or racks more alike in power"
    else:
        parts = _matrix(layout, nodes, base_dir, file)
        place = "room.layout.path" if layout.path is not None else "room.layout.recirculation"
        hint = "racks' air goes with their peak power: look at `cluster` and the matrix"
    faults = recirculation_faults(parts, rate)
    if faults:
        raise ScenarioError(
            [
                Problem(file, None, f"{place}.{node}", got, expected, hint)
                for node, got, expected in faults[:_SHOWN]
            ]
        )
    return make_room(parts, rate, matched=spec.airflow == "matched")


def _matrix(layout: MatrixSpec, nodes: int, base_dir: Path, file: str) -> Floats:
    """Return the matrix given inline or in a file, of the right size."""
    rows = layout.recirculation if layout.path is None else _read(layout.path, base_dir, file)
    rows = rows or ()
    if len(rows) != nodes:
        place = "room.layout.recirculation" if layout.path is None else "room.layout.path"
        expected = f"{nodes:,}, one for each node (racks over `racks_per_node`)"
        raise ScenarioError([Problem(file, None, place, f"{len(rows):,} rows", expected)])
    return np.array(rows, dtype=np.float64)


def _read(text: str, base_dir: Path, file: str) -> tuple[tuple[float, ...], ...]:
    """Return the rows of a CSV file of numbers."""
    from dcsim.spec import resolve_data_path

    try:
        path = resolve_data_path(base_dir, text)
    except InputError as error:
        found = [Problem(file, None, "room.layout.path", p.got, p.expected, p.hint) for p in error.problems]
        raise ScenarioError(found) from None
    try:
        content = read_text(path, what="a matrix of numbers")
    except SeriesError as error:
        raise ScenarioError(error.problems) from None
    rows: list[tuple[float, ...]] = []
    problems: list[Problem] = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(tuple(float(cell) for cell in line.split(",")))
        except ValueError:
            shown = repr(line if len(line) <= 80 else line[:80] + "...")
            problems.append(Problem(str(path), number, "", shown, "numbers separated by commas, no header"))
    if not problems:
        faults = matrix_issues(tuple(rows))
        problems = [
            Problem(
                str(path),
                None,
                f"row {issue.at[0] if issue.at else 0}",
                issue.got,
                issue.expected,
                issue.hint,
            )
            for issue in faults
        ]
    if problems:
        raise ScenarioError(problems[:_SHOWN])
    return tuple(rows)


def aisle_matrix(
    heat_rate_w_per_k: Floats,
    *,
    racks_per_row: int,
    recirculation_fraction: float,
    containment: float,
    decay_m: float,
    rack_width_m: float,
) -> Floats:
    """Return (N, N) A of rows of racks with cold and hot aisles in turn, by the way that exhaust has to go.

    Exhaust of i reaches the intake of j over the racks or round either end of the row, each way thinned by
    exp(-length / decay). The parts are scaled so that of all the air that racks breathe
    `recirculation_fraction` (1 - `containment`) is exhaust: where all air warms up alike, that is the supply
    heat index (Sharma 2002). That hot air comes over the top and round the ends, most to racks at the ends of rows,
    is what is measured: Schmidt, Cruz, Iyengar, "Challenges of data center thermal management", IBM J. Res. Dev. 49
    (4/5), 2005. Exponential thinning is an assumption that keeps near racks apart from far ones.

    Args:
        heat_rate_w_per_k: (N,) K, in the order in which nodes fill the rows.
        racks_per_row: nodes of a row.
        recirculation_fraction: 0..1, mean over the hall.
        containment: part of it held back, 0..1.
        decay_m: > 0.
        rack_width_m: from node to node, > 0.
    """
    count = len(heat_rate_w_per_k)
    ways = _ways(count, min(racks_per_row, count), rack_width_m)
    weight = sum(np.exp(-way / decay_m) for way in ways)
    heard = heat_rate_w_per_k @ weight
    total = float(heat_rate_w_per_k @ heard) / float(heat_rate_w_per_k.sum())
    scale = recirculation_fraction * (1.0 - containment) / total
    return np.asarray(scale * weight * heat_rate_w_per_k[None, :])


def _ways(count: int, row_length: int, width_m: float) -> tuple[Floats, Floats, Floats]:
    """Return (N, N) lengths from the exhaust of i to the intake of j: over the racks, round one end, round the other."""
    node: Ints = np.arange(count, dtype=np.int64)
    row, along_m = node // row_length, (node % row_length + 0.5) * width_m
    # Rows 2 p and 2 p + 1 face each other over a cold aisle; their backs are to hot aisles.
    pitch_m = 2.0 * _RACK_DEPTH_M + _COLD_AISLE_M + _HOT_AISLE_M
    first_m = (row // 2) * pitch_m
    far = row % 2 == 1
    exhaust_m = first_m + np.where(far, 2.0 * _RACK_DEPTH_M + _COLD_AISLE_M, 0.0)
    intake_m = first_m + np.where(far, _RACK_DEPTH_M + _COLD_AISLE_M, _RACK_DEPTH_M)
    across_m = np.abs(exhaust_m[:, None] - intake_m[None, :])
    over_m = _RACK_HEIGHT_M + np.hypot(across_m, along_m[:, None] - along_m[None, :])
    end_m = row_length * width_m
    left_m = along_m[:, None] + along_m[None, :] + across_m
    right_m = (end_m - along_m)[:, None] + (end_m - along_m)[None, :] + across_m
    return over_m, left_m, right_m
