"""Architectures by name, each with the publication that states its shape."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dcsim.errors import InputError, Problem
from dcsim.spec.names import nearest
from trainers.large.architecture import Architecture

__all__ = ["ARCHITECTURES", "architecture"]

_GPT3 = "Brown et al. 2020, arXiv:2005.14165, table 2.1; vocabulary 50,257 padded to 51,200 as in Narayanan et al. 2021"
_MEGATRON = "Korthikanti et al. 2022, arXiv:2205.05198, table 3"
_GPT2 = "Radford et al. 2019, table 2; vocabulary 50,257 padded to 50,304"
_LLAMA2 = "Touvron et al. 2023, arXiv:2307.09288, and the configuration files of the release"
_LLAMA3 = "Grattafiori et al. 2024, arXiv:2407.21783, table 3"


def _plain(
    name: str, layers: int, hidden: int, heads: int, sequence: int, vocabulary: int, source: str
) -> Architecture:
    return Architecture(name, layers, hidden, heads, sequence, vocabulary, source=source)


def _llama(
    name: str,
    layers: int,
    hidden: int,
    heads: tuple[int, int],
    feed_forward: int,
    sequence: int,
    vocabulary: int,
    source: str,
) -> Architecture:
    """Return a Llama; `heads` is (of queries, of keys and values)."""
    return Architecture(
        name, layers, hidden, heads[0], sequence, vocabulary, heads[1], feed_forward, gated=True,
        tied_embeddings=False, learned_positions=False, biases=False,
        dropout=False, source=source,
    )  # fmt: skip


_ROWS = (
    Architecture(
        "bert-large", 24, 1024, 16, 512, 30592, causal=False,
        source="Devlin et al. 2019, arXiv:1810.04805, section 3; vocabulary 30,522 padded to 30,592",
    ),
    _plain("gpt2", 12, 768, 12, 1024, 50304, _GPT2),
    _plain("gpt2-medium", 24, 1024, 16, 1024, 50304, _GPT2),
    _plain("gpt2-large", 36, 1280, 20, 1024, 50304, _GPT2),
    _plain("gpt2-xl", 48, 1600, 25, 1024, 50304, _GPT2),
    _plain("gpt3-13b", 40, 5120, 40, 2048, 51200, f"{_GPT3}; width 5,140 there, 5,120 divides by its heads"),
    _plain("gpt3-175b", 96, 12288, 96, 2048, 51200, _GPT3),
    _plain("megatron-22b", 48, 6144, 64, 2048, 51200, _MEGATRON),
    _plain("megatron-145b", 80, 12288, 96, 2048, 51200, "Narayanan et al. 2021, doi:10.1145/3458817.3476209, table 1"),
    _plain("megatron-530b", 105, 20480, 128, 2048, 51200, _MEGATRON),
    _plain("megatron-1t", 128, 25600, 160, 2048, 51200, _MEGATRON),
    _llama("llama2-7b", 32, 4096, (32, 32), 11008, 4096, 32000, _LLAMA2),
    _llama("llama2-13b", 40, 5120, (40, 40), 13824, 4096, 32000, _LLAMA2),
    _llama("llama2-70b", 80, 8192, (64, 8), 28672, 4096, 32000, _LLAMA2),
    _llama("llama3-8b", 32, 4096, (32, 8), 14336, 8192, 128256, _LLAMA3),
    _llama("llama3-70b", 80, 8192, (64, 8), 28672, 8192, 128256, _LLAMA3),
    _llama("llama3-405b", 126, 16384, (128, 8), 53248, 8192, 128256, _LLAMA3),
)  # fmt: skip

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({row.name: row for row in _ROWS})
"""By name."""


def architecture(name: str) -> Architecture:
    """Return a built-in architecture.

    Raises:
        InputError: there is none of that name.

    >>> architecture("llama3-405b").key_value_heads
    8
    """
    if name not in ARCHITECTURES:
        hint = nearest(name, ARCHITECTURES) or "a file of your own: --architecture FILE"
        raise InputError([Problem("model", None, "", repr(name), "one of " + ", ".join(ARCHITECTURES), hint)])
    return ARCHITECTURES[name]
