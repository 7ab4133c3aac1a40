"""Shapes of Transformers against published figures: parameters, operations, and what is no shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import InputError
from trainers.large.architecture import Architecture, read_architecture
from trainers.large.architectures import ARCHITECTURES, architecture

# Billions of parameters as published beside the shapes.
PUBLISHED = {
    "bert-large": (0.340, 0.02), "gpt2": (0.124, 0.01), "gpt2-medium": (0.355, 0.01), "gpt2-large": (0.774, 0.01),
    "gpt2-xl": (1.558, 0.01), "gpt3-13b": (13.0, 0.02), "gpt3-175b": (175.0, 0.005), "megatron-22b": (22.0, 0.02),
    "megatron-145b": (145.6, 0.001), "megatron-530b": (529.6, 0.001), "megatron-1t": (1008.0, 0.001),
    "llama2-7b": (6.738, 0.001), "llama2-13b": (13.016, 0.001), "llama2-70b": (68.977, 0.001),
    "llama3-8b": (8.030, 0.001), "llama3-70b": (70.554, 0.001), "llama3-405b": (405.85, 0.001),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_as_published(name: str) -> None:
    billions, within = PUBLISHED[name]
    assert architecture(name).parameters / 1e9 == pytest.approx(billions, rel=within)
    assert architecture(name).source


@given(
    layers=st.integers(1, 100),
    heads=st.integers(1, 32),
    width=st.integers(1, 16).map(lambda n: 8 * n),
    sequence=st.integers(1, 4096),
    vocabulary=st.integers(1, 100_000),
)
def test_a_plain_layer_has_the_parameters_and_operations_of_the_closed_form(
    layers: int, heads: int, width: int, sequence: int, vocabulary: int
) -> None:
    h = heads * width
    shape = Architecture("plain", layers, h, heads, sequence, vocabulary)
    assert shape.layer_parameters == 12 * h * h + 13 * h
    # Narayanan et al. 2021, equation 3, for one sequence, without its second forward pass.
    closed = 72 * sequence * layers * h * h * (1 + sequence / (6 * h) + vocabulary / (12 * layers * h))
    assert shape.flops_per_sample == pytest.approx(closed, rel=1e-12)


def test_operations_are_six_times_the_weights_that_are_multiplied() -> None:
    shape = Architecture("x", 2, 64, 4, 1, 1)  # a sequence of one token: attention is next to nothing
    matrices = 2 * 12 * 64 * 64 + 64
    assert shape.flops_per_sample == 6 * matrices + 12 * 2 * 64


def test_grouped_queries_and_gates_change_the_matrices() -> None:
    shape = Architecture("x", 1, 64, 8, 16, 32, key_value_heads=2, feed_forward=96, gated=True, biases=False)
    assert shape.key_value_hidden == 16
    assert shape.layer_matrix_parameters == 64 * 64 * 2 + 2 * 64 * 16 + 3 * 64 * 96


def test_what_is_no_shape_is_refused_with_all_reasons() -> None:
    with pytest.raises(InputError) as caught:
        Architecture("x", 0, 65, 4, 16, 32, key_value_heads=3)
    text = str(caught.value)
    assert "layers: 0 -> expected an integer >= 1" in text
    assert "hidden: 65 -> expected a multiple of heads = 4" in text
    assert "key_value_heads: 3 -> expected a divisor of heads = 4" in text


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="gpt3-175b"):
        architecture("gpt3-175")


def test_a_file_of_your_own_is_read_and_refused_with_all_reasons(tmp_path: Path) -> None:
    fields = {"name": "own", "layers": 2, "hidden": 8, "heads": 2, "sequence": 4, "vocabulary": 16}
    path = tmp_path / "own.json"
    path.write_text(json.dumps(fields))
    assert read_architecture(path) == Architecture(**fields)  # type: ignore[arg-type]
    path.write_text(json.dumps({"name": "own", "layers": "2", "depth": 4}))
    with pytest.raises(InputError) as caught:
        read_architecture(path)
    text = str(caught.value)
    for part in ("depth: unknown", "hidden: missing", "layers: '2' -> expected a value of type int"):
        assert part in text


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "\x00"])
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"own\.json"):
        read_architecture(path)
