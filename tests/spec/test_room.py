"""The `room` of a scenario: what it says, and what is refused with its cure."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dcsim.spec.policy import PolicySpec
from dcsim.spec.room import MAX_NODES, MatrixSpec, RoomSpec, node_count, recirculation_issues
from tests.simulation.halls import hall


def refused(room):
    with pytest.raises(ValidationError) as error:
        RoomSpec.model_validate(room)
    return str(error.value)


def test_nothing_said_is_rows_with_open_aisles():
    room = RoomSpec.model_validate({})
    assert room.layout.kind == "aisles"
    assert room.airflow == "matched"
    assert hall().room is None


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"kind": "matrix"}, "neither of `recirculation` and `path`"),
        ({"kind": "matrix", "recirculation": [[0.1]], "path": "a.csv"}, "both of"),
        ({"kind": "matrix", "recirculation": []}, "no rows"),
        ({"kind": "matrix", "recirculation": [[0.1, 0.2]]}, "2 numbers -> expected 1"),
        ({"kind": "matrix", "recirculation": [[0.5, 0.5], [0.0, 0.0]]}, "adds up to 1"),
        ({"kind": "matrix", "recirculation": [[-0.1]]}, "greater than or equal to 0"),
        ({"kind": "matrix", "recirculation": [[float("nan")]]}, "recirculation"),
        ({"kind": "aisles", "recirculation_fraction": 0.9}, "less than or equal to 0.6"),
        ({"kind": "aisles", "racks_per_row": 0}, "greater than or equal to 1"),
        ({"kind": "ring"}, "aisles"),
    ],
)
def test_layouts_that_cannot_be(layout, said):
    assert said in refused({"layout": layout})


def test_an_unknown_key_is_refused():
    assert "red_line" in refused({"red_line": 27.0})


def test_a_matrix_of_another_size_than_the_hall():
    scenario = hall(racks=3, room={"layout": {"kind": "matrix", "recirculation": [[0.1, 0.0], [0.0, 0.1]]}})
    (issue,) = recirculation_issues(scenario)
    assert (issue.at, issue.got) == (("room", "layout", "recirculation"), "2 rows")
    assert issue.expected.startswith("3")
    two = RoomSpec(
        layout=MatrixSpec(recirculation=((0.1, 0.0), (0.0, 0.1))),
        racks_per_node=2,
    )
    assert list(recirculation_issues(scenario.model_copy(update={"room": two}))) == []


def test_too_many_nodes_are_refused_with_their_cure():
    scenario = hall(racks=MAX_NODES * 2 + 1, room={})
    (issue,) = recirculation_issues(scenario)
    assert issue.hint == "give `racks_per_node: 3` or more"
    assert node_count(MAX_NODES * 2 + 1, 3) <= MAX_NODES


@pytest.mark.parametrize("placement", ["xint", "min_hr", "coolest_inlet"])
def test_thermal_placement_without_a_room(placement):
    asks = PolicySpec.model_validate({"placement": placement})
    (issue,) = recirculation_issues(hall().model_copy(update={"policies": asks}))
    assert issue.at == ("policies", "placement")
    assert "room" in issue.hint
    assert list(recirculation_issues(hall(policies={"placement": placement}, room={}))) == []
