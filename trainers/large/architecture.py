"""The shape of a decoder-only Transformer, and what follows from it alone: parameters and operations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from dcsim.errors import InputError, Problem
from trainers.files import read_json_bytes

__all__ = ["LARGEST", "NAME_LENGTH", "Architecture", "read_architecture"]


BYTES_MAX = 2**20
"""Of a file of an architecture, which has a few hundred [B]."""
LARGEST = 100_000_000
"""No number of a shape is larger."""
NAME_LENGTH = 100
"""Characters of a name, at most: those of a cost profile's."""


@dataclass(frozen=True)
class Architecture:
    """A Transformer of equal layers.

    >>> gpt = Architecture("gpt3-175b", layers=96, hidden=12288, heads=96, sequence=2048, vocabulary=51200)
    >>> round(gpt.parameters / 1e9, 1)
    174.6
    """

    name: str
    layers: int
    hidden: int
    """h, values a token."""
    heads: int
    """a, of queries."""
    sequence: int
    """s, tokens a sample."""
    vocabulary: int
    """V, as padded."""
    key_value_heads: int = 0
    """Of keys and values; 0: as many as `heads` (no grouped queries)."""
    feed_forward: int = 0
    """f, width of the feed-forward layers; 0: 4 h."""
    gated: bool = False
    """Whether the feed-forward layer multiplies two projections (SwiGLU): three matrices instead of two."""
    tied_embeddings: bool = True
    """Whether the last projection uses the weights of the embedding."""
    learned_positions: bool = True
    """Whether positions are embedded; False: rotated into queries and keys."""
    biases: bool = True
    """Whether projections and normalisations add a bias."""
    dropout: bool = True
    """Whether scores and the outputs of both halves of a layer are dropped out in training, by masks of a byte a value."""
    causal: bool = True
    """Whether a token sees only those before it; a fused attention kernel then does half of the work."""
    source: str = ""
    """Where the shape was published."""

    def __post_init__(self) -> None:
        problems = [Problem(self.name or "architecture", None, *facts) for facts in _facts(self)]
        if problems:
            raise InputError(problems)

    @property
    def feed_forward_width(self) -> int:
        """f, said or 4 h."""
        return self.feed_forward or 4 * self.hidden

    @property
    def key_value_hidden(self) -> int:
        """Values of the keys of a token, and of its values."""
        return self.hidden * (self.key_value_heads or self.heads) // self.heads

    @property
    def layer_matrix_parameters(self) -> int:
        """Weights of the matrices of one layer: 12 h^2 of the plain layer."""
        attention = self.hidden * (2 * self.hidden + 2 * self.key_value_hidden)
        return attention + (3 if self.gated else 2) * self.hidden * self.feed_forward_width

    @property
    def layer_parameters(self) -> int:
        """Weights of one layer: 12 h^2 + 13 h of the plain layer (Narayanan et al. 2021, equation 2)."""
        norms = (4 if self.biases else 2) * self.hidden
        if not self.biases:
            return self.layer_matrix_parameters + norms
        projections = 2 * self.hidden + 2 * self.key_value_hidden + self.hidden
        return self.layer_matrix_parameters + norms + projections + self.feed_forward_width

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embedding of tokens and of positions."""
        return self.hidden * (self.vocabulary + (self.sequence if self.learned_positions else 0))

    @property
    def head_parameters(self) -> int:
        """Weights that only the last projection and the last normalisation have."""
        return (0 if self.tied_embeddings else self.hidden * self.vocabulary) + 2 * self.hidden

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.layers * self.layer_parameters + self.embedding_parameters + self.head_parameters

    @property
    def flops_per_sample(self) -> float:
        """FLOPs of one training step on one sequence, without recomputation [FLOP].

        Each weight of a matrix costs 2 FLOPs a token forward and 4 backward, the last projection too; attention
        costs 4 s^2 h forward and twice that backward in each layer, whether or not half of it is masked: for the
        plain layer 72 l s h^2 (1 + s / (6 h) + V / (12 l h)), three quarters of equation 3 of Narayanan et al. 2021
        (doi:10.1145/3458817.3476209), which counts a second forward pass.
        """
        matrices = self.layers * self.layer_matrix_parameters + self.hidden * self.vocabulary
        return self.sequence * (6.0 * matrices + 12.0 * self.layers * self.sequence * self.hidden)


def read_architecture(path: Path) -> Architecture:
    """Return the architecture that a JSON object of the fields of `Architecture` describes.

    Raises:
        InputError: with every problem: unreadable, no object, fields that are unknown, missing or of another type.
    """
    content = read_json_bytes(path, BYTES_MAX, "a JSON file")
    try:
        record = json.loads(content.decode("utf-8"))
    except (RecursionError, ValueError) as error:
        reason = "brackets in brackets too deep" if isinstance(error, RecursionError) else str(error)[:120]
        raise InputError([Problem(str(path), None, "", reason, "a JSON file")]) from None
    if not isinstance(record, dict):
        expected = "an object with name, layers, hidden, heads, sequence, vocabulary"
        raise InputError([Problem(str(path), None, "", type(record).__name__, expected)])
    kinds = {field.name: str(field.type) for field in fields(Architecture)}
    problems = [
        Problem(str(path), None, name, "unknown", "one of " + ", ".join(kinds))
        for name in record
        if name not in kinds
    ]
    problems += [
        Problem(str(path), None, name, "missing", f"a value of type {kinds[name]}")
        for name in ("name", "layers", "hidden", "heads", "sequence", "vocabulary")
        if name not in record
    ]
    for name, value in record.items():
        if name in kinds and type(value).__name__ != kinds[name]:
            problems.append(
                Problem(str(path), None, name, repr(value)[:60], f"a value of type {kinds[name]}")
            )
    if problems:
        raise InputError(problems)
    return Architecture(**record)


def _facts(shape: Architecture) -> Iterator[tuple[str, str, str]]:
    """Yield (path, got, expected) of what is no Transformer."""
    if not 1 <= len(shape.name) <= NAME_LENGTH:
        yield "name", repr(shape.name[:20]), f"1 to {NAME_LENGTH} characters"
    for name, least in (
        ("layers", 1), ("hidden", 1), ("heads", 1), ("sequence", 1), ("vocabulary", 1), ("key_value_heads", 0),
        ("feed_forward", 0),
    ):  # fmt: skip
        value = getattr(shape, name)
        if value < least:
            yield name, str(value), f"an integer >= {least}"
        elif value > LARGEST:
            yield name, str(value)[:20], f"an integer <= {LARGEST:,}"
    if shape.heads >= 1 and shape.hidden % shape.heads:
        yield "hidden", str(shape.hidden), f"a multiple of heads = {shape.heads}"
    if shape.heads >= 1 and shape.key_value_heads > 0 and shape.heads % shape.key_value_heads:
        yield "key_value_heads", str(shape.key_value_heads), f"a divisor of heads = {shape.heads}"
